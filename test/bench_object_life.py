"""Things that vanish and move between two walks: `test/bench_object_life.py [--rooms 6] [--recording SEQUENCE RUN]`.

A furnished room is walked through twice, with a Kinect's depth noise and simulated masks. Before the second walk, on
another path, three things are taken away and two are carried elsewhere. All that the map says to have gone is held
against that. In a recording nothing was touched: whatever is missing when its map is loaded and it is looked at again
is missing by mistake.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt16
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.life import LifeEvent
from ovseg3r_core.mapping.storage import load_both
from ovseg3r_core.perception import Perception
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.run import config_of
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.synthetic.mesh import Part, bounds
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.render import Renderer
from ovseg3r_core.synthetic.room import RoomConfig, RoomScene, build_room
from ovseg3r_core.synthetic.sequence import WalkConfig
from ovseg3r_core.synthetic.trajectory import walk_round
from ovseg3r_core.synthetic.truth import NO_INSTANCE, TruthSurface
from ovseg3r_core.types import Frame
from ovseg3r_train.sensor.depth_noise import DepthNoise, DepthNoiseConfig
from ovseg3r_train.worlds import proposer_of

REMOVED, MOVED = 3, 2
SECONDS_A_FRAME = 0.5
RANGE_M = 4.0
VISIBLE_PX = 8  # of 80x60: less of a thing shows nothing
STANDS_FREE = ("chair", "office chair", "potted plant", "trash can", "couch", "refrigerator", "bookshelf")
ON_TOP = ("tv", "laptop", "cup", "microwave", "vase", "bottle")
TABLES = ("dining table", "desk", "bed", "kitchen cabinet")
CAMERA = WalkConfig(width_px=320, height_px=240, focal_px=262.5).camera
GLANCE = WalkConfig(width_px=80, height_px=60, focal_px=65.6).camera

Box = Float64[ndarray, "2 3"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was done to a room."""

    after: RoomScene
    removed: tuple[int, ...]
    moved: dict[int, ndarray]
    """Where the middle of each moved thing is afterwards."""


@dataclass
class Score:
    """Sums over all rooms."""

    removed: int = 0
    removed_found: int = 0
    moved: int = 0
    moved_gone: int = 0
    moved_found: int = 0
    unmapped: int = 0
    unseen: int = 0
    left_events: int = 0
    left_right: int = 0
    moved_events: int = 0
    moved_right: int = 0
    missing_events: int = 0
    missing_right: int = 0
    static_false: int = 0
    seconds_missing: list[float] | None = None
    seconds_removed: list[float] | None = None
    frames_removed: list[int] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--recording", type=Path, nargs=2, action="append", default=[], help="a sequence, and a `segment` run of it"
    )
    parser.add_argument("--rooms", type=int, default=0)
    parser.add_argument("--frames", type=int, default=48, help="of each walk")
    parser.add_argument("--masks", default="simulated", help="perfect, simulated or open-vocabulary; for the rooms")
    options = parser.parse_args()
    console = Console(width=120)
    if options.rooms:
        score_rooms(options.rooms, options.frames, options.masks, console)
    for recording, run in options.recording:
        print_recording(console, recording, run)


def score_rooms(count: int, frames: int, masks: str, console: Console) -> None:
    score = Score(seconds_missing=[], seconds_removed=[], frames_removed=[])
    for seed in range(count):
        before = build_room(RoomConfig(seed=200 + seed, width_m=5.0, depth_m=4.2))
        change = changed(before, np.random.default_rng([seed, 5]))
        walked = Walked(before, change, frames, masks, seed)
        start = time.perf_counter()
        events = walked.run()
        tally(score, walked, events)
        witness_s = walked.perception.clock.seconds["witness"]
        console.print(
            f"room {200 + seed}: {time.perf_counter() - start:.0f} s, {witness_s:.1f} s of it for evidence; took "
            f"{[before.names[i] for i in change.removed]}, carried {[before.names[i] for i in change.moved]}"
        )
        for frame, event in events:
            truth = walked.truth_of(event)
            console.print(
                f"  frame {frame - frames:4d} {event.kind:10s} {event.record.id:4d} {event.record.label} ({truth})"
            )
        print_score(console, score)


def changed(room: RoomScene, rng: np.random.Generator) -> Change:
    """Three things less, and two of the others elsewhere."""
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
        if len(moved) < MOVED and (shift := free_place(room, id_, boxes, rng)) is not None:
            T = np.eye(4)
            T[:3, 3] = shift
            parts = [(i, part.moved(T) if i == id_ else part) for i, part in parts]
            boxes[id_] = boxes[id_] + shift
            moved[id_] = boxes[id_].mean(axis=0)
    removed = tuple([id_ for id_ in order if id_ not in moved][:REMOVED])
    left = tuple((id_, part) for id_, part in parts if id_ not in removed)
    return Change(after=replace(room, parts=left), removed=removed, moved=moved)


def box_of(room: RoomScene, id_: int) -> Box:
    parts: Sequence[Part] = [part for other, part in room.parts if other == id_]
    return bounds(parts).astype(np.float64)


def stands_on(above: Box, below: Box) -> bool:
    """Whether the first box stands on the second, or in it."""
    inside = (above[0, :2] < below[1, :2]).all() and (below[0, :2] < above[1, :2]).all()
    return bool(inside and above is not below and above[0, 2] > below[0, 2] + 0.05 and above[0, 2] < below[1, 2] + 0.05)


def free_place(room: RoomScene, id_: int, boxes: dict[int, Box], rng: np.random.Generator) -> ndarray | None:
    """How to shift a thing to a free place of the floor, or of another table, at least half a metre away."""
    names, box = room.names, boxes[id_]
    others = [other for i, other in boxes.items() if i != id_]
    tables = [boxes[i] for i, name in names.items() if name in TABLES]
    for _ in range(300):
        if names[id_] in STANDS_FREE:
            half = np.array(room.size_m[:2]) / 2 - (box[1] - box[0])[:2] / 2 - 0.05
            to = np.array([*rng.uniform(-half, half), box[0, 2]])
        else:
            table = tables[rng.integers(len(tables))]
            to = np.array([*rng.uniform(table[0, :2] + 0.1, table[1, :2] - 0.1), table[1, 2] + 0.001])
        shift = to - [*box.mean(axis=0)[:2], box[0, 2]]
        placed = box + shift
        clash = any((placed[0] < other[1]).all() and (other[0] < placed[1]).all() for other in others)
        if not clash and np.linalg.norm(shift) > 0.5:
            return shift
    return None


class Walked:
    """Two walks through a room that changed between them."""

    def __init__(self, before: RoomScene, change: Change, frames: int, masks: str, seed: int) -> None:
        self.before, self.change, self.frames = before, change, frames
        first = walk_round(before.size_m, frames)
        second = [T @ _STEP_ASIDE for T in walk_round(before.size_m, frames + 7)[:frames][::-1]]
        self._poses = [*first, *second]
        self._renderers = [Renderer(scene.parts, nthreads=1) for scene in (before, change.after)]
        self._noise = DepthNoise(DepthNoiseConfig(), seed)
        self._ids: dict[int, UInt16[ndarray, "height width"]] = {}
        self._surface = TruthSurface(before)
        self.would_see: list[dict[int, int]] = []
        """For each frame of the second walk the pixels that each thing of before would have."""
        proposer = proposer_of(masks, self._ids.__getitem__, before.names, seed=seed)
        config = replace(config_of(online=True), keyframes=KeyframeConfig(translation_m=0.3, rotation_rad=0.4))
        self.perception = Perception(proposer, same_name, config)

    def run(self) -> list[tuple[int, LifeEvent]]:
        events, mapped = [], False
        for frame in self._read():
            if frame.index == self.frames and not mapped:
                self.perception.refine()
                mapped = True
                self.mapped = {self._thing_at(life.place.xyz) for life in self.perception.objects.lives.values()}
            self.perception.integrate(frame)
            events += [(frame.index, event) for event in self.perception.take_events()]
        self.perception.refine()
        return events + [(2 * self.frames, event) for event in self.perception.take_events()]

    def truth_of(self, event: LifeEvent) -> int:
        """The thing of before that stood where the event's object did; -1 for none."""
        departures = [it.place for it in self.perception.objects.departures if it.place.record.id == event.record.id]
        lives = self.perception.objects.lives
        doubted = [lives[event.record.id].place] if event.record.id in lives else []
        places = departures or doubted
        return self._thing_at(places[0].xyz) if places else NO_INSTANCE

    def _thing_at(self, xyz: ndarray) -> int:
        ids = self._surface.instance_at(xyz)
        found, counts = np.unique(ids, return_counts=True)
        return int(found[counts.argmax()])

    def _read(self) -> Iterator[Frame]:
        for index, T_map_camera in enumerate(self._poses):
            later = index >= self.frames
            view = self._renderers[later].render(CAMERA, T_map_camera)
            self._ids[index] = view.instance
            depth_m = self._noise.apply(view.depth_m, view.color, view.instance, CAMERA, index)
            if later:
                was = self._renderers[0].render(GLANCE, T_map_camera)
                shown = was.instance[was.depth_m < RANGE_M]
                self.would_see.append(dict(enumerate(np.bincount(shown).tolist())))
            yield Frame(
                index=index,
                stamp_s=SECONDS_A_FRAME * index,
                color=view.color,
                depth_m=depth_m,
                camera=CAMERA,
                T_map_camera=T_map_camera,
            )


_STEP_ASIDE = np.eye(4)
_STEP_ASIDE[:3, 3] = 0.12, -0.08, -0.05


def tally(score: Score, walked: Walked, events: list[tuple[int, LifeEvent]]) -> None:
    """Hold what the map said against what was done."""
    change, frames = walked.change, walked.frames
    gone = {*change.removed, *change.moved}
    first: dict[tuple[str, int], int] = {}
    for frame, event in events:
        truth = walked.truth_of(event)
        right = truth in gone and frame >= frames
        if event.kind in ("missing", "removed", "moved"):
            first.setdefault((event.kind, truth), frame - frames)
        score.missing_events += event.kind == "missing"
        score.missing_right += event.kind == "missing" and right
        score.left_events += event.kind == "removed"
        score.left_right += event.kind == "removed" and right
        if event.kind == "moved":
            score.moved_events += 1
            to = change.moved.get(truth)
            score.moved_right += bool(to is not None and np.linalg.norm(to - event.record.box.centre) < 0.4)
        if event.kind in ("missing", "removed") and frame < frames:
            score.static_false += 1
    for id_ in sorted(gone):
        if id_ not in walked.mapped:
            score.unmapped += 1
            continue
        looks = [frame for frame, px in enumerate(walked.would_see) if px.get(id_, 0) >= VISIBLE_PX]
        if not looks:
            score.unseen += 1
            continue
        noticed = first.get(("removed", id_))
        if id_ in change.removed:
            score.removed += 1
            score.removed_found += noticed is not None
        else:
            score.moved += 1
            score.moved_gone += noticed is not None
            score.moved_found += ("moved", id_) in first
        if noticed is not None:
            assert score.seconds_missing is not None and score.seconds_removed is not None
            assert score.frames_removed is not None
            score.seconds_missing.append((first["missing", id_] - looks[0]) * SECONDS_A_FRAME)
            score.seconds_removed.append((noticed - looks[0]) * SECONDS_A_FRAME)
            score.frames_removed.append(sum(look <= noticed for look in looks))


def print_score(console: Console, score: Score) -> None:
    table = Table("what", "figure")
    table.add_row("taken away, mapped before and looked at again", str(score.removed))
    table.add_row("  of these noticed (recall)", _share(score.removed_found, score.removed))
    table.add_row("carried elsewhere, mapped before and old place looked at", str(score.moved))
    table.add_row("  of these noticed to have left", _share(score.moved_gone, score.moved))
    table.add_row("  of these told as moved, with their id (recall)", _share(score.moved_found, score.moved))
    table.add_row("not mapped before, or old place not looked at", f"{score.unmapped}, {score.unseen}")
    table.add_row("`missing` events that are right (precision)", _share(score.missing_right, score.missing_events))
    table.add_row("`removed` events that are right (precision)", _share(score.left_right, score.left_events))
    table.add_row("`moved` events that are right (precision)", _share(score.moved_right, score.moved_events))
    table.add_row("missing or removed before anything was touched", str(score.static_false))
    for name, values in (
        ("s from the first view of the place to missing", score.seconds_missing),
        ("s from the first view of the place to removed", score.seconds_removed),
        ("frames that show the place until removed", score.frames_removed),
    ):
        if values:
            middle, most = np.quantile(values, [0.5, 0.9])
            table.add_row(f"{name}: median, 90 %", f"{middle:.1f}, {most:.1f}")
    console.print(table)


def print_recording(console: Console, folder: Path, run: Path) -> None:
    """The map of a recording is loaded, and the recording looked at again: every `missing` is false.

    One frame in three is asked: these recordings keep one of several, and call that 30 Hz.
    """
    config = config_of(online=True)
    config = replace(config, life=replace(config.life, evidence=replace(config.life.evidence, every_s=0.1)))
    perception = Perception(PerfectMasks(lambda _: np.zeros((1, 1), np.uint16), {}), same_name, config)
    perception.resume(*load_both(run))
    objects = perception.snapshot().objects
    watched = sum(len(life.samples) > 0 for life in perception.objects.lives.values())
    events: list[LifeEvent] = []
    for item in open_sequence(folder).read():
        if isinstance(item, Frame):
            perception.fuse(item)
        events += perception.take_events()
    kinds = [event.kind for event in events]
    witness_ms = 1000 * perception.clock.seconds["witness"] / perception.frames
    console.print(
        f"{folder.name}: {perception.frames} frames, {len(objects)} objects, {watched} of them watched; "
        f"falsely missing {kinds.count('missing')}, of these seen again {kinds.count('seen again')}; "
        f"falsely removed {kinds.count('removed')}; evidence {witness_ms:.1f} ms a frame"
    )
    for event in events:
        console.print(f"  {event.stamp_s:7.2f} {event.kind} {event.record.id} {event.record.label} {event.record.box}")


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "none"


if __name__ == "__main__":
    main()
