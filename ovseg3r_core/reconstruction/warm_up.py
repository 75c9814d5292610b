"""The loops of the surface, compiled before a camera waits for them."""

import numpy as np

from ovseg3r_core.reconstruction.growing_surface import GrowingSurface
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.types import Camera, Frame

_SIDE = 16
_SMALL = TsdfConfig(memory_budget_mb=16.0)


def compile_loops() -> None:
    """Fuse and read a small wall: seconds at the first use on a machine, a moment from then on."""
    camera = Camera(fx=1.0 * _SIDE, fy=1.0 * _SIDE, cx=_SIDE / 2, cy=_SIDE / 2, width=_SIDE, height=_SIDE)
    wall = Frame(
        index=0,
        stamp_s=0.0,
        color=np.zeros((_SIDE, _SIDE, 3), np.uint8),
        depth_m=np.ones((_SIDE, _SIDE), np.float32),
        camera=camera,
        T_map_camera=np.eye(4),
    )
    volume = TsdfVolume(_SMALL)
    volume.integrate(wall)
    GrowingSurface().take(volume.read_again())
