"""From frames with a known truth to labelled scenes, as a user's recording would go."""

from dataclasses import replace

import numpy as np
import pytest
from boxed_scenes import NAMES, BoxedSequence, ExactMasks, boxed_room, boxed_scene
from scenes import AnalyticScene

from ovseg3r_core.lifting import lift_views
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.synthetic.mesh import plain, quad
from ovseg3r_core.synthetic.room import RoomScene
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame, Mask
from ovseg3r_train.reconstruct import clean_truth, fuse, label, reconstruct, seen_surface, truth_at, where_truly

NEVER = 10**9


class NoMasks:
    """A `MaskProposer` that finds nothing."""

    def propose(self, frame: Frame, explained) -> list[Mask]:
        return []


TABLE_XY = (-0.1, -0.15)


def table_top() -> TruthSurface:
    """The top of the table of the box room, and nothing else."""
    corners = np.array([(-0.5, -0.5, 0.5), (0.3, -0.5, 0.5), (0.3, 0.2, 0.5), (-0.5, 0.2, 0.5)], dtype=np.float32)
    part = quad(corners, plain((200, 180, 160)), 1.0)
    return TruthSurface(RoomScene(name="t", size_m=(6.0, 6.0, 2.5), parts=((7, part),), objects=()))


def test_a_scene_is_what_perception_makes_of_the_same_frames():
    room = boxed_room()
    config = PerceptionConfig(explained_after_views=NEVER, refine_every=0)
    perception = Perception(ExactMasks(room), lambda a, b: a == b, config)
    for item in BoxedSequence(room).read():
        perception.integrate(item)
    perception.refine()
    cloud = perception.snapshot().cloud
    seen, lifted = lift_views((view.open() for view in perception.views), cloud, config.incidence, config.lifting)

    scene = boxed_scene()
    assert (scene.cloud.xyz == cloud.xyz).all()
    assert (scene.seen.points == seen.points).all()
    assert (scene.seen.pixels == seen.pixels).all()
    assert len(scene.lifted) == len(lifted) > 10
    for mask, other in zip(scene.lifted, lifted, strict=True):
        assert (mask.view, mask.mask, mask.label) == (other.view, other.mask, other.label)
        assert (mask.points == other.points).all()


def test_facts_tell_what_was_fused_and_what_was_left_out():
    facts = boxed_scene().facts
    assert (facts["frames"], facts["frames_left_out"]) == (5, {"bad_pose": 1})
    assert (facts["generator"], facts["masks"]) == ("boxes", "exact")


def test_one_fusion_serves_several_sources_of_masks():
    reconstruction = fuse(BoxedSequence(boxed_room()))
    exact, none = (label(reconstruction, masks) for masks in (ExactMasks(boxed_room()), NoMasks()))
    assert exact.cloud is none.cloud
    assert (exact.seen.points == none.seen.points).all()
    assert len(exact.lifted) > 10
    assert none.lifted == ()


def test_perfect_masks_lie_on_the_true_points():
    scene = boxed_scene()
    assert scene.truth is not None
    ids = {boxed_room().solids[id_].name: id_ for id_ in NAMES}
    right = [scene.truth.instance[mask.points] == ids[mask.label or ""] for mask in scene.lifted]
    assert np.concatenate(right).mean() > 0.98


def test_keyframes_beyond_the_budget_are_counted():
    reconstruction = fuse(BoxedSequence(boxed_room()), PerceptionConfig(max_views=2))
    assert len(reconstruction.keyframes) == 2
    assert reconstruction.drops["view_budget"] == 3
    assert reconstruction.fused == 5


def test_frames_without_a_surface_are_no_scene():
    room = boxed_room()
    sequence = BoxedSequence(room)
    sequence.read = lambda: iter([item for item in BoxedSequence(room).read() if not isinstance(item, Frame)])
    with pytest.raises(ValueError, match=r"boxes: 0 frames .* left out: \{'bad_pose': 1\}"):
        reconstruct(sequence, NoMasks())


def test_truth_is_that_of_the_nearest_surface():
    reconstruction = fuse(BoxedSequence(boxed_room()))
    truth = truth_at(reconstruction, table_top(), {7: "table", 9: "a thing that nobody sees"})
    xyz = reconstruction.cloud.xyz
    on_top = (np.abs(xyz[:, 2] - 0.5) < 0.01) & (np.abs(xyz[:, :2] - TABLE_XY) < 0.3).all(axis=1)
    assert on_top.sum() > 100
    assert (truth.instance[on_top] == 7).all()
    assert (truth.instance[xyz[:, 2] < 0.4] == -1).all()
    assert truth.names == {7: "table"}


def test_truth_follows_a_camera_that_was_elsewhere_than_it_believed():
    room, shift = boxed_room(), np.array([0.3, -0.2, 0.1])
    poses = {frame.index: frame.T_map_camera for frame in room.frames}
    believed = [replace(frame, T_map_camera=moved(frame.T_map_camera, shift)) for frame in room.frames]
    drifted = fuse(BoxedSequence(AnalyticScene(solids=room.solids, frames=believed, ids=room.ids)))
    seen = np.unique(np.concatenate([see_points(drifted.cloud.xyz, frame).points for frame in drifted.keyframes]))
    np.testing.assert_allclose(where_truly(drifted, poses)[seen], drifted.cloud.xyz[seen] - shift, atol=1e-5)
    naive, right = (truth_at(drifted, table_top(), {7: "table"}, T) for T in (None, poses))
    assert (right.instance == 7).sum() > 2 * (naive.instance == 7).sum()


def moved(T: np.ndarray, shift: np.ndarray) -> np.ndarray:
    T = T.copy()
    T[:3, 3] += shift
    return T


def test_clean_vertices_lie_on_the_exact_surface_every_two_centimetres():
    room = boxed_room()
    clean = clean_truth(room.frames, table_top(), {7: "table"})
    assert room.distance(clean.xyz).max() < 1e-4
    voxels = np.floor(clean.xyz.astype(np.float64) / 0.02).astype(int)
    assert len(np.unique(voxels, axis=0)) == len(voxels) > 100


def test_of_two_looks_at_a_voxel_the_first_one_counts():
    first, second = boxed_room().frames[:2]
    alone, both = seen_surface([first], 1), seen_surface([first, second], 1)
    assert len(both) > len(alone)
    assert {tuple(point) for point in alone.tolist()} <= {tuple(point) for point in both.tolist()}


def test_what_a_camera_passed_over_once_is_no_clean_vertex():
    first, second = boxed_room().frames[:2]
    once, twice = seen_surface([first, second], 1), seen_surface([first, second], 2)
    assert 0 < len(twice) < len(once)
    assert not len(seen_surface([first, second], 3))
