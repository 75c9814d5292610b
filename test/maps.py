"""Small maps: an object of any name, a snapshot of one couch, and keyframes that show it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ovseg3r_core.mapping.edits import Cut, Edits
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.recognition import Recognition
from ovseg3r_core.mapping.sighting import Sighting
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.types import Box, Camera, Frame, Mask, ObjectRecord, SceneCloud
from ovseg3r_core.views import View

COUCH = 7
HEIGHT, WIDTH = 12, 16


class NoLikeness:
    """A text encoder to which no text is like any other."""

    name = "no-likeness"

    def __init__(self) -> None:
        self._place: dict[str, int] = {}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 2048), np.float32)
        for row, text in enumerate(texts):
            rows[row, self._place.setdefault(text, len(self._place))] = 1
        return rows


def make_record(id_: int, label: str, **fields: Any) -> ObjectRecord:
    """A box of a metre round the origin, but for these fields."""
    defaults = {
        "score": 0.5,
        "centre": (0.0, 0.0, 0.0),
        "box": Box(centre=(0.0, 0.0, 0.0), size=(1.0, 1.0, 1.0), yaw=0.0),
        "points": 100,
        "observations": 4,
        "first_seen": 1.5,
        "last_seen": 2.5,
        "state": "present",
    }
    return ObjectRecord(id=id_, label=label, **defaults | fields)


def make_snapshot(points: int = 50, seed: int = 0) -> MapSnapshot:
    rng = np.random.default_rng(seed)
    normal = np.tile(np.float32([0, 0, 1]), (points, 1))
    cloud = SceneCloud(
        xyz=rng.normal(size=(points, 3)).astype(np.float32),
        color=rng.integers(0, 256, (points, 3), dtype=np.uint8),
        normal=normal,
    )
    box = Box(centre=(0.0, 0.0, 0.0), size=(1.0, 2.0, 0.5), yaw=0.3)
    record = make_record(COUCH, "couch", score=0.8, centre=(0.1, 0.2, 1 / 3), box=box, points=points)
    return MapSnapshot(
        map_frame="map",
        cloud=cloud,
        owner=np.full(points, COUCH, np.int32),
        objects=(record,),
        structure=(),
        up=(0.0, 0.0, 1.0),
        views=4,
    )


def make_view(index: int, looks: bool = True) -> View:
    """A keyframe with two masks: a named one, with what it looks like, and one that nothing is known of."""
    rng = np.random.default_rng(index)
    angle = 0.1 * index
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, 3] = 1 / 3, index, -0.1
    frame = Frame(
        index=10 * index,
        stamp_s=index / 30,
        color=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        depth_m=rng.uniform(0.5, 4, (HEIGHT, WIDTH)).astype(np.float32),
        camera=Camera(fx=20.1, fy=20.2, cx=8.0, cy=6.0, width=WIDTH, height=HEIGHT),
        T_map_camera=pose,
    )
    ids = np.full((HEIGHT, WIDTH), -1, np.int32)
    ids[2:6], ids[8:] = 0, 1
    masks = [
        Mask(pixels=ids == 0, score=0.9, label="couch", embedding=np.float32([0.6, 0.8, 0]) if looks else None),
        Mask(pixels=ids == 1, score=1 / 3),
    ]
    return View.of(index, frame, masks, ids)


def make_memory(views: int = 3, edits: Edits | None = None) -> Memory:
    """The couch in each keyframe, and three objects that were corrected by hand."""
    members = [row for view in range(views) for row in ((view, 0, COUCH), (view, 1, 8))]
    corrections = Edits(
        labels={COUCH: "Grüne Couch"},
        hidden=frozenset({8}),
        united=frozenset({COUCH}),
        cuts=(Cut(ids=(8, 9), seeds=((0.1, 0.2, 1 / 3), (1.0, 0.0, 0.0))),),
        redirects={3: 4, 4: COUCH},
    )
    return Memory(
        views=tuple(make_view(index) for index in range(views)),
        members=np.array(members, np.int32).reshape(-1, 3),
        next_id=10,
        edits=corrections if edits is None else edits,
        sightings={COUCH: Sighting(seen=4, masked=views, overlap=views / 3), 8: Sighting(seen=1, masked=0)},
        recognitions={8: Recognition(label="Stehlampe", score=1 / 3, name_score=0.8, first_seen=0.0, last_seen=0.1)},
    )


def seal(folder: Path, content: dict) -> None:
    """Write the index of a map, its checksum right."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / "map.json").write_text(json.dumps({"sha256": digest, "map": content}))


def assert_same_map(a: MapSnapshot, b: MapSnapshot) -> None:
    assert (a.objects, a.structure, a.up, a.views, a.map_frame) == (b.objects, b.structure, b.up, b.views, b.map_frame)
    for name in ("xyz", "color", "normal"):
        np.testing.assert_array_equal(getattr(a.cloud, name), getattr(b.cloud, name))
    np.testing.assert_array_equal(a.owner, b.owner)


def assert_same_view(a: View, b: View) -> None:
    assert (a.index, a.stamp_s, a.camera) == (b.index, b.stamp_s, b.camera)
    assert (a.color_jpeg, a.depth_png, a.ids_png) == (b.color_jpeg, b.depth_png, b.ids_png)
    np.testing.assert_array_equal(a.T_map_camera, b.T_map_camera)
    assert [(tag.score, tag.label) for tag in a.tags] == [(tag.score, tag.label) for tag in b.tags]
    for mine, other in zip(a.tags, b.tags, strict=True):
        np.testing.assert_array_equal(mine.embedding, other.embedding)


def assert_same_memory(a: Memory, b: Memory) -> None:
    assert (a.next_id, a.edits, a.sightings) == (b.next_id, b.edits, b.sightings)
    assert a.recognitions == b.recognitions
    np.testing.assert_array_equal(a.members, b.members)
    for mine, other in zip(a.views, b.views, strict=True):
        assert_same_view(mine, other)
