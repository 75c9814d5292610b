"""What was recovered of a recording that lacks poses, or depth: found once, kept in a folder, used by every command."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_images
from ovseg3r_core.outputs import write_json
from ovseg3r_core.sequences.calibration import Calibration, undistort_color
from ovseg3r_core.sequences.images import read_depth
from ovseg3r_core.sequences.posed import PosedRecording
from ovseg3r_core.sequences.prefetch import or_reason
from ovseg3r_core.sequences.sequence import Recording, Sequence
from ovseg3r_core.types import ColorFrame, Frame

FILE, DEPTH = "reconstruction.json", "depth"
_MILLIMETRE_M = 0.001
_SAME_TIME_S = 0.001


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """Where a camera was, and how far away things were where no depth camera said so."""

    key: str
    """What it was made of and how: other inputs or settings have another."""
    recording: str
    """The name of what it was made of."""
    poses: Mapping[int, Float64[ndarray, "4 4"]]
    """T_map_camera by frame index."""
    stamps_s: Mapping[int, float]
    report: Mapping[str, Any] = field(default_factory=dict)
    """Counts and seconds, for people and files."""
    scale_known: bool = True
    """Whether its unit is the metre."""
    left_out: Mapping[int, str] = field(default_factory=dict)
    """Why a frame has no pose, where that is not because it is lost."""
    calibration: Calibration | None = None
    """Of a camera without depth, with the distortion that its images still have; None where depth was recorded."""
    depth: Path | None = None
    """Folder of the depth images of a camera without depth, `NNNNNN.png` in millimetres."""

    def save(self, folder: Path) -> None:
        """Write `reconstruction.json`, after everything that it speaks of."""
        content = {
            "key": self.key,
            "recording": self.recording,
            "scale_known": self.scale_known,
            "calibration": asdict(self.calibration) if self.calibration else None,
            "frames": [
                {"index": index, "stamp_s": self.stamps_s[index], "T_map_camera": pose.ravel().tolist()}
                for index, pose in sorted(self.poses.items())
            ],
            "left_out": [{"index": index, "reason": reason} for index, reason in sorted(self.left_out.items())],
            "report": dict(self.report),
        }
        write_json(folder / FILE, content)

    def of(self, recording: Recording) -> Sequence:
        """The recording's frames with what was recovered: from here on nobody can tell.

        One whose place is not known is rejected with the reason why, `lost` most of all.

        Raises:
            ValueError: this was made of another recording.
        """
        self._check_is_of(recording)
        if self.depth is None:
            return PosedRecording(recording=recording, pose=self.pose)
        assert self.calibration is not None, "depth comes with a calibration"
        return RecoveredSequence(recording=recording, pose=self.pose, calibration=self.calibration, depth=self.depth)

    def _check_is_of(self, recording: Recording) -> None:
        """Frames are found by their numbers: of another recording they would get poses that mean nothing."""
        stamps = recording.read_stamps()
        same_times = all(
            abs(stamps[index] - stamp_s) < _SAME_TIME_S for index, stamp_s in self.stamps_s.items() if index in stamps
        )
        if self.recording != recording.name or not same_times:
            raise ValueError(
                f"what was reconstructed is of {self.recording!r}, "
                + (f"not of {recording.name!r}" if self.recording != recording.name else "with other times of frames")
                + ": reconstruct this recording, or name the one that it was made of"
            )

    def pose(self, index: int, stamp_s: float) -> Float64[ndarray, "4 4"]:
        """T_map_camera of a frame; raises `Rejected` where it is not known."""
        if index not in self.poses:
            reason = self.left_out.get(index, "lost")
            raise Rejected(reason, f"frame {index} at {stamp_s:.3f} s has no pose: {reason}")
        return self.poses[index]


def load_recovered(folder: Path) -> Recovered:
    """What `save` wrote; raises ValueError where the file is damaged."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text("utf-8"))
        frames = content["frames"]
        calibration = content["calibration"]
        if calibration is not None:
            calibration = Calibration(**calibration | {"distortion": tuple(calibration["distortion"])})
        return Recovered(
            key=content["key"],
            recording=content["recording"],
            scale_known=content["scale_known"],
            calibration=calibration,
            depth=folder / DEPTH if calibration else None,
            poses={it["index"]: np.array(it["T_map_camera"], np.float64).reshape(4, 4) for it in frames},
            stamps_s={it["index"]: it["stamp_s"] for it in frames},
            left_out={it["index"]: it["reason"] for it in content["left_out"]},
            report=content["report"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not what `ovseg3r reconstruct` writes: {error!r}") from error


@dataclass(frozen=True, kw_only=True)
class RecoveredSequence:
    """A recording of colour alone with recovered poses and depth."""

    recording: Recording
    pose: Callable[[int, float], Float64[ndarray, "4 4"]]
    """T_map_camera of a frame by its index and stamp, seconds; raises `Rejected` where it is not known."""
    calibration: Calibration
    depth: Path

    @property
    def name(self) -> str:
        """The recording's."""
        return self.recording.name

    def __len__(self) -> int:
        return len(self.recording)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order."""
        return map(or_reason(self._frame), self.recording.read_color())

    def _frame(self, image: ColorFrame) -> Frame:
        T_map_camera = self.pose(image.index, image.stamp_s)
        color = image.color if image.camera else undistort_color(image.color, self.calibration)
        height, width = color.shape[:2]
        depth_m = read_depth(depth_path(self.depth, image.index)) * np.float32(_MILLIMETRE_M)
        return check_images(
            index=image.index,
            stamp_s=image.stamp_s,
            color=color,
            depth=enlarge(depth_m, width, height),
            camera=self.calibration.camera(width, height),
        ).posed(T_map_camera)


def depth_path(folder: Path, index: int) -> Path:
    """Where the depth image of a frame lies."""
    return folder / f"{index:06d}.png"


def write_depth(folder: Path, index: int, depth_m: Float32[ndarray, "height width"]) -> None:
    """Write a depth image in millimetres; what lies beyond 65 m is no reading."""
    depth_mm = np.rint(depth_m / _MILLIMETRE_M)
    image = np.where(depth_mm < 65535, depth_mm, 0).astype(np.uint16)
    if not cv2.imwrite(str(depth_path(folder, index)), image):
        raise OSError(f"{depth_path(folder, index)} cannot be written")


def enlarge(depth: Float32[ndarray, "_ _"], width: int, height: int) -> Float32[ndarray, "height width"]:
    """A depth image of another size: smooth inside surfaces, never a mean across an edge or a gap."""
    inverse = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    nearest = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    linear = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_LINEAR)
    inverse = np.where(np.abs(linear - nearest) < 0.03 * nearest, linear, nearest)
    return np.divide(1, inverse, out=np.zeros_like(inverse), where=inverse > 0)
