"""What a learned reconstructor made of a video, as a recording: colour, depth, poses and intrinsics of each view.

    views in the network's own space ─► z up, and a unit: metres where somebody tells the scale ─► frames

From here on nobody can tell that no depth camera was there, except by `scale_known`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from ovseg3r_core.alignment import Similarity, fit_most, upright
from ovseg3r_core.checks import Rejected, check_images, check_pose
from ovseg3r_core.geometry import back_project
from ovseg3r_core.sequences.folder import poses_of, read_numbers
from ovseg3r_core.sequences.poses import Trajectory
from ovseg3r_core.sequences.prefetch import or_reason, prefetch, without_depth
from ovseg3r_core.types import Camera, ColorFrame, Frame, RgbdFrame

SCALE_FILE = "scale.txt"
"""One number: metres a unit of the reconstruction."""
_USUAL_DEPTH_M = 2.0  # of a room; what has no scale is made so large that lengths meant for rooms fit
_ASKED = 20  # views at most, for what is usual in all of them
_OFF, _OFF_M = 0.05, 0.1  # a camera may lie that far from a given trajectory: of its extent, and at least

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What one view sees, in the network's own unit."""

    color: UInt8[ndarray, "height width 3"]
    depth: Float32[ndarray, "height width"]
    """Along the optical axis; 0 where there is none, or where it is not trusted."""
    camera: Camera


@dataclass(frozen=True, kw_only=True)
class NetworkView:
    """One image, and where the network thinks it was taken."""

    index: int
    stamp_s: float
    T_world_camera: Float64[ndarray, "4 4"]
    """In the network's own space and unit."""
    see: Callable[[], Seen]
    """Reads it; raises `Rejected` where it cannot be used."""


@dataclass(frozen=True, kw_only=True)
class LearnedRecording:
    """A recording by a learned reconstructor."""

    name: str
    views: tuple[NetworkView, ...]
    to_map: Similarity
    """From the network's space to the map."""
    scale_known: bool
    """Whether its lengths are metres."""
    has_poses: bool = True
    has_depth: bool = True

    def __len__(self) -> int:
        return len(self.views)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order; a bad one is yielded as the reason why."""
        return prefetch(or_reason(self._frame), self.views)

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """The same without poses."""
        return prefetch(or_reason(self._images), self.views)

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """T_map_camera by frame index."""
        return poses_of((view.index, partial(self._pose, view)) for view in self.views)

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index; no image is read."""
        return {view.index: view.stamp_s for view in self.views}

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The images alone."""
        return without_depth(self.read_unposed())

    def at(self, frames: slice) -> "LearnedRecording":
        """Some of the frames, in the same map."""
        return replace(self, views=self.views[frames])

    def aligned_to(self, trajectory: Trajectory) -> "LearnedRecording":
        """The same, turned, moved and stretched to where the camera is known to have been; then its unit is metres.

        Its own poses stay, which fit its depth; views that disagree with the trajectory do not count.

        Raises:
            ValueError: fewer than three views have a pose there, they lie in a line, or most of them disagree.
        """
        own, given = list[ndarray](), list[ndarray]()
        for view in self.views:
            try:
                given.append(trajectory.at(round(view.stamp_s * 1e9))[:3, 3])
                own.append(view.T_world_camera[:3, 3])
            except Rejected:  # no pose at that time
                continue
        if len(own) < 3:
            raise ValueError(
                f"{self.name}: {len(own)} of {len(self)} views have a pose by their time: give three or more"
            )
        centres, true = np.array(own), np.array(given)
        within_m = max(_OFF * float(np.ptp(true, axis=0).max()), _OFF_M)
        try:
            found = fit_most(centres, true, scaled=True, within=within_m, fewest=max(3, len(own) // 2))
        except ValueError as error:
            raise ValueError(f"{self.name} does not fit the trajectory: {error}") from error
        return replace(self, to_map=found.similarity, scale_known=True)

    def _frame(self, view: NetworkView) -> Frame:
        return self._images(view).posed(self._pose(view))

    def _pose(self, view: NetworkView) -> Float64[ndarray, "4 4"]:
        return check_pose(self.to_map.pose(view.T_world_camera))

    def _images(self, view: NetworkView) -> RgbdFrame:
        seen = view.see()
        return check_images(
            index=view.index,
            stamp_s=view.stamp_s,
            color=seen.color,
            depth=seen.depth * np.float32(self.to_map.scale),
            camera=seen.camera,
        )


def settled(name: str, views: Sequence[NetworkView], folder: Path) -> LearnedRecording:
    """Views in a map with z up, in metres where the folder's `scale.txt` tells how many a unit has.

    Without it the unit is chosen so that the median depth is 2 m, as in a room, and a warning says so.

    Raises:
        ValueError: no view has any depth; `scale.txt` holds no positive number.
    """
    seen = [(view, it) for view in views[:: max(1, len(views) // _ASKED)] if (it := _seen_or_none(view)) is not None]
    depths = np.concatenate([it.depth[::4, ::4].ravel() for _, it in seen]) if seen else np.zeros(0, np.float32)
    depths = depths[np.isfinite(depths) & (depths > 0)]
    if not len(depths):
        raise ValueError(f"{name}: none of the {len(views)} views has depth that can be used")
    normals = np.concatenate([_normals(it) @ view.T_world_camera[:3, :3].T for view, it in seen])
    T = upright(normals, np.array([-view.T_world_camera[:3, 1] for view, _ in seen]))
    scale = _told_scale(folder / SCALE_FILE)
    if scale is None:
        logger.warning(
            "%s: how many metres a unit has is not known: lengths are not metres, the median depth counts as %g m. "
            "Give %s (one number), or a trajectory in metres with --poses FILE",
            name,
            _USUAL_DEPTH_M,
            SCALE_FILE,
        )
    size = scale or _USUAL_DEPTH_M / float(np.median(depths))
    return LearnedRecording(
        name=name, views=tuple(views), to_map=Similarity(scale=size, T_b_a=T), scale_known=scale is not None
    )


def _told_scale(path: Path) -> float | None:
    if not path.exists():
        return None
    numbers = read_numbers(path)
    if len(numbers) != 1 or not (np.isfinite(numbers[0]) and numbers[0] > 0):
        raise ValueError(f"{path} holds {numbers}: give one positive number, the metres a unit has")
    return numbers[0]


def _seen_or_none(view: NetworkView) -> Seen | None:
    try:
        check_pose(view.T_world_camera)
        return view.see()
    except Rejected:  # it is told when its turn comes
        return None


def _normals(seen: Seen, stride: int = 4, jump: float = 0.2) -> Float64[ndarray, "points 3"]:
    """Normals of what a view sees, towards the camera and in its coordinates; none at the edges of things."""
    xyz = back_project(np.nan_to_num(seen.depth, posinf=0), seen.camera)[::stride, ::stride].astype(np.float64)
    here, right, below = xyz[:-1, :-1], xyz[:-1, 1:], xyz[1:, :-1]
    smooth = here[..., 2] > 0
    for other in (right, below):
        smooth &= np.abs(other[..., 2] - here[..., 2]) < jump * here[..., 2]
    normal = np.cross(below - here, right - here)[smooth]  # x right, y down: this way it points at the camera
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return (normal / np.maximum(length, 1e-12))[length[:, 0] > 1e-12]
