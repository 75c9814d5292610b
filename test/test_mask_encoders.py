"""Zero-shot detectors and OpenCLIP embeddings, on tiny models with random weights.

What is tested is loading, shapes and errors. Random weights see nothing: whether a real Grounding DINO, OWLv2 or
OpenCLIP checkpoint finds the right things is not tested here.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from jaxtyping import Bool
from numpy import ndarray
from safetensors.torch import load_file, save_file
from tiny_clip import write_tiny_clip

from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.clip_embedding import ClipEmbedded, ClipImages, crop
from ovseg3r_core.masks.hf_detector import ZeroShotConfig, ZeroShotDetector, closest_text
from ovseg3r_core.types import Camera, Frame, Mask

TEXTS = ("chair", "office chair", "fire extinguisher")
COLOR = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def frame() -> Frame:
    return Frame(
        index=0,
        stamp_s=0.0,
        color=COLOR,
        depth_m=np.ones((48, 64), np.float32),
        camera=Camera(fx=50.0, fy=50.0, cx=32.0, cy=24.0, width=64, height=48),
        T_map_camera=np.eye(4),
    )


def tiny_owlv2(folder: Path) -> None:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = transformers.CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    tokenizer.model_max_length = 16
    images = transformers.Owlv2ImageProcessor(size={"height": 32, "width": 32})
    transformers.Owlv2Processor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    layer = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Owlv2Config(
        text_config={**layer, "vocab_size": len(words), "max_position_embeddings": 16},
        vision_config={**layer, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    transformers.Owlv2ForObjectDetection(config).save_pretrained(folder)


def tiny_grounding_dino(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?", *" ".join(TEXTS).split()]
    words = list(dict.fromkeys(words))
    tokenizer = transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    images = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 32, "longest_edge": 48})
    transformers.GroundingDinoProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            image_size=32, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 1, 1], window_size=2, out_indices=[1, 2, 3]
        ),
        text_config=transformers.BertConfig(
            vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=7,
        num_feature_levels=3,
        max_text_len=16,
    )
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)


@pytest.mark.parametrize("build", [tiny_owlv2, tiny_grounding_dino])
def test_zero_shot_detectors_answer_in_the_given_texts(tmp_path: Path, build: Callable[[Path], None]) -> None:
    torch.manual_seed(0)
    build(tmp_path)
    config = ZeroShotConfig(min_score=0.01, max_boxes=5, texts_at_once=2)
    found = ZeroShotDetector(tmp_path, TEXTS, config=config).detect(COLOR)
    assert len(found) == 5 and found.boxes.shape == (5, 4)  # random scores are high enough for that
    assert set(found.names) <= set(TEXTS)
    assert (found.boxes >= 0).all() and (found.boxes <= [64, 48, 64, 48]).all()
    assert found.scores.tolist() == sorted(found.scores, reverse=True)


def test_a_detector_that_sees_nothing_gives_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tiny_grounding_dino(tmp_path)
    found = ZeroShotDetector(tmp_path, TEXTS, config=ZeroShotConfig(min_score=0.99999)).detect(COLOR)
    assert len(found) == 0 and found.boxes.shape == (0, 4)


def test_a_detector_folder_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    tiny_owlv2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        ZeroShotDetector(tmp_path, TEXTS)


@pytest.mark.parametrize("content", [None, {}, {"model_type": "bert"}])
def test_other_folders_are_refused(tmp_path: Path, content: dict[str, str] | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=str(tmp_path)):
        ZeroShotDetector(tmp_path, TEXTS)


def test_a_detector_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 texts"):
        ZeroShotDetector(tmp_path, ())


def test_phrases_are_taken_for_the_closest_text() -> None:
    assert closest_text("chair", TEXTS) == "chair"
    assert closest_text("Office Chair", TEXTS) == "office chair"
    assert closest_text("extinguisher", TEXTS) == "fire extinguisher"
    assert closest_text("", TEXTS) is None and closest_text("giraffe", TEXTS) is None


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the architecture "tiny" as safetensors and as a torch file."""
    folder = tmp_path_factory.mktemp("clip")
    torch.save(load_file(write_tiny_clip(folder)), folder / "tiny.pt")
    return folder


class TwoMasks:
    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        pixels = np.zeros((3, 48, 64), dtype=bool)
        pixels[0, 10:20, 10:30], pixels[1] = True, True  # the third is empty
        return [Mask(pixels=mask, score=0.5, label="chair") for mask in pixels]


@pytest.mark.parametrize("file", ["tiny.safetensors", "tiny.pt"])
def test_masks_get_unit_embeddings(tiny_clip: Path, file: str) -> None:
    images = ClipImages("tiny", tiny_clip / file)
    masks = ClipEmbedded(TwoMasks(), images).propose(frame(), np.zeros((48, 64), bool))
    assert [mask.label for mask in masks] == ["chair", "chair"]
    embeddings = np.stack([mask.embedding for mask in masks if mask.embedding is not None])
    assert embeddings.shape == (2, 12)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


def test_crops_show_the_mask_with_some_surroundings() -> None:
    pixels = np.zeros((48, 64), dtype=bool)
    pixels[10:20, 30:50] = True
    np.testing.assert_array_equal(crop(COLOR, pixels), COLOR[7:23, 25:55])
    assert crop(COLOR, np.ones((48, 64), bool)).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("architecture", "checkpoint"),
    [("tiny", "gone.safetensors"), ("ViT-B-32", "no_such_tag"), ("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-Z", "openai")],
)
def test_absent_clip_weights_are_never_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_clip: Path, architecture: str, checkpoint: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="download the weights yourself"):
        ClipImages(architecture, checkpoint)


def test_clip_weights_of_another_architecture_are_refused(tiny_clip: Path, tmp_path: Path) -> None:
    save_file({"visual.proj": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other"):
        ClipImages("tiny", tmp_path / "other.safetensors")


def test_clip_is_added_to_any_proposer_by_name(tiny_clip: Path, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "000000.cup.mask.png"), np.full((48, 64), 255, np.uint8))
    proposer = build_proposer(f"files:{tmp_path}+clip:tiny:{tiny_clip / 'tiny.safetensors'}")
    (mask,) = proposer.propose(frame(), np.zeros((48, 64), bool))
    assert mask.label == "cup" and mask.embedding is not None and mask.embedding.shape == (12,)
    with pytest.raises(ValueError, match="names no checkpoint"):
        build_proposer(f"files:{tmp_path}+clip:tiny")
