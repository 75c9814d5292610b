"""Maps whose keyframes drifted, corrected, against maps of true poses: `python test/bench_loop_closure.py`.

The box room of the tests, and 500 boxes for the seconds. `--rooms SEED...` are furnished rooms, walked round twice with
poses that drift from nothing to the whole jump; then every keyframe is put where it was. Masks are the true ones.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scenes import Ball, Block, Solid, box_room, orbit

from ovseg3r_core.evaluation.map_metrics import MapMetrics, compare_maps
from ovseg3r_core.geometry import transform
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.objects import MapObject, Observation
from ovseg3r_core.mapping.ownership import Ownership
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.pose_correction import PoseCorrection
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.room import RoomConfig, RoomScene, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Camera, Frame, Mask, SceneCloud
from ovseg3r_core.views import View

JUMPS = ((0.3, 5.0), (1.0, 10.0), (2.0, 20.0))
"""Metres and degrees that the poses are off at the end."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, nargs="*", default=[], help="furnished rooms by their seeds")
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args()
    console = Console(width=140)
    show_hall(console)
    columns = "room", "jump", "map", "median centre error [cm]", "against scratch", "objects too many"
    table = Table(*columns)
    for row in corner_rows():
        table.add_row(*row)
    console.print(table)
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
    source = RoomSequence(room, WalkConfig(frames=frames, width_px=240, height_px=180, focal_px=197.0))
    shots, surface = list(source.read()), TruthSurface(room)
    masks = PerfectMasks(source.instances, room.names, min_pixels=30)

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
        start = time.process_time()
        perception.correct_poses({view.index: by_stamp[view.stamp_s] for view in perception.views})
        perception.snapshot()
        yield row(jump, "corrected, at once", perception, time.process_time() - start, scratch)
        start = time.process_time()
        perception.refine()
        perception.snapshot()
        yield row(jump, "corrected, surface made anew", perception, time.process_time() - start, scratch)


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


def corner_rows() -> Iterator[tuple[str, ...]]:
    """The same on the box room of the tests, seen twice, the second time off by the whole jump."""
    room = box_room(poses=[*orbit(4, to_deg=60.0)] * 2, width=240, height=180)
    true = [frame.T_map_camera for frame in room.frames]
    centres = {it.name: _centre_of(it) for it in (room.solids[i] for i in room.things)}
    config = config_of(online=True)
    config = replace(config, keyframes=replace(config.keyframes, translation_m=0.001, sharpness_ratio=0.0))

    class Exact:
        def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
            return room.masks(frame.index)

    def told(perception: Perception) -> tuple[float, int]:
        objects = perception.snapshot().objects
        off = [np.linalg.norm(np.subtract(it.box.centre, centres[it.label])) for it in objects]
        return float(np.median(off)), len(objects) - len(centres)

    def mapped(jump_m: float, jump_deg: float) -> Perception:
        perception = Perception(Exact(), same_name, config)
        for frame in room.frames:
            again = frame.index >= len(true) // 2
            pose = _off(frame.T_map_camera, jump_m * again, np.deg2rad(jump_deg) * again)
            perception.integrate(replace(frame, T_map_camera=pose))
        perception.refine()
        return perception

    error_m, more = told(mapped(0.0, 0.0))
    yield "box room", "", "true poses from the start", f"{100 * error_m:.1f}", "", str(more)
    for jump_m, jump_deg in JUMPS:
        perception = mapped(jump_m, jump_deg)
        for what, do in (
            ("off", lambda: None),
            ("corrected, at once", lambda p=perception: p.correct_poses(dict(enumerate(true)))),
            ("corrected, surface made anew", perception.refine),
        ):
            do()
            now_m, more = told(perception)
            jump = f"{jump_m} m, {jump_deg:.0f} deg"
            yield "box room", jump, what, f"{100 * now_m:.1f}", f"{now_m / error_m:.2f}", str(more)


def _centre_of(solid: Solid) -> tuple[float, ...]:
    if isinstance(solid, Ball):
        return solid.centre
    assert isinstance(solid, Block)
    return tuple((np.array(solid.low) + np.array(solid.high)) / 2)


COLUMNS, ROWS, SPACING_M, SIDE_M = 25, 20, 1.5, 0.5
NAMES = ("crate", "barrel", "suitcase", "chair", "bench", "box", "cabinet", "pump", "motor", "stool")
POINTS, BACKGROUND, VIEWS = 600, 400_000, 500


def show_hall(console: Console) -> None:
    """The seconds of a correction: 500 boxes that 500 keyframes mapped twice, and a floor; nothing is rendered."""
    rng = np.random.default_rng(0)
    boxes = COLUMNS * ROWS
    place = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS), [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
    surface = rng.uniform(-1, 1, (boxes, POINTS, 3))
    axis = rng.integers(0, 3, (boxes, POINTS, 1))
    np.put_along_axis(surface, axis, np.sign(np.take_along_axis(surface, axis, axis=2)), axis=2)
    once = (place * SPACING_M)[:, None] + surface * SIDE_M / 2
    floor = rng.uniform((0, 0, -0.3), (COLUMNS * SPACING_M, ROWS * SPACING_M, -0.29), (BACKGROUND, 3))
    off = _off(np.eye(4), 1.0, np.deg2rad(10.0))
    xyz = np.concatenate([once.reshape(-1, 3), transform(off, once.reshape(-1, 3)), floor]).astype(np.float32)

    perception = Perception(Nothing(), same_name, config_of(online=True))
    objects, view_of = perception.objects, np.arange(boxes) * (VIEWS // 2) // boxes
    owner = np.concatenate([np.repeat(np.arange(2 * boxes), POINTS) + 1, np.full(BACKGROUND, -1)]).astype(np.int32)
    anchors = np.concatenate([view_of, view_of + VIEWS // 2])
    perception.views = [_view(v, off if v >= VIEWS // 2 else np.eye(4)) for v in range(VIEWS)]
    objects.ownership = Ownership(owner, np.ones(len(owner), np.int32))
    objects.cloud = SceneCloud(xyz=xyz, color=np.zeros((len(xyz), 3), np.uint8), normal=np.zeros_like(xyz))
    floor_anchor = rng.integers(0, VIEWS // 2, BACKGROUND)
    objects.anchor = np.concatenate([np.repeat(anchors, POINTS), floor_anchor]).astype(np.int32)
    for i, view in enumerate(anchors.tolist()):
        shown = Observation(view=view, mask=0, stamp_s=float(view), score=0.9, label=NAMES[i % boxes * 7 % len(NAMES)])
        objects.objects[i + 1] = MapObject(i + 1, [shown])
    console.print(f"{len(perception.snapshot().objects)} objects, {len(xyz)} points, {VIEWS} keyframes before")
    before = {view.stamp_s: view.T_map_camera for view in perception.views}
    correction = PoseCorrection.between(before, {stamp_s: np.eye(4) for stamp_s in before})
    spent = [Spent.now()]

    def read() -> None:
        spent.append(Spent.now())
        perception.snapshot()
        spent.append(Spent.now())

    perception.correct(correction, readable=read)
    spent.append(Spent.now())
    parts = ("moved, and joined", "read", "what is watched, chosen anew")
    for what, begin, end in zip(parts, spent[:-1], spent[1:], strict=True):
        console.print(f"{what}: {end.cpu_s - begin.cpu_s:.2f} s of one processor, {end.s - begin.s:.2f} s in all")
    console.print(f"{len(perception.snapshot().objects)} objects after")


class Nothing:
    """A source of no masks."""

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        return []


def _view(index: int, T_map_camera: Float64[ndarray, "4 4"]) -> View:
    camera = Camera(fx=8, fy=8, cx=7.5, cy=5.5, width=16, height=12)
    frame = Frame(
        index=index,
        stamp_s=float(index),
        color=np.zeros((12, 16, 3), np.uint8),
        depth_m=np.ones((12, 16), np.float32),
        camera=camera,
        T_map_camera=T_map_camera,
    )
    return View.of(index, frame, [], np.full((12, 16), -1, np.int32))


@dataclass(frozen=True)
class Spent:
    """A moment, on the clock and in processor time of this process."""

    s: float
    cpu_s: float

    @classmethod
    def now(cls) -> "Spent":
        return cls(time.perf_counter(), time.process_time())


if __name__ == "__main__":
    main()
