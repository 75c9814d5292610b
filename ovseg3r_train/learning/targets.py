"""What the segmenter should have said of a batch: true instances on superpoints, their names and boxes.

A *problem* is what is matched and scored together: a scene here; with VIP it is a view of one (method 6.4). Problems
are padded to the same number of instances; `real` tells which are none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int32, Int64
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_train.scene import NO_INSTANCE, Truth

NOT_ASKED = -1
"""The name of an instance without one, and the semantic target of a superpoint that teaches nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneTargets:
    """The truth of one scene."""

    masks: Bool[Tensor, "instances superpoints"]
    name: Int64[Tensor, " instances"]
    """Which text each is called by."""
    boxes: Boxes
    semantic: Int64[Tensor, " superpoints"]
    """The text of what most points of a superpoint belong to; the number of texts where that is no instance."""
    nothing: Bool[Tensor, " superpoints"]
    """Where the truth's silence says that there is nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """The truth of a batch."""

    masks: Bool[Tensor, "problems instances superpoints"]
    name: Int64[Tensor, "problems instances"]
    boxes: Boxes
    semantic: Int64[Tensor, "problems superpoints"]
    real: Bool[Tensor, "problems instances"]
    superpoint_real: Bool[Tensor, "problems superpoints"]
    nothing: Bool[Tensor, "problems superpoints"]
    """Where a query that answers for no instance should say "nothing"; elsewhere nobody knows."""
    weight: Float32[Tensor, "problems instances"]
    """How much each instance counts among those of its problem."""

    def repeated(self, times: int) -> "Targets":
        """The same problems several times, one behind the other."""
        return Targets(
            masks=self.masks.repeat(times, 1, 1),
            name=self.name.repeat(times, 1),
            boxes=Boxes(self.boxes.centre.repeat(times, 1, 1), self.boxes.size.repeat(times, 1, 1)),
            semantic=self.semantic.repeat(times, 1),
            real=self.real.repeat(times, 1),
            superpoint_real=self.superpoint_real.repeat(times, 1),
            nothing=self.nothing.repeat(times, 1),
            weight=self.weight.repeat(times, 1),
        )

    def to(self, device: torch.device | str) -> "Targets":
        """The same on a device."""
        return Targets(
            masks=self.masks.to(device),
            name=self.name.to(device),
            boxes=Boxes(self.boxes.centre.to(device), self.boxes.size.to(device)),
            semantic=self.semantic.to(device),
            real=self.real.to(device),
            superpoint_real=self.superpoint_real.to(device),
            nothing=self.nothing.to(device),
            weight=self.weight.to(device),
        )


def scene_targets(
    truth: Truth,
    xyz: Float32[ndarray, "points 3"],
    superpoint: Int[ndarray, " points"],
    texts: Mapping[str, int],
    doubted: Bool[ndarray, " superpoints"] | None = None,
) -> SceneTargets:
    """The truth of a scene on its superpoints.

    A superpoint belongs to the instance that holds more than half of its points; an instance that holds none is left
    out, nothing could learn it.

    Args:
        xyz: where the points are *in this input*, augmented or not: the boxes are of them.
        texts: the place of each name in the vocabulary.
        doubted: superpoints where somebody saw a thing: if the truth says nothing there, it is not believed.

    Raises:
        KeyError: an instance has a name that the vocabulary lacks.
    """
    ids, row, points = points_of_each(truth, superpoint)
    superpoints = points.shape[1]
    masks = points * 2 > points.sum(axis=0)
    kept = [i for i, id_ in enumerate(ids.tolist()) if id_ != NO_INSTANCE and masks[i].any()]
    names = [texts[truth.names[int(ids[i])]] for i in kept]
    low, high = _ranges(xyz, row, len(ids))
    semantic = np.full(superpoints, len(texts), np.int64)
    for i, name in zip(kept, names, strict=True):
        semantic[masks[i]] = name
    nothing = np.ones(superpoints, bool)
    if doubted is not None:
        nothing = ~doubted | masks[kept].any(axis=0)
        semantic[~nothing] = NOT_ASKED
    return SceneTargets(
        masks=torch.from_numpy(masks[kept]),
        name=torch.tensor(names, dtype=torch.int64),
        boxes=Boxes(torch.from_numpy((low + high)[kept] / 2), torch.from_numpy((high - low)[kept])),
        semantic=torch.from_numpy(semantic),
        nothing=torch.from_numpy(nothing),
    )


def points_of_each(
    truth: Truth, superpoint: Int[ndarray, " points"]
) -> tuple[Int32[ndarray, " ids"], Int64[ndarray, " points"], Int64[ndarray, "ids superpoints"]]:
    """The ids of the truth, the place of each point's id among them, and how much of each superpoint each id holds."""
    ids, row = np.unique(truth.instance, return_inverse=True)
    superpoints = int(superpoint.max()) + 1
    points = np.bincount(row * superpoints + superpoint, minlength=len(ids) * superpoints)
    return ids, row, points.reshape(len(ids), superpoints)


def collate_targets(scenes: Sequence[SceneTargets]) -> Targets:
    """The truth of several scenes, padded; raises ValueError for none."""
    if not scenes:
        raise ValueError("no scene to learn from")
    count, superpoints = len(scenes), max(len(scene.semantic) for scene in scenes)
    instances = max(len(scene.name) for scene in scenes)
    targets = Targets(
        masks=torch.zeros(count, instances, superpoints, dtype=torch.bool),
        name=torch.zeros(count, instances, dtype=torch.int64),
        boxes=Boxes(torch.zeros(count, instances, 3), torch.ones(count, instances, 3)),
        semantic=torch.full((count, superpoints), NOT_ASKED),
        real=torch.zeros(count, instances, dtype=torch.bool),
        superpoint_real=torch.zeros(count, superpoints, dtype=torch.bool),
        nothing=torch.zeros(count, superpoints, dtype=torch.bool),
        weight=torch.ones(count, instances),
    )
    for i, scene in enumerate(scenes):
        rows, columns = scene.masks.shape
        targets.masks[i, :rows, :columns], targets.name[i, :rows] = scene.masks, scene.name
        targets.boxes.centre[i, :rows], targets.boxes.size[i, :rows] = scene.boxes.centre, scene.boxes.size
        targets.semantic[i, :columns] = scene.semantic
        targets.real[i, :rows], targets.superpoint_real[i, :columns] = True, True
        targets.nothing[i, :columns] = scene.nothing
    return targets


def _ranges(
    xyz: Float32[ndarray, "points 3"], group: Int64[ndarray, " points"], groups: int
) -> tuple[Float32[ndarray, "groups 3"], Float32[ndarray, "groups 3"]]:
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(groups))  # every group has a point
    return np.minimum.reduceat(xyz[order], first), np.maximum.reduceat(xyz[order], first)
