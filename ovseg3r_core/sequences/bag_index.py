"""The first pass over a bag: the stamps of its images, its intrinsics, its transforms, and which images are a pair.

It is what lets a pose be interpolated from transforms that were recorded after their image, and frames be chosen by
number; it touches only the headers of the images and keeps only their stamps.
"""

import logging
import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences import bag_messages
from ovseg3r_core.sequences.association import associate
from ovseg3r_core.sequences.bag_messages import header_stamp_ns
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_core.sequences.bag_topics import CameraTopics, ImageTopic, choose_topics
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.ros_images import COLOR_ENCODINGS, DEPTH_ENCODINGS, holds_depth
from ovseg3r_core.sequences.ros_types import CameraInfo, CompressedImage, Image, TFMessage
from ovseg3r_core.sequences.tf_buffer import TfBuffer

MAX_IMAGE_SKEW_S = 0.02

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Info:
    """A CameraInfo, read; `problem` says why it cannot be used."""

    stamp_ns: int
    calibration: Calibration | None = None
    size: tuple[int, int] = (0, 0)
    """Width and height; zeros where the driver left them out."""
    problem: Rejected | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One frame to be: the number of its colour message, and of its depth message where there is one."""

    index: int
    depth: int | None
    stamp_ns: int


@dataclass(kw_only=True)
class BagIndex:
    """What the first pass keeps of a bag."""

    color_ns: list[int] = field(default_factory=list)
    depth_ns: list[int] = field(default_factory=list)
    infos: list[Info] = field(default_factory=list)
    """In order of time."""
    depth_infos: list[Info] = field(default_factory=list)
    """The same of a depth camera of its own; empty where there is none."""
    tf: TfBuffer = field(default_factory=lambda: TfBuffer(cache_s=math.inf))
    dropped: Counter[str] = field(default_factory=Counter)
    """Messages that could not be read, by reason."""

    def info_at(self, stamp_ns: int) -> Info:
        """The CameraInfo in force: the last one up to that time, or the first of all."""
        return _in_force(self.infos, stamp_ns)

    def depth_info_at(self, stamp_ns: int) -> Info | None:
        """The same of the depth camera; None where depth is registered to colour."""
        return _in_force(self.depth_infos, stamp_ns) if self.depth_infos else None

    def pairs(self) -> list[Pair]:
        """Each colour image with the depth image of its time."""
        color_ns, depth_ns = (np.array(stamps, dtype=np.int64) for stamps in (self.color_ns, self.depth_ns))
        partners = associate(color_ns, depth_ns, MAX_IMAGE_SKEW_S).tolist()
        return [
            Pair(index=index, depth=depth if depth >= 0 else None, stamp_ns=stamp)
            for index, (depth, stamp) in enumerate(zip(partners, self.color_ns, strict=True))
        ]


def _in_force(infos: list[Info], stamp_ns: int) -> Info:
    return infos[max(bisect_right(infos, stamp_ns, key=lambda info: info.stamp_ns) - 1, 0)]


def find_topics(bag: Bag) -> CameraTopics:
    """The camera's topics by the rule of `bag_topics.py`; raises ValueError with what is there."""
    try:
        return choose_topics(_image_topics(bag), bag.topics_of(CameraInfo.__msgtype__))
    except ValueError as error:
        raise ValueError(f"{bag.path}: {error}{f' ({bag.damage})' if bag.damage else ''}") from error


def _image_topics(bag: Bag) -> list[ImageTopic]:
    raw, compressed = bag.topics_of(Image.__msgtype__), bag.topics_of(CompressedImage.__msgtype__)
    topics = [_image_topic(bag, name, compressed=False) for name in raw]
    return topics + [_image_topic(bag, name, compressed=True) for name in compressed]


def _image_topic(bag: Bag, name: str, *, compressed: bool) -> ImageTopic:
    """What the first message of an image topic says of it; neither colour nor depth where it cannot be read."""
    try:
        encoding, frame_id = bag_messages.image_kind(bag.first(name), compressed=compressed)
    except Rejected as rejected:
        logger.warning("%s: %s is left out: %s", bag.path, name, rejected)
        return ImageTopic(
            name=name, encoding="unreadable", frame_id="", is_color=False, is_depth=False, compressed=compressed
        )
    return ImageTopic(
        name=name,
        encoding=encoding,
        frame_id=frame_id,
        is_color=not holds_depth(encoding) if compressed else encoding in COLOR_ENCODINGS,
        is_depth=holds_depth(encoding) if compressed else encoding in DEPTH_ENCODINGS,
        compressed=compressed,
    )


def read_index(bag: Bag, topics: CameraTopics) -> BagIndex:
    """Walk the whole bag once; raises ValueError where no CameraInfo can be read."""
    index = BagIndex()
    stamps = {topics.color.name: index.color_ns}
    if topics.depth is not None:
        stamps[topics.depth.name] = index.depth_ns
    infos = {topics.camera_info: (index.infos, topics.rectified)}
    if topics.depth_camera_info is not None:
        infos[topics.depth_camera_info] = index.depth_infos, topics.depth_rectified
    for topic, raw in bag.messages({*stamps, *infos, *bag.topics_of(TFMessage.__msgtype__)}):
        try:
            if topic in stamps:
                stamps[topic].append(0)  # counted even where its stamp cannot be read
                stamps[topic][-1] = header_stamp_ns(raw)
            elif topic in infos:
                found, rectified = infos[topic]
                found.append(_read_info(raw, rectified=rectified))
            else:
                _read_transforms(raw, index, fixed=topic.endswith("tf_static"))
        except Rejected as rejected:
            index.dropped[rejected.reason] += 1
    for found, _ in infos.values():
        found.sort(key=lambda info: info.stamp_ns)
    if not index.infos:
        raise ValueError(f"{bag.path}: no message of {topics.camera_info} can be read")
    return index


def _read_info(raw: bytes, *, rectified: bool) -> Info:
    stamp = header_stamp_ns(raw)
    try:
        calibration, width, height = bag_messages.read_camera_info(raw, rectified=rectified)
    except Rejected as rejected:
        return Info(stamp_ns=stamp, problem=rejected)
    return Info(stamp_ns=stamp, calibration=calibration, size=(width, height))


def _read_transforms(raw: bytes, index: BagIndex, *, fixed: bool) -> None:
    for parent, child, stamp, T in bag_messages.read_transforms(raw):
        try:
            if isinstance(T, Rejected):
                raise T
            index.tf.insert(parent, child, stamp, T, fixed=fixed)
        except Rejected as rejected:
            index.dropped[rejected.reason] += 1
