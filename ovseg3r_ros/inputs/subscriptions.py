"""A subscription that finds out by itself which topic to read and which quality of service its publishers offer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_policy_name_from_kind
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ovseg3r_ros.inputs.arrivals import Arrivals
from ovseg3r_ros.inputs.health import StreamHealth
from ovseg3r_ros.inputs.missed import Missed
from ovseg3r_ros.inputs.qos import Durability, QosRule, Reliability, overridden
from ovseg3r_ros.steady import steady_timer

try:
    from rclpy.event_handler import (
        QoSRequestedIncompatibleQoSInfo,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (  # pyright: ignore[reportMissingImports]
        QoSRequestedIncompatibleQoSInfo,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

_DISCOVERY_PERIOD_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A topic that the stream may come on."""

    topic: str
    """Fully resolved."""
    kind: type
    """The message's class."""
    compressed: bool = False


class AutoSubscription:
    """Reads serialised messages of the first of several topics that someone publishes.

    It subscribes at once, to the first candidate while nobody publishes any, and looks at the publishers twice a
    second: it moves to another topic when its own has lost all publishers and another has some, and subscribes
    anew when what the publishers offer calls for it.

    Args:
        candidates: the preferred one first.
        on_message: takes the bytes of a message and where it came from.
        reliability: `auto` is reliable where every publisher is, else best effort, which hears both.
        durability: `auto` is transient local, and so hears what was sent before, where every publisher is.
        depth: messages that wait for us; older ones are overwritten.
        callback_group: a mutually exclusive one; messages and discovery run in it.
    """

    def __init__(
        self,
        node: Node,
        candidates: Sequence[Candidate],
        on_message: Callable[[bytes, Candidate], None],
        *,
        reliability: Reliability,
        depth: int,
        callback_group: CallbackGroup,
        durability: Durability = "volatile",
    ) -> None:
        self._node, self._candidates, self._on_message = node, tuple(candidates), on_message
        self._rule = QosRule(reliability=reliability, depth=depth, durability=durability)
        self._group = callback_group
        self._rules: dict[str, QosRule] = {}
        self._arrivals, self._missed = Arrivals(), Missed()
        self._publishers: Sequence[TopicEndpointInfo] = ()
        self._candidate = self._candidates[0]
        self._subscription: Subscription | None = None
        self._lock, self._closed = Lock(), False  # it may be destroyed in another thread than the one that discovers
        self.discover()
        self._timer = steady_timer(node, _DISCOVERY_PERIOD_S, self.discover, callback_group)

    def discover(self) -> None:
        """Look at who publishes what, and subscribe anew where that is called for."""
        with self._lock:
            if not self._closed:
                self._discover()

    def health(self, dropped: Counter[str]) -> StreamHealth:
        """The state of the stream, with what its reader dropped of it."""
        return StreamHealth(
            topic=self._candidate.topic,
            received=self._arrivals.count,
            missed=self._missed.count,
            rate_hz=self._arrivals.rate_hz(),
            silent_for_s=self._arrivals.silent_for_s(),
            publishers=len(self._publishers),
            dropped=dropped,
        )

    def destroy(self) -> None:
        """Stop reading."""
        self._node.destroy_timer(self._timer)
        with self._lock:
            self._closed = True
            if self._subscription is not None:
                self._node.destroy_subscription(self._subscription)

    def _discover(self) -> None:
        candidate, publishers = self._choose()
        if candidate.topic not in self._rules:
            self._rules[candidate.topic] = overridden(self._node, candidate.topic, self._rule)
        rule = self._rules[candidate.topic]
        self._missed.follow(tuple(bytes(info.endpoint_gid) for info in publishers))
        self._publishers = publishers
        if self._subscription is None:
            self._subscribe(candidate, rule.profile(publishers))
            return
        if not publishers:
            return  # nobody to hear: what we have will do for whoever comes
        profile, present = rule.profile(publishers), self._subscription.qos_profile
        asks = profile.reliability, profile.durability
        if candidate != self._candidate or asks != (present.reliability, present.durability):
            self._subscribe(candidate, profile)

    def _choose(self) -> tuple[Candidate, Sequence[TopicEndpointInfo]]:
        """The present candidate while someone publishes it, else the first that someone does, else the present."""
        for candidate in (self._candidate, *self._candidates):
            publishers = self._node.get_publishers_info_by_topic(candidate.topic)
            if publishers:
                return candidate, publishers
        return self._candidate, ()

    def _subscribe(self, candidate: Candidate, profile: QoSProfile) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._candidate = candidate
        self._subscription = self._create(candidate, profile)
        reliability = profile.reliability.name.lower()
        self._node.get_logger().info(f"reading {candidate.topic}, {reliability}, of {len(self._publishers)} publishers")

    def _create(self, candidate: Candidate, profile: QoSProfile) -> Subscription:
        def create(events: SubscriptionEventCallbacks) -> Subscription:
            return self._node.create_subscription(
                candidate.kind,
                candidate.topic,
                self._callback(candidate),
                profile,
                callback_group=self._group,
                event_callbacks=events,
                raw=True,
            )

        def warn(event: QoSRequestedIncompatibleQoSInfo) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            self._node.get_logger().warning(
                f"a publisher of {candidate.topic} offers another {policy} than we ask for, so that nothing comes from "
                f"it: set qos_overrides.{candidate.topic}.subscription, or the publisher's QoS"
            )

        try:
            return create(SubscriptionEventCallbacks(incompatible_qos=warn, message_lost=self._missed.reported))
        except UnsupportedEventTypeError:  # not every middleware tells what it lost
            return create(SubscriptionEventCallbacks(incompatible_qos=warn))

    def _callback(self, candidate: Candidate) -> Callable[..., None]:
        def take(raw: bytes) -> None:
            self._arrivals.add()
            self._on_message(raw, candidate)

        def take_numbered(raw: bytes, info: Mapping[str, int | None]) -> None:
            self._missed.saw(info.get("publication_sequence_number"))
            take(raw)

        return take_numbered if hasattr(Subscription, "CallbackType") else take  # Humble hands on the message alone
