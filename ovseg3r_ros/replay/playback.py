"""What of a bag is played: which messages, under which names, from when to when."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.bag_messages import header_stamp_ns
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_core.sequences.bag_topics import CameraTopics, ImageTopic
from ovseg3r_core.sequences.ros_types import CameraInfo, CompressedImage, Image, TFMessage

STATIC = "/tf_static"
_OTHER_CLOCK_NS = 10 * 10**9  # no camera takes ten seconds to deliver an image: its stamps are of another clock


@dataclass(frozen=True, kw_only=True)
class PlaybackConfig:
    """What of a bag is played, how fast and how often."""

    rate: float | None = 1.0
    """Bag seconds a second; None for as fast as the node keeps up."""
    start_s: float = 0.0
    """Where to begin, from the bag's first message; fixed transforms from before still come."""
    duration_s: float = math.inf
    """How much of the bag is played."""
    loops: int = 1
    """How often; 0 for ever. The clock jumps back at each new start."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.rate is not None and not 0.01 <= self.rate <= 100:
            raise ValueError(f"rate is {self.rate}; give 0.01 to 100, or max for as fast as the node keeps up")
        if not 0 <= self.start_s < math.inf or not self.duration_s > 0 or self.loops < 0:
            raise ValueError(
                f"start is {self.start_s} s, duration {self.duration_s} s, loops {self.loops}; they must be "
                "at least 0, above 0 and at least 0"
            )


def parse_rate(text: str) -> float | None:
    """A number, or `max` (None); raises ValueError for anything else."""
    if text == "max":
        return None
    try:
        return PlaybackConfig(rate=float(text)).rate
    except ValueError as error:
        raise ValueError(f"rate is {text!r}; give 0.01 to 100, or max for as fast as the node keeps up") from error


@dataclass(frozen=True, kw_only=True)
class Play:
    """One topic of the bag, and what it is published as."""

    topic: str
    kind: str
    """Message type, as in sensor_msgs/msg/Image."""
    latched: bool = False


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One serialised message, and when it was recorded."""

    source: str
    """Topic of the bag."""
    at_ns: int
    data: bytes


def plays_of(bag: Bag, topics: CameraTopics, camera: str = "", *, with_tf: bool = True) -> dict[str, Play]:
    """For each topic of the bag that the node listens to, what it is published as.

    Args:
        camera: name of the camera in the node's parameter `cameras`; empty for the only one.
        with_tf: whether what moves is told; what is fixed always is.

    Raises:
        ValueError: the bag has colour alone.
    """
    if topics.depth is None:
        raise ValueError(
            f"{bag.path} has no depth images, which the node needs: `ovseg3r segment` and `ovseg3r reconstruct` take it"
        )
    prefix = f"{camera}/" if camera else ""
    plays = {
        topics.color.name: _play_image(f"{prefix}color/image", topics.color),
        topics.depth.name: _play_image(f"{prefix}depth/image", topics.depth),
        topics.camera_info: Play(topic=f"{prefix}color/camera_info", kind=CameraInfo.__msgtype__),
    }
    if topics.depth_camera_info is not None:
        plays[topics.depth_camera_info] = Play(topic=f"{prefix}depth/camera_info", kind=CameraInfo.__msgtype__)
    for name in bag.topics_of(TFMessage.__msgtype__):
        fixed = name.endswith("tf_static")
        if not (fixed or with_tf):
            continue
        plays[name] = Play(topic=STATIC if fixed else "/tf", kind=TFMessage.__msgtype__, latched=fixed)
    return plays


def _play_image(base: str, image: ImageTopic) -> Play:
    if not image.compressed:
        return Play(topic=base, kind=Image.__msgtype__)
    transport = "compressedDepth" if image.name.endswith("/compressedDepth") else "compressed"
    return Play(topic=f"{base}/{transport}", kind=CompressedImage.__msgtype__)


def messages_of(bag: Bag, plays: Mapping[str, Play], config: PlaybackConfig) -> Iterator[Recorded]:
    """The messages of the part that is played, fixed transforms from before it first; ends early in a damaged bag."""
    begin = end = 0.0
    for number, (source, at_ns, data) in enumerate(bag.recorded(plays)):
        if number == 0:
            begin = at_ns + config.start_s * 1e9
            end = begin + config.duration_s * 1e9
        if at_ns > end:
            return
        if at_ns >= begin or plays[source].latched:
            yield Recorded(source=source, at_ns=max(at_ns, round(begin)), data=data)


def clock_shift_ns(bag: Bag, color: str) -> int:
    """What to add to the time of recording to get the clock that the messages are stamped with; 0 where it is the same.

    A bag of a simulation may be stamped in simulated time, and recorded in that of the wall.
    """
    for _, at_ns, data in bag.recorded({color}):
        try:
            shift = header_stamp_ns(data) - at_ns
        except Rejected:
            continue
        return shift if abs(shift) > _OTHER_CLOCK_NS else 0
    return 0
