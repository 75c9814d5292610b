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

from ovseg3r_core.checks import Rejected, check_images, check_pose
from ovseg3r_core.sequences.bag_index import MAX_IMAGE_SKEW_S, BagIndex, Pair, find_topics, read_index
from ovseg3r_core.sequences.bag_messages import read_image
from ovseg3r_core.sequences.bag_storage import STORAGE_SUFFIXES, Bag
from ovseg3r_core.sequences.bag_topics import CameraTopics
from ovseg3r_core.sequences.calibration import undistort
from ovseg3r_core.sequences.folder import poses_of
from ovseg3r_core.sequences.prefetch import or_reason, prefetch, without_depth
from ovseg3r_core.sequences.registration import DepthCamera, place_of_depth, to_color
from ovseg3r_core.types import ColorFrame, Frame, RgbdFrame

NEEDS = (
    "a rosbag2 folder or a .mcap or .db3 file with colour and depth images (raw or compressed), CameraInfo, of "
    "depth too and its place on /tf_static where it is not registered, and /tf and /tf_static if there are poses"
)

Loaded = TypeVar("Loaded")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _RawPair:
    """A pair with its serialised messages."""

    pair: Pair
    color: bytes
    depth: bytes


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

    A bag whose transforms do not tell where the camera's frame is has no poses.

    Raises:
        ValueError: the bag cannot be read at all, or lacks a topic.
    """
    bag = Bag(path)
    topics = find_topics(bag)
    logger.info("%s: colour %s, depth %s, %s", path, topics.color.name, topics.depth.name, topics.camera_info)
    index = read_index(bag, topics)
    if index.dropped:
        logger.warning("%s: messages that cannot be read: %s", path, dict(index.dropped))
    if topics.color.frame_id != topics.depth.frame_id:
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
        """The frames in order of recording; a bad one is yielded as the reason why, damage of the bag at the end."""
        return self._read(self._frame)

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """The same without poses, which need not be there."""
        return self._read(self._images)

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """T_map_camera by frame index, of the frames that have one."""
        return poses_of((pair.index, partial(self._pose, pair)) for pair in self._pairs)

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index; no image is read."""
        return {pair.index: pair.stamp_ns / 1e9 for pair in self._pairs}

    @property
    def has_depth(self) -> bool:
        """Bags without depth are refused when they are opened."""
        return True

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The images alone."""
        return without_depth(self.read_unposed())

    def _read(self, load: Callable[[_RawPair], Loaded]) -> Iterator[Loaded | Rejected]:
        yield from prefetch(or_reason(self._named(load)), self._raw_pairs())
        if self._bag.damage is not None:
            yield self._bag.damage

    def _raw_pairs(self) -> Iterator[_RawPair | Rejected]:
        """The messages of each pair as soon as both have passed; as many wait as the streams are apart."""
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

    def _named(self, load: Callable[[_RawPair], Loaded]) -> Callable[[_RawPair], Loaded]:
        """The same, with the frame named in the reason."""

        def loaded(raw: _RawPair) -> Loaded:
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
        stamp_ns = raw.pair.stamp_ns
        info = self._index.info_at(stamp_ns)
        if info.calibration is None:
            raise info.problem or Rejected("bad_intrinsics", f"{self._topics.camera_info} cannot be read")
        color = read_image(raw.color, compressed=self._topics.color.compressed)
        depth = read_image(raw.depth, compressed=self._topics.depth.compressed)
        depth_camera = self._depth_camera(stamp_ns)
        if depth_camera is not None:
            color, depth = to_color(color, depth, info.calibration, depth_camera)
        else:
            color, depth = undistort(color, depth, info.calibration)
        width, height = info.size if all(info.size) else (color.shape[1], color.shape[0])
        return check_images(
            index=raw.pair.index,
            stamp_s=stamp_ns / 1e9,
            color=color,
            depth=depth,
            camera=info.calibration.camera(width, height),
        )

    def _depth_camera(self, stamp_ns: int) -> DepthCamera | None:
        """The depth camera of a time; None where depth is registered to colour already."""
        info = self._index.depth_info_at(stamp_ns)
        if info is None:
            return None
        if info.calibration is None:
            raise info.problem or Rejected("bad_intrinsics", f"{self._topics.depth_camera_info} cannot be read")
        depth_frame = self._topics.depth.frame_id
        T_color_depth = place_of_depth(self._index.tf.lookup, self._camera_frame, depth_frame, stamp_ns)
        return DepthCamera(calibration=info.calibration, T_color_depth=T_color_depth, size=info.size)

    def _rejected(self, pair: Pair, why: Rejected) -> Rejected:
        return Rejected(why.reason, f"{self._bag.path}, frame {pair.index} at {pair.stamp_ns / 1e9:.3f} s: {why}")
