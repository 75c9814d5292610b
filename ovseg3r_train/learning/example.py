"""A scene as the trainer holds it in memory: points, superpoints, the truth where it is known, and the views' masks.

About 3 MB a scene, so that a thousand scenes fit any machine that trains, and nothing is read twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.segmenter.inputs import SceneInput, color_tensor
from ovseg3r_core.superpoints import superpoints
from ovseg3r_core.types import LiftedMask, SceneCloud
from ovseg3r_core.view_labels import ViewLabels
from ovseg3r_train.scene import LabelledScene, Truth

SuperpointKind = Literal["ibsp", "geometry"]
"""ibsp keeps to the outlines of the views' masks; geometry knows nothing of them (the ablation)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewMasks:
    """What every view says, on superpoints (method 6.2): the partial labels that VIP learns from."""

    share: Float32[ndarray, "views superpoints"]
    """How much of each superpoint the view sees, 0 to 1."""
    inside: Bool[ndarray, "masks superpoints"]
    """More than half of the points that the mask's view sees of the superpoint lie in the mask."""
    view: Int64[ndarray, " masks"]
    score: Float32[ndarray, " masks"]
    names: tuple[str | None, ...]

    def at(self, kept: Int64[ndarray, " kept"]) -> "ViewMasks":
        """The same for some of the superpoints."""
        return ViewMasks(
            share=self.share[:, kept], inside=self.inside[:, kept], view=self.view, score=self.score, names=self.names
        )

    def named(self) -> Bool[ndarray, " superpoints"]:
        """Where a view sees a thing that it has a name for."""
        return np.asarray(self.inside[[name is not None for name in self.names]].any(axis=0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A scene that can be learned from; frames and units are those of its cloud."""

    name: str
    video: str
    """Scenes with the same one are reconstructions of one video with the masks of one teacher; else its own name."""
    xyz: Float32[ndarray, "points 3"]
    color: UInt8[ndarray, "points 3"]
    superpoint: Int32[ndarray, " points"]
    truth: Truth | None
    masks: ViewMasks

    @property
    def superpoints(self) -> int:
        """How many there are."""
        return self.masks.share.shape[1]

    def given(self) -> SceneInput:
        """The scene as the network takes it."""
        return SceneInput(
            xyz=torch.from_numpy(self.xyz),
            color=color_tensor(self.color),
            superpoint=torch.from_numpy(self.superpoint.astype(np.int64)),
        )

    @property
    def names(self) -> set[str]:
        """Every name that truth or masks give."""
        given = {name for name in self.masks.names if name is not None}
        return given | set(self.truth.names.values()) if self.truth else given


def example_of(scene: LabelledScene, kind: SuperpointKind = "ibsp") -> Example:
    """A scene with its superpoints, and its masks on them.

    Raises:
        ValueError: the cloud is empty or not finite.
    """
    if not len(scene.cloud):
        raise ValueError(f"{scene.name} has no points")
    ids = scene_superpoints(scene, kind)
    return Example(
        name=scene.name,
        video=f"{scene.facts['video']} {scene.facts.get('masks')}" if "video" in scene.facts else scene.name,
        xyz=scene.cloud.xyz,
        color=scene.cloud.color,
        superpoint=ids.astype(np.int32),
        truth=scene.truth,
        masks=view_masks(scene, ids),
    )


def scene_superpoints(scene: LabelledScene, kind: SuperpointKind) -> Int64[ndarray, " points"]:
    """The superpoints of a scene, with or without what its views' masks say."""
    cloud: SceneCloud = scene.cloud
    if kind == "geometry":
        return superpoints(cloud)
    return superpoints(cloud, ViewLabels.of_masks(scene.seen, scene.lifted, len(cloud)))


def view_masks(scene: LabelledScene, ids: Int64[ndarray, " points"]) -> ViewMasks:
    """The lifted masks of a scene on its superpoints."""
    count = int(ids.max()) + 1
    size = np.bincount(ids, minlength=count)
    seen = np.stack([_counts(scene.seen.view(v).points, ids, count) for v in range(len(scene.seen))])
    inside = [_counts(mask.points, ids, count) * 2 > seen[mask.view] for mask in scene.lifted]
    kept = [i for i, member in enumerate(inside) if member.any()]
    masks: Sequence[LiftedMask] = [scene.lifted[i] for i in kept]
    return ViewMasks(
        share=(seen / size).astype(np.float32),
        inside=np.stack([inside[i] for i in kept]) if kept else np.zeros((0, count), bool),
        view=np.array([mask.view for mask in masks], np.int64),
        score=np.array([mask.score for mask in masks], np.float32),
        names=tuple(mask.label for mask in masks),
    )


def _counts(points: Int64[ndarray, " members"], ids: Int64[ndarray, " points"], count: int) -> Int64[ndarray, " ids"]:
    return np.bincount(ids[points], minlength=count)
