"""Sends each message of a bag when its time comes, and the time itself meanwhile; no ROS in it."""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_ros.replay.play_clock import PlayClock
from ovseg3r_ros.replay.playback import Play, PlaybackConfig, Recorded, clock_shift_ns, messages_of
from ovseg3r_ros.replay.player_events import PlayerEvent, State
from ovseg3r_ros.replay.read_ahead import ReadAhead

_MAX_SPEED = 10.0  # times as it was recorded: how fast a bag goes that only waits for the node
_CLOCK_PERIOD_S = 0.01
_LEAD_IN_S = 1.0  # the clock runs before the first message: subscribers see that it does, and discovery settles
_TELL_PERIOD_S = 0.5
_LATE_KEPT = 100_000

Tell = Callable[[PlayerEvent], None]


class Outlet(Protocol):
    """Where messages go."""

    def publish(self, topic: str, data: bytes) -> None:
        """Send a serialised message."""
        ...

    def publish_clock(self, now_ns: int) -> None:
        """Send the time."""
        ...

    def keeps_up(self, published: Mapping[str, int]) -> bool:
        """Whether whoever listens has dealt with what was sent."""
        ...


class PlayLoop:
    """Plays one camera of a bag.

    Args:
        plays: for each topic of the bag, what it is published as.
        stop: ends everything when it is set.

    Raises:
        ValueError: the bag holds no message of these topics.
    """

    def __init__(
        self,
        bag: Bag,
        plays: Mapping[str, Play],
        config: PlaybackConfig,
        outlet: Outlet,
        stop: threading.Event,
    ) -> None:
        self._bag, self._plays, self._config, self._outlet, self._stop = bag, plays, config, outlet, stop
        self.shift_ns = clock_shift_ns(bag, next(iter(plays)))
        """What the clock differs by from the time of recording."""
        first = next(messages_of(bag, plays, config), None)
        if first is None:
            raise ValueError(f"{bag.path} holds no message in the part that is played ({bag.damage or 'too short'})")
        self._first_ns = self._last_ns = first.at_ns + self.shift_ns
        self._time = PlayClock(self._first_ns - round(_LEAD_IN_S * self._speed * 1e9), self._speed)
        self._clock_due_s = self._tell_due_s = 0.0
        self._published: Counter[str] = Counter({play.topic: 0 for play in plays.values()})
        self._late_s: deque[float] = deque(maxlen=_LATE_KEPT)

    def run(self, tell: Tell) -> None:
        """Play; returns at the end, or when told to stop."""
        rounds = 0
        while not self._stop.is_set() and (rounds < self._config.loops or not self._config.loops):
            if rounds:
                self._time.jump(self._first_ns)
            self._time.run()
            with ReadAhead(messages_of(self._bag, self._plays, self._config)) as messages:
                self._play_once(messages, tell)
            rounds += 1
        self._time.hold()

    def stand(self, seconds: float) -> None:
        """Keep sending the time for so many seconds of the wall, or until told to stop."""
        self._pass_time(time.perf_counter() + seconds)

    def go_on(self) -> None:
        """Let the time run on after the end at the rate of the play, at 1 where that was left open."""
        self._time.run(self._config.rate or 1.0)
        self.stand(math.inf)

    def event(self, state: State, unacknowledged: Sequence[str] = ()) -> PlayerEvent:
        """How far things are."""
        late = sorted(self._late_s) if state == "played" else []
        return PlayerEvent(
            state=state,
            bag_s=max(self._last_ns - self._first_ns, 0) / 1e9,
            published=dict(self._published),
            late_p99_s=late[int(0.99 * len(late))] if late else None,
            unacknowledged=list(unacknowledged),
            damage=str(self._bag.damage) if self._bag.damage else None,
        )

    @property
    def _speed(self) -> float:
        return self._config.rate or _MAX_SPEED

    def _play_once(self, messages: Iterator[Recorded], tell: Tell) -> None:
        for message in messages:
            self._last_ns = message.at_ns + self.shift_ns
            self._pass_time(time.perf_counter() + self._time.wait_s(self._last_ns))
            self._wait_for_the_slow()
            if self._stop.is_set():
                return
            self._late_s.append(max(-self._time.wait_s(self._last_ns), 0.0))
            topic = self._plays[message.source].topic
            self._outlet.publish(topic, message.data)
            self._published[topic] += 1
            if time.perf_counter() >= self._tell_due_s:
                tell(self.event("playing"))
                self._tell_due_s = time.perf_counter() + _TELL_PERIOD_S

    def _pass_time(self, until_s: float) -> None:
        """Send the time every hundredth of a second until a time of the wall, or until told to stop."""
        while not self._stop.is_set():
            now_s = time.perf_counter()
            if now_s >= self._clock_due_s:
                self._outlet.publish_clock(max(self._time.now_ns(), 0))
                self._clock_due_s = now_s + _CLOCK_PERIOD_S
            if now_s >= until_s:
                return
            self._stop.wait(min(until_s, self._clock_due_s) - now_s)

    def _wait_for_the_slow(self) -> None:
        """Where the rate is left open: hold the time while whoever listens is behind."""
        if self._config.rate is not None or self._outlet.keeps_up(self._published):
            return
        self._time.hold()
        while not self._outlet.keeps_up(self._published) and not self._stop.is_set():
            self.stand(_CLOCK_PERIOD_S)
        self._time.run()
