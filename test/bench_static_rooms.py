"""What a map that watches for changes costs where nothing changes: `test/bench_static_rooms.py --seeds 0 1`.

A furnished room is walked through once, ten frames a second, with a Kinect's depth noise and simulated masks, online,
as a robot would. The map is judged as it is when the walk ends: by the benchmark's AP, on its own points and on the
clean ones, by the things that are there twice, by what it says to have gone, all of which is wrong, and by how often a
thing that had an id was under another one at a later look at all views. The same frames and masks for all settings; the
last of them masks every keyframe in full and looks at all views once, at the end.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from changed_rooms import CAMERA
from rich.console import Console
from rich.table import Table

from ovseg3r_core.evaluation.map_metrics import MapMetricsConfig, compare_maps
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import NEVER, PerceptionConfig, config_of
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.synthetic.render import Renderer
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.trajectory import walk_round
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame
from ovseg3r_train.baselines.ours import found_in
from ovseg3r_train.benchmark.measures import Judged, any_name_precision, on_clean_vertices, on_reconstruction
from ovseg3r_train.reconstruct import seen_surface
from ovseg3r_train.scene import CleanTruth, FoundInstances, LabelledScene, Truth
from ovseg3r_train.sensor.depth_noise import DepthNoise, DepthNoiseConfig
from ovseg3r_train.worlds import proposer_of

HZ = 10.0
FOUND = MapMetricsConfig(found_iou=0.5)  # of a thing that is followed from look to look
NEVER_S = 60.0  # between two frames that are asked: longer than a walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--masks", default="simulated", help="perfect, simulated or open-vocabulary")
    options = parser.parse_args()
    console, namer = Console(width=120), Namer(scannet200(), MiniLm())
    table = Table(
        "room",
        "settings",
        "objects",
        "twice",
        "ids changed",
        "missing, removed",
        "AP, AP50",
        "AP, AP50, clean vertices",
    )
    for seed in options.seeds:
        walk = StaticWalk(seed, options.frames)
        for name, config in settings().items():
            perception, changed = walk.perceived(options.masks, config)
            kinds = [event.kind for event in perception.take_events()]
            judged = walk.judged(perception, namer)
            table.add_row(
                str(seed),
                name,
                str(len(perception.snapshot().objects)),
                str(judged[0].counts.duplicates),
                str(changed),
                f"{kinds.count('missing')}, {kinds.count('removed')}",
                *(precision(it) for it in judged),
            )
    console.print(table)


def settings() -> dict[str, PerceptionConfig]:
    base = replace(config_of(online=True), keyframes=KeyframeConfig(translation_m=0.3, rotation_rad=0.4))
    unasked = replace(base.life, evidence=replace(base.life.evidence, every_s=NEVER_S))
    return {
        "defaults": base,
        "max_weight 10000": replace(base, tsdf=replace(base.tsdf, max_weight=10_000.0)),
        "max_weight 16": replace(base, tsdf=replace(base.tsdf, max_weight=16.0)),
        "depth not asked": replace(base, life=unasked),
        "all views at the end": replace(base, explained_after_views=NEVER, refine_every=0),
    }


class StaticWalk:
    """The frames of a walk through a room that stays as it is, and the truth."""

    def __init__(self, seed: int, frames: int) -> None:
        self._seed, self._room = seed, build_room(RoomConfig(seed=seed, width_m=5.0, depth_m=4.2))
        renderer, noise = Renderer(self._room.parts, nthreads=1), DepthNoise(DepthNoiseConfig(), seed)
        self._instances, self._frames, exact = [], [], []
        for index, T_map_camera in enumerate(walk_round(self._room.size_m, frames)):
            view = renderer.render(CAMERA, T_map_camera)
            frame = Frame(
                index=index,
                stamp_s=index / HZ,
                color=view.color,
                depth_m=view.depth_m,
                camera=CAMERA,
                T_map_camera=T_map_camera,
            )
            depth_m = noise.apply(view.depth_m, view.color, view.instance, CAMERA, index)
            self._instances.append(view.instance)
            self._frames.append(replace(frame, depth_m=depth_m))
            exact.append(frame)
        self._surface = TruthSurface(self._room)
        xyz = seen_surface(exact[::3])
        self._clean = CleanTruth(xyz=xyz, truth=self._truth(xyz))

    def perceived(self, masks: str, config: PerceptionConfig) -> tuple[Perception, int]:
        """The map when the walk ends, with all events untaken, and how often a thing came under another id."""
        proposer = proposer_of(masks, self._instances.__getitem__, self._room.names, seed=self._seed)
        perception = Perception(proposer, same_name, config)
        ids, looks = list[dict[int, int]](), 0
        for frame in self._frames:
            perception.integrate(frame)
            if perception.clock.times["refine"] > looks:
                looks = perception.clock.times["refine"]
                ids.append(self._ids_of_things(perception))
        perception.refine()
        ids.append(self._ids_of_things(perception))
        return perception, changes(ids)

    def _ids_of_things(self, perception: Perception) -> dict[int, int]:
        """The object that shows each thing now."""
        found = perception.snapshot()
        truth, names = self._surface.instance_at(found.cloud.xyz), {it.id: it.label for it in found.objects}
        metrics = compare_maps(truth, self._room.names, found.instance(), names, FOUND)
        return {it.truth_id: it.predicted_id for it in metrics.objects if it.predicted_id is not None}

    def judged(self, perception: Perception, namer: Namer) -> tuple[Judged, Judged]:
        """On the points of the map, and on the clean vertices."""
        cloud = perception.objects.cloud
        scene = LabelledScene(
            name=f"room {self._seed}",
            cloud=cloud,
            views=(),
            seen=Incidence.build([]),
            lifted=(),
            truth=self._truth(cloud.xyz),
            clean=self._clean,
        )
        found = things_of(perception)
        return on_reconstruction(scene, found, namer), on_clean_vertices(scene, found, namer)

    def _truth(self, xyz: np.ndarray) -> Truth:
        instance = self._surface.instance_at(xyz)
        return Truth(instance=instance, names={i: self._room.names[i] for i in np.unique(instance).tolist() if i >= 0})


def changes(ids: Sequence[dict[int, int]]) -> int:
    """How often a thing that had an id was found under another one, in one look after the other."""
    last, changed = dict[int, int](), 0
    for now in ids:
        changed += sum(last.get(thing, id_) != id_ for thing, id_ in now.items())
        last |= now
    return changed


def things_of(perception: Perception) -> FoundInstances:
    """The objects of a map as instances, without pieces of the room."""
    objects = perception.objects
    found, points = found_in(objects), objects.ownership.points_of
    listed = [record.id for record in objects.records() if record.id in points]
    kept = [i for i, id_ in enumerate(listed) if not objects.objects[id_].structure]
    return FoundInstances(
        points=tuple(found.points[i] for i in kept),
        names=tuple(found.names[i] for i in kept),
        scores=found.scores[kept],
        name_scores=found.name_scores[kept],
    )


def precision(judged: Judged) -> str:
    found = any_name_precision([judged])
    return f"{100 * found.ap:.1f}, {100 * found.ap50:.1f}"


if __name__ == "__main__":
    main()
