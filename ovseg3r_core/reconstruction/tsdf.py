"""Truncated signed distance fusion of posed depth, on Open3D's sparse voxel blocks (CPU or CUDA).

All memory of the blocks is taken when the volume is made and never grows: a frame that would need more is refused.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import open3d as o3d
import open3d.core as o3c
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.checks import DEPTH_LIMIT_M, Rejected
from ovseg3r_core.cloud_blocks import beside
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert
from ovseg3r_core.packing import pack
from ovseg3r_core.reconstruction.depth_edges import depth_edges
from ovseg3r_core.reconstruction.growing_surface import Reading
from ovseg3r_core.reconstruction.surface import VoxelBlocks, extract_cloud
from ovseg3r_core.types import Frame, SceneCloud

_VOXEL_BYTES = 5 * 4  # distance, weight and three colours; 16-bit weights would wrap after 36 minutes at 30 Hz
_SPARE_BLOCKS = 256  # kept free, see `_integrate_blocks`
_STEP = 4  # pixels from one to the next, each way, of those by which Open3D tells the blocks of a frame
_LEAST_SMOOTH = 0.1  # of the readings; real cameras have 97 % away from jumps, noise less than 1 %
_FRAMES_A_CAP = 8  # weights are capped every so many frames, as that takes a fifth of a frame's time


@dataclass(frozen=True, kw_only=True)
class TsdfConfig:
    """How depth is fused; the defaults suit a Kinect-like camera in rooms."""

    voxel_size_m: Annotated[float, Within(0.002, 0.2)] = 0.02
    """Edge of a voxel; the cloud has about one point a voxel. 0.005 for a bin of goods, 0.05 for halls."""
    block_resolution: Annotated[int, Within(4, 32)] = 8
    """Voxels along a block; 8 fuses a third faster than 16 and leaves fewer voxels empty."""
    truncation_voxels: Annotated[float, Within(1.0, 20.0)] = 4.0
    """Reach of the distance field on each side of a surface; what is thinner than this melts from its far side."""
    depth_min_m: Annotated[float, Within(0.0, 10.0)] = 0.2
    """Readings nearer than this are not fused."""
    depth_max_m: Annotated[float, Within(0.05, DEPTH_LIMIT_M)] = 5.0
    """Readings further out are not fused: the error of structured light grows with depth squared."""
    jump_ratio: Annotated[float, Within(0.001, 1.0)] = 0.05
    """Readings beside a depth jump of this share are not fused: some of them hang in the air."""
    min_weight: Annotated[float, Within(0.0, 1000.0)] = 3.0
    """A surface enters the cloud once more readings than this met in its voxels, or fewer: see min_weight_share."""
    min_weight_share: Annotated[float, Within(0.0, 0.99)] = 0.05
    """Share of all frames that is enough where it is less than min_weight: a short sequence sees each surface a few
    times."""
    max_weight: Annotated[float, Within(1.0, 100_000.0)] = 64.0
    """Readings that a voxel remembers: about as many new ones outweigh the old where a thing was put down."""
    memory_budget_mb: Annotated[float, Within(1.0, 65536.0)] = 512.0
    """Memory of all voxels, taken at the start; frames that need more are refused and counted."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if not self.depth_min_m < self.depth_max_m:
            raise ValueError(
                f"depth_min_m is {self.depth_min_m} and depth_max_m {self.depth_max_m}; the first must be less"
            )
        if self.block_capacity < 4 * _SPARE_BLOCKS:
            least_mb = 4 * _SPARE_BLOCKS * self.block_bytes / 2**20
            raise ValueError(f"memory_budget_mb is {self.memory_budget_mb}; give at least {least_mb:.0f}")

    @property
    def block_bytes(self) -> int:
        """Memory of one block of voxels."""
        return _VOXEL_BYTES * self.block_resolution**3

    @property
    def block_capacity(self) -> int:
        """How many blocks the budget pays for."""
        return int(self.memory_budget_mb * 2**20) // self.block_bytes


class TsdfVolume:
    """A distance field that frames are fused into and that a scene cloud is read from."""

    def __init__(self, config: TsdfConfig | None = None, device: str = "CPU:0") -> None:
        """Take the whole memory budget; `device` is Open3D's name for it, "CPU:0" or "CUDA:0"."""
        self.config = config or TsdfConfig()
        self.frames = 0
        self._read_at_weight: float | None = None  # None where all of it is to be read
        self._device = o3c.Device(device)
        self._grid = o3d.t.geometry.VoxelBlockGrid(
            attr_names=("tsdf", "weight", "color"),
            attr_dtypes=(o3c.float32, o3c.float32, o3c.float32),
            attr_channels=(o3c.SizeVector([1]), o3c.SizeVector([1]), o3c.SizeVector([3])),
            voxel_size=self.config.voxel_size_m,
            block_resolution=self.config.block_resolution,
            block_count=self.config.block_capacity,
            device=self._device,
        )
        # Frames that each block took in, and how many of them since its surface was last read; by place in the grid.
        self._taken, self._unread = (np.zeros(self._grid.hashmap().capacity(), np.int32) for _ in range(2))

    @property
    def blocks(self) -> int:
        """Blocks in use."""
        return self._grid.hashmap().size()

    def integrate(self, frame: Frame) -> None:
        """Fuse one frame.

        Raises:
            Rejected: `empty_depth` where there is no reading within range or hardly one, `noisy_depth` where nearly
                all of them lie at jumps, and `memory_budget` where the frame reaches more new space than the budget
                has left. The volume is then as it was.
        """
        depth_m = self._usable_depth(frame)
        depth = o3d.t.geometry.Image(o3c.Tensor.from_numpy(depth_m)).to(self._device)
        color = o3d.t.geometry.Image(o3c.Tensor.from_numpy(frame.color.astype(np.float32) / 255)).to(self._device)
        K, T_camera_map = o3c.Tensor.from_numpy(frame.camera.K), o3c.Tensor.from_numpy(invert(frame.T_map_camera))
        reach = (1.0, float(self.config.depth_max_m), float(self.config.truncation_voxels))
        blocks = self._grid.compute_unique_block_coordinates(depth, K, T_camera_map, *reach)
        self._check_budget(frame, blocks)
        for part in self._parts_that_fit(blocks):
            self._grid.integrate(part, depth, color, K, T_camera_map, *reach)
        at, known = self._grid.hashmap().find(blocks)
        at = at[known].to(o3c.int64)
        self._taken[at.cpu().numpy()] += 1
        self._unread[at.cpu().numpy()] += 1
        if self.frames % _FRAMES_A_CAP == 0:
            self._cap_weights(at)
        self.frames += 1

    def forget(self, gone: Float32[ndarray, "_ 3"], kept: Float32[ndarray, "_ 3"]) -> None:
        """Make a surface unknown again, both its sides, as if it had never been met.

        Carving would not do: Open3D fuses only what lies near the surface that a ray ends on, so that what the ray
        passed through on its way stays as it was.

        Args:
            gone: points of the surface, map frame, metres.
            kept: points of other surfaces; voxels that are nearer to one of these stay.
        """
        reach_m = self.config.truncation_voxels * self.config.voxel_size_m
        if not len(gone):
            return
        index, xyz = self._voxels_about(gone, reach_m)
        away, _ = KDTree(gone).query(xyz, distance_upper_bound=reach_m)
        near = np.isfinite(away)
        index, xyz, away = index[near], xyz[near], away[near]
        kept = kept[((kept >= gone.min(axis=0) - 2 * reach_m) & (kept <= gone.max(axis=0) + 2 * reach_m)).all(axis=1)]
        if len(kept):
            others, _ = KDTree(kept).query(xyz, distance_upper_bound=reach_m)
            index = index[others > away]
        for name in ("tsdf", "weight", "color"):
            values = self._grid.attribute(name)
            flat = values.reshape(o3c.SizeVector([-1, values.shape[-1]]))
            nothing = o3c.SizeVector([len(index), values.shape[-1]])
            flat[o3c.Tensor.from_numpy(index).to(self._device)] = o3c.Tensor.zeros(nothing, o3c.float32, self._device)
        blocks = np.unique(index // self.config.block_resolution**3)
        self._taken[blocks] = self._unread[blocks] = 1  # as if they were new

    def clear(self) -> None:
        """Forget all frames and keep the memory: to take it anew costs more than a second."""
        index = self._grid.hashmap()
        used = index.active_buf_indices().to(o3c.int64)
        if len(used):
            for name in ("tsdf", "weight", "color"):
                self._grid.attribute(name)[used] = 0.0  # whoever gets the block next takes it as it is
            index.erase(index.key_tensor()[used])
        self._taken[:] = self._unread[:] = 0
        self.frames = 0
        self.read_all_next()

    def weigh(self, factor: float) -> None:
        """Let every frame so far count for so many: for those that stand for others, which are gone."""
        weight = self._grid.attribute("weight")
        used = self._grid.hashmap().active_buf_indices().to(o3c.int64)
        weight[used] = weight[used] * factor
        self.frames = round(self.frames * factor)
        self.read_all_next()

    def extract(self) -> SceneCloud:
        """The surface met so far: at most one point a voxel, with colour and a unit normal towards the cameras.

        The same frames give the same cloud, point for point, whatever the threads did.
        """
        return extract_cloud(self.read())

    def read(self) -> VoxelBlocks:
        """A copy of the field, for `extract_cloud`; nobody may fuse meanwhile."""
        return self._copy_of(self._grid.hashmap().active_buf_indices())

    def read_again(self, least_new: float = 0.0) -> Reading:
        """A copy of what was touched since it was last read, for a `GrowingSurface`; nobody may fuse meanwhile.

        Args:
            least_new: blocks of whose frames a smaller share is new are left for another time: their surface hardly
                moved.
        """
        before, self._read_at_weight = self._read_at_weight, self._min_weight
        if before != self._min_weight:  # other voxels count now
            self._unread[:] = 0
            return Reading(field=self.read(), keys=None)
        due = np.flatnonzero((self._unread > 0) & (self._unread >= least_new * self._taken))
        self._unread[due] = 0
        places = self._grid.hashmap().key_tensor()[o3c.Tensor.from_numpy(due).to(self._device)].cpu().numpy()
        changed, _ = self._in_use(beside(places))
        _, at = self._in_use(beside(changed))
        return Reading(field=self._copy_of(at), keys=np.sort(pack(changed)))

    def read_all_next(self) -> None:
        """Let the next `read_again` copy everything."""
        self._read_at_weight = None

    @property
    def _min_weight(self) -> float:
        return min(self.config.min_weight, self.config.min_weight_share * self.frames)

    def _in_use(self, places: Int32[ndarray, "places 3"]) -> tuple[Int32[ndarray, "blocks 3"], o3c.Tensor]:
        """Which blocks there are of some, and where in the attributes."""
        if not len(places):
            return places, o3c.Tensor.zeros(o3c.SizeVector([0]), o3c.int32, self._device)
        at, known = self._grid.hashmap().find(o3c.Tensor.from_numpy(places).to(self._device))
        return places[known.cpu().numpy()], at[known]

    def _copy_of(self, blocks: o3c.Tensor) -> VoxelBlocks:
        used = blocks.cpu().numpy().astype(np.int64)

        def copied(attribute: o3c.Tensor) -> ndarray:
            return np.take(attribute.cpu().numpy(), used, axis=0)

        return VoxelBlocks(
            place=copied(self._grid.hashmap().key_tensor()),
            distance=copied(self._grid.attribute("tsdf"))[..., 0],
            weight=copied(self._grid.attribute("weight"))[..., 0],
            color=copied(self._grid.attribute("color")),
            voxel_m=self.config.voxel_size_m,
            min_weight=self._min_weight,
        )

    def _voxels_about(
        self, xyz: Float32[ndarray, "_ 3"], reach_m: float
    ) -> tuple[Int64[ndarray, " voxels"], Float32[ndarray, "voxels 3"]]:
        """The voxels of the blocks in use that come near some points: their flat index in the attributes, and place."""
        side, voxel_m = self.config.block_resolution, self.config.voxel_size_m
        corners = xyz[:, None] + reach_m * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(1, 27, 3)
        keys, found = self._in_use(
            np.unique(np.floor(corners.reshape(-1, 3) / (side * voxel_m)).astype(np.int32), axis=0)
        )
        at = found.cpu().numpy().astype(np.int64)
        z, y, x = np.meshgrid(*[np.arange(side)] * 3, indexing="ij")
        inside = np.stack([x, y, z], axis=-1).reshape(1, -1, 3)
        place = (keys[:, None].astype(np.int64) * side + inside) * voxel_m
        index = at[:, None] * side**3 + np.arange(side**3)
        return index.reshape(-1), place.reshape(-1, 3).astype(np.float32)

    def _cap_weights(self, at: o3c.Tensor) -> None:
        """Let the voxels of some blocks, by their places in the grid, remember no more readings than they may."""
        weight = self._grid.attribute("weight").reshape(o3c.SizeVector([-1, self.config.block_resolution**3]))
        weight[at] = weight[at].clip(0.0, float(self.config.max_weight))

    def _usable_depth(self, frame: Frame) -> Float32[ndarray, "height width"]:
        depth_m, low, high = frame.depth_m, self.config.depth_min_m, self.config.depth_max_m
        in_range = (depth_m >= low) & (depth_m <= high)
        usable = in_range & ~depth_edges(depth_m, self.config.jump_ratio)
        readings, left = np.count_nonzero(in_range), np.count_nonzero(usable)
        if left < _LEAST_SMOOTH * readings:
            raise Rejected(
                "noisy_depth",
                f"frame {frame.index}: depth jumps at {readings - left} of {readings} pixels from {low} to {high} m, "
                "so that no surface can be made out: is it the depth image of this camera, in the right encoding?",
            )
        if not left:
            raise Rejected(
                "empty_depth",
                f"frame {frame.index}: no depth between {low} and {high} m; it goes up to {depth_m.max():.2f} m",
            )
        rows, columns = (size // _STEP * _STEP for size in depth_m.shape)
        if not (usable & (depth_m < high))[:rows:_STEP, :columns:_STEP].any():  # Open3D would raise RuntimeError
            raise Rejected(
                "empty_depth",
                f"frame {frame.index}: {left} pixels have depth between {low} and {high} m, and none of them is among "
                f"those that tell where the frame reaches, every {_STEP}th across and down",
            )
        return np.where(usable, depth_m, np.float32(0))

    def _check_budget(self, frame: Frame, blocks: o3c.Tensor) -> None:
        _, known = self._grid.hashmap().find(blocks)
        new = len(blocks) - int(known.cpu().numpy().sum())
        room = self.config.block_capacity - _SPARE_BLOCKS
        if self.blocks + new > room:
            raise Rejected(
                "memory_budget",
                f"frame {frame.index} needs {new} new blocks and {self.blocks} of {room} are in use: raise "
                f"memory_budget_mb above {self.config.memory_budget_mb:g} or voxel_size_m above "
                f"{self.config.voxel_size_m:g}",
            )

    def _parts_that_fit(self, blocks: o3c.Tensor) -> list[o3c.Tensor]:
        """The blocks of a frame in parts that keep Open3D from growing its hash map.

        It doubles the map, unasked, as soon as the blocks in use plus *all* blocks of a call exceed the capacity,
        although most of them are in use already. One part is the rule; many are cut in a volume that is nearly full.
        """
        free = self.config.block_capacity - self.blocks
        if len(blocks) <= free:
            return [blocks]
        return [blocks[i : i + _SPARE_BLOCKS] for i in range(0, len(blocks), _SPARE_BLOCKS)]
