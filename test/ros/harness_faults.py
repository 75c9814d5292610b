"""What can be wrong with a stream of messages, in the words of PX4's failure injection.

A fault gets each message in turn, with the time at which it is due, and says what is sent instead.
"""

import math
import random
from collections import deque
from collections.abc import Callable
from copy import copy
from typing import TypeAlias, TypeVar

import numpy as np
from geometry_msgs.msg import Quaternion
from harness_messages import bytes_of
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

Message = TypeVar("Message", Image, CameraInfo, TFMessage)
Fault: TypeAlias = "Callable[[Message, float], list[Message]]"


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


def delayed(delay_s: float) -> Fault:
    """Every message, later than its stamp by so much."""
    waiting: deque[tuple[float, Message]] = deque()

    def apply(message: Message, now_s: float) -> list[Message]:
        waiting.append((now_s, message))
        due = []
        while waiting and waiting[0][0] <= now_s - delay_s:
            due.append(waiting.popleft()[1])
        return due

    return apply


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
            bad.data = bytes_of(rng.integers(0, 256, len(message.data), dtype=np.uint8))
        elif isinstance(bad, CameraInfo):
            bad.k, bad.p = np.full(9, math.nan), np.full(12, math.nan)
        else:
            bad.transforms = [copy(transform) for transform in message.transforms]
            for transform in bad.transforms:
                transform.transform = copy(transform.transform)
                transform.transform.rotation = Quaternion(x=math.nan, y=0.0, z=0.0, w=0.0)
        return [bad]

    return apply


def altered(**fields: object) -> Fault:
    """Some fields of each message have these values instead: `altered(encoding="yuv422")`."""

    def apply(message: Message, now_s: float) -> list[Message]:
        bad = copy(message)
        for name, value in fields.items():
            setattr(bad, name, value)
        return [bad]

    return apply


def cut(keep: float) -> Fault:
    """Images whose data end early."""

    def apply(message: Image, now_s: float) -> list[Image]:
        bad = copy(message)
        bad.data = message.data[: int(len(message.data) * keep)]
        return [bad]

    return apply


def halved(message: Image, now_s: float) -> list[Image]:
    """Images of half the width and height: every other pixel."""
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)[::2, ::2]
    small = copy(message)
    small.height, small.width, small.step = pixels.shape[0], pixels.shape[1], pixels.shape[1] * pixels.shape[2]
    small.data = bytes_of(pixels)
    return [small]


def poisoned_depth(message: Image, now_s: float) -> list[Image]:
    """32FC1 metres in which every number that is no distance occurs, a column each."""
    depth_m = np.frombuffer(message.data, np.uint16).reshape(message.height, message.width) / np.float32(1000)
    for column, value in enumerate((math.nan, math.inf, -math.inf, -1.0, 1e30, 1e-40, 0.0)):
        depth_m[:, column::40] = value
    bad = copy(message)
    bad.encoding, bad.step, bad.data = "32FC1", message.width * 4, bytes_of(depth_m.astype(np.float32))
    return [bad]
