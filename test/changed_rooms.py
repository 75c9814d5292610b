"""Furnished rooms in which things are taken away and carried elsewhere between two walks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, UInt16
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, bounds
from ovseg3r_core.synthetic.render import Renderer
from ovseg3r_core.synthetic.room import RoomConfig, RoomScene, build_room
from ovseg3r_core.synthetic.sequence import WalkConfig
from ovseg3r_core.synthetic.trajectory import walk_round
from ovseg3r_core.synthetic.truth import NO_INSTANCE, TruthSurface
from ovseg3r_core.types import Frame
from ovseg3r_train.sensor.depth_noise import DepthNoise, DepthNoiseConfig

REMOVED, MOVED = 3, 2
SECONDS_A_FRAME = 0.5
RANGE_M = 4.0
BERTH_M = 0.3  # nothing is put down nearer than this to where the camera comes by
MIN_SHIFT_M = 0.5
STANDS_FREE = ("chair", "office chair", "potted plant", "trash can", "couch", "refrigerator", "bookshelf")
ON_TOP = ("tv", "laptop", "cup", "microwave", "vase", "bottle")
TABLES = ("dining table", "desk", "bed", "kitchen cabinet")
CAMERA = WalkConfig(width_px=320, height_px=240, focal_px=262.5).camera
GLANCE = WalkConfig(width_px=80, height_px=60, focal_px=65.6).camera

Box = Float64[ndarray, "2 3"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was done to a room."""

    before: RoomScene
    after: RoomScene
    removed: tuple[int, ...]
    moved: dict[int, ndarray]
    """Where the middle of each moved thing is afterwards."""


def changed_room(seed: int) -> Change:
    """Three things less, and two of the others elsewhere."""
    room = build_room(RoomConfig(seed=200 + seed, width_m=5.0, depth_m=4.2))
    rng = np.random.default_rng([seed, 5])
    boxes = {thing.id: box_of(room, thing.id) for thing in room.objects}
    bare = [
        thing.id
        for thing in room.objects
        if thing.class_name in (*STANDS_FREE, *ON_TOP)
        and not any(stands_on(b, boxes[thing.id]) for b in boxes.values())
    ]
    moved: dict[int, ndarray] = {}
    parts, order = list(room.parts), [int(id_) for id_ in rng.permutation(bare)]
    for id_ in order:
        if len(moved) < MOVED and (T := free_place(room, id_, boxes, rng)) is not None:
            parts = [(i, part.moved(T) if i == id_ else part) for i, part in parts]
            boxes[id_] = moved_box(boxes[id_], T)
            moved[id_] = boxes[id_].mean(axis=0)
    removed = tuple([id_ for id_ in order if id_ not in moved][:REMOVED])
    left = tuple((id_, part) for id_, part in parts if id_ not in removed)
    return Change(before=room, after=replace(room, parts=left), removed=removed, moved=moved)


def box_of(room: RoomScene, id_: int) -> Box:
    parts: Sequence[Part] = [part for other, part in room.parts if other == id_]
    return bounds(parts).astype(np.float64)


def stands_on(above: Box, below: Box) -> bool:
    """Whether the first box stands on the second, or in it."""
    inside = (above[0, :2] < below[1, :2]).all() and (below[0, :2] < above[1, :2]).all()
    return bool(inside and above is not below and above[0, 2] > below[0, 2] + 0.05 and above[0, 2] < below[1, 2] + 0.05)


def free_place(
    room: RoomScene, id_: int, boxes: dict[int, Box], rng: np.random.Generator
) -> Float64[ndarray, "4 4"] | None:
    """How to carry a thing to a free place of the floor or of a table, out of the camera's way, with any side in front.

    It is turned by a quarter or several: people do not keep the heading of what they carry.
    """
    box = boxes[id_]
    others = [other for i, other in boxes.items() if i != id_]
    eyes = np.array([T[:3, 3] for T in walk_round(room.size_m, 200)])
    for _ in range(300):
        T = quarter_turns(int(rng.integers(4)))
        turned = moved_box(box, T)
        shift = some_place(room, room.names[id_], turned, boxes, rng) - [*turned.mean(axis=0)[:2], turned[0, 2]]
        T[:3, 3] = shift
        placed = turned + shift
        clash = any((placed[0] < other[1]).all() and (other[0] < placed[1]).all() for other in others)
        in_the_way = ((placed[0] - BERTH_M < eyes) & (eyes < placed[1] + BERTH_M)).all(axis=1).any()
        if not clash and not in_the_way and np.linalg.norm(placed.mean(axis=0) - box.mean(axis=0)) > MIN_SHIFT_M:
            return T
    return None


def quarter_turns(count: int) -> Float64[ndarray, "4 4"]:
    """A turn about z."""
    c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[count]
    T = np.eye(4)
    T[:2, :2] = (c, -s), (s, c)
    return T


def moved_box(box: Box, T: Float64[ndarray, "4 4"]) -> Box:
    """The box of what was turned by quarters and shifted."""
    corners = box @ T[:3, :3].T + T[:3, 3]
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def some_place(room: RoomScene, name: str, box: Box, boxes: dict[int, Box], rng: np.random.Generator) -> ndarray:
    """A place for the middle of a thing's underside: of the floor, or on a table."""
    if name in STANDS_FREE:
        half = np.array(room.size_m[:2]) / 2 - (box[1] - box[0])[:2] / 2 - 0.05
        return np.array([*rng.uniform(-half, half), box[0, 2]])
    tables = [boxes[i] for i, other in room.names.items() if other in TABLES]
    table = tables[rng.integers(len(tables))]
    return np.array([*rng.uniform(table[0, :2] + 0.1, table[1, :2] - 0.1), table[1, 2] + 0.001])


class Walk:
    """The frames of two walks through a room that changed between them, the second on another path."""

    def __init__(self, change: Change, frames: int, seed: int) -> None:
        self.frames = frames
        self.instances: dict[int, UInt16[ndarray, "height width"]] = {}
        """What each pixel of a frame truly shows, by its index."""
        self.shows_old: list[dict[int, int]] = []
        """For each frame of the second walk the pixels, of 80x60, that each thing of before would have."""
        self.shows_new: list[dict[int, int]] = []
        """And those that it has, where it is now."""
        size_m = change.before.size_m
        second = [T @ _STEP_ASIDE for T in walk_round(size_m, frames + 7)[:frames][::-1]]
        self._poses = [*walk_round(size_m, frames), *second]
        self._renderers = [Renderer(scene.parts, nthreads=1) for scene in (change.before, change.after)]
        self._noise = DepthNoise(DepthNoiseConfig(), seed)
        self._surface = TruthSurface(change.before)

    def read(self) -> Iterator[Frame]:
        for index, T_map_camera in enumerate(self._poses):
            later = index >= self.frames
            view = self._renderers[later].render(CAMERA, T_map_camera)
            self.instances[index] = view.instance
            if later:
                self.shows_old.append(self._glance(0, T_map_camera))
                self.shows_new.append(self._glance(1, T_map_camera))
            yield Frame(
                index=index,
                stamp_s=SECONDS_A_FRAME * index,
                color=view.color,
                depth_m=self._noise.apply(view.depth_m, view.color, view.instance, CAMERA, index),
                camera=CAMERA,
                T_map_camera=T_map_camera,
            )

    def thing_at(self, xyz: ndarray) -> int:
        """The thing of before that most of some points lie on; -1 for none."""
        found, counts = np.unique(self._surface.instance_at(xyz), return_counts=True)
        return int(found[counts.argmax()]) if len(found) else NO_INSTANCE

    def _glance(self, which: int, T_map_camera: Float64[ndarray, "4 4"]) -> dict[int, int]:
        view = self._renderers[which].render(GLANCE, T_map_camera)
        return dict(enumerate(np.bincount(view.instance[view.depth_m < RANGE_M]).tolist()))


_STEP_ASIDE = np.eye(4)
_STEP_ASIDE[:3, 3] = 0.12, -0.08, -0.05
