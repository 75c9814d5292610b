"""The perception node with the true masks of the box room in the place of networks; everything else is the real thing.

The masks follow from the pose that the node worked out, so that a node which gets poses wrong sees the wrong things.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from scenes import BOX_ROOM, STUFF, render

from ovseg3r_core.perception import Perception
from ovseg3r_core.types import Frame, Mask
from ovseg3r_ros.nodes.perception import run

_LEAST_PIXELS = 20  # what a detector would still see
_THERE_M = 0.05


class SceneMasks:
    """A `MaskProposer` that ray-casts the box room from where the frame says the camera was.

    What depth says is not there is not masked: things may have been taken out of the room.
    """

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        expected, ids = render(BOX_ROOM, frame.camera, frame.T_map_camera)
        ids[np.abs(expected.depth_m - frame.depth_m) > _THERE_M] = -1
        things = [
            i for i, solid in enumerate(BOX_ROOM) if solid.name not in STUFF and (ids == i).sum() >= _LEAST_PIXELS
        ]
        return [Mask(pixels=ids == i, score=0.9, label=BOX_ROOM[i].name) for i in things]


class PaintedMasks:
    """The same by the paint of the things, wherever the node thinks that the camera is."""

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        paints = np.array([solid.color for solid in BOX_ROOM], np.float64)
        paints /= np.linalg.norm(paints, axis=1, keepdims=True)
        ids = (frame.color.astype(np.float64) @ paints.T).argmax(axis=2)
        seen = [i for i, solid in enumerate(BOX_ROOM) if solid.name not in STUFF and (ids == i).sum() >= _LEAST_PIXELS]
        return [Mask(pixels=ids == i, score=0.9, label=BOX_ROOM[i].name) for i in seen]


if __name__ == "__main__":
    if "--decode-only" in sys.argv:  # for measuring transport and conversion: frames are decoded and checked, and end
        Perception.fuse = lambda self, frame: None
    code = run(lambda config, vocabulary: PaintedMasks() if "--painted" in sys.argv else SceneMasks())
    sys.stdout.flush()
    os._exit(code)
