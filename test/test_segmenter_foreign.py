"""Weights under the names and layouts of SPFormer, OneFormer3D and SegDINO3D, built here from plain tensors."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from segmenter_parts import TINY, a_segmenter
from torch import Tensor

from ovseg3r_core.segmenter.build import build_segmenter
from ovseg3r_core.segmenter.checkpoint import BadCheckpoint
from ovseg3r_core.segmenter.foreign import import_weights

CONFIG = replace(TINY, object_channels=32)
Tensors = dict[str, Tensor]


def norm(at: str, width: int) -> Tensors:
    shapes = {"weight": torch.randn(width), "bias": torch.randn(width), "running_mean": torch.randn(width)}
    return {f"{at}.{k}": v for k, v in (shapes | {"running_var": torch.rand(width) + 0.5}).items()} | {
        f"{at}.num_batches_tracked": torch.tensor(7)
    }


def linear(at: str, inputs: int, outputs: int) -> Tensors:
    return {f"{at}.weight": torch.randn(outputs, inputs), f"{at}.bias": torch.randn(outputs)}


def block(at: str, inputs: int, outputs: int) -> Tensors:
    made = norm(f"{at}.conv_branch.0", inputs) | norm(f"{at}.conv_branch.3", outputs)
    made[f"{at}.conv_branch.2.weight"] = torch.randn(outputs, 3, 3, 3, inputs)
    made[f"{at}.conv_branch.5.weight"] = torch.randn(outputs, 3, 3, 3, outputs)
    if inputs != outputs:
        made[f"{at}.i_branch.0.weight"] = torch.randn(outputs, 1, 1, 1, inputs)
    return made


def unet(at: str, widths: tuple[int, ...], blocks: int) -> Tensors:
    width, *below = widths
    made: Tensors = {}
    for i in range(blocks):
        made |= block(f"{at}blocks.block{i}", width, width)
    if below:
        made |= norm(f"{at}conv.0", width) | norm(f"{at}deconv.0", below[0])
        made[f"{at}conv.2.weight"] = torch.randn(below[0], 2, 2, 2, width)
        made[f"{at}deconv.2.weight"] = torch.randn(width, 2, 2, 2, below[0])
        made |= unet(f"{at}u.", tuple(below), blocks)
        for i in range(blocks):
            made |= block(f"{at}blocks_tail.block{i}", width if i else 2 * width, width)
    return made


def spformer() -> Tensors:
    """A U-Net of spconv 2 and some of a decoder with learned queries."""
    made = {"input_conv.0.weight": torch.randn(CONFIG.width, 3, 3, 3, 6)} | norm("output_layer.0", CONFIG.width)
    made |= unet("unet.", CONFIG.widths, CONFIG.blocks)
    made |= linear("decoder.input_proj.0", CONFIG.width, 32) | {"decoder.query.weight": torch.randn(400, 32)}
    return made | linear("decoder.out_cls.2", 32, 19)


def segdino3d() -> Tensors:
    """The same U-Net under the backbone of SegDINO3D, and what its decoder shares with ours."""
    c = CONFIG.channels
    theirs = {k: v for k, v in spformer().items() if not k.startswith("decoder.")}
    made = {f"backbone.{k.removeprefix('unet.')}": v for k, v in theirs.items()}
    for i in range(CONFIG.layers):
        for name in ("ca_qcontent", "ca_kcontent", "ca_kpos", "ca_v", "ca_qpos_sine", "sa_qcontent", "sa_kcontent"):
            made |= linear(f"decoder.{name}_proj.{i}", c, c)
        for name in ("sa_qpos", "sa_kpos", "sa_v"):
            made |= linear(f"decoder.{name}_proj.{i}", c, c)
        made |= linear(f"decoder.cross_attn_layers.{i}.out_proj", c, c)
        made[f"decoder.dinox_query_cross_attn_layers.{i}.attn.in_proj_weight"] = torch.randn(3 * c, c)
        made[f"decoder.dinox_query_cross_attn_layers.{i}.attn.in_proj_bias"] = torch.randn(3 * c)
    return made | linear("decoder.out_sem", c, 201)


def spconv1(theirs: Tensors) -> Tensors:
    return {k: v.permute(1, 2, 3, 4, 0).contiguous() if v.ndim == 5 else v for k, v in theirs.items()}


def stored(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("layout", [1, 2])
@pytest.mark.parametrize("wrapped", ["net", "state_dict", "model", None])
def test_a_whole_unet_is_taken_whatever_the_layout_and_the_wrapping(tmp_path: Path, layout: int, wrapped) -> None:
    theirs = spformer()
    content = spconv1(theirs) if layout == 1 else theirs
    segmenter = build_segmenter(CONFIG)
    report = import_weights(segmenter, stored(tmp_path / "a.pth", {wrapped: content} if wrapped else content))
    assert report.spconv == layout and not report.misfits
    assert not [name for name in report.untouched if name.startswith("backbone.")]
    assert report.left_out == ("decoder.out_cls.2.bias", "decoder.out_cls.2.weight", "decoder.query.weight")
    kernel = segmenter.backbone.stem.weight
    for x, y, z in ((0, 0, 0), (1, 2, 0), (2, 1, 1)):
        assert torch.equal(kernel[9 * x + 3 * y + z], theirs["input_conv.0.weight"][:, x, y, z].T)
    deep = segmenter.backbone.levels.deeper
    assert deep is not None
    assert torch.equal(deep.down.convolution.weight[5], theirs["unet.u.conv.2.weight"][:, 1, 0, 1].T)
    shortcut = theirs["unet.blocks_tail.block0.i_branch.0.weight"]
    # spconv 2 reads the memory of (out, 1, 1, 1, in) as (in, out); spconv 1 keeps it so.
    as_used = shortcut[:, 0, 0, 0] if layout == 1 else shortcut.reshape(2 * CONFIG.width, CONFIG.width).T
    assert torch.equal(segmenter.backbone.levels.tail[0].shortcut.weight, as_used)


def test_projections_that_are_one_matrix_here_are_joined(tmp_path: Path) -> None:
    theirs = segdino3d()
    segmenter = build_segmenter(CONFIG)
    report = import_weights(segmenter, stored(tmp_path / "a.pth", {"model": theirs}))
    layer = segmenter.decoder.layers[1]
    parts = ("sa_qcontent_proj", "sa_kcontent_proj", "sa_v_proj")
    assert torch.equal(layer.queries.content.weight, torch.cat([theirs[f"decoder.{p}.1.weight"] for p in parts]))
    query, key, value = theirs["decoder.dinox_query_cross_attn_layers.1.attn.in_proj_weight"].chunk(3)
    assert torch.equal(layer.objects.query.weight, query)
    assert torch.equal(layer.objects.key_and_value.weight, torch.cat([key, value]))
    assert report.left_out == ("decoder.out_sem.bias", "decoder.out_sem.weight")
    assert "layers.0.superpoints.key_and_value.bias" in str(report.taken)


def test_other_widths_are_told_and_leave_ours_as_they_were(tmp_path: Path) -> None:
    segmenter = build_segmenter(replace(CONFIG, width=8))
    before = segmenter.backbone.stem.weight.clone()
    theirs = spformer() | {"decoder.out_norm.weight": torch.ones(32), "decoder.out_norm.bias": torch.ones(32)}
    report = import_weights(segmenter, stored(tmp_path / "a.pth", theirs))
    assert "backbone.stem.weight: (27, 6, 16) for (27, 6, 8)" in report.misfits
    assert torch.equal(segmenter.backbone.stem.weight, before)
    assert "decoder.norm.weight" in report.taken and "decoder.norm.weight" not in report.untouched
    assert "of another shape" in str(report)


def test_numbers_that_are_not_finite_are_not_taken(tmp_path: Path) -> None:
    theirs = spformer()
    theirs["output_layer.0.bias"][0] = float("nan")
    report = import_weights(build_segmenter(CONFIG), stored(tmp_path / "a.pth", theirs))
    assert "backbone.norm.bias" in report.untouched


def test_a_file_that_runs_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    path = tmp_path / "a.pth"
    torch.save({"model": Hostile()}, path, pickle_module=pickle)
    with pytest.raises(BadCheckpoint, match="refused, it holds more than tensors"):
        import_weights(build_segmenter(CONFIG), path)
    assert not (tmp_path / "ran").exists()


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"nothing of its 1 tensors fits, conv\.weight first"):
        import_weights(build_segmenter(CONFIG), stored(tmp_path / "a.pth", {"conv.weight": torch.zeros(3)}))
    with pytest.raises(BadCheckpoint, match="no tensors by name"):
        import_weights(build_segmenter(CONFIG), stored(tmp_path / "a.pth", [torch.zeros(3)]))
    (tmp_path / "a.pth").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(BadCheckpoint, match="not a readable torch file"):
        import_weights(build_segmenter(CONFIG), tmp_path / "a.pth")


def test_a_segmenter_runs_with_what_was_taken(tmp_path: Path) -> None:
    from segmenter_parts import a_scene, some_texts

    from ovseg3r_core.segmenter.inputs import collate

    segmenter = a_segmenter(CONFIG)
    import_weights(segmenter, stored(tmp_path / "a.pth", segdino3d()))
    with torch.inference_mode():
        (said,) = segmenter(collate([a_scene()]), some_texts(3))
    assert said.mask_logits.isfinite().all()
