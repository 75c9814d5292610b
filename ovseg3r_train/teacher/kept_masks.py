"""Masks that took seconds a frame to make, kept on disk so that measuring them again costs nothing.

NNNNNN.masks.png   the masks of a frame one below the other, 0 or 255
NNNNNN.masks.json  size of the frame, and the score and label of each mask
"""

import json
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.types import Frame, Mask


class KeptMasks:
    """A `MaskProposer` that asks another one once a frame; what the map explains is not told to it."""

    def __init__(self, proposer: MaskProposer, folder: Path) -> None:
        """Keep the masks of one sequence in a folder of its own, which is made where it is missing."""
        self._proposer, self._folder = proposer, folder
        folder.mkdir(parents=True, exist_ok=True)

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The masks of the frame as they were made the first time, with nothing explained."""
        stem = self._folder / f"{frame.index:06d}"
        if not stem.with_suffix(".masks.json").exists():
            write_masks(stem, self._proposer.propose(frame, np.zeros_like(explained)), frame.depth_m.shape)
        return read_masks(stem)


def write_masks(stem: Path, masks: list[Mask], size: tuple[int, ...]) -> None:
    """Write `<stem>.masks.png` and then, last, `<stem>.masks.json`."""
    tags = [{"score": mask.score, "label": mask.label} for mask in masks]
    if masks:
        with atomic_write(stem.with_suffix(".masks.png")) as path:
            cv2.imwrite(str(path), np.concatenate([mask.pixels for mask in masks]).astype(np.uint8) * 255)
    with atomic_write(stem.with_suffix(".masks.json")) as path:
        path.write_text(json.dumps({"size": list(size), "masks": tags}), "utf-8")


def read_masks(stem: Path) -> list[Mask]:
    """Read what `write_masks` wrote.

    Raises:
        ValueError: the image does not hold as many masks of that size as the JSON says.
    """
    kept = json.loads(stem.with_suffix(".masks.json").read_text("utf-8"))
    (height, width), tags = kept["size"], kept["masks"]
    if not tags:
        return []
    image = cv2.imread(str(stem.with_suffix(".masks.png")), cv2.IMREAD_UNCHANGED)
    if image is None or image.shape != (len(tags) * height, width):
        found = None if image is None else image.shape
        raise ValueError(f"{stem}.masks.png is {found}, not {len(tags)} masks of {height}x{width}: delete both files")
    stack = image.reshape(len(tags), height, width) > 0
    return [Mask(pixels=pixels, **tag) for pixels, tag in zip(stack, tags, strict=True)]
