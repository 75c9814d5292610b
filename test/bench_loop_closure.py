"""A map whose keyframes drifted, corrected, against one of true poses: `python test/bench_loop_closure.py --hall`.

Generated rooms with true masks, walked round twice with poses that drift from nothing to the given jump; then every
keyframe is put where it was. `--hall` is a hall of 500 boxes, for the seconds.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float64
from numpy import ndarray
from rich.console import Console
from rich.table import Table

from ovseg3r_core.evaluation.map_metrics import MapMetrics, compare_maps
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.object_map import NOWHERE, ObjectMap, Placed
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.perception import Perception
from ovseg3r_core.run import config_of
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.room import RoomConfig, RoomScene, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Camera, Frame
from ovseg3r_core.views import View

JUMPS = ((0.3, 5.0), (1.0, 10.0), (2.0, 20.0))
"""Metres and degrees that the poses are off at the end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, nargs="*", default=[7, 8, 9], help="their seeds")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--hall", action="store_true", help="the seconds, with 500 objects and 500 keyframes")
    options = parser.parse_args()
    console = Console(width=140)
    if options.rooms:
        table = Table(
            *(
                "room",
                "jump",
                "map",
                "found",
                "median centre error [cm]",
                "against scratch",
                "twice",
                "ghosts",
                "seconds",
            )
        )
        for seed in options.rooms:
            for row in room_rows(build_room(RoomConfig(seed=seed)), options.frames):
                table.add_row(*row)
        console.print(table)
    if options.hall:
        show_hall(console)


@dataclass(frozen=True, kw_only=True)
class Told:
    """A map against the truth."""

    metrics: MapMetrics
    error_m: float

    @classmethod
    def of(cls, room: RoomScene, surface: TruthSurface, snapshot: MapSnapshot) -> "Told":
        truth, names = surface.instance_at(snapshot.cloud.xyz), {it.id: it.label for it in snapshot.objects}
        metrics = compare_maps(truth, room.names, snapshot.instance(), names)
        found = {it.id: it.box.centre for it in snapshot.objects}
        really = {it.id: it.box.centre for it in room.objects}
        off = [
            np.linalg.norm(np.subtract(found[thing.predicted_id], really[thing.truth_id]))
            for thing in metrics.objects
            if thing.predicted_id is not None
        ]
        return cls(metrics=metrics, error_m=float(np.median(off)))


def room_rows(room: RoomScene, frames: int) -> Iterator[tuple[str, ...]]:
    """A map of true poses, and for each jump the map before, just after and a look after the correction."""
    source = RoomSequence(room, WalkConfig(frames=frames, width_px=320, height_px=240, focal_px=262.5))
    shots, surface = list(source.read()), TruthSurface(room)
    masks = PerfectMasks(source.instances, room.names, min_pixels=50)

    def row(jump: str, what: str, perception: Perception, seconds: float, scratch: Told | None) -> tuple[str, ...]:
        told = Told.of(room, surface, perception.snapshot())
        metrics, against = told.metrics, f"{told.error_m / scratch.error_m:.2f}" if scratch else ""
        counts = (str(metrics.duplicates), str(len(metrics.ghosts)))
        found = f"{metrics.found} of {metrics.there}"
        return room.name, jump, what, found, f"{100 * told.error_m:.1f}", against, *counts, f"{seconds:.2f}"

    def mapped(poses: Sequence[Float64[ndarray, "4 4"]]) -> Perception:
        perception = Perception(masks, same_name, config_of(online=True))
        for shot, pose in zip(shots, poses, strict=True):
            perception.integrate(replace(shot, T_map_camera=pose))
        perception.refine()
        return perception

    true = [shot.T_map_camera for shot in shots]
    perception = mapped(true)
    scratch = Told.of(room, surface, perception.snapshot())
    yield row("", "true poses from the start", perception, 0.0, None)
    for jump_m, jump_deg in JUMPS:
        jump = f"{jump_m} m, {jump_deg:.0f} deg"
        perception = mapped(drifted(true, jump_m, np.deg2rad(jump_deg)))
        yield row(jump, "drifted", perception, 0.0, scratch)
        by_stamp = {shot.stamp_s: shot.T_map_camera for shot in shots}
        start = time.perf_counter()
        perception.correct_poses({view.index: by_stamp[view.stamp_s] for view in perception.views})
        perception.snapshot()
        yield row(jump, "corrected, at once", perception, time.perf_counter() - start, scratch)
        start = time.perf_counter()
        perception.refine()
        perception.snapshot()
        yield row(jump, "corrected, surface made anew", perception, time.perf_counter() - start, scratch)


def drifted(poses: Sequence[Float64[ndarray, "4 4"]], jump_m: float, jump_rad: float) -> list[Float64[ndarray, "4 4"]]:
    """The poses with an error that grows in step with time, a shift and a turn about the camera's own place."""
    return [
        _off(T, share * jump_m, share * jump_rad) for T, share in zip(poses, np.linspace(0, 1, len(poses)), strict=True)
    ]


def _off(T: Float64[ndarray, "4 4"], by_m: float, by_rad: float) -> Float64[ndarray, "4 4"]:
    off, cos, sin = T.copy(), np.cos(by_rad), np.sin(by_rad)
    off[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ T[:3, :3]
    off[:3, 3] += by_m * np.array([0.8, 0.6, 0.0])
    return off


COLUMNS, ROWS, SPACING_M = 25, 20, 1.6
NAMES = ("crate", "barrel", "suitcase", "chair", "bench", "box", "cabinet", "pump", "motor", "stool")


class Hall:
    """500 boxes in rows, and a camera that goes along each aisle, and then along each of them again."""

    def __init__(self, keyframes: int) -> None:
        rng = np.random.default_rng(0)
        self.scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self.camera = Camera(fx=160, fy=160, cx=159.5, cy=119.5, width=320, height=240)
        self.names = {i: NAMES[(i * 7 + i // COLUMNS) % len(NAMES)] for i in range(1, COLUMNS * ROWS + 1)}
        for i in range(COLUMNS * ROWS):
            size = rng.uniform(0.35, 0.8, 3)
            box = o3d.geometry.TriangleMesh.create_box(*size)
            place = np.array([i % COLUMNS, i // COLUMNS, 0.0]) * SPACING_M
            box.translate(place + np.array([*rng.uniform(-0.2, 0.2, 2), 0.0]))
            self.scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(box))
        self.ids: dict[int, ndarray] = {}
        self.poses = list(self._walk(keyframes // 2)) * 2

    def _walk(self, count: int) -> Iterator[Float64[ndarray, "4 4"]]:
        for s in np.linspace(0, ROWS, count, endpoint=False):
            aisle, along = int(s), (s % 1) * COLUMNS * SPACING_M
            eye = np.array([along, (aisle - 0.7) * SPACING_M, 1.3])
            yield look_at(eye, eye + np.array([0.3, 1.0, -0.8]))

    def frame(self, index: int, T_map_camera: Float64[ndarray, "4 4"]) -> Frame:
        """What the camera sees from its true place, said to be seen from another."""
        true = self.poses[index]
        rays = self.scene.create_rays_pinhole(self.camera.K, np.linalg.inv(true), self.camera.width, self.camera.height)
        hit = self.scene.cast_rays(rays, nthreads=1)
        depth_m, geometry = hit["t_hit"].numpy(), hit["geometry_ids"].numpy()
        seen = np.isfinite(depth_m)
        self.ids[index] = np.where(seen, geometry + 1, 0).astype(np.uint16)
        color = np.stack([(self.ids[index] * k) % 200 + 40 for k in (37, 91, 151)], axis=-1).astype(np.uint8)
        return Frame(
            index=index,
            stamp_s=float(index),
            color=color,
            depth_m=np.where(seen, depth_m, 0).astype(np.float32),
            camera=self.camera,
            T_map_camera=T_map_camera,
        )


class AllAtOnce(Perception):
    """Places nothing before all views are looked at together: for a map of which only the end is of interest."""

    def _explained(self, keyframe: Frame, objects: ObjectMap) -> Bool[ndarray, "height width"]:
        return np.zeros(keyframe.depth_m.shape, bool)

    def _place(self, view: View, former: Mapping[Placed, int] = NOWHERE) -> None:
        pass


def show_hall(console: Console) -> None:
    """How long a correction takes with 500 objects and 500 keyframes, part by part."""
    hall = Hall(keyframes=500)
    masks = PerfectMasks(lambda index: hall.ids[index], hall.names, min_pixels=50)
    config = config_of(online=False, voxel_size_m=0.04)
    config = replace(config, keyframes=replace(config.keyframes, sharpness_ratio=0.0))
    perception = AllAtOnce(masks, same_name, config)
    for index, pose in enumerate(drifted(hall.poses, 1.0, np.deg2rad(10.0))):
        perception.integrate(hall.frame(index, pose))
    perception.refine()
    console.print(f"{len(perception.views)} keyframes, {len(perception.snapshot().objects)} objects before")
    timed(console, "correct", lambda: perception.correct_poses(dict(enumerate(hall.poses))))
    timed(console, "snapshot", perception.snapshot)
    console.print(f"{len(perception.snapshot().objects)} objects after; {len(perception.snapshot().cloud)} points")
    timed(console, "refine, with the surface", perception.refine)
    console.print(f"of it the surface {perception.clock.seconds['fuse again']:.1f} s")
    console.print(f"{len(perception.snapshot().objects)} objects in the end")


def timed(console: Console, what: str, do: Callable[[], object]) -> None:
    start = time.perf_counter()
    do()
    console.print(f"{what}: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
