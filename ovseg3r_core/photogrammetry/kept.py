"""What is kept of a reconstruction that is under way: the selection as JSON, the sparse model as arrays."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.motion_blur import MotionBlur
from ovseg3r_core.outputs import write_json
from ovseg3r_core.photogrammetry.selection import Selection
from ovseg3r_core.photogrammetry.sparse import SparseModel
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.types import Camera

_SELECTION, _MODEL = "selection.json", "model.npz"


def save_selection(selection: Selection) -> None:
    """Write it beside its images."""
    taken = [{"index": index, "stamp_s": stamp_s} for index, stamp_s in selection.stamps_s.items()]
    content = {
        "taken": taken,
        "camera": asdict(selection.camera) if selection.camera else None,
        "size": selection.size,
        "frames": selection.frames,
        "left_out": list(selection.left_out.items()),
        "drops": selection.drops,
        "blur": asdict(selection.blur),
    }
    write_json(selection.folder / _SELECTION, content)


def load_selection(folder: Path) -> Selection | None:
    """What was saved there, if anything."""
    if not (folder / _SELECTION).exists():
        return None
    content = json.loads((folder / _SELECTION).read_text("utf-8"))
    width, height = content["size"]
    return Selection(
        folder=folder,
        stamps_s={it["index"]: it["stamp_s"] for it in content["taken"]},
        camera=Camera(**content["camera"]) if content["camera"] else None,
        size=(width, height),
        frames=content["frames"],
        left_out=dict(content["left_out"]),
        drops=content["drops"],
        blur=MotionBlur(**content.get("blur", {})),
    )


def save_model(model: SparseModel, folder: Path) -> None:
    """Write it whole or not at all."""
    facts = {
        "calibration": asdict(model.calibration),
        "intrinsics_known": model.intrinsics_known,
        "reprojection_px": model.reprojection_px,
        "focal_told": model.focal_told,
    }
    with atomic_write(folder / _MODEL) as part:
        np.savez(
            part,
            index=np.array(list(model.poses), np.int64),
            pose=np.array(list(model.poses.values())),
            xyz=model.xyz,
            seen=np.concatenate(list(model.seen.values())),
            seen_count=np.array([len(points) for points in model.seen.values()], np.int64),
            facts=np.array(json.dumps(facts)),
        )


def load_model(folder: Path) -> SparseModel | None:
    """What was saved there, if anything."""
    if not (folder / _MODEL).exists():
        return None
    with np.load(folder / _MODEL) as arrays:
        facts = json.loads(str(arrays["facts"]))
        index = arrays["index"].tolist()
        seen = np.split(arrays["seen"], np.cumsum(arrays["seen_count"])[:-1])
        calibration = facts.pop("calibration")
        return SparseModel(
            poses=dict(zip(index, arrays["pose"], strict=True)),
            xyz=arrays["xyz"],
            seen=dict(zip(index, seen, strict=True)),
            calibration=Calibration(**calibration | {"distortion": tuple(calibration["distortion"])}),
            **facts,
        )
