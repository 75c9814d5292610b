"""Masks that something else has already made, read from a folder.

Two layouts, which may be mixed; `<stem>` is the frame's index with six digits:

- `<stem>.<name>.mask.png`: one named thing a file. An 8-bit or 16-bit grey image is a confidence map over the
  range of its type; it is cut at the number in `<name>.thresh.txt` of the folder, or at 0.5 without one.
- `<stem>.instances.png`: an 8-bit or 16-bit grey image of instance ids, 0 for none, with `labels.json` in
  the folder: `{"1": "chair", "2": null}`. An id that it leaves out has no name.

A frame without files has no masks. Underscores in names read as spaces.
"""

import json
import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Shaped
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.types import Frame, Mask

_MASK_SUFFIX = ".mask.png"


class FileMasks:
    """The masks of a folder, looked up by frame index."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise Rejected("no_masks", f"{folder} is no folder of masks")
        self._folder = folder
        self._names = _read_labels(folder / "labels.json")
        if not any(folder.glob(f"*{_MASK_SUFFIX}")) and not any(folder.glob("*.instances.png")):
            raise Rejected("no_masks", f"{folder} holds neither NNNNNN.<name>.mask.png nor NNNNNN.instances.png")

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The frame's masks as they are in the files; `explained` makes no difference.

        Raises:
            Rejected: `bad_mask`, where a file is unreadable or of another size than the frame.
        """
        stem, size = f"{frame.index:06d}", frame.color.shape[:2]
        masks = []
        for path in sorted(self._folder.glob(f"{stem}.*{_MASK_SUFFIX}")):
            name = path.name[len(stem) + 1 : -len(_MASK_SUFFIX)]
            masks += _confidence_mask(_read_grey(path, size), name, _threshold(self._folder / f"{name}.thresh.txt"))
        instances = self._folder / f"{stem}.instances.png"
        if instances.exists():
            ids = _read_grey(instances, size)
            masks += [Mask(pixels=ids == i, score=1.0, label=self._names.get(int(i))) for i in np.unique(ids[ids > 0])]
        return masks


def _confidence_mask(grey: Shaped[ndarray, "height width"], name: str, threshold: float) -> list[Mask]:
    confidence = grey.astype(np.float32) / np.iinfo(grey.dtype).max
    pixels = confidence >= threshold
    if not pixels.any():
        return []
    return [Mask(pixels=pixels, score=float(confidence[pixels].mean()), label=name.replace("_", " "))]


def _read_grey(path: Path, size: tuple[int, int]) -> Shaped[ndarray, "height width"]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise Rejected("bad_mask", f"{path} is not a readable grey PNG of 8 or 16 bits")
    if image.shape != size:
        raise Rejected("bad_mask", f"{path} is {image.shape[1]}x{image.shape[0]} but the frame is {size[1]}x{size[0]}")
    return image


@lru_cache(maxsize=4096)
def _threshold(path: Path) -> float:
    if not path.exists():
        return 0.5
    text = path.read_text().strip()
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not 0 < threshold <= 1:
        raise Rejected("bad_mask", f"{path} holds {text[:40]!r}, not a threshold in 0..1")
    return threshold


def _read_labels(path: Path) -> dict[int, str | None]:
    if not path.exists():
        return {}
    try:
        labels = {int(key): name for key, name in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise Rejected("bad_mask", f'{path} is not JSON like {{"1": "chair"}}: {error}') from error
    if not all(name is None or isinstance(name, str) for name in labels.values()):
        raise Rejected("bad_mask", f"{path} holds a name that is not a text")
    return labels
