"""Masks that are kept in files, so that nobody is asked twice."""

from pathlib import Path

import numpy as np
import pytest

from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.remembered import RememberedMasks
from ovseg3r_core.types import Camera, Frame, Mask

SIZE = (5, 13)
NOTHING = np.zeros(SIZE, bool)


class Artist:
    """Paints two masks, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def propose(self, frame: Frame, explained: np.ndarray) -> list[Mask]:
        self.asked += 1
        assert not explained.any()
        left = np.zeros(SIZE, bool)
        left[:, :7] = True
        return [Mask(pixels=left, score=0.25, label="cup"), Mask(pixels=~left, score=1.0)]


def frame(index: int = 3, size: tuple[int, int] = SIZE) -> Frame:
    camera = Camera(fx=10.0, fy=10.0, cx=6.0, cy=2.0, width=size[1], height=size[0])
    color, depth_m = np.zeros((*size, 3), np.uint8), np.ones(size, np.float32)
    return Frame(index=index, stamp_s=0.0, color=color, depth_m=depth_m, camera=camera, T_map_camera=np.eye(4))


def test_a_frame_is_asked_about_once_and_in_full(tmp_path: Path):
    artist = Artist()
    first = RememberedMasks(tmp_path / "new", artist).propose(frame(), ~NOTHING)
    again = RememberedMasks(tmp_path / "new").propose(frame(), NOTHING)
    assert artist.asked == 1
    for a, b in zip(first, again, strict=True):
        assert (a.score, a.label) == (b.score, b.label)
        np.testing.assert_array_equal(a.pixels, b.pixels)


def test_without_a_proposer_an_unknown_frame_is_refused(tmp_path: Path):
    with pytest.raises(Rejected, match=r"000003.*nobody has looked"):
        RememberedMasks(tmp_path).propose(frame(), NOTHING)


def test_a_frame_without_masks_is_remembered_as_such(tmp_path: Path):
    class Blind:
        def propose(self, frame: Frame, explained: np.ndarray) -> list[Mask]:
            return []

    assert RememberedMasks(tmp_path, Blind()).propose(frame(), NOTHING) == []
    assert RememberedMasks(tmp_path).propose(frame(), NOTHING) == []


def test_damaged_or_foreign_files_are_refused(tmp_path: Path):
    RememberedMasks(tmp_path, Artist()).propose(frame(), NOTHING)
    path = tmp_path / "000003.masks.safetensors"
    with pytest.raises(Rejected, match="13x5, the frame is 5x13"):
        RememberedMasks(tmp_path).propose(frame(size=(13, 5)), np.zeros((13, 5), bool))
    whole = path.read_bytes()
    for cut in range(0, len(whole), 17):
        path.write_bytes(whole[:cut])
        with pytest.raises(Rejected):
            RememberedMasks(tmp_path).propose(frame(), NOTHING)
