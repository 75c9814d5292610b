"""A plain training loop, for tests and benchmarks of learning by heart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovseg3r_core.evaluation.average_precision import ANY_CLASS, average_precision
from ovseg3r_core.evaluation.scene_pair import ScenePair, TrueInstances
from ovseg3r_core.segmenter.inference import find_on_superpoints
from ovseg3r_core.segmenter.inputs import Batch, SceneInput, collate, scene_input
from ovseg3r_core.segmenter.postprocess import PostprocessConfig
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_core.segmenter.voxels import VoxelPyramid
from ovseg3r_core.superpoints import superpoints
from ovseg3r_core.types import Instances
from ovseg3r_core.view_labels import ViewLabels
from ovseg3r_train.learning.losses import Losses, segmenter_losses
from ovseg3r_train.learning.seeds import random_seeds
from ovseg3r_train.learning.targets import Targets, collate_targets, scene_targets
from ovseg3r_train.scene import LabelledScene


@dataclass(frozen=True, eq=False)
class Lesson:
    """One scene, ready to be learned."""

    scene: LabelledScene
    given: SceneInput
    batch: Batch
    targets: Targets
    pyramid: VoxelPyramid


def lessons(scenes: Sequence[LabelledScene], texts: dict[str, int], segmenter: Segmenter) -> list[Lesson]:
    """The scenes on superpoints that keep to the masks of their views."""
    made = []
    for scene in scenes:
        assert scene.truth is not None
        cut = superpoints(scene.cloud, ViewLabels.of_masks(scene.seen, scene.lifted, len(scene.cloud)))
        given = scene_input(scene.cloud, cut)
        batch = collate([given])
        targets = collate_targets([scene_targets(scene.truth, scene.cloud.xyz, cut, texts)])
        made.append(Lesson(scene, given, batch, targets, segmenter.pyramid(batch)))
    return made


def learn(
    segmenter: Segmenter,
    lessons: Sequence[Lesson],
    texts: Tensor,
    steps: int,
    rate: float = 1e-3,
    after: Callable[[int, Losses], None] = lambda step, losses: None,
) -> None:
    """Learn the scenes in turn, with the paper's optimiser."""
    optimiser = torch.optim.AdamW(segmenter.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)
    segmenter.train()
    for step in range(steps):
        lesson = lessons[step % len(lessons)]
        seeds = random_seeds(lesson.batch.superpoints, generator)
        said = segmenter(lesson.batch, texts, seeds, every_layer=True, pyramid=lesson.pyramid)
        losses = segmenter_losses(said, lesson.targets, seeds)
        optimiser.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(segmenter.parameters(), 10.0)
        optimiser.step()
        schedule.step()
        after(step, losses)
    segmenter.eval()


def precision(
    segmenter: Segmenter, lessons: Sequence[Lesson], texts: Tensor, names: dict[str, int], *, named: bool
) -> tuple[float, float]:
    """AP and AP50 on the scenes' points by the rules of ScanNet; whatever the names (top-1), or with them (top-k)."""
    post, pairs = PostprocessConfig(mode="top-k" if named else "top-1"), []
    for lesson in lessons:
        truth = lesson.scene.truth
        assert truth is not None
        found = find_on_superpoints(segmenter.eval(), lesson.given, texts, post)
        masks = found.on_points(lesson.given.superpoint)[found.kept].numpy()
        labels = 1 + found.text[found.kept].numpy()
        ids = {id_: 1 + names[name] for id_, name in truth.names.items()}
        pair = ScenePair(
            predicted=Instances(masks=masks, labels=labels, scores=found.score[found.kept].double().numpy()),
            truth=TrueInstances(instance=truth.instance.astype(np.int64), labels=ids),
        )
        pairs.append(pair if named else pair.class_agnostic())
    result = average_precision(pairs, [1 + place for place in names.values()] if named else [ANY_CLASS])
    return result.ap, result.ap50
