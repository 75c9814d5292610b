"""Perception beside a running robot: three workers, one direction, and readers that never wait.

arrivals ─► fuse (every frame) ─► look (keyframes) ─► refine (when enough is new, and when nothing comes)
                                        └──────────────────┴─► a snapshot of the map for everyone

A slow stage never blocks a faster one: each takes what it can, the oldest of the rest makes room, and is counted.
The newest keyframe is looked at first, and those before it when the camera rests.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Generic, TypeVar

from ovseg3r_core.checks import Rejected
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mapping.edits import Edits
from ovseg3r_core.mapping.life import LifeEvent, appeared
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.operator import Operation
from ovseg3r_core.mapping.reanchoring import Reanchored
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.masks.proposer import WorksAside
from ovseg3r_core.perception import Perception
from ovseg3r_core.pose_correction import PoseCorrection
from ovseg3r_core.rolling import RollingWindow
from ovseg3r_core.stage import Stage
from ovseg3r_core.types import Frame

Item = TypeVar("Item")

SWITCH_INTERVAL_S = 0.001
"""What a process that runs these workers should give `sys.setswitchinterval`: who asks a question, or takes a frame in,
waits so long at most for each worker that is in Python. The default is 5 ms."""
_CORRECTIONS = 100  # that wait: each is taken, in order, as it starts from the one before
_LOOKS_ASIDE = 3  # a fourth gained nothing on a GPU, and the camera lost frames to it
_FUSE_NICENESS, _LOOK_NICENESS, _REFINE_NICENESS = 3, 8, 10  # whoever asks a question goes first
_WINDOW_S = 60.0


@dataclass(frozen=True, kw_only=True)
class LiveConfig:
    """How much may wait between the workers."""

    frame_queue: Annotated[int, Within(1, 100)] = 4
    """Frames of each camera that wait to be fused; the oldest makes room."""
    keyframe_queue: Annotated[int, Within(1, 100)] = 20
    """Keyframes that wait to be looked at: the newest goes first, the others when there is time, the oldest makes room.
    One of 640x480 takes 2 MB."""
    settle_s: Annotated[float, Within(0.1, 60.0)] = 2.0
    """When no keyframe has come for so long, all views are looked at together."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One observation that has come in and is not decoded yet."""

    sensor: str
    stamp_ns: int
    load: Callable[[], Frame]
    """Decodes and checks; raises `Rejected`."""


@dataclass(frozen=True, kw_only=True)
class LiveMap:
    """The map as everyone may read it."""

    snapshot: MapSnapshot
    edits: Edits
    stamp_s: float
    """Time of the newest keyframe in it."""
    revision: int
    """Goes up with every change."""
    events: tuple[LifeEvent, ...] = ()
    """What became of objects since the map before."""


@dataclass(frozen=True)
class _OfMap(Generic[Item]):
    """What waits, and which map its pose is of: another one after each reset with a new origin."""

    map_number: int
    item: Item


@dataclass(frozen=True, kw_only=True)
class _Posed:
    """An observation, and how often poses had been corrected when it was posed."""

    arrival: Arrival
    pose_revision: int


class LivePerception:
    """Runs the three parts of a `Perception` in threads of their own.

    Where masks come from another process, three keyframes are looked at at once: while the masks of one are waited for,
    the others are made ready and placed.

    Args:
        changed: told of every new map, in the thread that made it.
        now_s: the clock that stamps are of, for ages.
    """

    def __init__(
        self,
        perception: Perception,
        config: LiveConfig,
        changed: Callable[[LiveMap], None],
        now_s: Callable[[], float],
    ) -> None:
        self.perception, self._config, self._changed, self._now_s = perception, config, changed, now_s
        self.counts: Counter[str] = Counter()
        """Arrivals (`in`), and how many were `fused`, were `keyframes`, and were `looked` at; corrections of poses
        (`corrections`) and the duplicates that they removed (`merged`)."""
        self.fused_age_s, self.looked_age_s = RollingWindow(_WINDOW_S), RollingWindow(_WINDOW_S)
        self.refined_in_s = RollingWindow(_WINDOW_S)
        self._stamp_s, self._map_number = 0.0, 0
        self._placing = threading.Lock()
        self.reanchored = Reanchored()
        """What the last correction of poses did to the map."""
        self._counting, self._publishing = threading.Lock(), threading.Lock()
        left_out = self._left_out
        self._fuse = Stage("fuse", config.frame_queue, self._do_fuse, left_out, niceness=_FUSE_NICENESS)
        self._look = Stage(
            "look",
            config.keyframe_queue,
            self._do_look,
            left_out,
            newest_first=True,  # a robot wants to know what is before it now; what it passed can wait
            idle_s=config.settle_s,
            idle=self._settle,
            niceness=_LOOK_NICENESS,
            threads=_LOOKS_ASIDE if isinstance(perception.proposer, WorksAside) else 1,
        )
        self._correct = Stage("correct", _CORRECTIONS, self._do_correct, left_out)
        self._refine = Stage("refine", 1, self._do_refine, lambda *_: None, niceness=_REFINE_NICENESS)
        self._told: set[int] = set()  # of the objects with these ids
        self._stages = self._fuse, self._look, self._correct, self._refine
        self.latest = self._read(revision=0)

    @property
    def drops(self) -> Counter[str]:
        """What was left out, by reason."""
        return self.perception.drops

    @property
    def waiting(self) -> dict[str, int]:
        """How much waits before each worker."""
        return {stage.name: stage.waiting for stage in self._stages}

    @property
    def busy(self) -> bool:
        """Whether anything that came in is still being worked on."""
        return any(stage.busy for stage in self._stages) or self.perception.unrefined > 0

    def start(self) -> None:
        """Start the workers."""
        for stage in self._stages:
            stage.start()

    def stop(self) -> None:
        """Let the workers finish what they have in hand."""
        for stage in self._stages:
            stage.stop()

    def submit(self, arrival: Arrival) -> None:
        """Take one observation; never waits."""
        self._count("in")
        posed = _Posed(arrival=arrival, pose_revision=self.perception.pose_revision)
        self._fuse.put(_OfMap(self._map_number, posed), lane=arrival.sensor)

    def correct(self, correction: PoseCorrection) -> None:
        """Take a correction of all poses; never waits. The map moves within a moment, and its surface follows."""
        self._correct.put(correction)

    def edit(self, operation: Operation) -> tuple[int, ...]:
        """Let an operator correct the map; gives the ids of the objects that the edit left.

        Raises:
            Rejected: `no_object` or `bad_edit`; nothing is changed then.
        """
        ids = self.perception.edit(operation)
        self._told.update(ids)  # what an operator made has not appeared
        self._publish()
        return ids

    def reset(self, *, new_origin: bool = False) -> LiveMap:
        """Forget the map.

        Args:
            new_origin: whether poses begin anew too, so that what waits was placed in the old map: it is left out.
        """
        with self._placing:
            self._map_number += new_origin
            self.perception.reset()
        self._stamp_s, self._told = 0.0, set()
        return self._publish()

    def resume(self, snapshot: MapSnapshot, memory: Memory) -> LiveMap:
        """Go on from a saved map."""
        self.perception.resume(snapshot, memory)
        self._stamp_s = max((view.stamp_s for view in memory.views), default=0.0)
        self._told = {record.id for record in (*snapshot.objects, *snapshot.structure, *snapshot.removed)}
        return self._publish()

    def _do_fuse(self, waited: "_OfMap[_Posed]") -> None:
        frame = replace(waited.item.arrival.load(), pose_revision=waited.item.pose_revision)
        with self._placing:
            self._check_map(waited.map_number)
            keyframe = self.perception.fuse(frame)
        self._count("fused")
        self.fused_age_s.add(self._now_s() - frame.stamp_s)
        if self.perception.has_news:
            self._publish()
        if keyframe is not None:
            self._count("keyframes")
            self._look.put(_OfMap(waited.map_number, keyframe))

    def _do_look(self, waited: "_OfMap[Frame]") -> None:
        self._check_map(waited.map_number)
        keyframe = waited.item
        self.perception.look(keyframe)
        self._count("looked")
        self._stamp_s = max(self._stamp_s, keyframe.stamp_s)
        self._publish()
        self.looked_age_s.add(self._now_s() - keyframe.stamp_s)
        if self.perception.refinement_is_due:
            self._refine.put(None)

    def _settle(self) -> None:
        if self.perception.unrefined and not self._refine.busy:
            self._refine.put(None)

    def _do_correct(self, correction: PoseCorrection) -> None:
        self.reanchored = done = self.perception.correct(correction, readable=self._publish)
        self._count("corrections")
        self._count("merged", len(done.merged))
        self._refine.put(None)

    def _do_refine(self, _: None) -> None:
        start = time.perf_counter()
        self.perception.refine()
        self.refined_in_s.add(time.perf_counter() - start)
        self._publish()

    def _publish(self) -> LiveMap:
        with self._publishing:
            self.latest = self._read(self.latest.revision + 1)
            self._changed(self.latest)
            return self.latest

    def _read(self, revision: int) -> LiveMap:
        events, snapshot = self.perception.take_events(), self.perception.snapshot()
        new = appeared(self._told, snapshot.objects, self._stamp_s)
        self._told.update(event.record.id for event in new)
        for event in (*new, *events):
            self._count(f"objects {event.kind}")
        return LiveMap(
            snapshot=snapshot,
            edits=self.perception.objects.edits,
            stamp_s=self._stamp_s,
            revision=revision,
            events=(*new, *events),
        )

    def _count(self, what: str, times: int = 1) -> None:
        with self._counting:
            self.counts[what] += times

    def _check_map(self, number: int) -> None:
        if number != self._map_number:
            raise Rejected("reset", "it was placed in a map that has been emptied since")

    def _left_out(self, item: object, why: Rejected) -> None:
        self.perception.count(why)
