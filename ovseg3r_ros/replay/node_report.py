"""What the perception node says of itself on /diagnostics, read back into numbers; no ROS in it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class CameraReport:
    """One camera of the node."""

    topic: str
    """Its colour topic, by its full name."""
    received: int
    missed: int
    """Colour images that were sent and never reached the node's code."""
    delivered: int
    """Frames handed to the map."""
    dropped: Counter[str]
    """Colour images, alone or with their depth, by reason."""
    waiting: int
    """Colour images that wait for their depth or their pose."""

    @property
    def in_work(self) -> int:
        """Colour images that are neither handed on nor dropped: all of them wait, if the node counts right."""
        return self.received - self.delivered - self.dropped.total()


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """One diagnostics message of the node."""

    cameras: tuple[CameraReport, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    """`in`, `fused`, `keyframes`, `looked`."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Frames and keyframes, by reason."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Before each worker."""
    fused_age_s: tuple[float, float] | None = None
    """Of the last minute, p50 and p99, by the node's clock."""

    @property
    def in_work(self) -> int:
        """Frames and keyframes that wait or are being worked on: neither done nor dropped."""
        counts = self.counts
        return counts["in"] + counts["keyframes"] - counts["fused"] - counts["looked"] - self.dropped.total()

    def camera(self, topic: str) -> CameraReport | None:
        """The camera with that colour topic, whatever the namespace; the only one where there is one."""
        found = [it for it in self.cameras if it.topic.endswith(f"/{topic}")] or list(self.cameras)
        return found[0] if len(found) == 1 else None

    def is_done(self, topic: str) -> bool:
        """Whether everything that came from that camera is done with or dropped."""
        camera = self.camera(topic)
        return camera is not None and camera.in_work == 0 and self.in_work == 0


def read_report(statuses: Iterable[tuple[str, Mapping[str, str]]]) -> NodeReport | None:
    """The report in the statuses of one diagnostics message, as (name, values); None where it is another node's."""
    cameras, pipeline = [], None
    for name, values in statuses:
        part = name.partition(": ")[2]
        if part == "pipeline":
            pipeline = values
        elif part.startswith("camera "):
            cameras.append(_camera(values))
    if pipeline is None:
        return None
    ages = [_number(pipeline, f"fused: age {which} [s]") for which in ("p50", "p99")]
    return NodeReport(
        cameras=tuple(cameras),
        counts=_counts(pipeline, "count: "),
        dropped=_counts(pipeline, "dropped: "),
        waiting=_counts(pipeline, "waiting: "),
        fused_age_s=None if ages[0] is None or ages[1] is None else (ages[0], ages[1]),
    )


def _camera(values: Mapping[str, str]) -> CameraReport:
    return CameraReport(
        topic=values.get("color: topic", ""),
        received=_whole(values, "color: received"),
        missed=_whole(values, "color: missed"),
        delivered=_whole(values, "delivered"),
        dropped=_counts(values, "color: dropped: ") + _counts(values, "dropped: "),
        waiting=_whole(values, "color: waiting") + _whole(values, "waiting for a pose"),
    )


def _counts(values: Mapping[str, str], prefix: str) -> Counter[str]:
    return Counter({key[len(prefix) :]: _whole(values, key) for key in values if key.startswith(prefix)})


def _whole(values: Mapping[str, str], key: str) -> int:
    number = _number(values, key)
    return 0 if number is None else int(number)


def _number(values: Mapping[str, str], key: str) -> float | None:
    text = values.get(key, _UNKNOWN)
    return None if text == _UNKNOWN else float(text)
