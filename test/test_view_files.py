"""A keyframe comes back as it was packed, or is refused before anything of it is used."""

import json
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from maps import HEIGHT, WIDTH, assert_same_view, make_view
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ovseg3r_core.mapping.view_files import pack_view, unpack_view
from ovseg3r_core.types import MaskTag

REFUSED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, SafetensorError)


@pytest.mark.parametrize("looks", [True, False])
def test_a_keyframe_comes_back_as_it_was(looks):
    view = make_view(3, looks)
    back = unpack_view(pack_view(view))
    assert_same_view(back, view)
    assert pack_view(back) == pack_view(view)
    np.testing.assert_array_equal(back.open().ids, view.open().ids)


def test_a_keyframe_without_masks_comes_back():
    nothing = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint16))[1].tobytes()
    view = replace(make_view(0), tags=(), ids_png=nothing)
    assert_same_view(unpack_view(pack_view(view)), view)


def test_a_view_that_made_room_keeps_what_its_masks_were_called():
    view = make_view(3)
    back = unpack_view(pack_view(view.retired()))
    assert not back.kept
    assert [(tag.score, tag.label) for tag in back.tags] == [(tag.score, tag.label) for tag in view.tags]
    assert (back.open().depth_m == 0).all() and (back.open().ids == -1).all()


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_what_could_not_be_loaded_is_not_packed(score):
    view = make_view(0)
    with pytest.raises(ValueError):
        pack_view(replace(view, tags=(replace(view.tags[0], score=score), view.tags[1])))
    stretched = MaskTag(score=0.5, label=None, embedding=np.float32([3, 4, 0]))
    with pytest.raises(ValueError, match="no unit vectors"):
        pack_view(replace(view, tags=(stretched, view.tags[1])))
    with pytest.raises(ValueError, match="pixels"):
        pack_view(replace(view, camera=replace(view.camera, width=1 << 20, height=1 << 20)))


def png(image: np.ndarray) -> np.ndarray:
    return cv2.imencode(".png", image)[1].ravel()


def jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imencode(".jpg", image)[1].ravel()


def huge_png() -> np.ndarray:
    """A PNG that claims 4 gigapixels in its header."""
    data = bytearray(png(np.zeros((HEIGHT, WIDTH), np.uint16)).tobytes())
    data[16:24] = (65536).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return np.frombuffer(bytes(data), np.uint8)


GREY, DEEP = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint16)


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth_png": png(GREY)},
        {"depth_png": png(DEEP[1:])},
        {"depth_png": png(np.zeros((HEIGHT, WIDTH, 3), np.uint16))},
        {"depth_png": jpeg(GREY)},
        {"depth_png": np.zeros(0, np.uint8)},
        {"depth_png": np.zeros(100, np.uint8)},
        {"depth_png": png(DEEP)[:40]},
        {"depth_png": huge_png()},
        {"depth_png": np.zeros((2, 50), np.uint8)},
        {"depth_png": np.zeros(100, np.int32)},
        {"depth_png": None},
        {"ids_png": png(DEEP + 3)},
        {"ids_png": png((DEEP + 3) | (1 << 15))},  # the rim of a mask that is not there
        {"ids_png": png(GREY)},
        {"color_jpeg": jpeg(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8))},
        {"color_jpeg": png(np.zeros((HEIGHT, WIDTH, 3), np.uint8))},
        {"color_jpeg": jpeg(GREY)[:60]},
        {"embedding": np.float32([[3, 4, 0]])},
        {"embedding": np.float32([[np.nan, 1, 0]])},
        {"embedding": np.float64([[1, 0, 0]])},
        {"embedding_of": np.int32([2])},
        {"embedding_of": np.int32([-1])},
        {"embedding_of": np.int64([0])},
        {"embedding_of": None},
        {"about": None},
        {"about": np.frombuffer(b"[" * 100_000, np.uint8)},
        {"about": np.frombuffer(b"\xff\xfe{}", np.uint8)},
    ],
)
def test_images_and_embeddings_that_are_not_what_mapping_needs_are_refused(wrong):
    tensors = load(pack_view(make_view(1)))
    data = save({name: array for name, array in (tensors | wrong).items() if array is not None})
    with pytest.raises(REFUSED):
        unpack_view(data)


def without(key: str) -> Callable[[dict], object]:
    return lambda about: about.pop(key)


def with_(key: str, value: object, *path: str | int) -> Callable[[dict], object]:
    def change(about):
        for step in path:
            about = about[step]
        about[key] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        *map(without, ("index", "stamp_s", "camera", "T_map_camera", "masks")),
        with_("stamp_s", float("nan")),
        with_("stamp_s", "now"),
        with_("stamp_s", None),
        with_("fx", 0, "camera"),
        with_("fx", float("inf"), "camera"),
        with_("width", -WIDTH, "camera"),
        with_("width", 10**12, "camera"),
        with_("width", 1e400, "camera"),
        with_("cx", 1e9, "camera"),
        with_("T_map_camera", [[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]),
        with_("T_map_camera", [[1, 0], [0, 1]]),
        with_("T_map_camera", [[1, 0], [0]]),
        with_("score", float("nan"), "masks", 0),
        with_("score", "0.5", "masks", 0),
        with_("label", 3, "masks", 0),
        with_("masks", [{"score": 0.5, "label": None}]),
        with_("masks", {"0": 1}),
        with_("masks", []),
    ],
)
def test_facts_that_cannot_be_true_are_refused(change):
    tensors = load(pack_view(make_view(1)))
    about = json.loads(tensors["about"].tobytes())
    change(about)
    data = save(tensors | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    with pytest.raises(REFUSED):
        unpack_view(data)


def test_bytes_that_are_no_keyframe_are_refused():
    data = pack_view(make_view(0))
    for wrong in (b"", b"\x00" * 8, data[:100], data[:-1], (100 << 30).to_bytes(8, "little") + b"{}"):
        with pytest.raises(REFUSED):
            unpack_view(wrong)
