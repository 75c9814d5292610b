"""What one step learns: a batch of scenes with their targets, drawn by the number of the step.

Step n draws the same whatever came before it, so a training that was stopped goes on as if it had not been, and several
processes share a step without talking.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from ovseg3r_core.segmenter.inputs import Batch, collate
from ovseg3r_train.learning.association import associated
from ovseg3r_train.learning.example import Example
from ovseg3r_train.learning.partition import Partition, partition
from ovseg3r_train.learning.seeds import random_seeds
from ovseg3r_train.learning.targets import SceneTargets, Targets, collate_targets, scene_targets
from ovseg3r_train.learning.view_targets import ChosenView, sees_of, view_targets, whole_scene_targets
from ovseg3r_train.novel import without_novel
from ovseg3r_train.scene import Truth
from ovseg3r_train.training.augment import augmented
from ovseg3r_train.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """One step of one process: scenes with truth first, then those that views tell of."""

    batch: Batch
    seeds: Int64[Tensor, "scenes queries"]
    truth: Targets | None
    """Of the first scenes, as many as it has problems."""
    views: Targets | None
    """One problem a view; without VIP, one a scene."""
    part: Partition | None
    """How predictions are cut to views; None without VIP."""

    def to(self, device: torch.device | str) -> "Lesson":
        """The same on a device."""
        return Lesson(
            batch=self.batch.to(device),
            seeds=self.seeds.to(device),
            truth=self.truth and self.truth.to(device),
            views=self.views and self.views.to(device),
            part=self.part and self.part.to(device),
        )


class Lessons(Dataset[Lesson]):
    """The lessons of all steps, by their number.

    Args:
        texts: the place of each name in the vocabulary.
        rank: which of `processes` this one is; each takes its share of a step's scenes.

    Raises:
        ValueError: there is no scene of a kind that the configuration asks for, or the scenes of a step cannot be
            shared evenly.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        texts: Mapping[str, int],
        config: TrainConfig,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self._config, self._texts, self._rank, self._processes = config, texts, rank, processes
        lessons = config.lessons
        if lessons.scenes % processes or lessons.pseudo_scenes % processes:
            raise ValueError(
                f"a step of {lessons.scenes} scenes, {lessons.pseudo_scenes} of them pseudo-labelled, cannot be shared "
                f"by {processes} processes"
            )
        self._true = [
            it if lessons.classes == "all" else replace(it, truth=without_novel(it.truth))
            for it in examples
            if it.truth
        ]
        masked = [it for it in examples if len(it.masks.view)]
        if lessons.associate_views:
            masked = [replace(it, masks=associated(it.masks, np.bincount(it.superpoint))) for it in masked]
        videos = by_video(masked, mix=lessons.mix)
        chosen = np.random.default_rng(config.seed).permutation(len(videos))  # not by name: names tell the seed
        self._videos = [videos[i] for i in chosen[: round(lessons.pseudo_share * len(videos))]]
        self._doubting = lessons.doubt_silence and lessons.pseudo_scenes > 0
        self._told = {it.name for video in self._videos for it in video}
        if lessons.scenes > lessons.pseudo_scenes and not self._true:
            raise ValueError("no scene has a truth: set lessons.pseudo_scenes to lessons.scenes")
        if lessons.pseudo_scenes and not self._videos:
            raise ValueError("no scene has masks: set lessons.pseudo_scenes to 0")

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, step: int) -> Lesson:
        rng = np.random.default_rng([self._config.seed, step, self._rank])
        lessons = self._config.lessons
        pseudo = lessons.pseudo_scenes // self._processes
        true = lessons.scenes // self._processes - pseudo
        drawn = [self._true[i] for i in rng.integers(len(self._true), size=true)] if true else []
        videos = [self._videos[i] for i in rng.integers(len(self._videos), size=pseudo)] if pseudo else []
        drawn += [ways[0] if len(ways) == 1 else ways[rng.integers(len(ways))] for ways in videos]
        scenes = [self._changed(example, rng) for example in drawn]
        batch = collate([scene.given() for scene in scenes])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        seeds = random_seeds(batch.superpoints, generator)
        views, part = self._of_views(list(_drawn_views(scenes, true, lessons.views, rng)), seeds, batch.superpoints)
        return Lesson(
            batch=batch,
            seeds=seeds,
            truth=collate_targets([self._truth(scene) for scene in scenes[:true]]) if true else None,
            views=views,
            part=part,
        )

    def _changed(self, example: Example, rng: np.random.Generator) -> Example:
        """A scene as this step sees it."""
        example = cut_to(example, self._config.lessons.most_points, rng)
        xyz, color = augmented(example.xyz, example.color, self._config.augment, rng)
        return replace(example, xyz=xyz, color=color)

    def _truth(self, scene: Example) -> SceneTargets:
        assert scene.truth is not None
        doubted = scene.masks.named() if self._doubting and scene.name in self._told else None
        return scene_targets(scene.truth, scene.xyz, scene.superpoint, self._texts, doubted)

    def _of_views(
        self, views: Sequence[ChosenView], seeds: Int64[Tensor, "scenes queries"], superpoints: Sequence[int]
    ) -> tuple[Targets | None, Partition | None]:
        if not views:
            return None, None
        if self._config.lessons.partition == "none":
            first = views[0].scene
            shifted = [replace(it, scene=it.scene - first) for it in views]
            nameless = self._config.lessons.nameless_masks == "learn"
            return whole_scene_targets(shifted, superpoints[first:], self._texts, nameless=nameless), None
        part = partition(sees_of(views), torch.tensor([it.scene for it in views]), seeds)
        lessons = self._config.lessons
        nameless, weigh = lessons.nameless_masks == "learn", lessons.weigh_masks
        return view_targets(views, part, self._texts, nameless=nameless, weigh=weigh), part


def by_video(examples: Sequence[Example], *, mix: bool) -> list[list[Example]]:
    """The reconstructions of each video: a video counts once, in however many ways it was reconstructed.

    Args:
        mix: whether all of them are kept; else the first by name.
    """
    videos: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda it: it.name):
        ways = videos.setdefault(example.video, [])
        if mix or not ways:
            ways.append(example)
    return list(videos.values())


def cut_to(example: Example, most_points: int, rng: np.random.Generator) -> Example:
    """The superpoints nearest to a place drawn at random, no more than so many points of them; at least one."""
    if len(example.xyz) <= most_points:
        return example
    count = example.superpoints
    size = np.bincount(example.superpoint, minlength=count)
    centre = np.stack([np.bincount(example.superpoint, weights=axis, minlength=count) for axis in example.xyz.T], 1)
    centre /= size[:, None]
    apart = np.linalg.norm((centre - centre[rng.integers(count)])[:, :2], axis=1)  # from floor to ceiling
    order = np.argsort(apart, kind="stable")
    kept = np.sort(order[: max(1, int(np.searchsorted(np.cumsum(size[order]), most_points, side="right")))])
    return _at(example, kept)


def _at(example: Example, kept: Int64[ndarray, " kept"]) -> Example:
    """Some superpoints of a scene, numbered anew."""
    number = np.full(example.superpoints, -1, np.int32)
    number[kept] = np.arange(len(kept))
    points = np.flatnonzero(number[example.superpoint] >= 0)
    truth = example.truth and Truth(instance=example.truth.instance[points], names=example.truth.names)
    return replace(
        example,
        xyz=example.xyz[points],
        color=example.color[points],
        superpoint=number[example.superpoint[points]],
        truth=truth,
        masks=example.masks.at(kept),
    )


def _drawn_views(scenes: Sequence[Example], first: int, count: int, rng: np.random.Generator) -> Iterator[ChosenView]:
    """Views of the scenes from `first` on; those that see nothing of what was cut out are not asked."""
    for scene in range(first, len(scenes)):
        masks = scenes[scene].masks
        seeing = np.flatnonzero((masks.share > 0).any(axis=1))
        for view in np.sort(rng.permutation(seeing)[:count]).tolist():
            yield ChosenView(scene=scene, masks=masks, view=view)
