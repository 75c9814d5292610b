"""One door to every recording: `open_sequence` recognises the format and returns a `Recording`.

A sequence never stops at a bad frame: it yields the `Rejected` that names the file, and goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.learned import mast3r_slam, vggt
from ovseg3r_core.sequences import colmap, image_folder, replica, rosbag, scannet, sens, seven_scenes, tum, video
from ovseg3r_core.types import ColorFrame, Frame, RgbdFrame


@runtime_checkable
class Sequence(Protocol):
    """A finite source of frames that can be read more than once."""

    @property
    def name(self) -> str:
        """What the recording is called: its folder's or file's name."""
        ...

    def __len__(self) -> int:
        """How many items `read` yields."""
        ...

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order of time; one that cannot be used is yielded as the reason why."""
        ...


@runtime_checkable
class Recording(Sequence, Protocol):
    """A sequence from disk: its images can be had without their poses, which need not be there."""

    @property
    def has_poses(self) -> bool:
        """Whether it tells where the camera was."""
        ...

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """T_map_camera by frame index, of the frames that have one; no image is read."""
        ...

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index, of all frames; no image is read."""
        ...

    @property
    def has_depth(self) -> bool:
        """Whether it has depth images."""
        ...

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """The same frames without poses."""
        ...

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The same frames without depth and poses."""
        ...


@dataclass(frozen=True, kw_only=True)
class Format:
    """A layout of files on disk: how to tell it and how to open it."""

    name: str
    needs: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, slice], Recording]


FORMATS = (
    Format(name="rosbag", needs=rosbag.NEEDS, recognises=rosbag.recognises, open=rosbag.open_bag),
    Format(name="scannet", needs=scannet.NEEDS, recognises=scannet.recognises, open=scannet.open_scannet),
    Format(name="sens", needs=sens.NEEDS, recognises=sens.recognises, open=sens.open_sens),
    Format(name="tum", needs=tum.NEEDS, recognises=tum.recognises, open=tum.open_tum),
    Format(name="replica", needs=replica.NEEDS, recognises=replica.recognises, open=replica.open_replica),
    Format(
        name="7scenes", needs=seven_scenes.NEEDS, recognises=seven_scenes.recognises, open=seven_scenes.open_7scenes
    ),
    Format(name="vggt", needs=vggt.NEEDS, recognises=vggt.recognises, open=vggt.open_vggt),
    Format(
        name="mast3r-slam",
        needs=mast3r_slam.NEEDS,
        recognises=mast3r_slam.recognises,
        open=mast3r_slam.open_mast3r_slam,
    ),
    Format(name="colmap", needs=colmap.NEEDS, recognises=colmap.recognises, open=colmap.open_colmap),
    Format(name="video", needs=video.NEEDS, recognises=video.recognises, open=video.open_video),
    Format(name="images", needs=image_folder.NEEDS, recognises=image_folder.recognises, open=image_folder.open_images),
)


def open_sequence(path: str | Path, format: str = "auto", frames: slice = slice(None)) -> Recording:
    """Open a recorded sequence or bag.

    Args:
        format: one of `FORMATS`, or "auto" to tell it by the files that are there.
        frames: which frames to read, by their place in the recording; the step must be positive.

    Raises:
        FileNotFoundError: nothing is there, or the format's index file is missing.
        ValueError: the format is unknown, its intrinsics cannot be read, or no frame is left.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if frames.step is not None and frames.step <= 0:
        raise ValueError(f"frames step is {frames.step}: frames are read forwards, give a step of 1 or more")
    sequence = _find_format(path, format).open(path, frames)
    if len(sequence) == 0:
        raise ValueError(f"{path}: no frame is left of this sequence (frames {_text(frames)})")
    return sequence


def scale_known(source: Sequence | Recording) -> bool:
    """Whether the lengths of a source are metres; only what was reconstructed from colour alone may say otherwise."""
    return getattr(source, "scale_known", True)


def _find_format(path: Path, name: str) -> Format:
    known = "\n".join(f"  {candidate.name}: {candidate.needs}" for candidate in FORMATS)
    if name == "auto":
        for candidate in FORMATS:
            if candidate.recognises(path):
                return candidate
        raise ValueError(f"{path} is no sequence of a known format. The formats, and what each needs:\n{known}")
    for candidate in FORMATS:
        if candidate.name == name:
            return candidate
    raise ValueError(f'unknown format "{name}"; give "auto" or one of:\n{known}')


def _text(frames: slice) -> str:
    return ":".join("" if part is None else str(part) for part in (frames.start, frames.stop, frames.step))
