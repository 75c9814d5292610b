"""How the node is, as every robot shows it: `/diagnostics`, one status a camera, and one each for poses, pipeline, map.

The levels and sentences are made in `judgements.py`; here they get their numbers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ovseg3r_core.rolling import Summary
from ovseg3r_ros.inputs.health import CameraHealth, OdometryHealth, StreamHealth
from ovseg3r_ros.outputs.judgements import (
    Judgement,
    MapHealth,
    PipelineHealth,
    judge_cameras,
    judge_map,
    judge_odometry,
    judge_pipeline,
    judge_poses,
)
from ovseg3r_ros.outputs.primitives import header_of

Values = dict[str, float | int | str | None]


def diagnostic_array(
    *,
    node: str,
    stamp_ns: int,
    cameras: Sequence[CameraHealth],
    poses: Sequence[StreamHealth],
    odometry: OdometryHealth | None = None,
    pipeline: PipelineHealth,
    mapped: MapHealth,
    stale_after_s: float,
) -> DiagnosticArray:
    """The state of the node.

    Args:
        node: what the names of the statuses begin with.
        poses: the topics that poses come from.
        odometry: where poses are our own.
        stale_after_s: a stream without a message for so long has stopped.
    """
    judged = zip(cameras, judge_cameras(cameras, stale_after_s), strict=True)
    statuses = [
        *(
            _status(f"{node}: camera {_name(camera)}", _name(camera), judgement, camera_values(camera))
            for camera, judgement in judged
        ),
        _status(
            f"{node}: poses",
            node,
            judge_odometry(odometry, cameras, stale_after_s)
            if odometry
            else judge_poses(cameras, poses, stale_after_s),
            pose_values(cameras, poses) | (odometry_values(odometry) if odometry else {}),
        ),
        _status(f"{node}: pipeline", node, judge_pipeline(pipeline), pipeline_values(pipeline)),
        _status(f"{node}: map", node, judge_map(mapped), map_values(mapped)),
    ]
    return DiagnosticArray(header=header_of(stamp_ns, ""), status=statuses)


def camera_values(camera: CameraHealth) -> Values:
    """The counts of one camera, and of its streams."""
    values: Values = {}
    for kind, stream in (("color", camera.color), ("depth", camera.depth), ("camera_info", camera.camera_info)):
        values |= _stream_values(kind, stream)
    if camera.depth_camera_info.received:
        values |= _stream_values("depth_camera_info", camera.depth_camera_info)
    return values | {
        "paired": camera.paired,
        "delivered": camera.delivered,
        "waiting for a pose": camera.waiting,
        **_by_reason("dropped", camera.dropped),
        "last drop": camera.last_drop,
        "waits for": camera.gate,
        "relocations": camera.relocations,
    }


def pose_values(cameras: Iterable[CameraHealth], sources: Iterable[StreamHealth]) -> Values:
    """The age of the newest pose of each camera, and the topics that poses come from."""
    values: Values = {f"{_name(camera)}: age of the newest pose [s]": camera.pose_age_s for camera in cameras}
    for source in sources:
        values |= _stream_values(source.topic, source)
    return values


def odometry_values(health: OdometryHealth) -> Values:
    """What odometry has placed, at what cost, and whether it is lost."""
    return {
        "odometry: placed": health.placed,
        "odometry: keyframes": health.keyframes,
        "odometry: lost for [s]": 0.0 if health.lost_for_s is None else health.lost_for_s,
        "odometry: last frame not placed": health.why,
        **_summary("odometry", "duration", health.took_s),
    }


def pipeline_values(health: PipelineHealth) -> Values:
    """Rates, ages, counts and what the process costs."""
    return {
        **_summary("fused", "age", health.fused),
        **_summary("looked at", "age", health.looked),
        **_summary("refined", "duration", health.refined),
        **_summary("published", "age", health.published),
        **{f"count: {what}": count for what, count in health.counts.items()},
        **_by_reason("dropped", health.drops),
        **{f"waiting: {stage}": count for stage, count in health.waiting.items()},
        "segmenter": health.segmenter,
        "memory [MB]": health.load.memory_mb,
        "CPU [% of a core]": health.load.cpu_percent,
    }


def map_values(health: MapHealth) -> Values:
    """How large the map is."""
    return {
        "keyframes": health.views,
        "keyframes kept at most": health.max_views,
        "keyframes that made room": health.retired,
        "objects": health.objects,
        "objects missing": health.missing,
        "objects removed": health.removed,
        "points": health.points,
        "revision": health.revision,
        "published [s ago]": health.published_ago_s,
        **_by_reason("not published", health.refused),
        "corrections of poses": health.corrections,
        "duplicates merged by corrections": health.merged,
        "last correction: keyframes": health.reanchored.views,
        "last correction: median shift [m]": health.reanchored.median_shift_m,
        "last correction: duration [s]": health.reanchored.seconds,
        **(_stream_values("keyframe poses", health.path) if health.path else {}),
    }


def _status(name: str, hardware_id: str, judgement: Judgement, values: Values) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=bytes([judgement.level]),
        name=name,
        message=judgement.message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def _name(camera: CameraHealth) -> str:
    return camera.name or "camera"


def _stream_values(kind: str, stream: StreamHealth) -> Values:
    return {
        f"{kind}: topic": stream.topic,
        f"{kind}: publishers": stream.publishers,
        f"{kind}: received": stream.received,
        f"{kind}: missed": stream.missed,
        f"{kind}: rate [Hz]": stream.rate_hz,
        f"{kind}: silent for [s]": stream.silent_for_s,
        f"{kind}: waiting": stream.waiting,
        **_by_reason(f"{kind}: dropped", stream.dropped),
    }


def _summary(what: str, measure: str, summary: Summary) -> Values:
    return {
        f"{what}: rate [Hz]": summary.rate_hz,
        f"{what}: {measure} p50 [s]": summary.p50 if summary.count else None,
        f"{what}: {measure} p99 [s]": summary.p99 if summary.count else None,
    }


def _by_reason(what: str, counts: Mapping[str, int]) -> Values:
    """Every reason under a key of its own, so that a dashboard can plot it."""
    return {f"{what}: {reason}": count for reason, count in counts.items()}


def _text(value: float | int | str | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "unknown"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
