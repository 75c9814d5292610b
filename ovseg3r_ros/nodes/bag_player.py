"""Publishes a rosbag2 under the topic names of the perception node, serialised as it was recorded, with /clock."""

import argparse
import importlib
import math
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rclpy.utilities import get_default_context, remove_ros_args
from rosgraph_msgs.msg import Clock

from ovseg3r_core.sequences.bag_index import find_topics
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_ros.replay.backlog import Backlog
from ovseg3r_ros.replay.play_loop import PlayLoop
from ovseg3r_ros.replay.playback import Play, PlaybackConfig, parse_rate, plays_of
from ovseg3r_ros.replay.player_events import PlayerEvent

_ACKNOWLEDGED_WITHIN_S = 5.0
_POLL_S = 0.05


class BagPlayer(Node):
    """The publishers: the `Outlet` of a `PlayLoop`."""

    def __init__(self, plays: Mapping[str, Play], *, wait_for_node: bool) -> None:
        super().__init__("bag_player")
        self._clock_topic = self.create_publisher(Clock, "/clock", 1)
        self._topics: dict[str, Publisher] = {play.topic: self._publisher(play) for play in plays.values()}
        color = next(iter(plays.values())).topic
        self._backlog = Backlog(self, color) if wait_for_node else None

    def publish(self, topic: str, data: bytes) -> None:
        """Send a serialised message."""
        self._topics[topic].publish(data)

    def publish_clock(self, now_ns: int) -> None:
        """Send the time."""
        self._clock_topic.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))

    def keeps_up(self, published: Mapping[str, int]) -> bool:
        """Whether the perception node has dealt with what was sent."""
        return self._backlog is None or self._backlog.is_small(published)

    def lonely(self) -> list[str]:
        """Topics that nobody listens to."""
        return [name for name, topic in self._topics.items() if topic.get_subscription_count() == 0]

    def unacknowledged(self) -> list[str]:
        """Topics with a message that a subscriber did not acknowledge in time."""
        end_s = time.monotonic() + _ACKNOWLEDGED_WITHIN_S

        def left() -> Duration:
            return Duration(seconds=max(end_s - time.monotonic(), 0.0))

        return [name for name, topic in self._topics.items() if not topic.wait_for_all_acked(left())]

    def _publisher(self, play: Play) -> Publisher:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if play.latched else DurabilityPolicy.VOLATILE
        depth = 10 if play.kind.endswith("Image") else 100
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
        package, folder, name = play.kind.split("/")
        return self.create_publisher(getattr(importlib.import_module(f"{package}.{folder}"), name), play.topic, qos)


def play_bag(arguments: argparse.Namespace, stop: threading.Event) -> None:
    """Play as the command line says; raises ValueError or TimeoutError where that is not possible."""
    bag = Bag(arguments.bag)
    plays = plays_of(bag, find_topics(bag), arguments.camera, with_tf=not arguments.without_tf)
    config = PlaybackConfig(
        rate=parse_rate(arguments.rate),
        start_s=arguments.start,
        duration_s=arguments.duration,
        loops=0 if arguments.loop else 1,
    )
    player = BagPlayer(plays, wait_for_node=config.rate is None)
    loop = PlayLoop(bag, plays, config, player, stop)
    if loop.shift_ns:
        player.get_logger().warning(f"stamps are {loop.shift_ns / 1e9:.0f} s off the recording: /clock follows them")

    def tell(event: PlayerEvent) -> None:
        if arguments.events:
            sys.stdout.write(event.line())
            sys.stdout.flush()

    tell(loop.event("waiting"))
    _wait_for_subscribers(player, loop, stop, arguments.wait)
    loop.run(tell)
    for name in (unheard := player.unacknowledged()):
        player.get_logger().warning(f"not every message on {name} was acknowledged")
    played = loop.event("played", unheard)
    player.get_logger().info(f"published {dict(played.published)}" + (f"; {played.damage}" if played.damage else ""))
    tell(played)
    if arguments.keep_clock:
        loop.go_on()


def _wait_for_subscribers(player: BagPlayer, loop: PlayLoop, stop: threading.Event, patience_s: float) -> None:
    """Wait until somebody listens to every topic; the clock stands at the beginning meanwhile."""
    end_s = time.monotonic() + patience_s
    while patience_s > 0 and (lonely := player.lonely()) and not stop.is_set():
        if time.monotonic() > end_s:
            raise TimeoutError(
                f"nobody listens to {', '.join(lonely)} after {patience_s:.0f} s: is the perception node active, "
                "in the same DDS domain and namespace?"
            )
        loop.stand(_POLL_S)


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line, without the arguments of ROS."""
    parser = argparse.ArgumentParser(prog="bag_player", description=__doc__)
    parser.add_argument("bag", type=Path, help="a rosbag2: folder, .mcap or .db3")
    parser.add_argument("--rate", default="1", help="speed, or max for as fast as the perception node keeps up")
    parser.add_argument("--start", type=float, default=0.0, help="seconds into the bag to begin at")
    parser.add_argument("--duration", type=float, default=math.inf, help="seconds of the bag to play")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, with the clock")
    parser.add_argument("--camera", default="", help="name of the camera in the node's parameter `cameras`")
    parser.add_argument("--without-tf", action="store_true", help="withhold /tf; /tf_static is played")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for subscribers; 0 for not at all")
    parser.add_argument("--keep-clock", action="store_true", help="let /clock run on after the end, until stopped")
    parser.add_argument(
        "--events", action="store_true", help="tell how far it is, one JSON a line; end when stdin ends"
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run the player until the end of the bag, or until it is interrupted."""
    words = sys.argv if words is None else words
    arguments = parse_arguments(remove_ros_args(args=words)[1:])
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if arguments.events:  # whoever listens to them holds our input open, and is gone when it ends
        threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    rclpy.init(args=list(words), signal_handler_options=SignalHandlerOptions.NO)
    try:
        play_bag(arguments, stop)
    except (OSError, ValueError, TimeoutError) as error:
        get_logger("bag_player").error(str(error))
        if arguments.events:
            sys.stdout.write(PlayerEvent(state="failed", problem=str(error)).line())
        sys.exit(2)
    finally:
        get_default_context().try_shutdown()


if __name__ == "__main__":
    main()
