"""Instances of a scene cloud, from a trained segmenter: what the rest of the system calls.

checkpoint, text encoder ─► InstanceSegmenter
cloud, superpoints ─► segment ─► Instances with ids of a vocabulary
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from ovseg3r_core.language.embedding_cache import CachedEncoder
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.segmenter.checkpoint import Card, check_encoder, load_segmenter
from ovseg3r_core.segmenter.inputs import SceneInput, collate
from ovseg3r_core.segmenter.pooling import count_by
from ovseg3r_core.segmenter.postprocess import FoundOnSuperpoints, PostprocessConfig, find_instances
from ovseg3r_core.segmenter.segmenter import Segmenter, pool
from ovseg3r_core.segmenter.sparse.convolve import flavour_for
from ovseg3r_core.types import Instances

if TYPE_CHECKING:
    from ovseg3r_core.segmenter.engine import SegmenterEngine


class InstanceSegmenter:
    """A segmenter, the vocabulary of the moment, and the fastest way to run it on the device it is on.

    Args:
        encoder: of the texts; it must be the one that the card names.
        vocabulary: names to choose from; `set_vocabulary` changes them at any time.

    Raises:
        Rejected: `other_encoder`; the encoder is not the one that the segmenter was trained with.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        card: Card,
        encoder: TextEncoder,
        vocabulary: Vocabulary,
        post: PostprocessConfig | None = None,
    ) -> None:
        check_encoder(card, encoder)
        self.card, self._segmenter, self._encoder = card, segmenter.eval(), encoder
        self._post = post or PostprocessConfig()
        self._device = next(segmenter.parameters()).device
        self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose from other names from now on."""
        texts = self._encoder.embed([name.lower() for name in vocabulary.names])
        self._vocabulary, self._texts = vocabulary, torch.from_numpy(texts).to(self._device)

    @property
    def flavour(self) -> str:
        """How sparse convolutions are computed here; for reports."""
        return flavour_for(self._device)

    def segment(self, scene: SceneInput) -> Instances:
        """The instances of a scene on its points, best first; labels are ids of the vocabulary."""
        found = self._find(scene)
        kept = found.kept
        masks = found.on_points(scene.superpoint.to(self._device))[kept]
        ids = np.array(self._vocabulary.ids, np.int64)
        return Instances(
            masks=masks.cpu().numpy(),
            labels=ids[found.text[kept].cpu().numpy()],
            scores=found.score[kept].double().cpu().numpy(),
        )

    @cached_property
    def _engine(self) -> "SegmenterEngine":
        from ovseg3r_core.segmenter.engine import SegmenterEngine  # needs Triton, which is not everywhere

        return SegmenterEngine(self._segmenter, post=self._post)

    @torch.inference_mode()
    def _find(self, scene: SceneInput) -> FoundOnSuperpoints:
        batch = collate([scene]).to(self._device)
        if self._device.type == "cuda":
            return self._engine(batch, self._texts)
        return find_on_superpoints(self._segmenter, scene, self._texts, self._post)


def find_on_superpoints(
    segmenter: Segmenter, scene: SceneInput, texts: Float32[Tensor, "texts text_channels"], post: PostprocessConfig
) -> FoundOnSuperpoints:
    """The instances of a scene by the plain modules, on any device."""
    return find_in_ways(segmenter, scene, texts, [post])[0]


@torch.inference_mode()
def find_in_ways(
    segmenter: Segmenter,
    scene: SceneInput,
    texts: Float32[Tensor, "texts text_channels"],
    posts: Sequence[PostprocessConfig],
) -> list[FoundOnSuperpoints]:
    """The instances of a scene as each of several configurations chooses them, by one run of the network."""
    batch = collate([scene]).to(texts.device)
    (said,) = segmenter(batch, texts)
    centre, points = pool(batch.xyz, batch).centre[0], count_by(batch.superpoint, batch.most_superpoints)
    return [find_instances(said, 0, centre, points, post) for post in posts]


def load_instance_segmenter(
    path: Path,
    vocabulary: Vocabulary,
    encoder: TextEncoder | None = None,
    device: str | torch.device = "cpu",
    post: PostprocessConfig | None = None,
) -> InstanceSegmenter:
    """A checkpoint ready for use; the text encoder is the one that its card names, unless one is given.

    Raises:
        FileNotFoundError, BadCheckpoint, ValueError: the checkpoint, or the weights of its encoder, cannot be used.
        Rejected: `other_encoder`.
    """
    segmenter, card = load_segmenter(path, device)
    return InstanceSegmenter(segmenter, card, encoder or encoder_of(card), vocabulary, post)


def encoder_of(card: Card) -> TextEncoder:
    """The text encoder that a card names, remembering its texts on disk.

    Raises:
        MissingModel, DamagedModel: it is MiniLM, whose weights are not in the cache.
        ValueError, ImportError: it is an OpenCLIP model whose weights are not where they were, or others lie there now.
    """
    if card.encoder.name == MiniLm.name:
        return CachedEncoder(MiniLm())
    from ovseg3r_core.language.open_clip_text import open_clip_text

    return CachedEncoder(open_clip_text(card.encoder.source))
