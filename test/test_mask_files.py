"""Masks read from a folder."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import Shaped
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.files import FileMasks
from ovseg3r_core.types import Camera, Frame, Mask


def frame(index: int, height: int = 40, width: int = 60) -> Frame:
    return Frame(
        index=index,
        stamp_s=0.0,
        color=np.zeros((height, width, 3), np.uint8),
        depth_m=np.ones((height, width), np.float32),
        camera=Camera(fx=50.0, fy=50.0, cx=30.0, cy=20.0, width=width, height=height),
        T_map_camera=np.eye(4),
    )


def propose(folder: Path, index: int = 3) -> list[Mask]:
    return FileMasks(folder).propose(frame(index), np.zeros((40, 60), bool))


def write(path: Path, image: Shaped[ndarray, "..."]) -> None:
    assert cv2.imwrite(str(path), image)


def confidence(dtype: type, value: float) -> Shaped[ndarray, "40 60"]:
    """A patch of one confidence in front of nothing."""
    image = np.zeros((40, 60), dtype=dtype)
    image[10:20, 5:25] = round(value * np.iinfo(dtype).max)
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_confidence_maps_are_cut_at_their_threshold(tmp_path: Path, dtype: type) -> None:
    write(tmp_path / "000003.red_cup.mask.png", confidence(dtype, 0.4))
    write(tmp_path / "000003.book.mask.png", confidence(dtype, 0.4))
    (tmp_path / "red_cup.thresh.txt").write_text("0.30941\n")
    (mask,) = propose(tmp_path)
    assert mask.label == "red cup" and mask.pixels.sum() == 200 and mask.pixels[15, 10]
    assert mask.score == pytest.approx(0.4, abs=0.01)


def test_instance_images_are_split_and_named(tmp_path: Path) -> None:
    ids = np.zeros((40, 60), np.uint16)
    ids[:10], ids[20:30], ids[35:] = 1, 700, 2
    write(tmp_path / "000003.instances.png", ids)
    (tmp_path / "labels.json").write_text(json.dumps({"1": "chair", "700": None}))
    masks = propose(tmp_path)
    assert [(mask.label, int(mask.pixels.sum())) for mask in masks] == [("chair", 600), (None, 300), (None, 600)]


def test_a_frame_without_files_has_no_masks(tmp_path: Path) -> None:
    write(tmp_path / "000003.cup.mask.png", confidence(np.uint8, 1.0))
    assert propose(tmp_path, 4) == []


def test_a_map_without_confident_pixels_gives_no_mask(tmp_path: Path) -> None:
    write(tmp_path / "000003.cup.mask.png", np.zeros((40, 60), np.uint8))
    assert propose(tmp_path) == []


def test_a_mask_may_fill_the_image(tmp_path: Path) -> None:
    write(tmp_path / "000003.wall.mask.png", np.full((40, 60), 255, np.uint8))
    assert propose(tmp_path)[0].pixels.all()


@pytest.mark.parametrize("damage", ["size", "truncated", "colour"])
def test_bad_files_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "000003.cup.mask.png"
    size = (20, 30) if damage == "size" else (40, 60)
    write(path, np.random.default_rng(0).integers(0, 255, (*size, 3) if damage == "colour" else size, dtype=np.uint8))
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(Rejected, match=r"000003\.cup\.mask\.png") as caught:
        propose(tmp_path)
    assert caught.value.reason == "bad_mask"


@pytest.mark.parametrize("text", ["", "many", "nan", "0", "1.5", "-1"])
def test_bad_thresholds_are_named(tmp_path: Path, text: str) -> None:
    write(tmp_path / "000003.cup.mask.png", confidence(np.uint8, 1.0))
    (tmp_path / "cup.thresh.txt").write_text(text)
    with pytest.raises(Rejected, match=r"cup\.thresh\.txt"):
        propose(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '{"one": "chair"}', '{"1": 5}'])
def test_bad_labels_are_named(tmp_path: Path, text: str) -> None:
    write(tmp_path / "000003.instances.png", np.ones((40, 60), np.uint8))
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(Rejected, match=r"labels\.json"):
        FileMasks(tmp_path)


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="neither"):
        FileMasks(tmp_path)


def test_masks_of_a_real_shelf_lie_on_its_things(shared_data: Path) -> None:
    proposer = build_proposer(f"files:{shared_data / 'apc_shelf'}")
    masks = {m.label: m for m in proposer.propose(frame(0, 480, 640), np.zeros((480, 640), bool))}
    assert set(masks) > {"kleenex tissue box", "i am a bunny book", "creativity chenille stems"}
    assert masks["kleenex tissue box"].pixels[320, 400] and masks["i am a bunny book"].pixels[300, 230]
    assert all(0.3 < mask.score <= 1 and mask.pixels.sum() < 40_000 for mask in masks.values())
