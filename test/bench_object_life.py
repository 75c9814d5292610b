"""Things that vanish and move between two walks: `test/bench_object_life.py [--rooms 10] [--recording SEQUENCE RUN]`.

A furnished room is walked through twice, with a Kinect's depth noise and simulated masks (`changed_rooms.py`). Before
the second walk, on another path, three things are taken away and two are carried elsewhere. All that the map says to
have gone is held against that, and kept in a file a room, so that a run that was cut goes on. In a recording nothing
was touched: whatever is missing when its map is loaded and it is looked at again is missing by mistake.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from changed_rooms import SECONDS_A_FRAME, Change, Walk, changed_room
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.life import EventKind, LifeEvent
from ovseg3r_core.mapping.storage import load_both
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.types import Frame
from ovseg3r_train.worlds import proposer_of

VISIBLE_PX = 8  # of 80x60: less of a thing shows nothing
NEAR_M = 0.4  # where a thing is said to be now, and where it was carried


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the map said of one object."""

    frame: int
    """Of the second walk; less than 0 in the first."""
    kind: EventKind
    label: str
    thing: int
    """What truly stood in the place that it speaks of; -1 for nothing of the room."""
    right: bool


@dataclass(frozen=True, kw_only=True)
class Touched:
    """A thing that was taken away or carried elsewhere, and what the map knew of it."""

    thing: int
    name: str
    moved: bool
    mapped: bool
    """When the second walk began."""
    watched: bool
    """It has points that depth can speak against."""
    looks: tuple[int, ...]
    """The frames of the second walk that show where it was."""
    looks_anew: int
    """Frames that show it where it is now."""
    against: int
    """Views in a row that saw through it when the walk ended; 0 where it had been removed."""


@dataclass(frozen=True, kw_only=True)
class RoomResult:
    """One room."""

    seed: int
    told: tuple[Told, ...]
    touched: tuple[Touched, ...]

    def first(self, kind: EventKind, thing: int) -> int | None:
        """The frame in which the map first said that of a thing."""
        return next((it.frame for it in self.told if (it.kind, it.thing) == (kind, thing)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--recording", type=Path, nargs=2, action="append", default=[], help="a sequence, and a `segment` run of it"
    )
    parser.add_argument("--rooms", type=int, default=0)
    parser.add_argument("--frames", type=int, default=96, help="of each walk")
    parser.add_argument("--masks", default="simulated", help="perfect, simulated or open-vocabulary; for the rooms")
    parser.add_argument("--out", type=Path, default=Path("object_life"), help="the results of rooms, kept")
    options = parser.parse_args()
    console = Console(width=120)
    results = []
    for seed in range(options.rooms):
        path = options.out / f"{200 + seed}-{options.frames}-{options.masks}.json"
        if not path.exists():
            start = time.perf_counter()
            save(path, walk_through(seed, options.frames, options.masks))
            console.print(f"room {200 + seed}: {time.perf_counter() - start:.0f} s")
        results.append(load(path))
        print_room(console, results[-1])
    if results:
        print_score(console, results)
    for recording, run in options.recording:
        print_recording(console, recording, run)


def walk_through(seed: int, frames: int, masks: str) -> RoomResult:
    change = changed_room(seed)
    walk = Walk(change, frames, seed)
    proposer = proposer_of(masks, walk.instances.__getitem__, change.before.names, seed=seed)
    config = replace(config_of(online=True), keyframes=KeyframeConfig(translation_m=0.3, rotation_rad=0.4))
    perception = Perception(proposer, same_name, config)
    told: list[Told] = []
    samples: dict[int, int] = {}
    for frame in walk.read():
        if frame.index == frames:
            perception.refine()
            for life in perception.objects.lives.values():
                thing = walk.thing_at(life.place.xyz)
                samples[thing] = max(samples.get(thing, 0), len(life.samples))
        perception.integrate(frame)
        told += judged(perception, walk, change, frame.index - frames)
    perception.refine()
    told += judged(perception, walk, change, frames)
    against = {walk.thing_at(life.place.xyz): life.against for life in perception.objects.lives.values()}
    touched = tuple(
        Touched(
            thing=id_,
            name=change.before.names[id_],
            moved=id_ in change.moved,
            mapped=id_ in samples,
            watched=samples.get(id_, 0) > 0,
            looks=tuple(frames_with(walk.shows_old, id_)),
            looks_anew=len(frames_with(walk.shows_new, id_)) if id_ in change.moved else 0,
            against=against.get(id_, 0),
        )
        for id_ in (*change.removed, *change.moved)
    )
    return RoomResult(seed=200 + seed, told=tuple(told), touched=touched)


def judged(perception: Perception, walk: Walk, change: Change, frame: int) -> list[Told]:
    """The events since the last frame, held against what was done."""
    told = []
    for event in perception.take_events():
        if event.kind == "appeared":
            continue
        thing = walk.thing_at(place_of(perception, event))
        if event.kind == "moved":
            to = change.moved.get(thing)
            right = to is not None and bool(np.linalg.norm(to - event.record.box.centre) < NEAR_M)
        else:
            right = frame >= 0 and (thing in change.removed or thing in change.moved) == (event.kind != "seen again")
        told.append(Told(frame=frame, kind=event.kind, label=event.record.label, thing=thing, right=right))
    return told


def place_of(perception: Perception, event: LifeEvent) -> ndarray:
    """The points of the place that an event speaks of; of what moved, those that it left."""
    left = [it.place.xyz for it in perception.objects.departures if it.place.record.id == event.record.id]
    return left[-1] if event.kind in ("removed", "moved") else perception.objects.lives[event.record.id].place.xyz


def frames_with(shown: Sequence[dict[int, int]], thing: int) -> list[int]:
    return [frame for frame, px in enumerate(shown) if px.get(thing, 0) >= VISIBLE_PX]


def save(path: Path, result: RoomResult) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1))


def load(path: Path) -> RoomResult:
    content = json.loads(path.read_text())
    return RoomResult(
        seed=content["seed"],
        told=tuple(Told(**it) for it in content["told"]),
        touched=tuple(Touched(**it | {"looks": tuple(it["looks"])}) for it in content["touched"]),
    )


def print_room(console: Console, result: RoomResult) -> None:
    for it in result.touched:
        done = "carried" if it.moved else "taken"
        console.print(
            f"room {result.seed}: {done} {it.name} ({it.thing}), mapped {it.mapped}, watched {it.watched}, "
            f"{len(it.looks)} looks at its place from frame {it.looks[:1]}, {it.looks_anew} at the new one, "
            f"against it at the end {it.against}"
        )
    for it in result.told:
        console.print(f"  frame {it.frame:4d} {it.kind:10s} {it.label} ({it.thing}) {'right' if it.right else 'WRONG'}")


def print_score(console: Console, results: Sequence[RoomResult]) -> None:
    touched = [(room, it) for room in results for it in room.touched]
    asked = [(room, it) for room, it in touched if it.mapped and it.looks]
    gone = [(room, it) for room, it in asked if room.first("removed", it.thing) is not None]
    taken, carried = ([it for _, it in asked if it.moved == moved] for moved in (False, True))
    moved_told = [it for room, it in asked if it.moved and room.first("moved", it.thing) is not None]
    table = Table("what", "figure")
    table.add_row(
        "touched; of these not mapped before, or their place not looked at", _counts(len(touched), len(asked))
    )
    for name, some in (("taken away", taken), ("carried elsewhere", carried)):
        noticed = [it for _, it in gone if it.moved == (some is carried)]
        table.add_row(f"{name}, and noticed as removed (recall)", _share(len(noticed), len(some)))
    table.add_row("carried elsewhere, and told as moved with its id (recall)", _share(len(moved_told), len(carried)))
    left = [it for room, it in asked if room.first("removed", it.thing) is None]
    table.add_row("not removed: too flat or small to be watched", str(sum(not it.watched for it in left)))
    table.add_row(
        "not removed: seen through as the walk ended, not often enough", str(sum(it.against > 0 for it in left))
    )
    for kind in ("missing", "removed", "moved", "seen again"):
        some = [it for room in results for it in room.told if it.kind == kind]
        table.add_row(f"`{kind}` that is right (precision)", _share(sum(it.right for it in some), len(some)))
    before = sum(it.frame < 0 for room in results for it in room.told)
    table.add_row("said before anything was touched", str(before))
    for kind in ("missing", "removed"):
        waited = [frame - it.looks[0] for room, it in gone if (frame := room.first(kind, it.thing)) is not None]
        _add_quantiles(table, f"s from the first view of the place to {kind}", [SECONDS_A_FRAME * it for it in waited])
    shown = [sum(look <= _noticed(room, it) for look in it.looks) for room, it in gone]
    _add_quantiles(table, "frames that show the place until removed", shown)
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


def _noticed(room: RoomResult, it: Touched) -> int:
    frame = room.first("removed", it.thing)
    assert frame is not None
    return frame


def _add_quantiles(table: Table, name: str, values: Sequence[float]) -> None:
    if values:
        middle, most = np.quantile(values, [0.5, 0.9])
        table.add_row(f"{name}: median, 90 %", f"{middle:.1f}, {most:.1f}")


def _counts(whole: int, asked: int) -> str:
    return f"{whole}; {whole - asked}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "none"


if __name__ == "__main__":
    main()
