"""Furnished rooms: models, placement, rendering, truth and the sequence made of them."""

import numpy as np
import pytest

from ovseg3r_core.geometry import back_project, transform
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.synthetic.furniture import (
    FURNITURE_VARIABLE,
    MissingFurnitureError,
    demo_classes,
    furniture_folder,
    load_model,
    read_catalogue,
)
from ovseg3r_core.synthetic.mesh import Part, bounds, plain, quad
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.placement import Floor
from ovseg3r_core.synthetic.real_frame import RealFrame
from ovseg3r_core.synthetic.render import Renderer
from ovseg3r_core.synthetic.room import RoomConfig, RoomScene, build_room
from ovseg3r_core.synthetic.saving import load_instances, load_names, save_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.synthetic.trajectory import look_at, walk_round
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Camera, Frame

CAMERA = Camera(fx=80.0, fy=80.0, cx=31.5, cy=23.5, width=64, height=48)
SMALL_WALK = WalkConfig(frames=4, width_px=160, height_px=120, focal_px=131.0)


@pytest.fixture(scope="session")
def room() -> RoomScene:
    try:
        return build_room(RoomConfig(seed=7))
    except MissingFurnitureError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def sequence(room: RoomScene) -> RoomSequence:
    return RoomSequence(room, SMALL_WALK)


def square(y: float, color: tuple[int, int, int], half: float = 5.0) -> Part:
    """An upright square that faces -y, centred on the y axis."""
    corners = [(-half, y, -half), (half, y, -half), (half, y, half), (-half, y, half)]
    return quad(np.array(corners, dtype=np.float32), plain(color), 1.0)


def test_missing_furniture_names_the_package_and_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(FURNITURE_VARIABLE, str(tmp_path))
    with pytest.raises(MissingFurnitureError, match=f"apt-get install sweethome3d-furniture.*{FURNITURE_VARIABLE}"):
        furniture_folder()


def test_every_chosen_model_loads_at_its_catalogue_size(room):
    catalogue = read_catalogue(furniture_folder())
    for id, name in demo_classes().items():
        model = load_model(catalogue[id], name)
        low, high = bounds(model.parts)
        assert model.entry.creator, id
        np.testing.assert_allclose(low[2], 0, atol=1e-4)
        extent = high - low  # glass is left out, so a model may be smaller than its size, never larger
        assert (extent <= np.array(model.entry.size_m) + 1e-3).all(), id


def test_things_put_down_never_overlap_and_stay_inside():
    floor = Floor(4.0, 3.0, np.random.default_rng(0))
    for _ in range(12):
        floor.put(floor.against_wall((0.8, 0.5, 1.0)), (0.8, 0.5, 1.0))
    boxes = [thing.box() for thing in floor.things]
    assert 5 <= len(boxes) < 12
    for i, a in enumerate(boxes):
        assert (np.abs(a[:, :2]) <= [2.0, 1.5]).all()
        for b in boxes[:i]:
            assert not ((a[0] < b[1]).all() and (b[0] < a[1]).all())


def test_furniture_against_a_wall_faces_the_room():
    floor = Floor(6.0, 5.0, np.random.default_rng(0))
    for _ in range(8):
        pose = next(floor.against_wall((1.0, 0.5, 1.0)))
        front = pose.matrix()[:2, :2] @ (0.0, -1.0)
        distances = [3 - abs(pose.x), 2.5 - abs(pose.y)]
        towards_middle = -np.sign([pose.x, pose.y])
        axis = int(np.argmin(distances))
        assert front[axis] * towards_middle[axis] == pytest.approx(1)


def test_same_seed_gives_the_same_room_and_another_seed_another(room):
    again, other = build_room(RoomConfig(seed=7)), build_room(RoomConfig(seed=8))
    assert again.objects == room.objects
    assert other.objects != room.objects


@pytest.mark.parametrize("seed", [7, 1, 2, 3])
def test_a_room_is_furnished_with_most_of_its_plan(room, seed):
    things = build_room(RoomConfig(seed=seed)).objects
    names = [thing.class_name for thing in things]
    assert 17 <= len(things) <= 20
    assert {"bed", "couch", "desk", "laptop", "refrigerator", "dining table", "chair", "tv"} <= set(names)
    assert [thing.id for thing in things] == list(range(1, len(things) + 1))


def test_things_on_tables_rest_on_them(room):
    by_name = {thing.class_name: thing.box for thing in room.objects}
    laptop, desk = by_name["laptop"], by_name["desk"]
    assert laptop.centre[2] - laptop.size[2] / 2 == pytest.approx(desk.centre[2] + desk.size[2] / 2, abs=0.03)
    assert np.hypot(laptop.centre[0] - desk.centre[0], laptop.centre[1] - desk.centre[1]) < 0.8


def test_rendered_depth_is_distance_along_the_optical_axis():
    view = Renderer([(3, square(2.0, (200, 0, 0)))]).render(CAMERA, look_at(np.zeros(3), np.array([0.0, 1.0, 0.0])))
    np.testing.assert_allclose(view.depth_m, 2.0, atol=1e-5)
    assert (view.instance == 3).all()
    red, green, blue = view.color.reshape(-1, 3).mean(axis=0)
    assert red > 80
    assert green == blue == 0


def test_nearer_things_hide_farther_ones_and_nothing_has_no_depth():
    parts = [(1, square(3.0, (0, 200, 0), half=0.5)), (2, square(2.0, (0, 0, 200), half=0.2))]
    view = Renderer(parts).render(CAMERA, look_at(np.zeros(3), np.array([0.0, 1.0, 0.0])))
    assert view.instance[24, 32] == 2
    assert view.instance[24, 42] == 1
    assert view.instance[0, 0] == 0
    assert view.depth_m[0, 0] == 0


def test_transparent_texels_let_the_ray_pass():
    leaf = square(1.0, (0, 0, 0))
    clear = Part(
        vertices=leaf.vertices,
        normals=leaf.normals,
        uv=leaf.uv,
        triangles=leaf.triangles,
        texture=np.zeros((1, 1, 4), dtype=np.uint8),
    )
    parts = [(1, clear), (2, square(2.0, (255, 255, 255)))]
    view = Renderer(parts).render(CAMERA, look_at(np.zeros(3), np.array([0.0, 1.0, 0.0])))
    assert (view.instance == 2).all()
    np.testing.assert_allclose(view.depth_m, 2.0, atol=1e-4)


def test_fine_texture_far_away_is_averaged_not_aliased():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    texture = np.concatenate([np.repeat(board[:, :, None], 3, axis=2), np.full((64, 64, 1), 255)], axis=2)
    far = square(4.0, (0, 0, 0))
    part = Part(
        vertices=far.vertices,
        normals=far.normals,
        uv=far.uv * 8,
        triangles=far.triangles,
        texture=texture.astype(np.uint8),
    )
    view = Renderer([(1, part)]).render(CAMERA, look_at(np.zeros(3), np.array([0.0, 1.0, 0.0])))
    assert view.color.std() < 15


def test_walk_is_smooth_closed_and_inside():
    poses = walk_round((6.0, 5.0, 2.6), 120)
    for pose, after in zip(poses, poses[1:] + poses[:1], strict=True):
        assert np.linalg.norm(after[:3, 3] - pose[:3, 3]) < 0.25
        assert np.rad2deg(np.arccos(np.clip((np.trace(pose[:3, :3].T @ after[:3, :3]) - 1) / 2, -1, 1))) < 12
        assert abs(pose[0, 3]) < 3
        assert abs(pose[1, 3]) < 2.5
        assert 1.2 <= pose[2, 3] <= 1.6
        assert pose[2, 0] == pytest.approx(0)  # the horizon is level


def test_sequence_pixels_back_project_onto_their_instances(room, sequence):
    surface = TruthSurface(room)
    for frame in sequence.read():
        xyz = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera)).reshape(-1, 3)
        shown = sequence.instances(frame.index).ravel().astype(np.int32)
        truth = surface.instance_at(xyz)
        assert (np.where(truth < 0, 0, truth) == shown).mean() > 0.99


def test_points_off_every_surface_belong_to_nothing(room):
    surface = TruthSurface(room)
    assert surface.instance_at(np.array([[0, 0, 2.3], [9, 9, 9]], dtype=np.float32)).tolist() == [-1, -1]


def test_perfect_masks_are_the_visible_named_instances(room, sequence):
    frame = next(sequence.read())
    instances = sequence.instances(frame.index)
    masks = PerfectMasks(sequence.instances, room.names).propose(frame, np.zeros(frame.depth_m.shape, dtype=bool))
    assert masks
    for mask in masks:
        (shown,) = np.unique(instances[mask.pixels])
        assert mask.label == room.names[int(shown)]
        assert mask.pixels.sum() == (instances == shown).sum() >= 100


def test_saved_room_reads_back_as_a_sequence(room, sequence, tmp_path):
    save_room(sequence, tmp_path / "room")
    read = list(open_sequence(tmp_path / "room").read())
    assert len(read) == len(sequence)
    for saved, frame in zip(read, sequence.read(), strict=True):
        assert isinstance(saved, Frame)
        np.testing.assert_allclose(saved.depth_m, frame.depth_m, atol=6e-4)
        np.testing.assert_allclose(saved.T_map_camera, frame.T_map_camera, atol=1e-6)
        assert np.abs(saved.color.astype(int) - frame.color).mean() < 4
        assert (load_instances(tmp_path / "room", saved.index) == sequence.instances(frame.index)).all()
    assert load_names(tmp_path / "room") == room.names


def test_real_frame_has_masks_for_its_names_and_a_floor_at_zero():
    real = RealFrame()
    (frame,) = real.read()
    assert isinstance(frame, Frame)
    assert len(real) == 1
    assert set(np.unique(real.instances(0))) == {0, *real.names}
    assert "laugh out loud jokes" in real.names.values()
    z = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera))[frame.depth_m > 0][:, 2]
    assert (np.abs(z) < 0.005).mean() > 0.15  # the bottom of the bin
    assert frame.T_map_camera[2, 2] < -0.99  # looking down
