"""Says on `/diagnostics` how the node is, at a steady pace and whatever the robot's clock does."""

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from ovseg3r_core.live import LivePerception
from ovseg3r_core.process import ProcessMeter
from ovseg3r_ros.answers import Answers
from ovseg3r_ros.config import OutputConfig
from ovseg3r_ros.inputs.cameras import Cameras
from ovseg3r_ros.inputs.keyframe_path import KeyframePath
from ovseg3r_ros.outputs.diagnostics import diagnostic_array
from ovseg3r_ros.outputs.judgements import MapHealth, PipelineHealth
from ovseg3r_ros.publisher import MapPublisher
from ovseg3r_ros.segmenter_in_use import SegmenterInUse
from ovseg3r_ros.steady import steady_timer


class Diagnostics:
    """Gathers the health of all parts."""

    def __init__(
        self,
        node: Node,
        live: LivePerception,
        segmenter: SegmenterInUse,
        answers: Answers,
        publisher: MapPublisher,
        config: OutputConfig,
        stale_after_s: float,
    ) -> None:
        self._node, self._live, self._answers, self._publisher = node, live, answers, publisher
        self._segmenter = segmenter
        self._stale_after_s = stale_after_s
        self._meter = ProcessMeter()
        self._cameras: Cameras | None = None
        self._path: KeyframePath | None = None
        self._topic = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = steady_timer(node, config.diagnostics_period_s, self._publish)

    def watch(self, cameras: Cameras | None, path: KeyframePath | None) -> None:
        """Report on these inputs; None while the node does not listen."""
        self._cameras, self._path = cameras, path

    def destroy(self) -> None:
        """Fall silent."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._topic)

    def _publish(self) -> None:
        cameras = self._cameras
        self._topic.publish(
            diagnostic_array(
                node=self._node.get_fully_qualified_name().lstrip("/"),
                stamp_ns=self._node.get_clock().now().nanoseconds,
                cameras=cameras.health() if cameras else (),
                poses=cameras.pose_health() if cameras else (),
                odometry=cameras.odometry_health() if cameras else None,
                pipeline=self._pipeline(),
                mapped=self._map(),
                stale_after_s=self._stale_after_s,
            )
        )

    def _pipeline(self) -> PipelineHealth:
        live, cameras = self._live, self._cameras
        odometry = cameras.odometry_health() if cameras else None
        return PipelineHealth(
            fused=live.fused_age_s.summary(),
            looked=live.looked_age_s.summary(),
            refined=live.refined_in_s.summary(),
            published=self._publisher.age_s.summary(),
            counts=dict(live.counts),
            drops=dict(live.drops),
            waiting=({"odometry": odometry.waiting} if odometry else {}) | live.waiting,
            segmenter=self._segmenter.told(),
            load=self._meter.read(),
        )

    def _map(self) -> MapHealth:
        shown = self._answers.shown
        return MapHealth(
            views=shown.snapshot.views,
            max_views=self._live.perception.config.max_views,
            retired=self._live.perception.retired,
            objects=len(shown.things),
            missing=sum(it.record.state == "missing" for it in shown.things),
            removed=len(shown.removed),
            points=len(shown.snapshot.cloud),
            revision=shown.revision,
            published_ago_s=self._publisher.published_ago_s,
            refused=shown.refused,
            corrections=self._live.counts["corrections"],
            merged=self._live.counts["merged"],
            reanchored=self._live.reanchored,
            path=path.health() if (path := self._path) else None,
        )
