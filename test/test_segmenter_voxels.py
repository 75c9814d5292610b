"""Index maps: who is whose neighbour, parent and child, held to plain dictionaries; the GPU's maps, interpreted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmenter_parts import surface
from torch import Tensor

from ovseg3r_core.segmenter import morton
from ovseg3r_core.segmenter.sparse.table import GatherTable
from ovseg3r_core.segmenter.voxels import VoxelPyramid, build_pyramid, cells, neighbour_steps

LEVELS = 3


def built(xyz: Tensor, scene: Tensor | None = None, levels: int = LEVELS) -> VoxelPyramid:
    scene = torch.zeros(len(xyz), dtype=torch.int64) if scene is None else scene
    return build_pyramid(xyz, scene, voxel_size_m=0.02, levels=levels)


def voxels_of(xyz: Tensor, scene: Tensor, level: int) -> list[tuple[int, ...]]:
    """Scene and cell of each voxel of a level, in the order of the pyramid."""
    code = torch.unique(morton.encode(scene, cells(xyz, 0.02, LEVELS)))
    for _ in range(level):
        code = torch.unique(code >> 3)
    number, cell = morton.decode(code << (3 * level))
    return [tuple(row) for row in torch.cat([number[:, None], cell >> level], dim=1).tolist()]


clouds = st.lists(
    st.tuples(st.integers(0, 1), *(st.integers(-4, 9) for _ in range(3))), min_size=1, max_size=60
)  # scene and cell of each point


@given(clouds)
@settings(max_examples=40)
def test_neighbours_parents_and_children_are_those_of_a_dictionary(points) -> None:
    scene = torch.tensor([point[0] for point in points])
    xyz = torch.tensor([point[1:] for point in points], dtype=torch.float32) * 0.02 + 0.003
    pyramid = built(xyz, scene)
    for level in range(LEVELS):
        voxels = voxels_of(xyz, scene, level)
        place = {voxel: i for i, voxel in enumerate(voxels)}
        assert pyramid.voxels[level] == len(voxels)
        expected = [
            [place.get((s, x + dx, y + dy, z + dz), -1) for s, x, y, z in voxels]
            for dx, dy, dz in neighbour_steps(torch.device("cpu")).tolist()
        ]
        assert pyramid.neighbours[level].index.tolist() == expected
        if level:
            finer = voxels_of(xyz, scene, level - 1)
            at = {voxel: i for i, voxel in enumerate(finer)}
            children = [
                [at.get((s, 2 * x + a, 2 * y + b, 2 * z + c), -1) for s, x, y, z in voxels]
                for a in (0, 1)
                for b in (0, 1)
                for c in (0, 1)
            ]
            assert pyramid.down[level - 1].index.tolist() == children


@pytest.mark.parametrize("table", [0, 1])
def test_a_transposed_table_holds_the_same_pairs(table: int) -> None:
    pyramid = built(torch.from_numpy(surface().xyz))

    def pairs(of: GatherTable) -> set[tuple[int, int, int]]:
        return {
            (k, source, row)
            for k, (sources, rows) in enumerate(of.pairs)
            for source, row in zip(sources.tolist(), rows.tolist(), strict=True)
        }

    down = pyramid.down[table]
    assert pairs(down.transposed) == {(k, row, source) for k, source, row in pairs(down)}
    around = pyramid.neighbours[table]
    assert pairs(around.transposed) == {(26 - (26 - k), row, source) for k, source, row in pairs(around)}


def test_shuffled_points_have_the_same_voxels() -> None:
    xyz = torch.from_numpy(surface().xyz)
    order = torch.randperm(len(xyz), generator=torch.Generator().manual_seed(0))
    plain, shuffled = built(xyz), built(xyz[order])
    assert torch.equal(plain.voxel_of_point[order], shuffled.voxel_of_point)
    assert all(torch.equal(a.index, b.index) for a, b in zip(plain.neighbours, shuffled.neighbours, strict=True))


def test_old_points_keep_their_cells_when_a_map_grows() -> None:
    old, new = torch.rand(200, 3), torch.rand(200, 3) - 1.0
    alone, grown = cells(old, 0.02, 5), cells(torch.cat([old, new]), 0.02, 5)[:200]
    moved = (grown - alone)[0]
    assert ((grown - alone) == moved).all() and (moved % 16 == 0).all()


def test_a_plane_at_zero_lies_within_one_layer_of_each_level() -> None:
    xyz = torch.rand(500, 3) * torch.tensor([1.0, 1.0, 0.0]) + torch.randn(500, 3) * torch.tensor([0, 0, 0.001])
    cell = cells(xyz, 0.02, 5)[:, 2]
    assert all(len(torch.unique(cell >> level)) == 1 for level in range(5))


def test_one_point_is_a_pyramid_of_one_voxel_a_level() -> None:
    pyramid = built(torch.tensor([[5.0, -3.0, 1.0]]))
    assert pyramid.voxels == (1, 1, 1)
    assert all((table.index >= 0).sum() == 1 for table in (*pyramid.neighbours, *pyramid.down, *pyramid.up))


def test_a_span_that_codes_cannot_hold_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"span .* m; at most 262143 fit: give larger voxels"):
        built(torch.tensor([[0.0, 0.0, 0.0], [6000.0, 0.0, 0.0]]))


@given(st.lists(st.tuples(st.integers(0, 500), *(st.integers(0, morton.MAX_CELL) for _ in range(3))), min_size=1))
def test_codes_decode_to_what_was_encoded(rows) -> None:
    scene, cell = torch.tensor([row[0] for row in rows]), torch.tensor([row[1:] for row in rows])
    again, cells_again = morton.decode(morton.encode(scene, cell))
    assert torch.equal(again, scene) and torch.equal(cells_again, cell)


def test_the_maps_of_the_gpu_hold_what_the_plain_ones_do() -> None:
    from ovseg3r_core.segmenter.voxels_gpu import build_padded

    xyz = torch.from_numpy(surface(250).xyz)
    plain = built(xyz)
    room = (320, 192, 96)
    padded_xyz = torch.cat([xyz, torch.full((320 - 250, 3), 7.7)])
    padded = build_padded(padded_xyz, torch.tensor([250], dtype=torch.int32), voxel_size_m=0.02, room=room)
    assert padded.counts.tolist() == list(plain.voxels)
    assert torch.equal(padded.voxel_of_point[:250], plain.voxel_of_point)
    assert (padded.voxel_of_point[250:] == room[0]).all()
    for voxel in range(plain.voxels[0]):
        points = padded.order[padded.start[voxel] : padded.start[voxel + 1]]
        assert points.tolist() == (plain.voxel_of_point == voxel).nonzero().squeeze(1).tolist()
    for name in ("neighbours", "down", "up"):
        for table, schedule in zip(getattr(plain, name), getattr(padded, name), strict=True):
            rows = int(schedule.count)
            order = schedule.order[:rows].long()
            assert rows == table.rows and sorted(order.tolist()) == list(range(rows))
            assert torch.equal(schedule.index[:, :rows], table.index[:, order])
            assert (schedule.index[:, rows:] == -1).all()


def test_what_the_gpu_has_no_room_for_is_counted_and_not_written() -> None:
    from ovseg3r_core.segmenter.voxels_gpu import build_padded

    xyz = torch.arange(64)[:, None] * torch.tensor([[0.32, 0.0, 0.0]])  # every point alone on every level
    padded = build_padded(xyz, torch.tensor([64], dtype=torch.int32), voxel_size_m=0.02, room=(64, 32, 32))
    assert padded.counts.tolist()[0] == 64 and padded.counts.tolist()[1] > 32
    assert all(int(table.index.max()) < 64 for table in padded.neighbours)
