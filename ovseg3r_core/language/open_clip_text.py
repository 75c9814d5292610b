"""The text tower of an OpenCLIP model, for those who have its weights; texts then share a space with images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.language.encoder import EmbeddingMemory
from ovseg3r_core.language.open_clip_model import load_open_clip, split_source

_BATCH = 64


class OpenClipText:
    """Texts in the space of an OpenCLIP model; arguments and errors are those of `load_open_clip`.

    Args:
        template: the caption that a name is put into, as the model was trained on captions and not on names.
    """

    def __init__(
        self, architecture: str, checkpoint: str | Path, *, template: str = "a photo of a {}", device: str = "cpu"
    ) -> None:
        model = load_open_clip(architecture, checkpoint, device)
        self.name = model.id.name
        self._encode_text, self._tokenize = model.encode_text, model.tokenize
        self._template, self._device = template, device
        self._memory = EmbeddingMemory(self._encode, channels=self._encode(["object"]).shape[1])

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text."""
        return self._memory.embed(texts)

    @torch.inference_mode()
    def _encode(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        captions = [self._template.format(text) for text in texts]
        rows = []
        for start in range(0, len(captions), _BATCH):
            tokens = self._tokenize(captions[start : start + _BATCH]).to(self._device)
            rows.append(self._encode_text(tokens, normalize=True).float().cpu().numpy())
        return np.concatenate(rows)


def open_clip_text(source: str, device: str = "cpu") -> OpenClipText:
    """The text side of ARCHITECTURE:CHECKPOINT; errors are those of `split_source` and `load_open_clip`."""
    architecture, checkpoint = split_source(source)
    return OpenClipText(architecture, checkpoint, device=device)
