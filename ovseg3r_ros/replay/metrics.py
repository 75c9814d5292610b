"""What a replay came to, as the metrics JSON has it; every number that was not measured is null."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from ovseg3r_core.evaluation.against_truth import TruthMetrics
from ovseg3r_core.evaluation.trajectory_error import TrajectoryError
from ovseg3r_core.outputs import record_json
from ovseg3r_core.types import ObjectRecord
from ovseg3r_ros.replay.node_report import NodeReport
from ovseg3r_ros.replay.player_events import PlayerEvent
from ovseg3r_ros.replay.recording import Recording
from ovseg3r_ros.replay.usage import Usage

SCHEMA = 1
"""Goes up when a number changes its name or its meaning."""

_WORKERS = 2  # that have a frame or a keyframe each in hand, which waits no more

_LOST = ("lost", "no_shape", "empty_depth")  # the reasons why odometry gives no pose

Ended = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Median and 99th percentile of some measurements."""

    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Spread(Percentiles):
    """The same, with the largest and their number."""

    max: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """None where nothing was measured."""
        if not values:
            return None
        p50, p99 = np.percentile(values, (50, 99)).tolist()
        return cls(p50=p50, p99=p99, max=max(values), count=len(values))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What was asked for."""

    bag: str
    rate: float | Literal["max"]
    start_s: float
    duration_s: float | None
    """None for the whole bag."""
    parameters: tuple[str, ...]
    """Of the node, beyond those that every replay sets."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What the player sent."""

    bag_s: float
    published: dict[str, int]
    """Messages by topic."""
    late_p99_s: float | None
    """How late messages went out; more than a few milliseconds say that the machine was too busy to play in time."""
    unacknowledged: tuple[str, ...]
    damage: str | None
    """What kept the bag from being read to its end."""

    @classmethod
    def of(cls, event: PlayerEvent) -> "Played":
        """As the player's last words say."""
        return cls(
            bag_s=event.bag_s,
            published=event.published,
            late_p99_s=event.late_p99_s,
            unacknowledged=tuple(event.unacknowledged),
            damage=event.damage,
        )


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Where the frames went, by the node's own count."""

    published: int
    """Colour images that were sent."""
    missed: int
    """Of those, never handed to the node: overwritten by newer ones in its DDS queue, or lost."""
    missed_by_its_count: int
    """What the node knows of them: it sees holes in the numbering, but not what was sent before its first image."""
    received: int
    delivered: int
    """With depth and pose, handed to the map."""
    fused: int
    keyframes: int
    looked: int
    """Keyframes whose objects were found."""
    dropped: dict[str, int]
    """Images before the map, frames and keyframes in it, by reason."""
    dropped_share: float
    """Part of the published images that did not become part of the surface."""
    keyframes_dropped_share: float
    """Part of the keyframes that were not looked at."""
    unfinished: int
    """Frames and keyframes that still waited or were in work when the node was ended."""
    unexplained: int
    """Received, and neither done with nor dropped nor unfinished, or never sent by us: 0 where all is accounted for."""

    @classmethod
    def of(cls, report: NodeReport | None, color: str, published: int) -> "Frames | None":
        """Count; None where the node never said how it is."""
        camera = report.camera(color) if report is not None else None
        if report is None or camera is None:
            return None
        counts, dropped = report.counts, camera.dropped + report.dropped
        left = camera.in_work + report.in_work
        unfinished = max(min(left, camera.waiting + report.waiting.total() + _WORKERS), 0)
        return cls(
            published=published,
            missed=max(published - camera.received, 0),
            missed_by_its_count=camera.missed,
            received=camera.received,
            delivered=camera.delivered,
            fused=counts["fused"],
            keyframes=counts["keyframes"],
            looked=counts["looked"],
            dropped=dict(dropped),
            dropped_share=1 - counts["fused"] / published if published else 0.0,
            keyframes_dropped_share=1 - counts["looked"] / counts["keyframes"] if counts["keyframes"] else 0.0,
            unfinished=unfinished,
            unexplained=abs(left - unfinished) + max(camera.received - published, 0),
        )


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Delays, by the clock of the wall."""

    fusion_age_s: Percentiles | None
    """From the stamp of a frame until it is part of the surface: the node's figures over the last minute, of which the
    median p50 and the worst p99 are given; None at rate max, where its clock does not run evenly."""
    publication_age_s: Spread | None
    """From the stamp of a keyframe until the objects of a map with it arrive here."""
    query_s: Spread | None
    """`query_objects`, a new text every second."""
    queries_unanswered: int


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whether things stay what they are from map to map."""

    id_switches: int | None
    """How often another object than before covers a true thing best; None without ground truth."""
    label_flips: int
    """How often an object changed its name."""


@dataclass(frozen=True, kw_only=True)
class OdometryMetrics:
    """The node's own odometry, where the replay is without the bag's poses."""

    placed: int
    """Poses that it published."""
    lost: int
    """Frames that it looked at and could not place."""
    compared: int
    """Poses that the bag has too; errors are of these."""
    ate_m: float | None
    """Absolute trajectory error after the best rigid fit, root mean square; None for less than three poses."""
    rpe_m: float | None
    """Error of the step from each pose to the next."""
    rpe_rad: float | None

    @classmethod
    def of(
        cls, placed: int, dropped: Mapping[str, int], compared: int, error: TrajectoryError | None
    ) -> "OdometryMetrics":
        """From the node's counts, and the errors where the bag tells them."""
        return cls(
            placed=placed,
            lost=sum(dropped.get(reason, 0) for reason in _LOST),
            compared=compared,
            ate_m=error.ate_m if error else None,
            rpe_m=error.rpe_m if error else None,
            rpe_rad=error.rpe_rad if error else None,
        )


@dataclass(frozen=True, kw_only=True)
class ReplayMetrics:
    """The whole verdict."""

    schema: int
    ended: Ended
    problem: str | None
    """Why it did not finish."""
    settled: bool
    """Whether the node was done with every frame before it was ended."""
    inputs: Inputs
    played: Played
    frames: Frames | None
    odometry: OdometryMetrics | None
    """None where the bag's poses were played."""
    maps_published: int
    map_frame: str | None
    object_count: int
    objects: tuple[ObjectRecord, ...]
    """Of the last map."""
    truth: TruthMetrics | None
    identity: Identity
    latency: Latency
    node: Usage | None
    """While the bag was played, and until the node was done with it."""
    node_ready_s: float | None
    """From the node's start until it listened; None where it ran already."""
    first_object_s: float | None
    """From the first message until the first map with an object."""
    wall_s: float

    def as_json(self) -> Mapping[str, object]:
        """The content of the file; objects are the entries of `objects.json`."""
        return asdict(self) | {"objects": [record_json(record) for record in self.objects]}


def latency_of(recording: Recording, rate: float | None) -> Latency:
    """The delays of a recording.

    Args:
        rate: of the play, None for max.
    """
    return Latency(
        fusion_age_s=None if rate is None else _fusion_age(recording.fusion_age_s, rate),
        publication_age_s=Spread.of(recording.publication_age_s),
        query_s=Spread.of(recording.query_s),
        queries_unanswered=recording.unanswered,
    )


def _fusion_age(windows: Sequence[tuple[float, float]], rate: float) -> Percentiles | None:
    if not windows:
        return None
    p50, p99 = zip(*windows, strict=True)
    return Percentiles(p50=float(np.median(p50)) / rate, p99=max(p99) / rate)
