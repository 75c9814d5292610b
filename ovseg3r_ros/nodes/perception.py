"""The node `perception`: camera topics and poses in, a map of named objects out, questions answered.

unconfigured ─ configure ─► networks loaded, the last map taken up, services answer
inactive     ─ activate  ─► cameras are listened to, and the map grows and is published
"""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger

from ovseg3r_core.live import SWITCH_INTERVAL_S
from ovseg3r_core.perception_config import PerceptionConfig, config_of
from ovseg3r_ros.config import NodeConfig, OutputConfig
from ovseg3r_ros.executor import ServicesAsideExecutor
from ovseg3r_ros.logs import to_ros
from ovseg3r_ros.parameter_groups import INPUT, METHOD, NODE, OUTPUT, WORKERS
from ovseg3r_ros.parameters import SettingsFollower, declare_settings
from ovseg3r_ros.system import BuildMasks, Settings, System, build_masks

_THREADS = 4  # services at a time: questions, and one that takes its time


class PerceptionNode(LifecycleNode):
    """The lifecycle and the parameters; what runs between configure and cleanup is a `System`.

    Args:
        masks: builds the source of 2D masks from the settings.
    """

    def __init__(self, masks: BuildMasks = build_masks) -> None:
        super().__init__("perception")
        self._masks = masks
        self._system: System | None = None
        node = declare_settings(self, "", NODE.config, NODE.dynamic)
        method = config_of(online=True, voxel_size_m=node.voxel_size_m)
        self._settings = Settings(
            node=node,
            input=declare_settings(self, "", INPUT.config),
            live=declare_settings(self, "", WORKERS.config),
            output=declare_settings(self, "", OUTPUT.config, OUTPUT.dynamic),
            method=declare_settings(self, "", method, METHOD.dynamic),
        )
        follower = SettingsFollower(self)
        follower.follow("", self._settings.node, self._take_node)
        follower.follow("", self._settings.output, self._take_output)
        follower.follow("", self._settings.method, self._take_method)

    @property
    def autostart(self) -> bool:
        """Whether the node brings itself up."""
        return self._settings.node.autostart

    def bring_up(self) -> None:
        """Configure and activate."""
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the networks, take up the map of the last run, and answer questions from now on."""

        def configure() -> None:
            self._system = System(self, self._settings, self._masks)

        return self._attempt("configure", configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the cameras."""
        return self._attempt("activate", lambda: self._running.activate())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen no more; the map stays and answers."""
        return self._attempt("deactivate", lambda: self._running.deactivate())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Save the map and forget everything but the parameters."""
        return self._attempt("cleanup", self.close)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """The same, for good."""
        return self._attempt("shutdown", self.close)

    def close(self) -> None:
        """Stop whatever runs, and save the map."""
        if self._system is not None:
            self._system.close()
            self._system = None
            gc.collect()  # its parts know each other: half a gigabyte would wait for the collector's next round

    @property
    def _running(self) -> System:
        assert self._system is not None, "the lifecycle configures before it does anything else"
        return self._system

    def _attempt(self, what: str, do: Callable[[], None]) -> TransitionCallbackReturn:
        """A failed transition leaves the state as it was, and the log says why."""
        try:
            do()
        except Exception as error:
            expected = isinstance(error, (OSError, ValueError, ImportError))
            logging.getLogger(__name__).error("cannot %s: %s", what, error, exc_info=not expected)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(f"{what}: done")
        return TransitionCallbackReturn.SUCCESS

    def _take_node(self, config: NodeConfig) -> None:
        if self._system is not None:
            self._system.configure_node(config)
        self._settings = replace(self._settings, node=config)

    def _take_output(self, config: OutputConfig) -> None:
        if self._system is not None:
            self._system.configure_output(config)
        self._settings = replace(self._settings, output=config)

    def _take_method(self, config: PerceptionConfig) -> None:
        if self._system is not None:
            self._system.live.perception.configure(config)
        self._settings = replace(self._settings, method=config)


def run(masks: BuildMasks = build_masks) -> int:
    """Run the node until it is told to stop; the exit code."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    rclpy.init()
    try:
        node = PerceptionNode(masks)
    except ValueError as error:  # a parameter that it was started with
        get_logger("perception").fatal(str(error))
        return 2
    to_ros(node.get_logger())
    executor = ServicesAsideExecutor(_THREADS)
    executor.add_node(node)
    if node.autostart:
        threading.Thread(target=node.bring_up, name="bring_up", daemon=True).start()
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the second Ctrl-C of an impatient person loses no map
        node.close()
        executor.remove_node(node)
        node.destroy_node()
        rclpy.try_shutdown()
        del node, executor
        gc.collect()  # with the last handle goes the shared memory of its topics, 70 MB
    return 0


def main(masks: BuildMasks = build_masks) -> None:
    """The executable."""
    code = run(masks)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # a network that is still busy cannot be interrupted, and its threads must not outlive Python
