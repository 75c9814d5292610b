"""Truncated signed distance fusion of posed depth, on sparse blocks of voxels.

All memory of the blocks is set aside when the volume is made and never grows: a frame that would need more is refused.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.checks import DEPTH_LIMIT_M, Rejected
from ovseg3r_core.cloud_blocks import beside
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert
from ovseg3r_core.packing import REACH, pack
from ovseg3r_core.reconstruction.block_index import BlockIndex
from ovseg3r_core.reconstruction.depth_edges import depth_edges
from ovseg3r_core.reconstruction.depth_fusion import STEP, VoxelField, blocks_met, fuse_depth
from ovseg3r_core.reconstruction.growing_surface import Reading
from ovseg3r_core.reconstruction.surface import VoxelBlocks, extract_cloud
from ovseg3r_core.types import Frame, SceneCloud

_VOXEL_BYTES = 5 * 4  # distance, weight and three colours; 16-bit weights would wrap after 36 minutes at 30 Hz
_LEAST_BLOCKS = 1024  # what one frame needs
_LEAST_SMOOTH = 0.1  # of the readings; real cameras have 97 % away from jumps, noise less than 1 %


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
    """Memory of all voxels, set aside at the start; frames that need more are refused and counted."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if not self.depth_min_m < self.depth_max_m:
            raise ValueError(
                f"depth_min_m is {self.depth_min_m} and depth_max_m {self.depth_max_m}; the first must be less"
            )
        if self.block_capacity < _LEAST_BLOCKS:
            least_mb = _LEAST_BLOCKS * self.block_bytes / 2**20
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

    def __init__(self, config: TsdfConfig | None = None) -> None:
        """Set the whole memory budget aside; the system gives it as blocks are met."""
        self.config = config or TsdfConfig()
        self.frames = 0
        self._read_at_weight: float | None = None  # None where all of it is to be read
        self._index = BlockIndex()
        self._field = VoxelField.empty(self.config.block_capacity, self.config.block_resolution)
        # Frames that each block took in, and how many of them since its surface was last read; by its slot.
        self._taken, self._unread = (np.zeros(self.config.block_capacity, np.int32) for _ in range(2))

    @property
    def blocks(self) -> int:
        """Blocks in use."""
        return len(self._index)

    def integrate(self, frame: Frame) -> None:
        """Fuse one frame.

        Raises:
            Rejected: `empty_depth` where there is no reading within range or hardly one, `noisy_depth` where nearly
                all of them lie at jumps, `bad_pose` where what it shows lies further out than blocks can be numbered,
                and `memory_budget` where the frame reaches more new space than the budget has left. The volume is then
                as it was.
        """
        depth_m = self._usable_depth(frame)
        places = blocks_met(depth_m, frame.camera, frame.T_map_camera, self._block_m, self._reach_m)
        keys = pack(places)
        self._check(frame, places, keys)
        slots = self._index.take(keys)
        fuse_depth(
            self._field,
            slots,
            places,
            depth_m,
            frame.color,
            frame.camera,
            invert(frame.T_map_camera),
            voxel_m=self.config.voxel_size_m,
            reach_m=self._reach_m,
            most=self.config.max_weight,
        )
        self._taken[slots] += 1
        self._unread[slots] += 1
        self.frames += 1

    def forget(self, gone: Float32[ndarray, "_ 3"], kept: Float32[ndarray, "_ 3"]) -> None:
        """Make a surface unknown again, both its sides, as if it had never been met.

        Carving would not do: only what lies near the surface that a ray ends on is fused, so that what the ray passed
        through on its way stays as it was.

        Args:
            gone: points of the surface, map frame, metres.
            kept: points of other surfaces; voxels that are nearer to one of these stay.
        """
        if not len(gone):
            return
        reach_m = self._reach_m
        index, xyz = self._voxels_about(gone, reach_m)
        away, _ = KDTree(gone).query(xyz, distance_upper_bound=reach_m)
        near = np.isfinite(away)
        index, xyz, away = index[near], xyz[near], away[near]
        kept = kept[((kept >= gone.min(axis=0) - 2 * reach_m) & (kept <= gone.max(axis=0) + 2 * reach_m)).all(axis=1)]
        if len(kept):
            others, _ = KDTree(kept).query(xyz, distance_upper_bound=reach_m)
            index = index[others > away]
        self._field.forget(index)
        slots = np.unique(index // self.config.block_resolution**3)
        self._taken[slots] = self._unread[slots] = 1  # as if they were new

    def clear(self) -> None:
        """Forget all frames and keep the memory."""
        self._field.clear(self.blocks)
        self._index = BlockIndex()
        self._taken[:] = self._unread[:] = 0
        self.frames = 0
        self.read_all_next()

    def weigh(self, factor: float) -> None:
        """Let every frame so far count for so many: for those that stand for others, which are gone."""
        self._field.weight[: self.blocks] *= factor
        self.frames = round(self.frames * factor)
        self.read_all_next()

    def extract(self) -> SceneCloud:
        """The surface met so far: at most one point a voxel, with colour and a unit normal towards the cameras."""
        return extract_cloud(self.read())

    def read(self) -> VoxelBlocks:
        """A copy of the field, for `extract_cloud`; nobody may fuse meanwhile."""
        return self._copy_of(np.arange(self.blocks))

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
        changed, _ = self._in_use(beside(self._index.places(due)))
        _, slots = self._in_use(beside(changed))
        return Reading(field=self._copy_of(slots), keys=np.sort(pack(changed)))

    def read_all_next(self) -> None:
        """Let the next `read_again` copy everything."""
        self._read_at_weight = None

    @property
    def _block_m(self) -> float:
        return self.config.block_resolution * self.config.voxel_size_m

    @property
    def _reach_m(self) -> float:
        return self.config.truncation_voxels * self.config.voxel_size_m

    @property
    def _min_weight(self) -> float:
        return min(self.config.min_weight, self.config.min_weight_share * self.frames)

    def _in_use(
        self, places: Int32[ndarray, "places 3"]
    ) -> tuple[Int32[ndarray, "blocks 3"], Int64[ndarray, " blocks"]]:
        """Which blocks there are of some, and their slots."""
        slots = self._index.find(places)
        return places[slots >= 0], slots[slots >= 0]

    def _copy_of(self, slots: Int64[ndarray, " blocks"]) -> VoxelBlocks:
        return VoxelBlocks(
            place=self._index.places(slots),
            distance=self._field.distance[slots],
            weight=self._field.weight[slots],
            color=self._field.color[slots],
            voxel_m=self.config.voxel_size_m,
            min_weight=self._min_weight,
        )

    def _voxels_about(
        self, xyz: Float32[ndarray, "_ 3"], reach_m: float
    ) -> tuple[Int64[ndarray, " voxels"], Float32[ndarray, "voxels 3"]]:
        """The voxels of the blocks in use that come near some points: their flat index in the field, and place."""
        side, voxel_m = self.config.block_resolution, self.config.voxel_size_m
        corners = xyz[:, None] + reach_m * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(1, 27, 3)
        places, slots = self._in_use(
            np.unique(np.floor(corners.reshape(-1, 3) / self._block_m).astype(np.int32), axis=0)
        )
        z, y, x = np.meshgrid(*[np.arange(side)] * 3, indexing="ij")
        inside = np.stack([x, y, z], axis=-1).reshape(1, -1, 3)
        xyz_of = (places[:, None].astype(np.int64) * side + inside) * voxel_m
        index = slots[:, None] * side**3 + np.arange(side**3)
        return index.reshape(-1), xyz_of.reshape(-1, 3).astype(np.float32)

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
        if not usable[::STEP, ::STEP].any():
            raise Rejected(
                "empty_depth",
                f"frame {frame.index}: {left} pixels have depth between {low} and {high} m, and none of them is among "
                f"those that tell where the frame reaches, every {STEP}th across and down",
            )
        return np.where(usable, depth_m, np.float32(0))

    def _check(self, frame: Frame, places: Int32[ndarray, "blocks 3"], keys: Int64[ndarray, " blocks"]) -> None:
        """Refuse a frame that reaches further than blocks can be numbered, or than the budget pays for."""
        furthest = int(np.abs(places).max()) + 1
        if furthest * self.config.block_resolution >= REACH:
            raise Rejected(
                "bad_pose",
                f"frame {frame.index} lies {furthest * self._block_m:.0f} m out, and voxels of "
                f"{self.config.voxel_size_m:g} m number up to {REACH * self.config.voxel_size_m:.0f} m",
            )
        new, room = self._index.missing(keys), self.config.block_capacity
        if self.blocks + new > room:
            raise Rejected(
                "memory_budget",
                f"frame {frame.index} needs {new} new blocks and {self.blocks} of {room} are in use: raise "
                f"memory_budget_mb above {self.config.memory_budget_mb:g} or voxel_size_m above "
                f"{self.config.voxel_size_m:g}",
            )
