"""All that a replay hears from the node, in numbers; no ROS in it."""

import threading
from dataclasses import dataclass

from jaxtyping import Float32, Float64, Int32
from numpy import ndarray

from ovseg3r_core.evaluation.identity import IdSwitches, LabelFlips
from ovseg3r_core.types import ObjectRecord
from ovseg3r_ros.replay.bag_time import BagTime
from ovseg3r_ros.replay.node_report import NodeReport


@dataclass(frozen=True, kw_only=True)
class PublishedObjects:
    """The objects of one published map."""

    stamp_ns: int
    """Of the newest keyframe in it."""
    map_frame: str
    objects: tuple[ObjectRecord, ...]


@dataclass(frozen=True, kw_only=True)
class PublishedCloud:
    """The points of one published map, in the map frame."""

    xyz: Float32[ndarray, "points 3"]
    instance: Int32[ndarray, " points"]
    """Object id of each point, -1 for none."""


class Recording:
    """Filled by the recorder in one thread and read in another."""

    def __init__(self, switches: IdSwitches | None) -> None:
        self._news = threading.Condition()
        self.time = BagTime()
        self.switches, self.flips = switches, LabelFlips()
        """Id switches are counted where the truth is known."""
        self.objects: PublishedObjects | None = None
        """The last that were published."""
        self.cloud: PublishedCloud | None = None
        """Its points: the node sends both in one go, so that the last of each belong together."""
        self.maps = 0
        """Publications so far."""
        self.last_map_s: float | None = None
        """When the last came, by the clock of the wall."""
        self.first_object_s: float | None = None
        """When the first map with an object came."""
        self.publication_age_s: list[float] = []
        """For each newest keyframe, seconds of the wall from its stamp on /clock to its publication."""
        self.fusion_age_s: list[tuple[float, float]] = []
        """p50 and p99 of the last minute as the node gives them now and then, by the played clock."""
        self.query_s: list[float] = []
        """Answered queries."""
        self.unanswered = 0
        self.trajectory: dict[int, tuple[str, Float64[ndarray, "4 4"]]] = {}
        """What the node's odometry published: by stamp, the frame and its pose in the map."""
        self.report: NodeReport | None = None
        """What the node said last."""
        self.refusal: str | None = None
        """The step of its start that the node failed at."""
        self._newest_ns = 0

    def add_clock(self, bag_ns: int, wall_s: float) -> None:
        """The played clock was read."""
        with self._news:
            self.time.add(bag_ns, wall_s)

    def add_objects(self, published: PublishedObjects, wall_s: float) -> None:
        """The objects of a map came."""
        with self._news:
            self.objects, self.maps, self.last_map_s = published, self.maps + 1, wall_s
            self.flips.add({item.id: item.label for item in published.objects})
            if published.objects and self.first_object_s is None:
                self.first_object_s = wall_s
            shown_s = self.time.wall_s(published.stamp_ns)
            if published.stamp_ns != self._newest_ns and shown_s is not None:
                self.publication_age_s.append(wall_s - shown_s)
            self._newest_ns = published.stamp_ns
            self._news.notify_all()

    def add_cloud(self, cloud: PublishedCloud) -> None:
        """The points of a map came."""
        with self._news:
            self.cloud = cloud
            if self.switches is not None:
                self.switches.add(cloud.xyz, cloud.instance)

    def add_pose(self, stamp_ns: int, frame: str, T_map_frame: Float64[ndarray, "4 4"]) -> None:
        """The node's odometry placed a frame."""
        with self._news:
            self.trajectory[stamp_ns] = frame, T_map_frame

    def add_report(self, report: NodeReport) -> None:
        """The node told how it is."""
        with self._news:
            self.report = report
            if report.fused_age_s is not None:
                self.fusion_age_s.append(report.fused_age_s)
            self._news.notify_all()

    def add_refusal(self, step: str) -> None:
        """The node could not start."""
        with self._news:
            self.refusal = step

    def wait_for_news(self, timeout_s: float) -> None:
        """Wait for a map or a report, or until the time is up."""
        with self._news:
            self._news.wait(timeout_s)

    def add_query(self, seconds: float | None) -> None:
        """A query was answered after so many seconds, or not at all."""
        with self._news:
            if seconds is None:
                self.unanswered += 1
            else:
                self.query_s.append(seconds)
