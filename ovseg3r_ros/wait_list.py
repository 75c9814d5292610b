"""What an executor waits for, kept from one wait to the next.

The executors of rclpy make up their list anew before each wait, and wake themselves up after each callback: for a node
with some fifty entities that is a millisecond of processor time a message, with Python's lock held.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rclpy.context import Context
from rclpy.executors import Executor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of entity: where a node has them, how a wait set takes them, and how one that is ready is taken."""

    name: str
    of: Callable[[Node], Iterable[Any]]
    add: Callable[[Any, Any], Any]
    take: Callable[[Executor, Any], Any]


_TIMER = Kind("timer", lambda node: node.timers, _rclpy.WaitSet.add_timer, Executor._take_timer)
_SUBSCRIPTION = Kind(
    "subscription", lambda node: node.subscriptions, _rclpy.WaitSet.add_subscription, Executor._take_subscription
)
_GUARD = Kind(
    "guard_condition", lambda node: node.guards, _rclpy.WaitSet.add_guard_condition, Executor._take_guard_condition
)
_CLIENT = Kind("client", lambda node: node.clients, _rclpy.WaitSet.add_client, Executor._take_client)
_SERVICE = Kind("service", lambda node: node.services, _rclpy.WaitSet.add_service, Executor._take_service)
_KINDS = (_TIMER, _SUBSCRIPTION, _GUARD, _CLIENT, _SERVICE)


@dataclass(frozen=True)
class Ready:
    """Something that can be taken now."""

    entity: Any
    node: Node
    take: Callable[[Executor, Any], Any]


class WaitList:
    """All entities of some nodes; while it is open, none of their handles goes away.

    Args:
        wakers: guard conditions that only end a wait.

    Raises:
        InvalidHandle: an entity was destroyed meanwhile.
    """

    def __init__(self, nodes: list[Node], wakers: list[Any], context: Context) -> None:
        self._entities = _entities_of(nodes)
        self._wakers, self._handles = wakers, ExitStack()
        self._by_pointer: dict[Kind, dict[int, Ready]] = {kind: {} for kind in _KINDS}
        self._waitables = [(it, node) for node in nodes for it in node.waitables]
        try:
            self._hold(nodes)
            self._wait_set = self._make_wait_set(context)
        except BaseException:
            self.close()
            raise

    def holds(self, nodes: list[Node]) -> bool:
        """Whether these nodes still have the same entities."""
        return self._entities == _entities_of(nodes)

    def wait(self, timeout_ns: int, can_execute: Callable[[Any], bool]) -> list[Ready]:
        """Wait until one of the entities that can be executed is ready, or until a waker; what is ready then."""
        wait_set = self._wait_set
        wait_set.clear_entities()
        for kind in _KINDS:
            for ready in self._by_pointer[kind].values():
                if can_execute(ready.entity):
                    kind.add(wait_set, ready.entity.handle)
        waitables = [(it, node) for it, node in self._waitables if can_execute(it)]
        for waitable, _ in waitables:
            waitable.add_to_wait_set(wait_set)
        for waker in self._wakers:
            wait_set.add_guard_condition(waker.handle)
        wait_set.wait(timeout_ns)
        pointers = {kind: wait_set.get_ready_entities(kind.name) for kind in _KINDS}
        found = [Ready(it, node, Executor._take_waitable) for it, node in waitables if it.is_ready(wait_set)]
        for kind in _KINDS:
            found += [self._by_pointer[kind][it] for it in pointers[kind] if it in self._by_pointer[kind]]
        return [it for it in found if _is_due(it)]

    def close(self) -> None:
        """Let the handles go."""
        self._handles.close()

    def _hold(self, nodes: list[Node]) -> None:
        for kind in _KINDS:
            for node in nodes:
                for entity in kind.of(node):
                    self._handles.enter_context(entity.handle)
                    self._by_pointer[kind][entity.handle.pointer] = Ready(entity, node, kind.take)
        for waitable, _ in self._waitables:
            self._handles.enter_context(waitable)
        for waker in self._wakers:
            self._handles.enter_context(waker.handle)

    def _make_wait_set(self, context: Context) -> Any:
        extra = [waitable.get_num_entities() for waitable, _ in self._waitables]
        handle = context.handle
        assert handle is not None, "a node has an initialised context"
        with handle:
            return _rclpy.WaitSet(
                len(self._by_pointer[_SUBSCRIPTION]) + sum(it.num_subscriptions for it in extra),
                len(self._by_pointer[_GUARD]) + len(self._wakers) + sum(it.num_guard_conditions for it in extra),
                len(self._by_pointer[_TIMER]) + sum(it.num_timers for it in extra),
                len(self._by_pointer[_CLIENT]) + sum(it.num_clients for it in extra),
                len(self._by_pointer[_SERVICE]) + sum(it.num_services for it in extra),
                sum(it.num_events for it in extra),
                handle,
            )


def _entities_of(nodes: list[Node]) -> list[Any]:
    """Everything that the nodes wait for."""
    found: list[Any] = []
    for node in nodes:
        for kind in _KINDS:
            found += kind.of(node)
        found += node.waitables
    return found


def _is_due(ready: Ready) -> bool:
    """A timer that was cancelled while it was being waited for is reported as ready."""
    return ready.take is not Executor._take_timer or ready.entity.handle.is_timer_ready()
