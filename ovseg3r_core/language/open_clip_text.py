"""The text tower of an OpenCLIP model, for those who have its weights; texts then share a space with images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.language.encoder import EmbeddingMemory

_BATCH = 64


class OpenClipText:
    """Texts in the space of an OpenCLIP model.

    Args:
        architecture: a model name of open_clip, such as "ViT-B-32".
        checkpoint: a local file with its weights (safetensors, or a torch file that holds tensors only), or a
            pretrained tag of open_clip, such as "laion2b_s34b_b79k", which open_clip looks up in its own cache.
        template: the caption that a name is put into, as the model was trained on captions and not on names.

    Raises:
        ImportError: open_clip is not installed.
        ValueError: open_clip does not know the architecture, or the checkpoint does not fit it.
    """

    def __init__(
        self, architecture: str, checkpoint: str | Path, *, template: str = "a photo of a {}", device: str = "cpu"
    ) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise ImportError("OpenCLIP is not installed: pip install ovseg3r_ros[openclip]") from error
        try:
            # open_clip reads torch files with weights_only=True.
            model = open_clip.create_model(architecture, pretrained=str(checkpoint), device=device)
        except (RuntimeError, OSError, ValueError) as error:
            raise ValueError(f"open_clip cannot load {architecture} from {checkpoint}: {error}") from error
        self.name = f"{architecture} {checkpoint}"
        self._encode_text = cast("Callable[..., torch.Tensor]", model.eval().encode_text)
        self._tokenize = open_clip.get_tokenizer(architecture)
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
