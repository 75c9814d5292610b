"""The whole loop learns: points to voxels to superpoints to queries, matched, scored, and back."""

import pytest
import torch
from learning_parts import learn, lessons, precision
from tiny_scenes import tiny_scene

from ovseg3r_core.segmenter.build import build_segmenter
from ovseg3r_core.segmenter.config import SegmenterConfig

NAMES = {"chair": 0, "desk": 1, "lamp": 2}
CONFIG = SegmenterConfig(
    voxel_size_m=0.05,
    width=16,
    levels=4,
    blocks=1,
    channels=64,
    heads=4,
    layers=2,
    feedforward_channels=128,
    text_channels=8,
)


@pytest.mark.slow
def test_a_tiny_scene_is_learned_by_heart_names_and_all() -> None:
    torch.manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    segmenter = build_segmenter(CONFIG)
    learned = lessons([tiny_scene()], NAMES, segmenter)
    before = precision(segmenter, learned, texts, NAMES, named=True)
    losses = []
    learn(
        segmenter,
        learned,
        texts,
        steps=60,
        rate=3e-3,
        after=lambda step, loss: losses.append(float(loss.total.detach())),
    )
    assert before[1] < 0.5 and losses[-1] < 0.3 * losses[0]
    assert precision(segmenter, learned, texts, NAMES, named=False)[1] > 0.99
    assert precision(segmenter, learned, texts, NAMES, named=True)[1] > 0.99
