"""The default text encoder: all-MiniLM-L6-v2, a six-layer BERT, run by ONNX Runtime.

Sentences are encoded as in Sentence-BERT (Reimers and Gurevych, EMNLP 2019): mean of the token states, scaled
to unit length. A query from the command line has to start fast: ONNX Runtime and a tokenizer load in a fraction of
the time that torch and a model library take (docs/queries.md).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from ovseg3r_core import models
from ovseg3r_core.language.bert_graph import REAL, STATES, BertGraph, BertShape
from ovseg3r_core.language.encoder import EmbeddingMemory

_MAX_TOKENS = 128  # the length the model was trained with; more text than that is cut off
_BATCH = 64


class MiniLm:
    """all-MiniLM-L6-v2 from the model cache, or from a folder with the same files.

    Args:
        folder: holds `config.json`, `model.safetensors` and `tokenizer.json`.

    Raises:
        MissingModel, DamagedModel: no folder is given and the cache lacks the model.
    """

    name = "minilm-l6-v2"

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or models.find(self.name)
        config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        self._word, self._position, self._segment = (
            weights.pop(f"embeddings.{kind}_embeddings.weight") for kind in ("word", "position", "token_type")
        )
        self._session = _session(weights, config)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._memory = EmbeddingMemory(self._encode, channels=config["hidden_size"])

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text, 384 channels."""
        return self._memory.embed(texts)

    def _encode(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """Texts of similar length go together: reading the weights costs more than the padding of a few tokens."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = np.empty((len(texts), self._word.shape[1]), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        for batch in (order[start : start + _BATCH] for start in range(0, len(order), _BATCH)):
            ids = np.zeros((len(batch), len(tokens[batch[-1]])), np.int64)
            real = np.zeros(ids.shape, bool)
            for row, i in enumerate(batch):
                ids[row, : len(tokens[i])], real[row, : len(tokens[i])] = tokens[i], True
            states = np.where(real[:, :, None], self._states(ids, real), np.float32(0))
            rows[batch] = states.sum(axis=1) / real.sum(axis=1, keepdims=True, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _states(
        self, ids: Int64[ndarray, "texts tokens"], real: Bool[ndarray, "texts tokens"]
    ) -> Float32[ndarray, "texts tokens channels"]:
        """The states after the last layer; nothing attends to padding."""
        embedded = self._word[ids] + self._position[: ids.shape[1]] + self._segment[0]
        return cast(ndarray, self._session.run(None, {STATES: embedded, REAL: real.astype(np.int32)})[0])


def _session(weights: dict[str, ndarray], config: dict[str, Any]) -> onnxruntime.InferenceSession:
    """On one thread: products this small gain little from two, and beside a busy mapper threads wait for each other."""
    shape = BertShape(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = BertGraph(weights, shape)
    model = graph.build()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in graph.constants.values()]
    options.add_external_initializers([*graph.constants], values)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
