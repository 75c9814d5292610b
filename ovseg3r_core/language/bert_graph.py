"""A BERT encoder (Devlin et al., NAACL 2019) as a graph that ONNX Runtime runs, from the weights of its checkpoint.

ONNX Runtime lays the weights out for the processor once; products of a few rows, as one question makes, then take a
quarter of the time that numpy needs for them (docs/queries.md). Its own operators make up each layer: attention of all
heads, a sum with its normalisation, and GELU with its bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from onnx import NodeProto, StringStringEntryProto, TensorProto, helper

STATES, REAL, OUTPUT = "states", "real", "output"
_FUSED = "com.microsoft"  # the operators of ONNX Runtime


@dataclass(frozen=True, kw_only=True)
class BertShape:
    """What the weights do not say."""

    layers: int
    heads: int
    epsilon: float
    """Of the normalisations."""


class BertGraph:
    """Takes summed embeddings `states` (texts, tokens, channels) and `real` (texts, tokens): 1, or 0 for padding.

    Args:
        weights: named as in a checkpoint of `BertModel`; matrices as (outputs, inputs).
    """

    def __init__(self, weights: Mapping[str, ndarray], shape: BertShape) -> None:
        self._weights, self._shape = weights, shape
        self._nodes: list[NodeProto] = []
        self.constants: dict[str, ndarray] = {}
        """What the session gets beside the model: in it they would be copied four times."""
        self.channels = len(weights["embeddings.LayerNorm.bias"])

    def build(self) -> bytes:
        """The serialised model; it gives `output`, the states after the last layer."""
        names = [self._constant(f"embeddings.LayerNorm.{part}") for part in ("weight", "bias")]
        x = self._add("LayerNormalization", [STATES, *names], "embedded", domain="", epsilon=self._shape.epsilon)
        for layer in range(self._shape.layers):
            x = self._layer(x, f"encoder.layer.{layer}")
        self._nodes.append(helper.make_node("Identity", [x], [OUTPUT]))
        places = ["texts", "tokens"]
        states = helper.make_tensor_value_info(STATES, TensorProto.FLOAT, [*places, self.channels])
        real = helper.make_tensor_value_info(REAL, TensorProto.INT32, places)
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [*places, self.channels])
        graph = helper.make_graph(self._nodes, "bert", [states, real], [output], [*map(_named, self.constants.items())])
        versions = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=8).SerializeToString()

    def _layer(self, x: str, at: str) -> str:
        parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        weight, bias = (
            np.concatenate([self._weights[f"{part}.{kind}"] for part in parts]) for kind in ("weight", "bias")
        )
        names = [self._keep(f"{at}.qkv.weight", weight.T), self._keep(f"{at}.qkv.bias", bias)]
        mixed = self._add("Attention", [x, *names, REAL], f"{at}.mixed", num_heads=self._shape.heads)
        x = self._rejoin(x, mixed, f"{at}.attention.output")
        inner = self._add(
            "BiasGelu",
            [self._product(x, f"{at}.intermediate.dense"), self._constant(f"{at}.intermediate.dense.bias")],
            f"{at}.inner",
        )
        return self._rejoin(x, inner, f"{at}.output")

    def _rejoin(self, x: str, branch: str, at: str) -> str:
        """A dense layer over the branch, the sum with what the branch left from, and its normalisation."""
        names = [f"{at}.LayerNorm.weight", f"{at}.LayerNorm.bias", f"{at}.dense.bias"]
        inputs = [self._product(branch, f"{at}.dense"), x, *(self._constant(name) for name in names)]
        return self._add("SkipLayerNormalization", inputs, f"{at}.sum", epsilon=self._shape.epsilon)

    def _product(self, x: str, at: str) -> str:
        weight = self._keep(f"{at}.weight", self._weights[f"{at}.weight"].T)
        return self._add("MatMul", [x, weight], f"{at}.product", domain="")

    def _constant(self, name: str) -> str:
        return self._keep(name, self._weights[name])

    def _keep(self, name: str, value: Float32[ndarray, "..."]) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def _add(self, kind: str, inputs: list[str], output: str, *, domain: str = _FUSED, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output


def _named(constant: tuple[str, Float32[ndarray, "..."]]) -> TensorProto:
    """Name and shape of a constant whose values are elsewhere."""
    name, value = constant
    elsewhere = [StringStringEntryProto(key="location", value=name)]
    return TensorProto(
        name=name,
        dims=value.shape,
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
        external_data=elsewhere,
    )
