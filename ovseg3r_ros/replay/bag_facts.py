"""What a replay has to know of a bag before it plays it."""

from dataclasses import dataclass
from pathlib import Path

from ovseg3r_core.sequences.bag_index import find_topics, read_index
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_core.sequences.rosbag import NEEDS
from ovseg3r_ros.replay.playback import plays_of


@dataclass(frozen=True, kw_only=True)
class BagFacts:
    """One camera of a bag."""

    frames: int
    """Colour images."""
    map_frame: str
    color: str
    """The topic that the colour images are published on."""


def look_at(path: Path, camera: str = "") -> BagFacts:
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
    if not index.tf.knows(topics.color.frame_id):
        raise ValueError(f"{path}: no transform on /tf or /tf_static names the camera's frame {topics.color.frame_id}")
    return BagFacts(
        frames=len(index.color_ns),
        map_frame=index.tf.fixed_frame(topics.color.frame_id),
        color=plays_of(bag, topics, camera)[topics.color.name].topic,
    )
