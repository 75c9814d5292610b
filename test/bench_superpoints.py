"""Measures superpoints on labelled scenes, and their time: `python test/bench_superpoints.py SCENES...`.

A table a split and source of masks: plain geometry beside the rules of `ovseg3r_core/superpoints.py`, whole and in
parts. Scenes are made by `ovseg3r-train scenes`. The last table is of the time for 100,000 points.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from ovseg3r_core.commands.tables import percent
from ovseg3r_core.graph.bending import bending
from ovseg3r_core.graph.clustering import Exclusive, clusters
from ovseg3r_core.graph.edges import edges_of
from ovseg3r_core.graph.neighbours import nearest
from ovseg3r_core.graph.normals import surface_normals, unit_or_zero
from ovseg3r_core.graph.order import ordered_nodes
from ovseg3r_core.superpoints import SuperpointConfig, outlines, superpoints
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.view_labels import BACKGROUND, UNSEEN, ViewLabels
from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.scene_set import SceneSet
from ovseg3r_train.superpoint_quality import mean_quality, quality

console = Console(width=150)
Cut = Callable[[SceneCloud, ViewLabels], Int64[ndarray, " points"]]
DEFAULT = SuperpointConfig()
TIMED_POINTS, TIMES = 100_000, 11


def geometry(config: SuperpointConfig) -> Cut:
    return lambda cloud, labels: superpoints(cloud, config=config)


def by_masks(config: SuperpointConfig) -> Cut:
    return lambda cloud, labels: superpoints(cloud, labels, config)


def edges_alone(cut_share: float) -> Cut:
    """Rule 2 without rule 1; with a share of 0 what the paper says of edges, taken by the letter in every view."""

    def cut(cloud: SceneCloud, labels: ViewLabels) -> Int64[ndarray, " points"]:
        steps = Steps(cloud, labels)
        return steps.cluster(steps.outlines(cut_share), Exclusive.nothing(len(steps.xyz)))

    return cut


GEOMETRY: dict[str, Cut] = {
    "geometry": geometry(DEFAULT),
    "geometry, the cloud's normals": geometry(replace(DEFAULT, normals="given")),
    "geometry, k = 0.003": geometry(replace(DEFAULT, k=0.003)),
    "geometry, k = 0.001": geometry(replace(DEFAULT, k=0.001)),
}
MASKS: dict[str, Cut] = {
    "IBSp (both rules)": by_masks(DEFAULT),
    "IBSp, the cloud's normals": by_masks(replace(DEFAULT, normals="given")),
    "rule 1: clusters that a view tells apart": by_masks(replace(DEFAULT, cut_share=1.0)),
    "rule 2: edges that most views cut": edges_alone(0.5),
    "edges that any view cuts": edges_alone(0.0),
    "rule 1, and edges that any view cuts": by_masks(replace(DEFAULT, cut_share=0.0)),
}


class Steps:
    """`superpoints`, step by step, each of which can be timed or left out."""

    def __init__(self, cloud: SceneCloud, labels: ViewLabels) -> None:
        self.cloud, self.labels = cloud, labels
        self.order()
        self.neighbours()
        self.fit()

    def order(self) -> None:
        self.given = unit_or_zero(self.cloud.normal)
        self.nodes = ordered_nodes(self.cloud.xyz, self.given, self.labels.signature())
        self.xyz, self.node_normal = self.cloud.xyz[self.nodes.point], self.given[self.nodes.point]

    def neighbours(self) -> None:
        self.near, distance_m = nearest(self.xyz, DEFAULT.neighbours)
        self.edges = edges_of(self.near, distance_m, DEFAULT.reach)

    def fit(self) -> None:
        self.normal = surface_normals(
            self.xyz, self.node_normal, self.nodes.count, self.near, self.edges, DEFAULT.normals
        )

    def outlines(self, cut_share: float = DEFAULT.cut_share) -> Bool[ndarray, " edges"]:
        point = self.nodes.point
        return outlines(self.labels, point[self.edges.a], point[self.edges.b], cut_share)

    def masks(self) -> Exclusive:
        return self.labels.masks_of(self.nodes.point)

    def cluster(self, cut: ndarray, masks: Exclusive) -> Int64[ndarray, " points"]:
        found = clusters(
            self.edges,
            bending(self.xyz, self.normal, self.edges),
            cut,
            self.nodes.count,
            masks,
            k=DEFAULT.k,
            min_points=DEFAULT.min_points,
            sliver_points=DEFAULT.sliver_points,
        )
        return found[self.nodes.of_point]


def table(title: str, scenes: list[LabelledScene], cuts: dict[str, Cut]) -> None:
    heads = ("superpoints", "purity", "under-seg.", "AP", "AP50", "small AP", "IoU", "small IoU", "seconds")
    shown = Table("", *heads, title=title)
    labels = [ViewLabels.of_masks(scene.seen, scene.lifted, len(scene.cloud)) for scene in scenes]
    for name, cut in cuts.items():
        judged, seconds = [], []
        for scene, label in zip(scenes, labels, strict=True):
            start = time.perf_counter()
            part = cut(scene.cloud, label)
            seconds.append(time.perf_counter() - start)
            assert scene.truth is not None
            judged.append(quality(part, scene.truth))
        mean = mean_quality(judged)
        shares = (mean.purity, mean.undersegmentation, mean.achievable.ap, mean.achievable.ap50)
        things = (mean.achievable_small.ap, mean.overlap, mean.overlap_small)
        shown.add_row(name, f"{mean.superpoints:.0f}", *map(percent, (*shares, *things)), f"{np.median(seconds):.2f}")
    console.print(shown)


def cropped(scene: LabelledScene) -> tuple[SceneCloud, ViewLabels]:
    """The first 100,000 points of a scene along x."""
    kept = np.sort(np.argsort(scene.cloud.xyz[:, 0], kind="stable")[:TIMED_POINTS])
    cloud = SceneCloud(xyz=scene.cloud.xyz[kept], color=scene.cloud.color[kept], normal=scene.cloud.normal[kept])
    ids = np.full((len(scene.views), len(scene.cloud)), UNSEEN, np.int32)
    for view, row in enumerate(ids):
        row[scene.seen.view(view).points] = BACKGROUND
    for mask in scene.lifted:
        ids[mask.view, mask.points] = mask.mask
    return cloud, ViewLabels.of_array(ids[:, kept])


def clock(what: Callable[[], object]) -> str:
    """The shortest and the median of several times, milliseconds."""
    what()
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        what()
        seconds.append(time.perf_counter() - start)
    return f"{1e3 * min(seconds):.0f} / {1e3 * float(np.median(seconds)):.0f}"


def times(scene: LabelledScene) -> None:
    cloud, labels = cropped(scene)
    none, bare = ViewLabels.none(len(cloud)), replace(cloud, normal=np.zeros_like(cloud.normal))
    plain, masked, unsigned = Steps(cloud, none), Steps(cloud, labels), Steps(bare, none)
    uncut, nothing = np.zeros(len(plain.edges), bool), Exclusive.nothing(len(plain.xyz))
    cut, masks = masked.outlines(), masked.masks()
    shown = Table("", "shortest / median", title=f"{len(cloud)} points of {scene.name}, milliseconds")
    shown.add_row("whole, geometry", clock(lambda: superpoints(cloud)))
    shown.add_row("whole, geometry, the cloud has no normals", clock(lambda: superpoints(bare)))
    shown.add_row("whole, masks", clock(lambda: superpoints(cloud, labels)))
    shown.add_section()
    shown.add_row("order", clock(plain.order))
    shown.add_row("neighbours and edges", clock(plain.neighbours))
    shown.add_row("normals", clock(plain.fit))
    shown.add_row("normals with their sides, the cloud has none", clock(unsigned.fit))
    shown.add_row("weights and clusters", clock(lambda: plain.cluster(uncut, nothing)))
    shown.add_section()
    shown.add_row("masks of each point, and outlines", clock(lambda: (masked.masks(), masked.outlines())))
    shown.add_row("weights and clusters, with masks", clock(lambda: masked.cluster(cut, masks)))
    console.print(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--times-only", action="store_true")
    arguments = parser.parse_args()
    for folder in arguments.scenes:
        kinds = sorted({(entry.split, entry.masks) for entry in SceneSet(folder).entries})
        for number, (split, masks) in enumerate(kinds if not arguments.times_only else []):
            scenes = list(SceneSet(folder, split=split, masks=masks).read(clean=False))
            superpoints(scenes[0].cloud)  # compiles
            title = f"{split}, {len(scenes)} scenes, {masks} masks"
            table(title, scenes, MASKS if number else GEOMETRY | MASKS)
    first = SceneSet(arguments.scenes[0])
    large = [entry.name for entry in first.entries if entry.points >= TIMED_POINTS and entry.lifted]
    if large:
        times(first.load(large[0], clean=False))


if __name__ == "__main__":
    main()
