"""How well the node is, part by part: a level, and a sentence that names the topic and what to do. Without ROS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from ovseg3r_core.mapping.reanchoring import Reanchored
from ovseg3r_core.process import ProcessLoad
from ovseg3r_core.rolling import Summary
from ovseg3r_ros.inputs.health import CameraHealth, OdometryHealth, StreamHealth

_LATE_S = 1.0  # frames older than that when they are fused: the machine does not keep up
_WAITS_FOR_POSE = "waiting for the pose"
_NEVER_PAIRED = 30  # images of both kinds without a pair that are no accident of the start


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A level and one line for people."""

    level: Level
    message: str


@dataclass(frozen=True, kw_only=True)
class PipelineHealth:
    """The three workers and the publisher at one moment."""

    fused: Summary
    """Frames; the values are their age when they were part of the surface, seconds."""
    looked: Summary
    """Keyframes; the values are their age when their objects were in the map, seconds."""
    refined: Summary
    """Looks at all views together; the values are the seconds they took."""
    published: Summary
    """Publications; the values are the age of the newest keyframe in them, seconds."""
    counts: Mapping[str, int]
    """What came in, and how far it got."""
    drops: Mapping[str, int]
    """What was left out, by reason."""
    waiting: Mapping[str, int]
    """How much waits before each worker."""
    segmenter: str
    """Which weights of the learned segmenter are in use, and what came of the last look; or why none is."""
    load: ProcessLoad


@dataclass(frozen=True, kw_only=True)
class MapHealth:
    """The map at one moment."""

    views: int
    max_views: int
    retired: int
    """Keyframes that made room for others."""
    """Keyframes that are kept at most."""
    objects: int
    missing: int
    """Objects among these that are missing."""
    removed: int
    """Objects that are gone."""
    points: int
    revision: int
    published_ago_s: float | None
    """Since the map was last published; None before the first time."""
    refused: Mapping[str, int]
    """What no message could carry, by reason (`LabelledMap.refused`)."""
    corrections: int = 0
    """How often poses were corrected."""
    merged: int = 0
    """Objects that were mapped twice, and joined by that."""
    reanchored: Reanchored = field(default_factory=Reanchored)
    """What the last correction did."""
    path: StreamHealth | None = None
    """The topic that corrections come from; None while the node does not listen."""


def judge_cameras(cameras: Sequence[CameraHealth], stale_after_s: float) -> tuple[Judgement, ...]:
    """Each camera by what it sends: one of several that falls silent is a warning, the last one an error."""
    silent = [silence(camera, stale_after_s) for camera in cameras]
    level = Level.ERROR if all(silent) else Level.WARN
    return tuple(
        Judgement(level=level, message=why) if why else _judge_sending(camera)
        for camera, why in zip(cameras, silent, strict=True)
    )


def silence(camera: CameraHealth, stale_after_s: float) -> str:
    """Which streams of a camera have stopped, as in "no depth on /depth/image for 5 s"; empty where none has.

    Camera info may be sent once and for all: it is missed only when none has ever come.
    """
    streams = {"colour": camera.color, "depth": camera.depth}
    if camera.camera_info.received == 0:
        streams["camera info"] = camera.camera_info
    return "; ".join(
        f"no {kind} on {stream.topic} for {stream.silent_for_s:.0f} s{_publishers(stream)}"
        for kind, stream in streams.items()
        if stream.silent_for_s >= stale_after_s
    )


def judge_poses(cameras: Sequence[CameraHealth], sources: Sequence[StreamHealth], stale_after_s: float) -> Judgement:
    """Whether the cameras that send images have poses.

    Args:
        sources: the topics that poses come from.
    """
    sending = [camera for camera in cameras if not silence(camera, stale_after_s)]
    if not sending:
        return Judgement(level=Level.STALE, message="no camera sends images that would need a pose")
    missing = [why for camera in sending if (why := _missing_pose(camera, sources, stale_after_s))]
    if missing:
        level = Level.ERROR if len(missing) == len(sending) else Level.WARN
        return Judgement(level=level, message="; ".join(missing))
    ages = [camera.pose_age_s for camera in sending if camera.pose_age_s is not None]
    return Judgement(level=Level.OK, message=f"poses up to {max(ages):.2f} s ago" if ages else "nothing moves")


def judge_odometry(health: OdometryHealth, cameras: Sequence[CameraHealth], stale_after_s: float) -> Judgement:
    """Whether our own odometry knows where the camera is; while it does not, nothing is mapped."""
    if all(silence(camera, stale_after_s) for camera in cameras):
        return Judgement(level=Level.STALE, message="no camera sends images to follow")
    if health.lost_for_s is not None:
        remedy = "bring the camera back to where it was" if health.placed else "show it more of the room"
        return Judgement(
            level=Level.ERROR if health.lost_for_s >= stale_after_s else Level.WARN,
            message=f"lost for {health.lost_for_s:.1f} s, and nothing is mapped meanwhile: {remedy}, or call reset_map "
            f"to begin anew ({health.why})",
        )
    if not health.placed:
        return Judgement(level=Level.STALE, message="odometry has seen no image yet")
    took = health.took_s
    message = f"odometry places {took.rate_hz:.1f} frames a second, in {took.p50:.2f} s each"
    return Judgement(level=Level.OK, message=message)


def judge_pipeline(health: PipelineHealth) -> Judgement:
    """Whether frames are worked on, and in time."""
    errors = health.drops.get("internal_error", 0)
    if errors:
        return Judgement(level=Level.WARN, message=f"{errors} items failed by an internal error: see the log")
    if health.fused.count == 0:
        return Judgement(level=Level.STALE, message="no frame was fused lately")
    if health.fused.p99 > _LATE_S:
        message = f"frames are up to {health.fused.p99:.1f} s old when they are fused: lower the rate or the resolution"
        return Judgement(level=Level.WARN, message=message)
    message = f"{health.fused.rate_hz:.1f} frames a second, keyframes in the map after {health.looked.p50:.1f} s"
    return Judgement(level=Level.OK, message=message)


def judge_map(health: MapHealth) -> Judgement:
    """Whether there is a map, and whether it still grows."""
    if health.views == 0:
        return Judgement(level=Level.STALE, message="nothing has been mapped yet")
    if bad := sum(health.refused.values()):
        return Judgement(level=Level.WARN, message=f"{bad} objects or points are not published: {dict(health.refused)}")
    kept = f", of which {health.views - health.retired} are kept" if health.retired else ""
    return Judgement(level=Level.OK, message=f"{health.objects} objects from {health.views} keyframes{kept}")


def _judge_sending(camera: CameraHealth) -> Judgement:
    """A camera whose streams are all alive."""
    color, depth = camera.color, camera.depth
    if not camera.paired and min(color.received, depth.received) >= _NEVER_PAIRED:
        message = f"images on {color.topic} and {depth.topic} never have the same stamp: synchronise them in the driver"
        return Judgement(level=Level.WARN, message=message)
    if camera.gate:
        return Judgement(level=Level.WARN, message=camera.gate)
    return Judgement(level=Level.OK, message=f"{depth.rate_hz:.1f} images a second, {camera.delivered} frames taken")


def _missing_pose(camera: CameraHealth, sources: Sequence[StreamHealth], stale_after_s: float) -> str:
    """Why a camera that sends images is without poses; empty where it is not."""
    if camera.gate.startswith(_WAITS_FOR_POSE):
        return f"depth is published on {camera.depth.topic} but nobody gives its pose: {camera.gate}"
    if camera.pose_age_s is not None and camera.pose_age_s >= stale_after_s:
        topics = ", ".join(source.topic for source in sources)
        return (
            f"depth is published on {camera.depth.topic} but the newest pose of its camera on {topics} is "
            f"{camera.pose_age_s:.0f} s old"
        )
    return ""


def _publishers(stream: StreamHealth) -> str:
    return "" if stream.publishers else " (nobody publishes it)"
