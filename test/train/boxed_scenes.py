"""A corner with a table, a cup, a cabinet and a ball as a sequence and as a labelled scene: no furniture is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from scenes import AnalyticScene, box_room

from ovseg3r_core.checks import Rejected
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.types import Frame, Mask
from ovseg3r_train.make_scenes import SceneJob
from ovseg3r_train.reconstruct import KnownTruth, fuse, label
from ovseg3r_train.scene import CleanTruth, LabelledScene, Truth

NAMES = {3: "dining table", 4: "cup", 5: "cabinet", 6: "ball"}
"""What the solids of the box room are called, by their place; cup and ball are novel in ScanNet200."""


class BoxedSequence:
    """The box room as a `Sequence`, with one frame that cannot be used."""

    name = "boxes"

    def __init__(self, room: AnalyticScene) -> None:
        self.room = room

    def __len__(self) -> int:
        return len(self.room.frames) + 1

    def read(self) -> Iterator[Frame | Rejected]:
        yield from self.room.frames
        yield Rejected("bad_pose", "the last frame has none")


class ExactMasks:
    """A `MaskProposer` that reads the masks off the truth."""

    def __init__(self, room: AnalyticScene) -> None:
        self.room = room

    def propose(self, frame: Frame, explained) -> list[Mask]:
        assert not explained.any()
        return [replace(mask, score=0.75) for mask in self.room.masks(frame.index)]


@cache
def boxed_room() -> AnalyticScene:
    return box_room(frames=5)


@cache
def boxed_scene() -> LabelledScene:
    room = boxed_room()
    reconstruction = fuse(BoxedSequence(room), PerceptionConfig())
    instance = room.nearest(reconstruction.cloud.xyz)
    truth = Truth(instance=np.where(np.isin(instance, list(NAMES)), instance, -1).astype(np.int32), names=NAMES)
    clean = CleanTruth(xyz=reconstruction.cloud.xyz + np.float32(0.004), truth=truth)
    known = KnownTruth(truth=truth, clean=clean, facts={"generator": "boxes", "seed": 3, "of": ["a", {"b": None}]})
    return label(reconstruction, ExactMasks(room), known, facts={"masks": "exact"})


def make_boxes(job: SceneJob, sources: Sequence[str]) -> Iterator[tuple[str, LabelledScene]]:
    """What `home_scenes.make` does, with the box room for a home; seeds that end in 3 fail."""
    for source in sources:
        if job.seed % 10 == 3:
            raise RuntimeError("this home [3] has no door")
        attribution = {f"model{job.seed}": {"creator": "someone", "licence": "CC0"}}
        yield source, replace(boxed_scene(), name=job.name(source), facts={"attribution": attribution})
