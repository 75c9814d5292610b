"""A world and a walk through it become scenes, one for each source of masks."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from boxed_scenes import BoxedSequence
from scenes import AnalyticScene, box_room

from ovseg3r_core.synthetic.mesh import Part, plain, quad
from ovseg3r_core.synthetic.room import RoomScene
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_train.worlds import NoMasks, World, check_masks, proposer_of, scenes_of

NAMES = {3: "table", 4: "cup", 5: "cabinet"}


def block(low: tuple[float, float, float], high: tuple[float, float, float]) -> list[Part]:
    """A box as its top and its four sides."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    round_ = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    sides = [((*a, z0), (*b, z0), (*b, z1), (*a, z1)) for a, b in zip(round_, round_[1:] + round_[:1], strict=True)]
    faces = [tuple((*corner, z1) for corner in round_), *sides]
    return [quad(np.array(face, dtype=np.float32), plain((200, 180, 160)), 1.0) for face in faces]


@cache
def boxes() -> AnalyticScene:
    return box_room(frames=5, noise=0.002)


def world(frames: AnalyticScene | None = None) -> World:
    """The box room with a noisy camera, its solids without the ball as triangles."""
    exact = box_room(frames=5)
    solids = {id_: exact.solids[id_] for id_ in NAMES}
    parts = [(id_, part) for id_, solid in solids.items() for part in block(solid.low, solid.high)]  # pyright: ignore
    room = RoomScene(name="boxes", size_m=(3.0, 3.0, 2.5), parts=tuple(parts), objects=())
    return World(
        frames=BoxedSequence(frames or boxes()),
        exact=BoxedSequence(exact),
        instances=lambda index: np.maximum(exact.ids[index], 0).astype(np.uint16),
        surface=TruthSurface(room),
        names=NAMES,
        facts={"generator": "boxes"},
    )


def test_each_source_of_masks_gives_a_scene_of_the_same_fusion():
    (first, perfect), (second, none) = scenes_of(world(), ["perfect", "none"], seed=0)
    assert (first, second) == ("perfect", "none")
    assert (perfect.facts["masks"], none.facts["masks"]) == ("perfect", "none")
    assert perfect.facts["generator"] == "boxes"
    assert perfect.cloud is none.cloud
    assert {"table", "cabinet"} <= {mask.label for mask in perfect.lifted} <= set(NAMES.values())
    assert none.lifted == ()
    assert perfect.truth is not None
    assert perfect.truth.names == NAMES
    right = [
        (perfect.truth.instance[mask.points] == list(NAMES)[list(NAMES.values()).index(mask.label or "")]).mean()
        for mask in perfect.lifted
    ]
    assert np.mean(right) > 0.9


def test_clean_vertices_know_nothing_of_the_noise():
    ((_, scene),) = scenes_of(world(), ["none"], seed=0)
    assert scene.clean is not None
    assert boxes().distance(scene.clean.xyz).max() < 1e-4 < boxes().distance(scene.cloud.xyz).max()
    names = set(scene.clean.truth.names)
    assert len(names) > 1 and names <= set(NAMES)  # the smallest is not in three of these coarse images


def test_drift_of_the_poses_does_not_move_the_truth():
    exact = box_room(frames=5)
    shifted = [replace(frame, T_map_camera=moved(frame.T_map_camera)) for frame in exact.frames]
    drifted = AnalyticScene(solids=exact.solids, frames=shifted, ids=exact.ids)
    ((_, true),) = scenes_of(world(exact), ["none"], seed=0)
    ((_, scene),) = scenes_of(world(drifted), ["none"], seed=0)
    assert true.truth is not None and scene.truth is not None
    for id_ in NAMES:
        there, here = (truth.instance == id_ for truth in (true.truth, scene.truth))
        np.testing.assert_allclose(here.sum(), there.sum(), rtol=0.1)


def moved(T: np.ndarray) -> np.ndarray:
    T = T.copy()
    T[:3, 3] += (0.2, 0.2, 0.1)
    return T


def test_sources_are_told_apart_and_typing_errors_are_answered():
    assert check_masks("perfect, default,perfect") == ("perfect", "default")
    with pytest.raises(ValueError, match="no source 'prefect'; choose from perfect, simulated"):
        check_masks("prefect")
    with pytest.raises(ValueError, match="'default' needs images"):
        check_masks("default", networks=False)
    with pytest.raises(ValueError, match="--masks is empty"):
        check_masks(" ,")
    assert isinstance(proposer_of("none", lambda index: np.zeros((2, 2), np.uint16), {}, seed=0), NoMasks)
