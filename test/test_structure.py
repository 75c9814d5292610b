"""Walls, floor and ceiling of a furnished box are told from the things on, at and under them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ovseg3r_core.mapping.structure import NamedBy, StructureConfig, find_structure, structure_kind, up_direction
from ovseg3r_core.types import SceneCloud

CONFIG = StructureConfig()
SPACING_M = 0.03
SIZE = np.array([4.0, 3.0, 2.5])
UP = np.array([0.0, 0.0, 1.0])
FLOOR, WALL, CEILING, WOOD, RED = (150, 130, 110), (215, 210, 205), (240, 240, 240), (120, 80, 50), (190, 40, 40)


class Builder:
    """Rectangles of points, each a part with a name."""

    def __init__(self) -> None:
        self.parts: dict[str, np.ndarray] = {}
        self.xyz, self.normal, self.color = [], [], []
        self.count = 0

    def add(self, name: str, axis: int, at: float, low: tuple, high: tuple, sign: float, color: tuple) -> None:
        """A rectangle across `axis`, from `low` to `high` along the other two axes."""
        first, second = (a for a in range(3) if a != axis)
        a, b = (np.arange(lo + SPACING_M / 2, hi, SPACING_M) for lo, hi in zip(low, high, strict=True))
        a, b = (grid.ravel() for grid in np.meshgrid(a, b))
        xyz, normal = np.empty((len(a), 3)), np.zeros((len(a), 3))
        xyz[:, axis], xyz[:, first], xyz[:, second] = at, a, b
        normal[:, axis] = sign
        self.xyz.append(xyz)
        self.normal.append(normal)
        self.color.append(np.tile(np.uint8(color), (len(a), 1)))
        self.parts[name] = np.arange(self.count, self.count + len(a))
        self.count += len(a)

    def cloud(self, noise_m: float = 0.004) -> SceneCloud:
        rng = np.random.default_rng(0)
        xyz = np.concatenate(self.xyz)
        shade = rng.integers(-6, 7, (self.count, 1))  # light is never even
        return SceneCloud(
            xyz=(xyz + rng.normal(0, noise_m, xyz.shape)).astype(np.float32),
            color=np.clip(np.concatenate(self.color) + shade, 0, 255).astype(np.uint8),
            normal=np.concatenate(self.normal).astype(np.float32),
        )


def furnished_box() -> Builder:
    x, y, z = SIZE
    room = Builder()
    room.add("floor", 2, 0.0, (0, 0), (x, y), 1, FLOOR)
    room.add("ceiling", 2, z, (0, 0), (x, y), -1, CEILING)
    room.add("west", 0, 0.0, (0, 0), (y, z), 1, WALL)
    room.add("east", 0, x, (0, 0), (y, z), -1, WALL)
    room.add("south", 1, 0.0, (0, 0), (x, z), 1, WALL)
    room.add("north", 1, y, (0, 0), (x, z), -1, WALL)
    room.add("rug", 2, 0.01, (0.5, 0.5), (1.7, 1.5), 1, RED)
    room.add("patch of floor", 2, 0.005, (2.2, 0.3), (2.8, 0.9), 1, FLOOR)
    room.add("picture", 0, 0.02, (1.0, 1.2), (1.8, 1.8), 1, RED)
    room.add("table top", 2, 0.72, (2.0, 1.2), (3.4, 2.2), 1, WOOD)
    room.add("cabinet front", 0, 3.5, (0.2, 0.0), (1.0, 1.4), -1, WOOD)
    room.add("cabinet side", 1, 1.0, (3.5, 0.0), (4.0, 1.4), 1, WOOD)
    return room


@pytest.fixture(scope="module")
def room() -> Builder:
    return furnished_box()


@pytest.fixture(scope="module")
def cloud(room) -> SceneCloud:
    return room.cloud()


@pytest.fixture(scope="module")
def planes(cloud):
    return find_structure(cloud, SPACING_M, UP, CONFIG)


def turned(cloud: SceneCloud, R: np.ndarray) -> SceneCloud:
    return SceneCloud(
        xyz=(cloud.xyz @ R.T).astype(np.float32), color=cloud.color, normal=(cloud.normal @ R.T).astype(np.float32)
    )


def kind_of(part: str, room: Builder, cloud: SceneCloud, planes, named: NamedBy = "nobody") -> str | None:
    return structure_kind(room.parts[part], cloud, planes, named=named, config=CONFIG)


def test_floor_ceiling_and_four_walls_are_found_once_each(planes):
    assert sorted(plane.kind for plane in planes) == ["ceiling", "floor", "wall", "wall", "wall", "wall"]


def test_planes_lie_where_the_room_ends_and_face_into_it(room, cloud, planes):
    middle = SIZE / 2
    for plane in planes:
        assert np.linalg.norm(plane.normal) == pytest.approx(1)
        distance = middle @ plane.normal + plane.offset
        assert min(abs(distance - half) for half in middle) < 0.02
    floor = next(plane for plane in planes if plane.kind == "floor")
    held = floor.holds(cloud.xyz, cloud.normal)
    assert np.count_nonzero(held) == floor.size
    assert held[room.parts["floor"]].mean() > 0.99
    assert not held[room.parts["table top"]].any()


@pytest.mark.parametrize(
    ("part", "kind"), [("floor", "floor"), ("ceiling", "ceiling"), ("west", "wall"), ("north", "wall")]
)
def test_the_surfaces_of_the_room_are_structure(room, cloud, planes, part, kind):
    assert kind_of(part, room, cloud, planes) == kind


def test_a_patch_in_the_colour_of_the_floor_is_floor(room, cloud, planes):
    assert kind_of("patch of floor", room, cloud, planes) == "floor"


@pytest.mark.parametrize("part", ["rug", "picture"])
def test_what_lies_flat_on_structure_in_another_colour_stays_a_thing(room, cloud, planes, part):
    assert kind_of(part, room, cloud, planes) is None


@pytest.mark.parametrize("part", ["table top", "cabinet front", "cabinet side"])
def test_furniture_is_no_structure(room, cloud, planes, part):
    assert kind_of(part, room, cloud, planes) is None


def test_a_mask_over_a_corner_of_two_walls_is_wall(room, cloud, planes):
    west, south = room.parts["west"], room.parts["south"]
    corner = np.concatenate([west[cloud.xyz[west, 1] < 0.8], south[cloud.xyz[south, 0] < 0.8]])
    assert structure_kind(corner, cloud, planes, named="nobody", config=CONFIG) == "wall"


def test_a_piece_of_floor_that_a_detector_called_a_table_is_floor(room, cloud, planes):
    assert kind_of("patch of floor", room, cloud, planes, named="detector") == "floor"


def test_a_whole_wall_is_a_wall_whatever_the_segmenter_calls_it(room, cloud, planes):
    assert kind_of("west", room, cloud, planes, named="segmenter") == "wall"
    assert kind_of("west", room, cloud, planes, named="detector") == "wall"  # by its colour
    assert kind_of("rug", room, cloud, planes, named="segmenter") is None


def test_a_named_thing_of_another_colour_keeps_its_name(room, cloud, planes):
    assert kind_of("rug", room, cloud, planes, named="detector") is None


def test_the_top_of_a_large_table_is_no_floor_even_where_the_floor_is_hidden():
    room = Builder()
    room.add("table top", 2, 0.72, (0, 0), (2.0, 1.5), 1, WOOD)
    room.add("floor", 2, 0.0, (-0.5, -0.5), (0.0, 2.0), 1, FLOOR)
    room.add("wall", 1, 2.0, (-0.5, 0.0), (2.0, 2.0), -1, WALL)
    cloud = room.cloud()
    planes = find_structure(cloud, SPACING_M, UP, CONFIG)
    assert kind_of("table top", room, cloud, planes) is None
    assert kind_of("floor", room, cloud, planes) == "floor"


def two_rooms() -> Builder:
    """The box, with a wall 15 cm thick across it and a cupboard in front of that."""
    home = furnished_box()
    home.add("west side of the wall", 0, 1.9, (0.0, 0.0), (3.0, 2.5), -1, WALL)
    home.add("east side of the wall", 0, 2.05, (0.4, 0.0), (3.0, 2.5), 1, WALL)
    home.add("cupboard", 0, 1.4, (1.6, 0.0), (2.8, 1.8), -1, WALL)
    return home


@pytest.mark.parametrize("side", ["west side of the wall", "east side of the wall"])
def test_a_wall_between_two_rooms_is_structure_although_things_lie_behind_it(side):
    home = two_rooms()
    cloud = home.cloud()
    planes = find_structure(cloud, SPACING_M, UP, CONFIG)
    assert kind_of(side, home, cloud, planes) == "wall"
    assert kind_of("cupboard", home, cloud, planes) is None


def test_a_wall_with_no_other_side_in_sight_is_not_told_from_furniture():
    home = two_rooms()
    whole = home.cloud()
    seen = np.setdiff1d(np.arange(len(whole)), home.parts["east side of the wall"])
    cloud = SceneCloud(xyz=whole.xyz[seen], color=whole.color[seen], normal=whole.normal[seen])
    planes = find_structure(cloud, SPACING_M, UP, CONFIG)
    assert not any(abs(plane.offset - 1.9) < 0.05 for plane in planes)


def test_runs_agree(cloud, planes):
    again = find_structure(cloud, SPACING_M, UP, CONFIG)
    assert [plane.kind for plane in again] == [plane.kind for plane in planes]
    np.testing.assert_array_equal([plane.normal for plane in again], [plane.normal for plane in planes])


def test_small_and_empty_clouds_have_no_structure(cloud):
    for points in (0, 1, 99, 150):
        few = SceneCloud(xyz=cloud.xyz[:points], color=cloud.color[:points], normal=cloud.normal[:points])
        planes = find_structure(few, SPACING_M, UP, CONFIG)
        assert planes == []
    assert structure_kind(np.arange(50), cloud, [], named="nobody", config=CONFIG) is None


def test_a_map_with_z_up_is_believed_although_cameras_look_down(cloud):
    looking_down = np.tile([[0.5, 0.1, 0.85]], (4, 1))
    np.testing.assert_array_equal(up_direction(cloud.normal, looking_down / np.linalg.norm(looking_down[0])), UP)


def test_without_views_up_is_z(cloud):
    np.testing.assert_array_equal(up_direction(cloud.normal, np.zeros((0, 3))), UP)


@pytest.mark.parametrize("tilt_deg", [(90, 0, 0), (-90, 20, 0), (35, 0, 70)])
def test_up_is_found_in_a_map_that_lies_on_its_side(room, cloud, tilt_deg):
    R = Rotation.from_euler("xyz", tilt_deg, degrees=True).as_matrix()
    cameras = np.array([[0.35, 0.1, 0.9], [-0.2, 0.3, 0.9], [0.1, 0.0, 1.0]]) @ R.T
    tilted = turned(cloud, R)
    up = up_direction(tilted.normal, cameras / np.linalg.norm(cameras, axis=1, keepdims=True))
    assert np.rad2deg(np.arccos(np.clip(up @ R @ UP, -1, 1))) < 1
    planes = find_structure(tilted, SPACING_M, up, CONFIG)
    assert sorted(plane.kind for plane in planes) == ["ceiling", "floor", "wall", "wall", "wall", "wall"]
    assert kind_of("rug", room, tilted, planes) is None
