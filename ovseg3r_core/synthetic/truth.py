"""Which thing a point of the reconstruction belongs to: the one whose surface is nearest."""

from typing import Protocol, runtime_checkable

import numpy as np
import open3d as o3d
from jaxtyping import Float32, Int32
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part

REACH_M = 0.05  # fusion moves surfaces by a centimetre or two; what is further off belongs to nothing
NO_INSTANCE = -1


@runtime_checkable
class Furnished(Protocol):
    """A room or a home: triangles with the id of what they belong to."""

    @property
    def parts(self) -> tuple[tuple[int, Part], ...]:
        """(instance id, triangles); 0 is the shell: floor, walls, ceiling."""
        ...


class TruthSurface:
    """The exact surfaces of a room or home, ready to be asked for the nearest."""

    def __init__(self, scene: Furnished) -> None:
        triangles = [part.vertices[part.triangles] for _, part in scene.parts]
        corners = np.concatenate(triangles).reshape(-1, 3)
        ids = np.repeat([id for id, _ in scene.parts], [len(part) for part in triangles])
        self._instance = np.where(ids == 0, NO_INSTANCE, ids).astype(np.int32)
        self._surface = o3d.t.geometry.RaycastingScene()
        self._surface.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(corners, dtype=np.float32)),
            o3d.core.Tensor.from_numpy(np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)),
        )

    def instance_at(self, xyz: Float32[ndarray, "points 3"], reach_m: float = REACH_M) -> Int32[ndarray, " points"]:
        """Instance id of the nearest surface; -1 for walls, floor, ceiling and where nothing is within reach."""
        nearest, triangle, _ = self._nearest(xyz)
        near = np.linalg.norm(nearest - xyz, axis=1) <= reach_m
        return np.where(near, self._instance[triangle], np.int32(NO_INSTANCE))

    def normal_at(self, xyz: Float32[ndarray, "points 3"]) -> Float32[ndarray, "points 3"]:
        """Unit normal of the nearest surface; which of its two sides it points to is not said."""
        return self._nearest(xyz)[2]

    def _nearest(self, xyz: Float32[ndarray, "points 3"]) -> tuple[ndarray, ndarray, ndarray]:
        points = o3d.core.Tensor.from_numpy(np.ascontiguousarray(xyz))
        answer = self._surface.compute_closest_points(points, nthreads=2)
        return tuple(answer[key].numpy() for key in ("points", "primitive_ids", "primitive_normals"))  # pyright: ignore
