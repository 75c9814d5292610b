"""Small maps with known content, for the tests of what is made of them."""

from dataclasses import replace

import numpy as np
from maps import NoLikeness, make_record
from rclpy.serialization import deserialize_message, serialize_message

from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.standing import StandingAnswer, StandingText
from ovseg3r_core.types import Box, ObjectRecord, QueryHit, SceneCloud, Verdict
from ovseg3r_ros.outputs.labelled_map import LabelledMap, label_map

CHAIR, CUP, THING, WALL = 3, 5, 8, 9
STAMP_NS = 1_700_000_000_123_456_789
NAMES = ("chair", "cup", "wall", "object")


def namer() -> Namer:
    """Chair 1, cup 2, wall 3, object 4."""
    return Namer(Vocabulary(name="test", names=NAMES, ids=(1, 2, 3, 4)), NoLikeness())


def record(id_: int, label: str, *, score: float = 0.5, x: float = 0.0) -> ObjectRecord:
    box = Box(centre=(x, 0.25, 0.5), size=(1.0, 0.5, 0.25), yaw=0.5)
    return make_record(id_, label, score=score, centre=box.centre, box=box)


def snapshot() -> MapSnapshot:
    """Points that go round the objects one by one: 100 of a chair, a cup, an unnamed thing, a wall, and nothing."""
    owner = np.tile(np.int32([CHAIR, CUP, THING, WALL, -1]), 100)
    return MapSnapshot(
        map_frame="odom",
        cloud=cloud_of(owner),
        owner=owner,
        objects=(record(CHAIR, "chair", score=0.83), record(CUP, "cup", x=1.0), record(THING, "object", x=2.0)),
        structure=(record(WALL, "wall", x=3.0),),
        up=(0.0, 0.0, 1.0),
        views=4,
    )


def cloud_of(owner: np.ndarray) -> SceneCloud:
    """Every point has x = its index / 1000 and y = its owner, so that a test can tell where it went."""
    place = np.arange(len(owner))
    return SceneCloud(
        xyz=np.stack([place / 1000, owner, place % 7], axis=-1).astype(np.float32),
        color=np.tile(np.uint8([10, 20, 30]), (len(owner), 1)),
        normal=np.tile(np.float32([0, 0, 1]), (len(owner), 1)),
    )


def answer(text: str, place: int, *hits: tuple[int, float], verdict: Verdict = "found") -> StandingAnswer:
    found = tuple(QueryHit(object=record(id_, "whatever"), score=score) for id_, score in hits)
    return StandingAnswer(asked=StandingText(text=text, place=place), verdict=verdict, hits=found)


def labelled(map_: MapSnapshot | None = None, *answers: StandingAnswer) -> LabelledMap:
    return label_map(map_ or snapshot(), namer(), stamp_ns=STAMP_NS, revision=7, answers=answers)


def large(objects: int = 1000, points: int = 100_000) -> MapSnapshot:
    """Many objects, whose points are spread over the cloud, and a tenth of the points of nothing."""
    rng = np.random.default_rng(0)
    owner = np.where(rng.random(points) < 0.1, -1, rng.integers(1, objects + 1, points)).astype(np.int32)
    records = tuple(record(i, NAMES[i % len(NAMES)], x=i / 100) for i in range(1, objects + 1))
    return replace(snapshot(), cloud=cloud_of(owner), owner=owner, objects=records, structure=())


def there_and_back(message):
    """What a subscriber gets of a message."""
    return deserialize_message(serialize_message(message), type(message))
