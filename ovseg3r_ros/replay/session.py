"""One replay from its first process to its last: the node up, the bag through it, the node done, both ended."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from types import FrameType

from ovseg3r_ros.replay.bag_facts import BagFacts
from ovseg3r_ros.replay.child import Child, ChildDied
from ovseg3r_ros.replay.config import RUNNING, ReplayConfig
from ovseg3r_ros.replay.metrics import Ended
from ovseg3r_ros.replay.player_events import PlayerEvent
from ovseg3r_ros.replay.processes import node_command, player_command
from ovseg3r_ros.replay.recording import Recording
from ovseg3r_ros.replay.usage import Usage, UsageWatch, find_process

_POLL_S = 0.1
_QUIET_S = 6.0  # no new map for so long, with nothing in work: the node has looked at all views together
_STUCK_S = 60.0  # and with something in work: nothing will come of it any more

Tell = Callable[[str, float], None]
"""Told what is going on, and how much of the bag has been played, 0..1."""


class PlayerFailed(RuntimeError):
    """The player could not play; the text says why."""


@dataclass
class Outcome:
    """How a replay went."""

    ended: Ended = "failed"
    problem: str | None = None
    player: PlayerEvent = PlayerEvent(state="waiting")  # noqa: RUF009  it is frozen
    """The player's last words."""
    settled: bool = False
    """Whether the node was done with everything."""
    usage: Usage | None = None
    started_s: float = 0.0
    playing_s: float | None = None
    """When the first message was sent, by the clock of the wall."""
    ended_s: float = 0.0


class Session:
    """Runs a replay.

    Args:
        variables: the environment of the programs.
    """

    def __init__(
        self, config: ReplayConfig, facts: BagFacts, recording: Recording, variables: Mapping[str, str], tell: Tell
    ) -> None:
        self._config, self._facts, self._recording = config, facts, recording
        self._variables, self._tell = variables, tell
        self._events: SimpleQueue[PlayerEvent | None] = SimpleQueue()
        self.outcome = Outcome()

    def run(self, *, with_truth: bool) -> Outcome:
        """Run to the end, or to the interruption or failure that the outcome then tells of."""
        outcome = self.outcome
        outcome.started_s = time.perf_counter()
        try:
            with interruptible_once(), ExitStack() as stack:
                node = self._start_node(stack, with_truth=with_truth)
                player = self._start_player(stack)
                self._follow(player, node, stack)
                self._settle(node)
            outcome.ended = "finished"
        except KeyboardInterrupt:
            outcome.ended, outcome.problem = "interrupted", "interrupted before the end"
        except (ChildDied, PlayerFailed) as error:
            outcome.problem = str(error)
        self._take_last_words()
        outcome.ended_s = time.perf_counter()
        return outcome

    def _start_node(self, stack: ExitStack, *, with_truth: bool) -> Child | None:
        if self._config.node == RUNNING:
            return None
        maps = Path(stack.enter_context(TemporaryDirectory(prefix="replay-maps-")))
        command = node_command(self._config, self._facts, maps, with_truth=with_truth)
        return stack.enter_context(Child("the node", command, self._variables, self._config.node_log))

    def _start_player(self, stack: ExitStack) -> Child:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="replay-player-")))
        command = player_command(self._config)
        player = Child("the player", command, self._variables, logs / "log", talk=True)
        stack.enter_context(player)
        Thread(target=self._read_events, args=(player,), daemon=True).start()
        return player

    def _read_events(self, player: Child) -> None:
        try:
            for line in iter(player.output.readline, b""):
                self._events.put(PlayerEvent.of(line.decode()))
        finally:
            self._events.put(None)

    def _take_last_words(self) -> None:
        """What the player said when it was ended: an interrupted one tells how far it came."""
        with suppress(Empty):
            while (event := self._events.get(timeout=_POLL_S)) is not None:
                self.outcome.player = event

    def _follow(self, player: Child, node: Child | None, stack: ExitStack) -> None:
        """Wait for the player to say that it is done."""
        while self.outcome.player.state != "played":
            self._check(node)
            try:
                event = self._events.get(timeout=_POLL_S)
            except Empty:
                continue
            if event is None:
                raise ChildDied(f"the player ended by itself. Its last lines:\n{player.tail()}")
            if event.state == "failed":
                raise PlayerFailed(event.problem)
            if event.state == "playing" and self.outcome.playing_s is None:
                self._begin(node, stack)
            self.outcome.player = event
            waiting = event.state == "waiting"
            share = event.published.get(self._facts.color, 0) / max(self._facts.frames, 1)
            self._tell("the node starts" if waiting else "playing", share)

    def _begin(self, node: Child | None, stack: ExitStack) -> None:
        self.outcome.playing_s = time.perf_counter()
        pid = node.pid if node is not None else find_process("perception", self._variables.get("ROS_DOMAIN_ID", "0"))
        if pid is not None:
            watch = stack.enter_context(UsageWatch(pid))
            stack.callback(lambda: setattr(self.outcome, "usage", watch.usage()))

    def _settle(self, node: Child | None) -> None:
        """Wait until the node has dealt with every frame and publishes nothing new any more, or has got stuck."""
        quiet_s, begin_s = 0.0, time.perf_counter()
        while quiet_s < _STUCK_S and not self.outcome.settled:
            self._check(node)
            self._tell("the node finishes", 1.0)
            report = self._recording.report
            quiet_s = time.perf_counter() - max(self._recording.last_map_s or 0.0, begin_s)
            self.outcome.settled = report is not None and report.is_done(self._facts.color) and quiet_s > _QUIET_S
            self._recording.wait_for_news(_POLL_S)

    def _check(self, node: Child | None) -> None:
        if node is None:
            return
        node.check_alive()
        if self._recording.refusal is not None:
            raise ChildDied(f"the node could not {self._recording.refusal}. Its last lines:\n{node.tail()}")


@contextmanager
def interruptible_once() -> Iterator[None]:
    """The first SIGINT or SIGTERM interrupts; further ones wait, so that no program is left running."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
