"""A checkpoint with tiny random weights, for the plumbing alone: what it finds means nothing."""

from dataclasses import replace
from pathlib import Path

from segmenter_parts import TINY, a_segmenter

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.segmenter.checkpoint import Card, save_segmenter
from ovseg3r_core.segmenter.config import SegmenterConfig

RANDOM = replace(TINY, text_channels=384)
"""As wide as MiniLM's texts."""


def save_random_weights(path: Path, config: SegmenterConfig = RANDOM, seed: int = 4) -> Card:
    """Write the checkpoint; gives its card, which says what it is."""
    encoder = EncoderId(name=MiniLm.name, source=MiniLm.name)
    card = Card(config=config, encoder=encoder, data={"none": "random weights, for tests of plumbing"})
    return save_segmenter(path, a_segmenter(config, seed), card)
