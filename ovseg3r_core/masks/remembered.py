"""Masks that are made once: what a slow proposer found in a frame is kept in a file and not asked for again.

`NNNNNN.masks.safetensors`, by the frame's index: `bits` are the masks, packed row by row (`numpy.packbits`) and
compressed (zlib); `scores` are float32; `labels` and the image's size are JSON in the header.
"""

import json
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.types import Frame, Mask

_MAX_MASKS = 10_000


class RememberedMasks:
    """A `MaskProposer` that looks into a folder first. Embeddings are not kept.

    What the map explains makes no difference: every frame is asked about in full, so that the file serves any map.
    """

    def __init__(self, folder: Path, proposer: MaskProposer | None = None) -> None:
        """Take the folder, and who is asked about frames that it lacks; without one those are refused."""
        self._folder, self._proposer = folder, proposer

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The masks of the frame, from its file where there is one.

        Raises:
            Rejected: `no_masks` where there is neither file nor proposer, `bad_mask` where the file cannot be used.
        """
        path = self._folder / f"{frame.index:06d}.masks.safetensors"
        if path.exists():
            return _read(path, frame.color.shape[:2])
        if self._proposer is None:
            raise Rejected("no_masks", f"{path} is missing: nobody has looked at frame {frame.index} yet")
        masks = self._proposer.propose(frame, np.zeros_like(explained))
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(path, masks, frame.color.shape[:2])
        return masks


def _write(path: Path, masks: list[Mask], size: tuple[int, int]) -> None:
    pixels = np.array([mask.pixels for mask in masks], bool).reshape(len(masks), *size)
    packed = zlib.compress(np.packbits(pixels, axis=-1).tobytes(), 6)
    about = {"height": size[0], "width": size[1], "labels": [mask.label for mask in masks]}
    tensors = {
        "bits": np.frombuffer(packed, np.uint8),
        "scores": np.array([mask.score for mask in masks], np.float32),
    }
    with atomic_write(path) as temporary:
        save_file(tensors, str(temporary), metadata={"masks": json.dumps(about)})


def _read(path: Path, size: tuple[int, int]) -> list[Mask]:
    try:
        with safe_open(str(path), framework="numpy") as file:
            about = json.loads((file.metadata() or {})["masks"])
            bits, scores = file.get_tensor("bits"), file.get_tensor("scores")
        labels = about["labels"]
        if (about["height"], about["width"]) != size:
            raise ValueError(f"its masks are {about['width']}x{about['height']}, the frame is {size[1]}x{size[0]}")
        if not len(labels) == len(scores) <= _MAX_MASKS:
            raise ValueError(f"{len(labels)} labels and {len(scores)} scores; at most {_MAX_MASKS} masks are read")
        if not all(label is None or isinstance(label, str) for label in labels):
            raise ValueError("a label is no text")
        pixels = _unpack(bits.tobytes(), len(labels), size)
    except (SafetensorError, zlib.error, KeyError, TypeError, ValueError, OSError) as error:
        raise Rejected("bad_mask", f"{path}: {error}") from error
    return _masks(pixels, scores, labels)


def _unpack(packed: bytes, count: int, size: tuple[int, int]) -> Bool[ndarray, "masks height width"]:
    row = (size[1] + 7) // 8
    expected = count * size[0] * row
    data = zlib.decompressobj().decompress(packed, expected + 1)  # more is refused, however much more it is
    if len(data) != expected:
        raise ValueError(f"{len(data)} bytes of bits or more where {count} masks need {expected}")
    bits = np.frombuffer(data, np.uint8).reshape(count, size[0], row)
    return np.unpackbits(bits, axis=-1, count=size[1]).astype(bool)


def _masks(
    pixels: Bool[ndarray, "masks height width"], scores: Float32[ndarray, " masks"], labels: list[str | None]
) -> list[Mask]:
    if not np.isfinite(scores).all() or (scores < 0).any() or (scores > 1).any():
        raise Rejected("bad_mask", f"scores run from {scores.min()} to {scores.max()}; they are 0..1")
    return [Mask(pixels=p, score=float(s), label=n) for p, s, n in zip(pixels, scores, labels, strict=True)]
