"""The box room as recordings on disk, with its exact masks beside the frames."""

import json
from pathlib import Path

import cv2
import numpy as np
import recordings
from boxed_scenes import NAMES, boxed_room


def write_room(folder: Path, *, frames: int = 5, named: bool = True) -> Path:
    """A sequence folder whose last frame has a broken pose; `files:` reads its masks from the same folder."""
    room = boxed_room()
    shots = [
        recordings.Shot(
            color=frame.color, depth_mm=np.rint(frame.depth_m * 1000).astype(np.uint16), pose=frame.T_map_camera
        )
        for frame in room.frames[:frames]
    ]
    broken = recordings.Shot(color=shots[0].color, depth_mm=shots[0].depth_mm, pose=np.full((4, 4), np.nan))
    recordings.write_posed_folder(folder, [*shots, broken])
    recordings.write_matrix(folder / "camera-intrinsics.txt", room.frames[0].camera.K)
    for index, ids in enumerate(room.ids[:frames]):
        cv2.imwrite(
            str(folder / f"{index:06d}.instances.png"), np.where(np.isin(ids, list(NAMES)), ids, 0).astype(np.uint16)
        )
    (folder / "labels.json").write_text(json.dumps({id_: name if named else None for id_, name in NAMES.items()}))
    return folder
