"""What can be wrong with a stream of messages, in the words of PX4's failure injection.

A fault gets each message in turn, with the time at which it is due, and says what is sent instead.
"""

import array
import math
import random
import re
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, Vector3
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

Message: TypeAlias = Image | CameraInfo | TFMessage
Fault: TypeAlias = Callable[[Message, float], list[Message]]
Word = Literal["ok", "off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent"]
WORDS: tuple[Word, ...] = get_args(Word)
_AMOUNTS: dict[str, tuple[float, float, str]] = {
    "slow": (2, 1000, "a message in so many"),
    "delayed": (0.01, 60, "seconds"),
    "intermittent": (0.01, 0.99, "the share that is lost"),
}
_SPEC = re.compile(r"^(?P<word>\w+)(?: (?P<amount>\d+(?:\.\d+)?))?(?: from (?P<low>\S+) to (?P<high>\S+))?$")
_WRONG_M = 0.5
_MOST_WAITING = 256  # images that are delayed: 640x480 in colour are 236 MB then


def ok(message: Message, now_s: float) -> list[Message]:
    """Every message as it is."""
    return [message]


def off(message: Message, now_s: float) -> list[Message]:
    """Nothing comes."""
    return []


def stuck(content: Message | None = None) -> Fault:
    """One content for ever, with new stamps: a sensor that hangs; given `content`, the wrong camera."""

    def apply(message: Message, now_s: float) -> list[Message]:
        nonlocal content
        content = content or message
        again = copy(content)
        if isinstance(again, TFMessage) and isinstance(message, TFMessage):
            return [_restamped(again, message)]
        if not isinstance(again, TFMessage) and not isinstance(message, TFMessage):
            again.header = message.header
        return [again]

    return apply


def slow(every: int) -> Fault:
    """One message of so many comes."""
    seen = 0

    def apply(message: Message, now_s: float) -> list[Message]:
        nonlocal seen
        seen += 1
        return [message] if seen % every == 0 else []

    return apply


class Delayed:
    """Every message, later than its stamp by so much."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: deque[tuple[float, Message]] = deque(maxlen=_MOST_WAITING)

    def __call__(self, message: Message, now_s: float) -> list[Message]:
        """Keep a message; gives those that are due."""
        self._waiting.append((now_s, message))
        return self.due(now_s)

    def due(self, now_s: float) -> list[Message]:
        """What has waited long enough, without a further message."""
        due = []
        while self._waiting and self._waiting[0][0] <= now_s - self._delay_s:
            due.append(self._waiting.popleft()[1])
        return due


def intermittent(lost: float, seed: int = 0) -> Fault:
    """A share of the messages is lost."""
    rng = random.Random(seed)
    return lambda message, now_s: [] if rng.random() < lost else [message]


def garbage(seed: int = 0) -> Fault:
    """Fields of the right type that mean nothing: noise for pixels, NaN for numbers."""
    rng = np.random.default_rng(seed)

    def apply(message: Message, now_s: float) -> list[Message]:
        bad = copy(message)
        if isinstance(bad, Image):
            bad.data = _bytes(rng.integers(0, 256, len(bad.data), dtype=np.uint8))
        elif isinstance(bad, CameraInfo):
            bad.k, bad.p = np.full(9, math.nan), np.full(12, math.nan)
        else:
            for moved in _own_transforms(bad):
                moved.rotation = Quaternion(x=math.nan, y=0.0, z=0.0, w=0.0)
        return [bad]

    return apply


def wrong(message: Message, now_s: float) -> list[Message]:
    """Well-formed and false: images upside down, twice the focal length, places half a metre off."""
    bad = copy(message)
    if isinstance(bad, Image):
        bad.data = _bytes(np.frombuffer(bad.data, np.uint8).reshape(bad.height, bad.step)[::-1])
    elif isinstance(bad, CameraInfo):
        K, P = np.array(bad.k), np.array(bad.p)
        K[[0, 4]] *= 2
        P[[0, 5]] *= 2
        bad.k, bad.p = K, P
    else:
        for moved in _own_transforms(bad):
            at = moved.translation
            moved.translation = Vector3(x=at.x + _WRONG_M, y=at.y, z=at.z)
    return [bad]


@dataclass(frozen=True, kw_only=True)
class FaultSpec:
    """A fault as it is asked for: "delayed 0.5", "off from 5 to 15"."""

    word: Word = "ok"
    amount: float = 0.0
    from_s: float = 0.0
    to_s: float = math.inf
    """Seconds since it was asked for, between which it acts."""

    def make(self) -> Fault:
        """The fault itself, without its window."""
        made: dict[Word, Callable[[], Fault]] = {
            "ok": lambda: ok,
            "off": lambda: off,
            "stuck": stuck,
            "garbage": garbage,
            "wrong": lambda: wrong,
            "slow": lambda: slow(round(self.amount)),
            "delayed": lambda: Delayed(self.amount),
            "intermittent": lambda: intermittent(self.amount),
        }
        return made[self.word]()


def read_fault(text: str) -> FaultSpec:
    """A fault from its words.

    Raises:
        ValueError: what is asked for cannot be injected; the text says why.
    """
    if not (match := _SPEC.match(text.strip())):
        raise ValueError(f"{text!r} is no fault: say WORD [AMOUNT] [from SECONDS to SECONDS], as in 'off from 5 to 15'")
    word, amount = match["word"], match["amount"]
    if word not in WORDS:
        raise ValueError(f"{word!r} cannot be injected; there are {', '.join(WORDS)}")
    if word not in _AMOUNTS and amount is not None:
        raise ValueError(f"{word!r} knows no more or less, but {amount} was given with it")
    if word in _AMOUNTS:
        low, high, meaning = _AMOUNTS[word]
        if amount is None or not low <= float(amount) <= high:
            raise ValueError(f"{word!r} needs {meaning}, {low:g} to {high:g}, and got {amount}")
    window = _window(match["low"], match["high"])
    return FaultSpec(word=word, amount=float(amount or 0), from_s=window[0], to_s=window[1])


def _window(low: str | None, high: str | None) -> tuple[float, float]:
    if low is None or high is None:
        return 0.0, math.inf
    try:
        window = float(low), float(high)
    except ValueError:
        window = math.nan, math.nan
    if not 0 <= window[0] < window[1]:
        raise ValueError(f"from {low} to {high} is no span of time: give seconds from now on, the smaller first")
    return window


def _own_transforms(message: TFMessage) -> list[Transform]:
    """The transforms of a message, made its own: what was copied shares them with the message it is a copy of."""
    message.transforms = [copy(transform) for transform in message.transforms]
    for transform in message.transforms:
        transform.transform = copy(transform.transform)
    return [transform.transform for transform in message.transforms]


def _restamped(content: TFMessage, message: TFMessage) -> TFMessage:
    """The transforms of one message at the time of another."""
    again = TFMessage(transforms=[copy(transform) for transform in content.transforms])
    stamps = [transform.header.stamp for transform in message.transforms]
    for transform in again.transforms if stamps else ():
        transform.header = copy(transform.header)
        transform.header.stamp = stamps[0]
    return again


def _bytes(pixels: np.ndarray) -> array.array:
    data = array.array("B")  # the only type whose bytes rclpy takes over whole
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    return data
