"""One camera's pipeline on a bench: serialised images in, poses and time at will, whatever is delivered kept."""

from collections.abc import Callable

import numpy as np
from harness_messages import camera_info_message, image_message, time_of
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_core.types import Camera, Frame
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.camera_pipeline import CameraPipeline
from ovseg3r_ros.inputs.frame_loader import ImagePair
from ovseg3r_ros.inputs.health import CameraHealth
from ovseg3r_ros.inputs.pose_source import PoseNotYet

MS = 10**6
START_MS = 1_000_000
WIDTH, HEIGHT = 8, 6
FRAME_ID = "camera_optical_frame"


def camera(scale: int = 1) -> Camera:
    return Camera(fx=10.0 * scale, fy=10.0 * scale, cx=4.0 * scale, cy=3.0 * scale, width=8 * scale, height=6 * scale)


def header(stamp_ms: int) -> Header:
    return Header(stamp=time_of(stamp_ms * MS), frame_id=FRAME_ID)


def color_bytes(stamp_ms: int, scale: int = 1, **changes: object) -> bytes:
    pixels = np.full((HEIGHT * scale, WIDTH * scale, 3), 7, dtype=np.uint8)
    return _serialised(image_message(header(stamp_ms), "rgb8", pixels), changes)


def depth_bytes(stamp_ms: int, scale: int = 1, **changes: object) -> bytes:
    pixels = np.full((HEIGHT * scale, WIDTH * scale), 1500, dtype=np.uint16)
    return _serialised(image_message(header(stamp_ms), "16UC1", pixels), changes)


def info_bytes(stamp_ms: int, scale: int = 1, **changes: object) -> bytes:
    return _serialised(camera_info_message(header(stamp_ms), camera(scale)), changes)


def _serialised(message: object, changes: dict[str, object]) -> bytes:
    for name, value in changes.items():
        setattr(message, name, value)
    return bytes(serialize_message(message))


class KnownPoses:
    """Poses that are known from one time to another: 1 m/s along x, plus an offset that can jump."""

    def __init__(self) -> None:
        self.from_ms, self.to_ms, self.offset_m = 0, 10**9, 0.0
        self.resets = 0
        self.T_color_depth: np.ndarray | None = None

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> np.ndarray:
        if stamp_ns > self.to_ms * MS:
            raise PoseNotYet(f"newer than {self.to_ms} ms")
        if stamp_ns < self.from_ms * MS:
            raise Rejected("no_pose", f"older than {self.from_ms} ms")
        return pose_from_quaternion((self.offset_m + stamp_ns / 1e9 % 10, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        if self.T_color_depth is None:
            raise PoseNotYet(f"no transform connects {source!r} to {target!r}")
        return self.T_color_depth

    def observe(self, camera_frame: str, images: ImagePair) -> None: ...

    def begin_anew(self) -> None: ...

    def odometry_health(self) -> None: ...

    def newest_ns(self, camera_frame: str) -> int | None:
        return self.to_ms * MS

    def add_listener(self, listener: Callable[[], None]) -> None: ...

    def remove_listener(self, listener: Callable[[], None]) -> None: ...

    def health(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        self.resets += 1

    def destroy(self) -> None: ...


class Bench:
    """A pipeline with everything round it."""

    def __init__(self, *, name: str = "", rectified: bool = False, **settings: object) -> None:
        self.poses, self.now_ms = KnownPoses(), START_MS
        self.delivered: list[tuple[str, int, Callable[[], Frame]]] = []
        self.jumps: list[tuple[str, float]] = []
        self.depth_info_comes = False
        self.pipeline = CameraPipeline(
            name=name,
            config=InputConfig(**settings),  # type: ignore[arg-type]
            poses=self.poses,
            deliver=lambda sensor, stamp_ns, load: self.delivered.append((sensor, stamp_ns // MS, load)),
            on_jump=self._jumped,
            now_ns=lambda: self.now_ms * MS,
            rectified=rectified,
            depth_info_comes=lambda: self.depth_info_comes,
        )

    @property
    def health(self) -> CameraHealth:
        health = self.pipeline.health()
        assert (health.unexplained("color"), health.unexplained("depth")) == (0, 0)
        return health

    @property
    def stamps(self) -> list[int]:
        """Of all delivered frames, ms after the start."""
        return [stamp - START_MS for _, stamp, _ in self.delivered]

    def info(self, at_ms: int = 0, scale: int = 1, **changes: object) -> None:
        self.pipeline.take_info(info_bytes(START_MS + at_ms, scale, **changes))

    def color(self, at_ms: int, scale: int = 1, **changes: object) -> None:
        self.pipeline.take_image("color", color_bytes(START_MS + at_ms, scale, **changes), compressed=False)

    def depth(self, at_ms: int, scale: int = 1, **changes: object) -> None:
        self.pipeline.take_image("depth", depth_bytes(START_MS + at_ms, scale, **changes), compressed=False)

    def shoot(self, *at_ms: int, scale: int = 1) -> None:
        for stamp in at_ms:
            self.color(stamp, scale)
            self.depth(stamp, scale)

    def load(self, number: int = -1) -> Frame:
        return self.delivered[number][2]()

    def _jumped(self, source: str, by_s: float) -> None:
        self.jumps.append((source, by_s))
        self.pipeline.reset()


def proven(**settings: object) -> Bench:
    """A bench whose camera is past its start."""
    bench = Bench(**{"proving_frames": 1, **settings})
    bench.info()
    bench.shoot(0)
    assert bench.stamps == [0]
    return bench
