"""The three streams of one camera, from their topics to posed frames."""

from collections.abc import Callable
from dataclasses import replace

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.camera_pipeline import CameraPipeline, Deliver, OnJump
from ovseg3r_ros.inputs.gate import NO_PAIR_YET
from ovseg3r_ros.inputs.health import CameraHealth, StreamHealth
from ovseg3r_ros.inputs.pose_source import PoseSource
from ovseg3r_ros.inputs.qos import Durability
from ovseg3r_ros.inputs.stamp_matcher import Kind
from ovseg3r_ros.inputs.subscriptions import AutoSubscription, Candidate
from ovseg3r_ros.steady import steady_timer

_PATIENCE_PERIOD_S = 0.1  # how often waits are looked at when no pose comes


class CameraInput:
    """Reads `color/image`, `depth/image` and `color/camera_info`, below the camera's name where it has one.

    Where depth is in another frame than colour, `depth/camera_info` and the transform between both frames tell how it
    is registered to colour.

    An image topic is read raw, or by a transport of its resolved name: `/compressed` for colour, `/compressedDepth`
    or `/compressed` for depth. Images whose topic says `image_rect` are taken as rectified (intrinsics of P); all
    others have those of K, and the distortion D is removed. A CameraInfo that was sent once and latched is heard.

    Args:
        name: of the camera; empty for the only one.
        poses: asked for the pose of the colour image's frame_id at its stamp.
        deliver: takes (sensor, stamp in ns, load) of each frame; `load` decodes it in whatever thread calls it, and
            raises `Rejected`. It must not block, nor call back into this camera.
        on_jump: is told that stamps went back: `TimeJumps.jumped`.
        callback_group: a mutually exclusive one, of this camera alone where there are several.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        config: InputConfig,
        poses: PoseSource,
        deliver: Deliver,
        on_jump: OnJump,
        callback_group: CallbackGroup,
    ) -> None:
        prefix = f"{name}/" if name else ""
        color = _image_candidates(node, f"{prefix}color/image", ("compressed",), config.transport)
        depth = _image_candidates(node, f"{prefix}depth/image", ("compressedDepth", "compressed"), config.transport)
        info, depth_info = (
            Candidate(topic=node.resolve_topic_name(f"{prefix}{kind}/camera_info"), kind=CameraInfo)
            for kind in ("color", "depth")
        )
        self._node, self._poses, self._config = node, poses, config
        self._pipeline = CameraPipeline(
            name=name,
            config=config,
            poses=poses,
            deliver=deliver,
            on_jump=on_jump,
            now_ns=lambda: node.get_clock().now().nanoseconds,
            rectified="image_rect" in color[0].topic,
            depth_rectified="image_rect" in depth[0].topic,
            depth_info_comes=lambda: node.count_publishers(depth_info.topic) > 0,
        )
        poses.add_listener(self._pipeline.advance)
        self._info = self._subscribe((info,), lambda raw, _: self._pipeline.take_info(raw), callback_group, "auto")
        self._depth_info = self._subscribe(
            (depth_info,), lambda raw, _: self._pipeline.take_depth_info(raw), callback_group, "auto"
        )
        self._images: dict[Kind, AutoSubscription] = {
            "color": self._subscribe(color, self._take("color"), callback_group),
            "depth": self._subscribe(depth, self._take("depth"), callback_group),
        }
        self._timer = steady_timer(node, _PATIENCE_PERIOD_S, self._pipeline.advance, callback_group)

    def reset(self, reason: str = "time_jump") -> None:
        """Forget what is known of time and place; what waits is counted under the reason."""
        self._pipeline.reset(reason)

    def destroy(self) -> None:
        """Stop reading; nothing is delivered any more when this returns."""
        self._node.destroy_timer(self._timer)
        for subscription in (*self._images.values(), self._info, self._depth_info):
            subscription.destroy()
        self._poses.remove_listener(self._pipeline.advance)
        self._pipeline.close()

    def health(self) -> CameraHealth:
        """The state of this camera at one moment."""
        health = self._pipeline.health()
        color = _with_topic(health.color, self._images["color"])
        depth = _with_topic(health.depth, self._images["depth"])
        info = _with_topic(health.camera_info, self._info)
        depth_info = _with_topic(health.depth_camera_info, self._depth_info)
        gate = self._no_pair(color, depth) if health.gate == NO_PAIR_YET else health.gate
        streams = {"color": color, "depth": depth, "camera_info": info, "depth_camera_info": depth_info}
        return replace(health, **streams, gate=gate)

    def _no_pair(self, color: StreamHealth, depth: StreamHealth) -> str:
        silent = [
            f"{stream.topic} ({stream.publishers} publishers)" for stream in (color, depth) if not stream.received
        ]
        if silent:
            return f"{NO_PAIR_YET}: nothing has come on {', '.join(silent)}"
        slop_s = self._config.pair_slop_s
        return f"{NO_PAIR_YET}: no stamps of {color.topic} and {depth.topic} within {slop_s} s of each other"

    def _subscribe(
        self,
        candidates: tuple[Candidate, ...],
        take: Callable[[bytes, Candidate], None],
        group: CallbackGroup,
        durability: Durability = "volatile",
    ) -> AutoSubscription:
        return AutoSubscription(
            self._node,
            candidates,
            take,
            reliability=self._config.reliability,
            depth=self._config.queue_depth,
            durability=durability,
            callback_group=group,
        )

    def _take(self, kind: Kind) -> Callable[[bytes, Candidate], None]:
        return lambda raw, candidate: self._pipeline.take_image(kind, raw, compressed=candidate.compressed)


def _image_candidates(node: Node, topic: str, transports: tuple[str, ...], transport: str) -> tuple[Candidate, ...]:
    """The topics that an image may come on, by the rule of image_transport: the transport follows the remapped name."""
    base = node.resolve_topic_name(topic)
    raw = Candidate(topic=base, kind=Image)
    compressed = tuple(
        Candidate(topic=_transport_topic(node, topic, base, name), kind=CompressedImage, compressed=True)
        for name in transports
    )
    return {"raw": (raw,), "compressed": compressed, "auto": (raw, *compressed)}[transport]


def _transport_topic(node: Node, topic: str, base: str, transport: str) -> str:
    own = f"{topic}/{transport}"
    resolved = node.resolve_topic_name(own)
    remapped_itself = resolved != node.resolve_topic_name(own, only_expand=True)
    return resolved if remapped_itself else f"{base}/{transport}"


def _with_topic(health: StreamHealth, subscription: AutoSubscription) -> StreamHealth:
    """The subscription's state with the pipeline's counts, which are all of one moment."""
    return replace(subscription.health(health.dropped), received=health.received, waiting=health.waiting)
