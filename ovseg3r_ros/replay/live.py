"""A replay as one call: environment, recorder, session, metrics."""

import os

import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import get_default_context

from ovseg3r_core.evaluation.ground_truth import GroundTruth
from ovseg3r_core.evaluation.identity import IdSwitches
from ovseg3r_ros.replay.bag_facts import look_at
from ovseg3r_ros.replay.config import RUNNING, ReplayConfig
from ovseg3r_ros.replay.environment import free_domain, own_environment, user_environment
from ovseg3r_ros.replay.metrics import ReplayMetrics
from ovseg3r_ros.replay.recorder import Recorder
from ovseg3r_ros.replay.recording import Recording
from ovseg3r_ros.replay.session import Session, Tell
from ovseg3r_ros.replay.verdict import metrics_of


def replay_live(config: ReplayConfig, truth: GroundTruth | None, domain: int | None, tell: Tell) -> ReplayMetrics:
    """Play a bag to a live node and measure what comes out.

    Args:
        domain: of DDS; None for one of its own, or the user's where the node runs already.

    Raises:
        FileNotFoundError, ValueError: the bag or the node's program is not there, or cannot be used.
    """
    facts = look_at(config.bag, config.camera, config.poses)
    if config.node == RUNNING:
        variables = user_environment(domain)
    else:
        variables = own_environment(free_domain() if domain is None else domain)
    os.environ.update(variables)  # the recorder is in this process, and DDS reads them when the first node starts
    rclpy.init(args=list(config.ros_words), signal_handler_options=SignalHandlerOptions.NO)
    recording = Recording(IdSwitches(truth.xyz, truth.instances.instance) if truth else None)
    try:
        with Recorder(recording):
            outcome = Session(config, facts, recording, variables, tell).run(with_truth=truth is not None)
    finally:
        get_default_context().try_shutdown()
    tell("the map is compared", 1.0)
    return metrics_of(config, facts, recording, outcome, truth)
