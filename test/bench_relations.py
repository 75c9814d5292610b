"""How often relations are told right: furnished homes, of which it is known what was put on, in and beside what.

    python test/bench_relations.py --homes 8

Each home is seen by a walking camera, its depth is measured with noise and fused; the outlines of things are the true
ones, so that the figures are those of the relations alone. Prints the table of docs/queries.md.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int32
from maps import make_record
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from ovseg3r_core.geometry import fit_box
from ovseg3r_core.mapping.bodies import Bodies, Surface, bodies_of
from ovseg3r_core.mapping.relations import Relation, RelationConfig, distances, reaches, related
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.synthetic.sequence import WalkConfig as CameraConfig
from ovseg3r_core.types import SceneCloud
from ovseg3r_train.homes.home import Home, HomeConfig, build_home
from ovseg3r_train.sampled.sampled_scene import sampled_world
from ovseg3r_train.sampled.surface_samples import sample_parts
from ovseg3r_train.sensor.walks import WalkConfig, walk

MIN_POINTS = 20  # as the map has it: less is no object
UNASKED = ("rug", "mat", "doorframe", "door", "window")
"""What the plan does not say everything about: chairs that came to stand on a rug, things near a door."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The things of a home that the camera saw, as they are and as they were reconstructed."""

    ids: tuple[int, ...]
    names: tuple[str, ...]
    true: Bodies
    mapped: Bodies
    boxes: Bodies
    """The same boxes without their surfaces."""


def see(home: Home, seed: int, frames: int) -> Seen:
    """What a walk sees of a home."""
    samples = sample_parts(home.parts, seed=seed)
    poses = walk(home.floor_plan, WalkConfig(frames=frames), seed)
    scene = sampled_world(samples, poses, CameraConfig().camera, home.names, seed=seed).scene
    assert scene.truth is not None
    instance = scene.truth.instance
    kept = [
        thing
        for thing in home.objects
        if thing.class_name not in UNASKED and (instance == thing.id).sum() >= MIN_POINTS
    ]
    ids = [thing.id for thing in kept]
    exact = SceneCloud(xyz=samples.xyz, color=samples.color, normal=samples.normal)
    mapped = bodies_in(scene.cloud, instance, ids)
    return Seen(
        ids=tuple(ids),
        names=tuple(thing.class_name for thing in kept),
        true=bodies_in(exact, samples.instance, ids),
        mapped=mapped,
        boxes=replace(mapped, surfaces=(Surface.unseen(),) * len(ids)),
    )


def bodies_in(cloud: SceneCloud, instance: Int32[ndarray, " points"], ids: Sequence[int]) -> Bodies:
    """The things of a cloud as a map has them."""
    boxes = [fit_box(cloud.xyz[instance == id_]) for id_ in ids]
    records = tuple(make_record(id_, "object", box=box, centre=box.centre) for id_, box in zip(ids, boxes, strict=True))
    snapshot = MapSnapshot(
        map_frame="map", cloud=cloud, owner=instance, objects=records, structure=(), up=(0.0, 0.0, 1.0), views=1
    )
    return bodies_of(snapshot, records)


def planned(home: Home, seen: Seen, relation: Relation) -> Bool[ndarray, "things things"]:
    """Which pairs the plan of the home put so; near is what is near by the exact boxes."""
    if relation == "near":
        return distances(seen.true, seen.true) <= reaches(seen.true, seen.true, RelationConfig())
    places = {"on": ("on", "on back", "on front", "in"), "in": ("in",)}[relation]
    row = {id_: i for i, id_ in enumerate(seen.ids)}
    result = np.zeros((len(seen.ids),) * 2, bool)
    for id_, (place, anchor) in home.places.items():
        if place in places and id_ in row and anchor in row:
            i, j = row[id_], row[anchor]
            inside = seen.true.high[i] < seen.true.high[j] or relation != "in"  # what is on its top is not in it
            result[i, j] = inside
    return result


@dataclass(kw_only=True)
class Tally:
    """Pairs that are, that were told, and both."""

    there: int = 0
    told: int = 0
    right: int = 0

    def add(self, truth: ndarray, told: ndarray) -> None:
        self.there, self.told = self.there + int(truth.sum()), self.told + int(told.sum())
        self.right += int((truth & told).sum())

    @property
    def row(self) -> tuple[str, str, str, str]:
        precision = f"{self.right / self.told:.3f}" if self.told else "-"
        recall = f"{self.right / self.there:.3f}" if self.there else "-"
        return str(self.there), str(self.told), precision, recall


def main() -> None:
    """Print the table, and which pairs were told wrongly most often."""
    parser = argparse.ArgumentParser(description="How often relations are told right.")
    parser.add_argument("--homes", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--split", choices=("train", "val", "test"), default="val")
    options = parser.parse_args()
    tallies: dict[tuple[Relation, str], Tally] = defaultdict(Tally)
    wrong: Counter[str] = Counter()
    console = Console(width=140)
    for seed in range(options.homes):
        home = build_home(HomeConfig(seed=seed, split=options.split))
        seen = see(home, seed, options.frames)
        console.print(f"{home.name}: {len(seen.ids)} things seen")
        for relation in ("on", "in", "near"):
            truth = planned(home, seen, relation)
            for source in ("true", "mapped", "boxes"):
                bodies: Bodies = getattr(seen, source)
                told = related(relation, bodies, bodies) & ~np.eye(len(bodies), dtype=bool)
                truth &= ~np.eye(len(bodies), dtype=bool)
                tallies[relation, source].add(truth, told)
                if source == "mapped":
                    for i, j in np.argwhere(truth != told).tolist():
                        kind = "told" if told[i, j] else "missed"
                        wrong[f"{kind}: {seen.names[i]} {relation} {seen.names[j]}"] += 1
    table = Table("relation", "told from", "pairs", "told", "precision", "recall")
    for (relation, source), tally in tallies.items():
        table.add_row(relation, source, *tally.row)
    console.print(table)
    for line, count in wrong.most_common(40):
        console.print(f"{count:4} {line}")


if __name__ == "__main__":
    main()
