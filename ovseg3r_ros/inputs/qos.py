"""The quality of service of our subscriptions: by rule, unless a parameter of the standard name says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rcl_interfaces.msg import ParameterDescriptor, ParameterValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

Reliability = Literal["auto", "reliable", "best_effort"]
Durability = Literal["auto", "volatile", "transient_local"]

_RELIABILITIES: dict[str, Reliability] = {"auto": "auto", "reliable": "reliable", "best_effort": "best_effort"}
_DURABILITIES: dict[str, Durability] = {"auto": "auto", "volatile": "volatile", "transient_local": "transient_local"}


@dataclass(frozen=True, kw_only=True)
class QosRule:
    """How to subscribe to one topic, whoever publishes it; `auto` asks for the most that all publishers offer."""

    reliability: Reliability
    depth: int
    durability: Durability

    def profile(self, publishers: Sequence[TopicEndpointInfo]) -> QoSProfile:
        """The profile that hears all of these publishers; while there are none, `auto` asks for nothing."""
        offers = [info.qos_profile for info in publishers]
        reliable = _asked(self.reliability, "reliable", [offer.reliability.name for offer in offers])
        latched = _asked(self.durability, "transient_local", [offer.durability.name for offer in offers])
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self.depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )


def overridden(node: Node, topic: str, rule: QosRule) -> QosRule:
    """The rule with what the parameters `qos_overrides.TOPIC.subscription.{reliability,depth,durability}` say.

    They are declared here and not by rclpy, which would declare the profile of the first subscription as their
    default and so hold later ones to it: here `auto` stays `auto`.

    Raises:
        ValueError: a parameter has a value that is none of its policy.
    """
    reliability = _parameter(node, topic, "reliability", rule.reliability).string_value
    durability = _parameter(node, topic, "durability", rule.durability).string_value
    depth = _parameter(node, topic, "depth", rule.depth).integer_value
    if reliability not in _RELIABILITIES or durability not in _DURABILITIES or depth < 1:
        raise ValueError(
            f"qos_overrides.{topic}.subscription: reliability is {reliability!r}, of {', '.join(_RELIABILITIES)}; "
            f"durability is {durability!r}, of {', '.join(_DURABILITIES)}; depth is {depth}, at least 1"
        )
    return QosRule(reliability=_RELIABILITIES[reliability], depth=depth, durability=_DURABILITIES[durability])


def _asked(wish: str, most: str, offered: Sequence[str]) -> bool:
    if wish == "auto":
        return bool(offered) and all(name.lower() == most for name in offered)
    return wish == most


def _parameter(node: Node, topic: str, policy: str, default: str | int) -> ParameterValue:
    name = f"qos_overrides.{topic}.subscription.{policy}"
    if not node.has_parameter(name):
        descriptor = ParameterDescriptor(description=f"{policy} of the subscription of {topic}", read_only=True)
        node.declare_parameter(name, default, descriptor)
    return node.get_parameter(name).get_parameter_value()
