"""Weights of the SPFormer, OneFormer3D and SegDINO3D family, taken over as far as they fit.

Their U-Nets of spconv are ours under other names, so all of one of the same widths fits. Their decoders share parts
with ours; what has no counterpart here (class lists, learned queries, Minkowski backbones) is left out and told. Files
are read with `weights_only`: nothing in them is run.

spconv 1 keeps a kernel as (x, y, z, in, out), spconv 2 as (out, x, y, z, in). Which one a file holds is told by shapes.
"""

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ovseg3r_core.segmenter.checkpoint import BadCheckpoint
from ovseg3r_core.segmenter.segmenter import Segmenter

Tensors = dict[str, Tensor]

_WRAPPERS = ("state_dict", "model", "net", "model_state_dict")
_COUNTER = "num_batches_tracked"  # of batch norms; nothing reads it
_PREFIXES = ("module.", "backbone.main_block.", "backbone.")

# Theirs to ours, first match wins; `\1` and so on as in `re.sub`. Of the U-Net:
_UNET = (
    (r"^input_conv\.0\.weight$", "backbone.stem.weight"),
    (r"^output_layer\.0\.(.*)$", r"backbone.norm.\1"),
)
_BLOCK = (
    (r"^conv_branch\.0\.(.*)$", r"first.norm.\1"),
    (r"^conv_branch\.2\.weight$", "first.convolution.weight"),
    (r"^conv_branch\.3\.(.*)$", r"second.norm.\1"),
    (r"^conv_branch\.5\.weight$", "second.convolution.weight"),
    (r"^i_branch\.0\.weight$", "shortcut.weight"),
)
_LEVEL = (
    (r"^(conv|deconv)\.0\.(.*)$", r"\1.norm.\2"),
    (r"^(conv|deconv)\.2\.weight$", r"\1.convolution.weight"),
)
# Of the decoder, all under "decoder.":
_DECODER = (
    (r"^input_proj\.(\d)\.(.*)$", r"key.\1.\2"),
    (r"^query_proj\.(\d)\.(.*)$", r"query.\1.\2"),
    (r"^x_mask\.(\d)\.(.*)$", r"mask.project.\1.\2"),
    (r"^out_norm\.(.*)$", r"norm.\1"),
    (r"^ref_point_head\.layers\.0\.(.*)$", r"position.0.\1"),
    (r"^ref_point_head\.layers\.1\.(.*)$", r"position.2.\1"),
    (r"^ref_anchor_head\.layers\.0\.(.*)$", r"sharpness.0.\1"),
    (r"^ref_anchor_head\.layers\.1\.(.*)$", r"sharpness.2.\1"),
    (r"^ffn_layers\.(\d+)\.net\.0\.(.*)$", r"layers.\1.feedforward.net.0.\2"),
    (r"^ffn_layers\.(\d+)\.net\.3\.(.*)$", r"layers.\1.feedforward.net.2.\2"),
    (r"^ffn_layers\.(\d+)\.norm\.(.*)$", r"layers.\1.feedforward.norm.\2"),
    (r"^ca_qcontent_proj\.(\d+)\.(.*)$", r"layers.\1.superpoints.query_content.\2"),
    (r"^ca_qpos_sine_proj\.(\d+)\.(.*)$", r"layers.\1.superpoints.query_sine.\2"),
    (r"^ca_kpos_proj\.(\d+)\.(.*)$", r"layers.\1.superpoints.key_position.\2"),
    (r"^ca_qpos_proj\.(.*)$", r"layers.0.superpoints.query_position.\1"),
    (r"^norm1\.(\d+)\.(.*)$", r"layers.\1.superpoints.norm.\2"),
    (r"^norm2\.(\d+)\.(.*)$", r"layers.\1.queries.norm.\2"),
    (r"^cross_attn_layers\.(\d+)\.out_proj\.(.*)$", r"layers.\1.superpoints.out.\2"),
    (r"^self_attn_layers\.(\d+)\.out_proj\.(.*)$", r"layers.\1.queries.out.\2"),
    (r"^self_attn_layers\.(\d+)\.attn\.out_proj\.(.*)$", r"layers.\1.queries.out.\2"),
    (r"^self_attn_layers\.(\d+)\.attn\.in_proj_(.*)$", r"layers.\1.queries.content.\2"),
    (r"^self_attn_layers\.(\d+)\.norm\.(.*)$", r"layers.\1.queries.norm.\2"),
    (r"^dinox_query_cross_attn_layers\.(\d+)\.attn\.out_proj\.(.*)$", r"layers.\1.objects.out.\2"),
    (r"^dinox_query_cross_attn_layers\.(\d+)\.norm\.(.*)$", r"layers.\1.objects.norm.\2"),
    (r"^bbox_embed\.(\d+)\.layers\.0\.(.*)$", r"layers.\1.box.centre.0.\2"),
    (r"^bbox_embed\.(\d+)\.layers\.1\.(.*)$", r"layers.\1.box.centre.2.\2"),
    (r"^bbox_embed\.(\d+)\.layers\.2\.(.*)$", r"layers.\1.box.centre.4.\2"),
)
# What is one matrix here and several there, in order.
_JOINED = (
    (r"layers.{}.superpoints.key_and_value.{}", ("ca_kcontent_proj.{}.{}", "ca_v_proj.{}.{}")),
    (r"layers.{}.queries.content.{}", ("sa_qcontent_proj.{}.{}", "sa_kcontent_proj.{}.{}", "sa_v_proj.{}.{}")),
    (r"layers.{}.queries.position.{}", ("sa_qpos_proj.{}.{}", "sa_kpos_proj.{}.{}")),
)


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What became of every tensor."""

    taken: tuple[str, ...]
    """Ours that were filled."""
    misfits: tuple[str, ...]
    """Ours that have a counterpart of another shape, with both shapes."""
    left_out: tuple[str, ...]
    """Theirs that nothing here corresponds to."""
    untouched: tuple[str, ...]
    """Ours that the file has nothing for: they keep their random values."""
    spconv: int | None
    """1 or 2, the layout of its kernels; None where it holds none."""

    def __str__(self) -> str:
        layout = "no kernels" if self.spconv is None else f"kernels of spconv {self.spconv}"
        return (
            f"{len(self.taken)} tensors taken ({layout}), {len(self.misfits)} of another shape, "
            f"{len(self.left_out)} left out, {len(self.untouched)} of ours untouched"
        )


def import_weights(segmenter: Segmenter, path: Path) -> ImportReport:
    """Fill a segmenter with what fits of a file of this family.

    Raises:
        BadCheckpoint: the file cannot be read, holds code, or nothing of it fits.
    """
    theirs = read_tensors(path)
    kernels = _layout(theirs)
    mine = segmenter.state_dict()
    offered = dict(_renamed(theirs, kernels))
    taken, misfits = [], []
    for name, (value, _) in offered.items():
        if name not in mine:
            continue
        if value.shape == mine[name].shape and value.is_floating_point() and value.isfinite().all():
            mine[name] = value.to(mine[name].dtype)
            taken.append(name)
        else:
            misfits.append(f"{name}: {tuple(value.shape)} for {tuple(segmenter.state_dict()[name].shape)}")
    if not taken:
        raise BadCheckpoint(f"{path}: nothing of its {len(theirs)} tensors fits, {next(iter(theirs), 'none')} first")
    segmenter.load_state_dict(mine)
    used = {source for name, (_, sources) in offered.items() if name in mine for source in sources}
    return ImportReport(
        taken=tuple(sorted(taken)),
        misfits=tuple(sorted(misfits)),
        left_out=tuple(sorted(theirs.keys() - used)),
        untouched=tuple(sorted(mine.keys() - set(taken))),
        spconv=kernels,
    )


def read_tensors(path: Path) -> Tensors:
    """The tensors of a `.pth` file under their names, without the wrapping of trainers."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        first = str(error).partition("\n")[0]
        raise BadCheckpoint(f"{path}: refused, it holds more than tensors: {first}") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadCheckpoint(f"{path}: not a readable torch file: {str(error).partition(chr(10))[0]}") from error
    while isinstance(content, dict) and (inner := next((key for key in _WRAPPERS if key in content), None)):
        content = content[inner]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise BadCheckpoint(f"{path} holds no tensors by name")
    return {_bare(name): value for name, value in tensors.items() if not name.endswith(_COUNTER)}


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _layout(theirs: Tensors) -> int | None:
    """spconv 1 or 2, by the sides of the kernels: 3x3x3 and 2x2x2 stand first in one, in the middle in the other."""
    shapes = [value.shape for value in theirs.values() if value.ndim == 5]
    if not shapes:
        return None
    one = sum(shape[0] == shape[1] == shape[2] for shape in shapes)
    two = sum(shape[1] == shape[2] == shape[3] for shape in shapes)
    return 1 if one > two else 2


def _renamed(theirs: Tensors, kernels: int | None) -> Iterator[tuple[str, tuple[Tensor, tuple[str, ...]]]]:
    """Under our names: the values in our layout, and what they were made of."""
    for name, value in theirs.items():
        if ours := _our_name(name):
            yield ours, (_our_kernel(value, kernels) if value.ndim == 5 else value, (name,))
    layers = sorted({int(m[1]) for name in theirs if (m := re.match(r"decoder\.sa_v_proj\.(\d+)\.", name))})
    for layer in layers:
        for ours, parts in _JOINED:
            for kind in ("weight", "bias"):
                sources = tuple("decoder." + part.format(layer, kind) for part in parts)
                if all(source in theirs for source in sources):
                    joined = torch.cat([theirs[source] for source in sources])
                    yield "decoder." + ours.format(layer, kind), (joined, sources)
    yield from _object_attention(theirs)


def _object_attention(theirs: Tensors) -> Iterator[tuple[str, tuple[Tensor, tuple[str, ...]]]]:
    """torch keeps the projections of queries, keys and values in one matrix; ours has the last two in one."""
    for name, value in theirs.items():
        if found := re.match(r"^decoder\.dinox_query_cross_attn_layers\.(\d+)\.attn\.in_proj_(weight|bias)$", name):
            query, key, of_objects = value.chunk(3)
            at = f"decoder.layers.{found[1]}.objects."
            yield f"{at}query.{found[2]}", (query, (name,))
            yield f"{at}key_and_value.{found[2]}", (torch.cat([key, of_objects]), (name,))


def _our_name(name: str) -> str | None:
    if name.startswith("decoder."):
        inner = _first(name.removeprefix("decoder."), _DECODER)
        return inner and "decoder." + inner
    if direct := _first(name, _UNET):
        return direct
    found = re.match(r"^unet\.((?:u\.)*)(.*)$", name) or re.match(
        r"^((?:u\.)*)((?:blocks|blocks_tail|conv|deconv)\..*)$", name
    )
    if not found:
        return None
    at = "backbone.levels." + "deeper." * (len(found[1]) // 2)
    if block := re.match(r"^(blocks|blocks_tail)\.block(\d+)\.(.*)$", found[2]):
        part = _first(block[3], _BLOCK)
        return part and f"{at}{'blocks' if block[1] == 'blocks' else 'tail'}.{block[2]}.{part}"
    part = _first(found[2], _LEVEL)
    return part and at + re.sub(r"^conv\.", "down.", re.sub(r"^deconv\.", "up.", part))


def _our_kernel(value: Tensor, kernels: int | None) -> Tensor:
    """A kernel as (offsets, in, out); a 1x1x1 one as a matrix (out, in).

    spconv 2 multiplies by the memory of a 1x1x1 kernel read as (in, out), whatever its shape says (`conv1x1` in its
    conv.py), and so it is what such a network has learned.
    """
    if kernels == 1:
        offsets = value.reshape(-1, *value.shape[3:])
        return offsets[0].T if len(offsets) == 1 else offsets
    if value.shape[1:4].numel() == 1:
        return value.reshape(value.shape[4], value.shape[0]).T
    return value.permute(1, 2, 3, 4, 0).flatten(0, 2)


def _first(name: str, table: tuple[tuple[str, str], ...]) -> str | None:
    return next((re.sub(pattern, ours, name) for pattern, ours in table if re.match(pattern, name)), None)
