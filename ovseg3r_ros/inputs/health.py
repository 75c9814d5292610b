"""The state of the inputs at one moment, for diagnostics and for the proof that nothing vanished.

For each of the two image streams, at any moment,

    received = delivered + drops + waiting

where an image that is dropped alone is counted with its stream, one that is dropped as half of a pair with the pair,
and the same holds for waiting: received = stream.dropped + stream.waiting + paired, and paired = delivered + dropped
pairs + waiting pairs. `CameraHealth.unexplained` is the difference of both sides; all numbers of one `CameraHealth`
are taken at one moment, so that it is always 0. What DDS lost or overwrote before it reached us is `missed`, and no
part of `received`.
"""

from collections import Counter
from dataclasses import dataclass, field

from ovseg3r_core.rolling import Summary
from ovseg3r_ros.inputs.stamp_matcher import Kind


@dataclass(frozen=True, kw_only=True)
class StreamHealth:
    """One topic."""

    topic: str = ""
    """Its full name, of the transport that is read."""
    received: int = 0
    missed: int = 0
    """Messages that were sent and never handed to us: lost on the way, or overwritten by newer ones."""
    rate_hz: float = 0.0
    """Over the last seconds."""
    silent_for_s: float = 0.0
    """Since the last message."""
    publishers: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """By reason; of a topic with transforms, transforms."""
    waiting: int = 0
    """For the partner."""


@dataclass(frozen=True, kw_only=True)
class OdometryHealth:
    """Our own odometry, where the poses are its."""

    placed: int
    """Frames that got a pose."""
    keyframes: int
    """That frames are compared with."""
    lost_for_s: float | None
    """Since the first frame that could not be placed, of those since the last that could; None where the last could."""
    why: str
    """What was the matter with the last frame that could not be placed."""
    took_s: Summary
    """Seconds a frame, of the last minute."""
    waiting: int
    """Frames that wait to be placed."""


@dataclass(frozen=True, kw_only=True)
class CameraHealth:
    """One camera."""

    name: str
    """Empty where there is only one."""
    color: StreamHealth
    depth: StreamHealth
    camera_info: StreamHealth
    depth_camera_info: StreamHealth = field(default_factory=StreamHealth)
    """Of a depth camera of its own; nothing need come where depth is registered to colour."""
    paired: int
    delivered: int
    dropped: Counter[str]
    """Pairs, by reason."""
    waiting: int
    """Pairs that wait for their pose."""
    last_drop: str
    """The whole message of the last pair or image that was dropped."""
    pose_age_s: float | None
    """Now less the time up to which poses are known; None where none are."""
    gate: str
    """What the first frame waits for; empty once one has passed."""
    relocations: int
    """Jumps of the pose to a place that was then believed."""

    def drops(self, kind: Kind) -> Counter[str]:
        """All images of a kind that were dropped, alone or as half of a pair, by reason."""
        return self._stream(kind).dropped + self.dropped

    def unexplained(self, kind: Kind) -> int:
        """Images of a kind that are neither delivered nor counted: 0."""
        waiting = self._stream(kind).waiting + self.waiting
        return self._stream(kind).received - self.delivered - self.drops(kind).total() - waiting

    def _stream(self, kind: Kind) -> StreamHealth:
        return self.color if kind == "color" else self.depth
