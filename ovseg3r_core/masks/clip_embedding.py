"""Adds an OpenCLIP embedding to every mask of another proposer, for those who have such weights."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray
from PIL import Image

from ovseg3r_core.language.open_clip_model import load_open_clip
from ovseg3r_core.masks.proposer import CountsPrompts, LooksForTexts, MaskProposer
from ovseg3r_core.types import Frame, Mask

_BATCH = 32
_CONTEXT = 0.2  # share of the mask's box added on each side: CLIP has seen things in their surroundings


class ClipImages:
    """The image tower of an OpenCLIP model; arguments and errors are those of `load_open_clip`."""

    def __init__(self, architecture: str, checkpoint: str | Path, *, device: str = "cpu") -> None:
        model = load_open_clip(architecture, checkpoint, device)
        self.encoder = model.id
        self._encode, self._prepare, self._device = model.encode_image, model.prepare, device

    @torch.inference_mode()
    def embed(self, crops: list[UInt8[ndarray, "_ _ 3"]]) -> Float32[ndarray, "masks channels"]:
        """One unit row a picture."""
        rows = []
        for start in range(0, len(crops), _BATCH):
            batch = torch.stack([self._prepare(Image.fromarray(crop)) for crop in crops[start : start + _BATCH]])
            rows.append(self._encode(batch.to(self._device), normalize=True).float().cpu().numpy())
        return np.concatenate(rows)


class ClipEmbedded:
    """A proposer whose masks carry embeddings, unit vectors in the space of OpenCLIP's texts."""

    def __init__(self, proposer: MaskProposer, images: ClipImages) -> None:
        self._proposer, self._images = proposer, images
        self.encoder = images.encoder

    @property
    def stats(self) -> Counter[str]:
        """What the other proposer counted."""
        return self._proposer.stats if isinstance(self._proposer, CountsPrompts) else Counter()

    def look_for(self, texts: Sequence[str]) -> None:
        """Tell the other proposer what to look for, where it can be told."""
        if isinstance(self._proposer, LooksForTexts):
            self._proposer.look_for(texts)

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The masks of the other proposer, each with its embedding; empty masks are left out."""
        masks = [mask for mask in self._proposer.propose(frame, explained) if mask.pixels.any()]
        if not masks:
            return []
        embeddings = self._images.embed([crop(frame.color, mask.pixels) for mask in masks])
        return [replace(mask, embedding=row) for mask, row in zip(masks, embeddings, strict=True)]


def crop(
    color: UInt8[ndarray, "height width 3"], pixels: Bool[ndarray, "height width"]
) -> UInt8[ndarray, "rows columns 3"]:
    """The picture round a mask, with some of its surroundings."""
    sides = []
    for axis in (0, 1):
        inside = np.flatnonzero(pixels.any(axis=1 - axis))
        low, high = int(inside[0]), int(inside[-1]) + 1
        margin = int(_CONTEXT * (high - low)) + 1
        sides.append(slice(max(low - margin, 0), high + margin))
    return color[sides[0], sides[1]]
