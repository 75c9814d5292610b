"""Faults of messages beside those that the package's injector knows: fields, sizes and numbers that no sensor sends."""

import math
from copy import copy

import numpy as np
from harness_messages import bytes_of
from sensor_msgs.msg import Image

from ovseg3r_ros.faults import Fault, Message


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
