"""Adds an OpenCLIP embedding to every mask of another proposer, for those who have such weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.types import Frame, Mask

_BATCH = 32
_CONTEXT = 0.2  # share of the mask's box added on each side: CLIP has seen things in their surroundings


class ClipImages:
    """The image tower of an OpenCLIP model.

    Args:
        architecture: a model name of open_clip, such as "ViT-B-32".
        checkpoint: a local file with its weights, or a pretrained tag such as "laion2b_s34b_b79k" whose file the
            Hugging Face cache of this machine already holds. Nothing is downloaded.

    Raises:
        ImportError: open_clip is not installed.
        ValueError: the file is missing, or does not fit the architecture.
    """

    def __init__(self, architecture: str, checkpoint: str | Path, *, device: str = "cpu") -> None:
        try:
            import open_clip
        except ImportError as error:
            raise ImportError("OpenCLIP is not installed: pip install ovseg3r_ros[openclip]") from error
        weights = local_clip_weights(architecture, checkpoint)
        try:
            # open_clip reads torch files with weights_only=True.
            model, _, prepare = open_clip.create_model_and_transforms(
                architecture, pretrained=str(weights), device=device
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise ValueError(f"open_clip cannot load {architecture} from {weights}: {error}") from error
        self._encode = cast("Callable[..., Tensor]", model.eval().encode_image)
        self._prepare = cast("Callable[[Image.Image], Tensor]", prepare)
        self._device = device

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


def local_clip_weights(architecture: str, checkpoint: str | Path) -> Path:
    """The file behind a path, or behind a pretrained tag that was downloaded earlier.

    Raises:
        ValueError: there is no such file on this machine.
    """
    path = Path(checkpoint)
    if path.is_file():
        return path
    import open_clip
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    known = open_clip.get_pretrained_cfg(architecture, str(checkpoint)) or {}
    repository, _, file = known.get("hf_hub", "").rpartition("/")
    for name in (file, HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME) if repository else ():
        cached = try_to_load_from_cache(repository, name) if name else None
        if isinstance(cached, str):
            return Path(cached)
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none, the architecture is unknown"
    raise ValueError(
        f"{checkpoint} is no file, and no weights of {architecture} of that tag are on this machine "
        f"(open_clip knows the tags {tags}): download the weights yourself and give the file"
    )
