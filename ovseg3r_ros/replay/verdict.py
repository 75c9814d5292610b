"""From a recording to the metrics."""

import math

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.against_truth import Named, TruthMetrics, compare_with_truth
from ovseg3r_core.evaluation.ground_truth import GroundTruth
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_ros.replay.bag_facts import BagFacts
from ovseg3r_ros.replay.config import RUNNING, ReplayConfig
from ovseg3r_ros.replay.metrics import (
    SCHEMA,
    Frames,
    Identity,
    Inputs,
    OdometryMetrics,
    Played,
    ReplayMetrics,
    latency_of,
)
from ovseg3r_ros.replay.recording import PublishedCloud, Recording
from ovseg3r_ros.replay.session import Outcome

_NOTHING = PublishedCloud(xyz=np.zeros((0, 3), np.float32), instance=np.zeros(0, np.int32))


def metrics_of(
    config: ReplayConfig, facts: BagFacts, recording: Recording, outcome: Outcome, truth: GroundTruth | None
) -> ReplayMetrics:
    """Everything that was measured, of a replay that finished or did not."""
    published, playing_s = recording.objects, outcome.playing_s
    first_s, published_frames = recording.first_object_s, outcome.player.published.get(facts.color, 0)
    frames = Frames.of(recording.report, facts.color, published_frames)
    return ReplayMetrics(
        schema=SCHEMA,
        ended=outcome.ended,
        problem=outcome.problem,
        settled=outcome.settled,
        inputs=_inputs(config),
        played=Played.of(outcome.player),
        frames=frames,
        odometry=_odometry(facts, recording, frames) if config.poses == "odometry" else None,
        maps_published=recording.maps,
        map_frame=published.map_frame if published else None,
        object_count=len(published.objects) if published else 0,
        objects=published.objects if published else (),
        truth=None if truth is None else _against(truth, recording),
        identity=Identity(
            id_switches=recording.switches.total if recording.switches else None, label_flips=recording.flips.total
        ),
        latency=latency_of(recording, config.playback.rate),
        node=outcome.usage,
        node_ready_s=None if config.node == RUNNING or playing_s is None else playing_s - outcome.started_s,
        first_object_s=None if first_s is None or playing_s is None else first_s - playing_s,
        wall_s=outcome.ended_s - outcome.started_s,
    )


def _odometry(facts: BagFacts, recording: Recording, frames: Frames | None) -> OdometryMetrics:
    """The published poses against those that were withheld, as poses of the camera."""
    estimated: dict[int, Float64[ndarray, "4 4"]] = {}
    true: dict[int, Float64[ndarray, "4 4"]] = {}
    for stamp_ns, (frame, T_map_frame) in recording.trajectory.items():
        if facts.tf is None:
            break
        try:
            true[stamp_ns] = facts.tf.lookup(facts.map_frame, facts.camera_frame, stamp_ns)
            estimated[stamp_ns] = T_map_frame @ facts.tf.lookup(frame, facts.camera_frame, stamp_ns)
        except Rejected:  # a gap in the bag's poses
            continue
    common = estimated.keys() & true.keys()
    error = trajectory_error(estimated, true)
    return OdometryMetrics.of(len(recording.trajectory), frames.dropped if frames else {}, len(common), error)


def _inputs(config: ReplayConfig) -> Inputs:
    play = config.playback
    return Inputs(
        bag=str(config.bag),
        rate="max" if play.rate is None else play.rate,
        start_s=play.start_s,
        duration_s=play.duration_s if math.isfinite(play.duration_s) else None,
        parameters=config.parameters,
    )


def _against(truth: GroundTruth, recording: Recording) -> TruthMetrics:
    cloud, published = recording.cloud or _NOTHING, recording.objects
    objects = {item.id: Named(label=item.label, score=item.score) for item in (published.objects if published else ())}
    # of an interrupted replay the points may be one map ahead of the objects
    known = np.isin(cloud.instance, list(objects))
    return compare_with_truth(truth, cloud.xyz, np.where(known, cloud.instance, np.int32(-1)), objects)
