"""rosbag2 as a sequence: an index first (`bag_index.py`), then the images streamed in pairs."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_color, check_color_frame, check_images, check_pose
from ovseg3r_core.sequences.bag_index import MAX_IMAGE_SKEW_S, BagIndex, Pair, find_topics, read_index
from ovseg3r_core.sequences.bag_messages import read_image
from ovseg3r_core.sequences.bag_storage import STORAGE_SUFFIXES, Bag
from ovseg3r_core.sequences.bag_topics import CameraTopics, ImageTopic
from ovseg3r_core.sequences.calibration import Calibration, undistort, undistort_color
from ovseg3r_core.sequences.folder import poses_of
from ovseg3r_core.sequences.prefetch import or_reason, prefetch, without_depth
from ovseg3r_core.sequences.registration import DepthCamera, place_of_depth, to_color
from ovseg3r_core.types import ColorFrame, Frame, RgbdFrame

NEEDS = (
    "a rosbag2 folder or a .mcap or .db3 file with colour images (raw or compressed) and CameraInfo; depth images if "
    "there are any, with a CameraInfo of their own and their place on /tf_static where they are not registered; and "
    "/tf and /tf_static if there are poses"
)

Raw = TypeVar("Raw", "_RawPair", "_RawColor")
Loaded = TypeVar("Loaded")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _RawPair:
    """A pair with its serialised messages."""

    pair: Pair
    color: bytes
    depth: bytes


@dataclass(frozen=True, kw_only=True)
class _RawColor:
    """The serialised colour message of a frame that has no other."""

    pair: Pair
    color: bytes


def recognises(path: Path) -> bool:
    """Whether the path is a bag's file, or a folder with one."""
    if path.is_file():
        return path.suffix in STORAGE_SUFFIXES
    return (path / "metadata.yaml").is_file() or any(file.suffix in STORAGE_SUFFIXES for file in path.iterdir())


def open_bag(path: Path, frames: slice) -> "RosbagSequence":
    """Open a bag and read its index.

    The topics are chosen by the rule of `bag_topics.py`, the map is the frame that `TfBuffer.fixed_frame` finds above
    the camera; both are logged. A bag that was cut is read as far as it goes, and its last item is the
    `Rejected("bad_bag")` that says so.

    A bag whose transforms do not tell where the camera's frame is has no poses, and one in which no image topic speaks
    of depth has no depth.

    Raises:
        ValueError: the bag cannot be read at all, or lacks a topic.
    """
    bag = Bag(path)
    topics = find_topics(bag)
    depth = topics.depth.name if topics.depth else "none"
    logger.info("%s: colour %s, depth %s, %s", path, topics.color.name, depth, topics.camera_info)
    index = read_index(bag, topics)
    if index.dropped:
        logger.warning("%s: messages that cannot be read: %s", path, dict(index.dropped))
    if topics.depth is not None and topics.color.frame_id != topics.depth.frame_id:
        seen = "registered with" if index.depth_infos else "taken as registered: there is no"
        frames_ids = topics.depth.frame_id, topics.color.frame_id
        logger.warning("%s: depth is in frame %s but colour in %s: %s its CameraInfo", path, *frames_ids, seen)
    return RosbagSequence(bag, topics, index, index.pairs()[frames])


class RosbagSequence:
    """The frames of one camera of a bag."""

    def __init__(self, bag: Bag, topics: CameraTopics, index: BagIndex, pairs: list[Pair]) -> None:
        self._bag, self._topics, self._index, self._pairs = bag, topics, index, pairs
        self._camera_frame = topics.color.frame_id
        if not index.tf.places(self._camera_frame):
            self._map_frame = None
            logger.info("%s: no transform tells where the frame %s is: no poses", bag.path, self._camera_frame)
            return
        self._map_frame = index.tf.fixed_frame(self._camera_frame)
        motion = "moves" if index.tf.moves(self._map_frame, self._camera_frame) else "never moves"
        logger.info("%s: %s %s in %s", bag.path, self._camera_frame, motion, self._map_frame)

    @property
    def has_poses(self) -> bool:
        """Whether transforms tell where the camera is."""
        return self._map_frame is not None

    @property
    def name(self) -> str:
        """The bag's folder or file, without its ending."""
        return self._bag.path.resolve().stem

    def __len__(self) -> int:
        return len(self._pairs) + (self._bag.damage is not None)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order of recording; a bad one is yielded as the reason why, damage of the bag at the end.

        Nothing but reasons where there is no depth.
        """
        return self._read(self._frame, self._raw_pairs())

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """The same without poses, which need not be there."""
        return self._read(self._images, self._raw_pairs())

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """T_map_camera by frame index, of the frames that have one."""
        return poses_of((pair.index, partial(self._pose, pair)) for pair in self._pairs)

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index; no image is read."""
        return {pair.index: pair.stamp_ns / 1e9 for pair in self._pairs}

    @property
    def has_depth(self) -> bool:
        """Whether an image topic speaks of depth."""
        return self._topics.depth is not None

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The images alone, as they are beside their depth where there is depth."""
        return without_depth(self.read_unposed()) if self.has_depth else self._read(self._color, self._raw_colors())

    def _read(self, load: Callable[[Raw], Loaded], raw: Iterator[Raw | Rejected]) -> Iterator[Loaded | Rejected]:
        yield from prefetch(or_reason(self._named(load)), raw)
        if self._bag.damage is not None:
            yield self._bag.damage

    def _raw_colors(self) -> Iterator[_RawColor]:
        """The colour messages alone."""
        pair_of = {pair.index: pair for pair in self._pairs}
        for number, (_, raw) in enumerate(self._bag.messages({self._topics.color.name})):
            if number in pair_of:
                yield _RawColor(pair=pair_of[number], color=raw)

    def _raw_pairs(self) -> Iterator[_RawPair | Rejected]:
        """The messages of each pair as soon as both have passed; as many wait as the streams are apart."""
        if self._topics.depth is None:
            for pair in self._pairs:
                yield self._rejected(pair, Rejected("no_depth", "the bag has no topic with depth images"))
            return
        color_topic, depth_topic = self._topics.color.name, self._topics.depth.name
        pair_of = {
            color_topic: {pair.index: pair for pair in self._pairs},
            depth_topic: {pair.depth: pair for pair in self._pairs if pair.depth is not None},
        }
        seen: Counter[str] = Counter()
        waiting: dict[int, bytes] = {}
        for topic, raw in self._bag.messages(pair_of):
            pair = pair_of[topic].get(seen[topic])
            seen[topic] += 1
            if pair is None:
                continue
            if pair.depth is None:
                limit_ms = MAX_IMAGE_SKEW_S * 1000
                yield self._rejected(pair, Rejected("no_depth", f"no depth image within {limit_ms:.0f} ms of it"))
            elif (other := waiting.pop(pair.index, None)) is None:
                waiting[pair.index] = raw
            elif topic == color_topic:
                yield _RawPair(pair=pair, color=raw, depth=other)
            else:
                yield _RawPair(pair=pair, color=other, depth=raw)

    def _named(self, load: Callable[[Raw], Loaded]) -> Callable[[Raw], Loaded]:
        """The same, with the frame named in the reason."""

        def loaded(raw: Raw) -> Loaded:
            try:
                return load(raw)
            except Rejected as rejected:
                raise self._rejected(raw.pair, rejected) from rejected

        return loaded

    def _pose(self, pair: Pair) -> Float64[ndarray, "4 4"]:
        if self._map_frame is None:
            raise Rejected(
                "no_pose", f"no transform on /tf or /tf_static tells where the camera's frame {self._camera_frame} is"
            )
        return check_pose(self._index.tf.lookup(self._map_frame, self._camera_frame, pair.stamp_ns))

    def _frame(self, raw: _RawPair) -> Frame:
        T_map_camera = self._pose(raw.pair)
        return self._images(raw).posed(T_map_camera)

    def _images(self, raw: _RawPair) -> RgbdFrame:
        assert self._topics.depth is not None, "there would be no pair"
        calibration, size = self._calibration(raw.pair)
        color = read_image(raw.color, compressed=self._topics.color.compressed)
        depth = read_image(raw.depth, compressed=self._topics.depth.compressed)
        depth_camera = self._depth_camera(raw.pair.stamp_ns, self._topics.depth)
        if depth_camera is not None:
            color, depth = to_color(color, depth, calibration, depth_camera)
        else:
            color, depth = undistort(color, depth, calibration)
        width, height = size if all(size) else (color.shape[1], color.shape[0])
        return check_images(
            index=raw.pair.index,
            stamp_s=raw.pair.stamp_ns / 1e9,
            color=color,
            depth=depth,
            camera=calibration.camera(width, height),
        )

    def _color(self, raw: _RawColor) -> ColorFrame:
        calibration, size = self._calibration(raw.pair)
        color = read_image(raw.color, compressed=self._topics.color.compressed)
        color = undistort_color(check_color(color), calibration)
        width, height = size if all(size) else (color.shape[1], color.shape[0])
        return check_color_frame(
            index=raw.pair.index,
            stamp_s=raw.pair.stamp_ns / 1e9,
            color=color,
            camera=calibration.camera(width, height),
        )

    def _calibration(self, pair: Pair) -> tuple[Calibration, tuple[int, int]]:
        """What the CameraInfo in force says: of which lens, and of which width and height; zeros for any."""
        info = self._index.info_at(pair.stamp_ns)
        if info.calibration is None:
            raise info.problem or Rejected("bad_intrinsics", f"{self._topics.camera_info} cannot be read")
        return info.calibration, info.size

    def _depth_camera(self, stamp_ns: int, depth: ImageTopic) -> DepthCamera | None:
        """The depth camera of a time; None where depth is registered to colour already."""
        info = self._index.depth_info_at(stamp_ns)
        if info is None:
            return None
        if info.calibration is None:
            raise info.problem or Rejected("bad_intrinsics", f"{self._topics.depth_camera_info} cannot be read")
        T_color_depth = place_of_depth(self._index.tf.lookup, self._camera_frame, depth.frame_id, stamp_ns)
        return DepthCamera(calibration=info.calibration, T_color_depth=T_color_depth, size=info.size)

    def _rejected(self, pair: Pair, why: Rejected) -> Rejected:
        return Rejected(why.reason, f"{self._bag.path}, frame {pair.index} at {pair.stamp_ns / 1e9:.3f} s: {why}")
