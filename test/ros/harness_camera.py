"""A scripted camera: walks to and fro round an analytic scene, and publishes what a driver and a localisation would."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from types import TracebackType
from typing import Literal, Protocol

import numpy as np
from harness_client import Client
from harness_messages import camera_info_message, image_message, time_of, transform_message
from jaxtyping import Float64, UInt8, UInt16
from numpy import ndarray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from scenes import BOX_ROOM, Solid, box_room, orbit
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ovseg3r_core.types import Camera, Frame
from ovseg3r_ros.faults import Fault, ok

Stream = Literal["color", "depth", "info", "tf"]
STREAMS: tuple[Stream, ...] = ("tf", "info", "color", "depth")  # in the order in which they are sent
THINGS = ("cabinet", "cup", "dining table", "sports ball")
"""The objects of the scene, as the default vocabulary calls them."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What the camera sees from one place."""

    color: UInt8[ndarray, "height width 3"]
    depth_mm: UInt16[ndarray, "height width"]
    camera: Camera
    T_map_camera: Float64[ndarray, "4 4"]


@lru_cache(maxsize=8)
def walk(
    frames: int = 24,
    width: int = 160,
    height: int = 120,
    from_deg: float = 0.0,
    to_deg: float = 90.0,
    solids: tuple[Solid, ...] = BOX_ROOM,
) -> tuple[Shot, ...]:
    """Shots on an arc round the box room, and back again; the last one is next to the first."""
    poses = orbit(frames, from_deg=from_deg, to_deg=to_deg)
    room = box_room(width=width, height=height, poses=poses, solids=solids)
    return there_and_back(room.frames)


def there_and_back(frames: Sequence[Frame]) -> tuple[Shot, ...]:
    """Frames as a camera takes them, one after the other and back again."""
    there = [
        Shot(
            color=frame.color,
            depth_mm=np.rint(frame.depth_m * 1000).astype(np.uint16),
            camera=frame.camera,
            T_map_camera=frame.T_map_camera,
        )
        for frame in frames
    ]
    return tuple(there + there[-2:0:-1])


class StampSource(Protocol):
    """Gives each shot its stamp."""

    def stamp_ns(self) -> int: ...


class WallClock:
    """The machine's clock; shots that come faster than every `period_s` get stamps this far apart all the same."""

    def __init__(self, period_s: float = 0.1) -> None:
        self._period_ns, self._last_ns = round(period_s * 1e9), 0

    def stamp_ns(self) -> int:
        self._last_ns = max(time.time_ns(), self._last_ns + self._period_ns)
        return self._last_ns


class SimClock:
    """Simulated time on /clock: goes on by a period with each shot, and jumps when told."""

    def __init__(self, client: Client, period_s: float = 0.1, start_s: float = 1000.0) -> None:
        self._publisher = client.node.create_publisher(Clock, "/clock", QoSProfile(depth=10))
        self._period_s, self._now_ns = period_s, round(start_s * 1e9)
        self._lock = threading.Lock()  # a camera shoots in its thread while the test jumps

    def stamp_ns(self) -> int:
        return self.jump(self._period_s)

    def jump(self, seconds: float) -> int:
        with self._lock:
            self._now_ns += round(seconds * 1e9)
            self._publisher.publish(Clock(clock=time_of(self._now_ns)))
            return self._now_ns


class ScriptedCamera:
    """Publishes the shots in turn, each with its pose and calibration, and with what faults there are.

    Args:
        client: whose node publishes.
        shots: what is seen; after the last comes the first.
        name: the topics are name/color/image and so on; empty for color/image.
        clock: where stamps come from.
        reliability: of the image topics.
        tf_topic: where its pose goes.
    """

    def __init__(
        self,
        client: Client,
        shots: Sequence[Shot] = (),
        *,
        name: str = "",
        clock: StampSource | None = None,
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        tf_topic: str = "/tf",
    ) -> None:
        prefix = f"/{name}/" if name else "/"
        self.client, self.clock = client, clock or WallClock()
        self.frame_id = f"{name or 'camera'}_optical_frame"
        self.faults: dict[Stream, Fault] = dict.fromkeys(STREAMS, ok)
        self.sent: Counter[Stream] = Counter()
        self.shots_taken = 0
        self.shots = cycle(shots or walk())
        images = QoSProfile(depth=5, reliability=reliability)
        create = client.node.create_publisher
        self.publishers = {
            "color": create(Image, f"{prefix}color/image", images),
            "depth": create(Image, f"{prefix}depth/image", images),
            "info": create(CameraInfo, f"{prefix}color/camera_info", images),
            "tf": create(TFMessage, tf_topic, QoSProfile(depth=100)),
        }

    def wait_until_heard(self, *streams: Stream, timeout_s: float = 20.0) -> None:
        """Return when somebody has subscribed to the streams; by default to all."""
        for stream in streams or STREAMS:
            publisher = self.publishers[stream]
            self.client.until(publisher.get_subscription_count, f"subscriber of {publisher.topic}", timeout_s=timeout_s)

    def shoot(self, frames: int = 1) -> int:
        """Publish the next shots at once; the stamp of the last in ns."""
        stamp_ns = 0
        for _ in range(frames):
            stamp_ns = self.clock.stamp_ns()
            self.shots_taken += 1
            messages = self._messages(next(self.shots), stamp_ns)
            for stream in STREAMS:
                for message in self.faults[stream](messages[stream], time.monotonic()):
                    self.publishers[stream].publish(message)
                    self.sent[stream] += 1
        return stamp_ns

    @contextmanager
    def run(self, rate_hz: float = 10.0) -> Iterator[None]:
        """Publish at a rate until the context ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(rate_hz, stop), name=f"camera {self.frame_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)

    def show(self, shots: Sequence[Shot]) -> None:
        """Go on with other shots."""
        self.shots = cycle(shots)

    def close(self) -> None:
        """Take the publishers away."""
        for publisher in self.publishers.values():
            self.client.node.destroy_publisher(publisher)

    def fault(self, fault: Fault, *streams: Stream) -> None:
        """From now on these streams have this fault; by default all of them."""
        for stream in streams or STREAMS:
            self.faults[stream] = fault

    def __enter__(self) -> "ScriptedCamera":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _run(self, rate_hz: float, stop: threading.Event) -> None:
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            self.shoot()
            due = max(due + 1 / rate_hz, time.monotonic() - 1)  # a machine that stood still is not caught up with

    def _messages(self, shot: Shot, stamp_ns: int) -> dict[Stream, Image | CameraInfo | TFMessage]:
        stamp = time_of(stamp_ns)
        header = Header(stamp=stamp, frame_id=self.frame_id)
        return {
            "color": image_message(header, "rgb8", shot.color),
            "depth": image_message(header, "16UC1", shot.depth_mm),
            "info": camera_info_message(header, shot.camera),
            "tf": transform_message(Header(stamp=stamp, frame_id="map"), self.frame_id, shot.T_map_camera),
        }
