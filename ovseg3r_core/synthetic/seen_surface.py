"""What exact frames show of a scene: one point every 2 cm, the one that was seen first."""

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.geometry import back_project, transform, voxel_keys
from ovseg3r_core.types import Frame

VOXEL_M = 0.02
_STRIDE_PX = 2  # a 2 cm voxel 3 m away is 3 pixels wide


class SeenSurface:
    """Grows frame by frame; its points are in the order of their voxels."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, np.int64)
        self.xyz: Float32[ndarray, "points 3"] = np.zeros((0, 3), np.float32)
        self.toward: Float32[ndarray, "points 3"] = np.zeros((0, 3), np.float32)
        """From each point to the camera that saw it first."""
        self.color: UInt8[ndarray, "points 3"] = np.zeros((0, 3), np.uint8)
        self.frames: Int64[ndarray, " points"] = np.zeros(0, np.int64)
        """How many frames show each point's voxel."""

    def add(self, frame: Frame) -> None:
        """Take what one frame of exact depth and pose shows."""
        step = slice(None, None, _STRIDE_PX)
        valid = frame.depth_m[step, step] > 0
        xyz = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera)[step, step][valid])
        fresh, first = np.unique(voxel_keys(xyz, VOXEL_M), return_index=True)
        xyz, color = xyz[first], frame.color[step, step][valid][first]
        toward = frame.T_map_camera[:3, 3].astype(np.float32) - xyz
        self._keys, place, of = np.unique(
            np.concatenate([self._keys, fresh]), return_index=True, return_inverse=True
        )  # of equals the first one, which was there before
        self.xyz = np.concatenate([self.xyz, xyz])[place]
        self.toward = np.concatenate([self.toward, toward])[place]
        self.color = np.concatenate([self.color, color])[place]
        shown = np.concatenate([self.frames, np.ones(len(fresh), np.int64)])
        self.frames = np.bincount(of, weights=shown).astype(np.int64)
