"""Tiny labelled scenes with exact truth: boxes on a floor, seen from a circle about them, no renderer needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from ovseg3r_core.geometry import invert, project, transform
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_core.types import Camera, LiftedMask, SceneCloud, ViewIncidence
from ovseg3r_train.scene import NO_INSTANCE, LabelledScene, SceneView, Truth

CAMERA = Camera(fx=120.0, fy=120.0, cx=79.5, cy=59.5, width=160, height=120)


@dataclass(frozen=True, kw_only=True)
class TinyBox:
    """A box that stands on the floor."""

    name: str
    centre: tuple[float, float]
    size_m: tuple[float, float, float] = (0.4, 0.4, 0.4)


BOXES = (
    TinyBox(name="chair", centre=(-0.8, 0.0)),
    TinyBox(name="desk", centre=(0.1, 0.0), size_m=(0.6, 0.4, 0.5)),
    TinyBox(name="lamp", centre=(0.9, 0.0), size_m=(0.2, 0.2, 0.6)),
)
"""Far enough from each other not to hide one another from above."""


def tiny_scene(
    *,
    boxes: Sequence[TinyBox] = BOXES,
    views: int = 8,
    spacing_m: float = 0.03,
    floor_m: float = 3.0,
    named: bool = True,
    score: float = 0.9,
) -> LabelledScene:
    """Boxes on a square floor, with the exact mask of every box in every view; instance ids are 1, 2, ...

    A view sees what faces it and lies in its image; nothing hides anything else.

    Args:
        floor_m: edge of the floor; 0 for none.
    """
    faces = [_box(box, spacing_m) for box in boxes]
    ids = [np.full(len(xyz), i + 1) for i, (xyz, _) in enumerate(faces)]
    if floor_m:
        faces.append(_floor(floor_m, spacing_m))
        ids.append(np.full(len(faces[-1][0]), NO_INSTANCE))
    xyz, normal = (np.concatenate(arrays).astype(np.float32) for arrays in zip(*faces, strict=True))
    instance = np.concatenate(ids).astype(np.int32)
    color = np.where(instance[:, None] == NO_INSTANCE, 150, 40 * np.maximum(instance[:, None], 1) % 256)
    cloud = SceneCloud(xyz=xyz, color=np.repeat(color, 3, axis=1).astype(np.uint8), normal=normal)
    scene_views = tuple(_view(turn) for turn in np.linspace(0, 2 * np.pi, views, endpoint=False))
    seen = Incidence.build([_incidence(cloud, view) for view in scene_views])
    names = {i + 1: box.name for i, box in enumerate(boxes)}
    lifted = [
        partial_mask(view, number, points[instance[points] == id_], names[id_] if named else None, score)
        for view in range(views)
        for points in [seen.view(view).points]
        for number, id_ in enumerate(np.unique(instance[points][instance[points] > 0]).tolist())
    ]
    return LabelledScene(
        name="tiny",
        cloud=cloud,
        views=scene_views,
        seen=seen,
        lifted=tuple(lifted),
        truth=Truth(instance=instance, names=names),
    )


def partial_mask(
    view: int, number: int, points: Int64[ndarray, " members"], label: str | None = None, score: float = 0.9
) -> LiftedMask:
    """One partial label, its points in order."""
    return LiftedMask(view=view, mask=number, points=np.sort(points), score=score, label=label)


def with_masks(scene: LabelledScene, lifted: Sequence[LiftedMask]) -> LabelledScene:
    """The same scene with other masks."""
    return LabelledScene(
        name=scene.name, cloud=scene.cloud, views=scene.views, seen=scene.seen, lifted=tuple(lifted), truth=scene.truth
    )


def truth_points(scene: LabelledScene, name: str) -> Int64[ndarray, " members"]:
    """The points of the thing with a name."""
    assert scene.truth is not None
    ids = [id_ for id_, of in scene.truth.names.items() if of == name]
    return np.flatnonzero(np.isin(scene.truth.instance, ids))


def iou(one: Int64[ndarray, " a"], other: Int64[ndarray, " b"]) -> float:
    """Intersection over union of two sets of points."""
    shared = len(np.intersect1d(one, other))
    return shared / max(len(one) + len(other) - shared, 1)


def seen_by_any(scene: LabelledScene) -> Bool[ndarray, " points"]:
    """The points that some view sees."""
    return np.bincount(scene.seen.points, minlength=len(scene.cloud)) > 0


def _view(turn: float, radius_m: float = 2.2, height_m: float = 2.4) -> SceneView:
    eye = np.array([radius_m * np.cos(turn), radius_m * np.sin(turn), height_m])
    return SceneView(camera=CAMERA, T_map_camera=look_at(eye, np.array([0.0, 0.0, 0.2])))


def _incidence(cloud: SceneCloud, view: SceneView) -> ViewIncidence:
    uv, depth_m = project(transform(invert(view.T_map_camera), cloud.xyz), view.camera)
    to_camera = view.T_map_camera[:3, 3].astype(np.float32) - cloud.xyz
    inside = ((uv >= 0) & (uv <= [view.camera.width - 1, view.camera.height - 1])).all(axis=1) & (depth_m > 0)
    points = np.flatnonzero(inside & ((to_camera * cloud.normal).sum(axis=1) > 0))
    return ViewIncidence(points=points, pixels=np.rint(uv[points]).astype(np.int32))


def _box(box: TinyBox, spacing_m: float) -> tuple[Float32[ndarray, "points 3"], Float32[ndarray, "points 3"]]:
    """The top and the four sides."""
    half = np.array(box.size_m) / 2
    middle = np.array([*box.centre, half[2]])
    faces = [_face(axis, sign, half, spacing_m) for axis in range(3) for sign in (-1, 1) if (axis, sign) != (2, -1)]
    xyz = np.concatenate([middle + points for points, _ in faces])
    return xyz.astype(np.float32), np.concatenate([normal for _, normal in faces])


def _face(
    axis: int, sign: int, half: ndarray, spacing_m: float
) -> tuple[Float32[ndarray, "points 3"], Float32[ndarray, "points 3"]]:
    """A grid on one side of a box about the origin, half a step off its edges."""
    steps = [
        np.arange(-h + spacing_m / 2, h, spacing_m) if a != axis else np.array([sign * h]) for a, h in enumerate(half)
    ]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    normal = np.zeros_like(points)
    normal[:, axis] = sign
    return points, normal


def _floor(edge_m: float, spacing_m: float) -> tuple[Float32[ndarray, "points 3"], Float32[ndarray, "points 3"]]:
    points, normal = _face(2, 1, np.array([edge_m / 2, edge_m / 2, 0.0]), spacing_m)
    return points, normal
