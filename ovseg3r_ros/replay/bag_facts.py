"""What a replay has to know of a bag before it plays it."""

from dataclasses import dataclass
from pathlib import Path

from ovseg3r_core.sequences.bag_index import find_topics, read_index
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_core.sequences.rosbag import NEEDS
from ovseg3r_core.sequences.tf_buffer import TfBuffer
from ovseg3r_ros.replay.config import ReplayPoses
from ovseg3r_ros.replay.playback import plays_of

_MAP = "map"


@dataclass(frozen=True, kw_only=True)
class BagFacts:
    """One camera of a bag."""

    frames: int
    """Colour images."""
    map_frame: str
    color: str
    """The topic that the colour images are published on."""
    camera_frame: str
    tf: TfBuffer | None
    """The bag's transforms; None where they do not tell where the camera is."""


def look_at(path: Path, camera: str = "", poses: ReplayPoses = "recorded") -> BagFacts:
    """Read a bag once.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is no bag, or one that lacks a topic or the camera's transforms.
    """
    if not path.exists():
        raise FileNotFoundError(f"no bag at {path}; give {NEEDS}")
    bag = Bag(path)
    topics = find_topics(bag)
    index = read_index(bag, topics)
    has_poses = index.tf.places(topics.color.frame_id)
    if not has_poses and poses == "recorded":
        raise ValueError(
            f"{path}: no transform on /tf or /tf_static tells where the camera's frame {topics.color.frame_id} is: "
            "give --poses odometry"
        )
    return BagFacts(
        frames=len(index.color_ns),
        map_frame=index.tf.fixed_frame(topics.color.frame_id) if has_poses else _MAP,
        camera_frame=topics.color.frame_id,
        tf=index.tf if has_poses else None,
        color=plays_of(bag, topics, camera)[topics.color.name].topic,
    )
