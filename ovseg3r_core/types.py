"""The data that flows between the parts, as frozen dataclasses.

Units are metres, seconds and pixels; the camera frame is x right, y down, z forward; `T_map_camera`
takes camera coordinates to map coordinates. Arrays are numpy on the CPU; whoever needs torch converts.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.cloud_blocks import CloudBlocks

Verdict = Literal["found", "ambiguous", "none", "blind"]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera; images that reach a `Frame` have no lens distortion left."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @property
    def K(self) -> Float64[ndarray, "3 3"]:
        """The intrinsic matrix, pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ColorFrame:
    """One time-stamped image from an unknown place, without depth."""

    index: int
    stamp_s: float
    color: UInt8[ndarray, "height width 3"]
    camera: Camera | None
    """None where nobody knows the intrinsics; the image may then have lens distortion left."""


@dataclass(frozen=True, kw_only=True)
class RgbdFrame:
    """One time-stamped observation from an unknown place: colour, depth registered to it, and intrinsics."""

    index: int
    stamp_s: float
    color: UInt8[ndarray, "height width 3"]
    depth_m: Float32[ndarray, "height width"]
    """Distance along the optical axis; 0 is "no reading", and nothing here is negative or non-finite."""
    camera: Camera
    sensor: str = "camera"
    """Which of the robot's cameras it came from."""

    def without_depth(self) -> ColorFrame:
        """The image alone."""
        return ColorFrame(index=self.index, stamp_s=self.stamp_s, color=self.color, camera=self.camera)

    def posed(self, T_map_camera: Float64[ndarray, "4 4"]) -> "Frame":
        """The same observation from a known place."""
        known = {field.name: getattr(self, field.name) for field in fields(RgbdFrame)}
        return Frame(**known, T_map_camera=T_map_camera)


@dataclass(frozen=True, kw_only=True)
class Frame(RgbdFrame):
    """An observation whose place is known."""

    T_map_camera: Float64[ndarray, "4 4"]
    pose_revision: int | None = None
    """How often the poses of the map had been corrected when this one was looked up; None for "as often as now"."""


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A 2D instance mask in one keyframe."""

    pixels: Bool[ndarray, "height width"]
    score: float
    """How sure the proposer is, 0..1: of the name where there is one, else of the outline."""
    label: str | None = None
    """What the proposer calls it; None where it found a thing without a name."""
    embedding: Float32[ndarray, " channels"] | None = None
    """Unit vector in the space of an image-text encoder, where one is loaded."""


@dataclass(frozen=True, kw_only=True)
class MaskTag:
    """What is known of a mask apart from its pixels; the fields mean what they mean in `Mask`."""

    score: float
    label: str | None
    embedding: Float32[ndarray, " channels"] | None


@runtime_checkable
class Depth(Protocol):
    """Anything with depth and intrinsics."""

    @property
    def depth_m(self) -> Float32[ndarray, "height width"]:
        """Depth in metres, 0 for no reading."""
        ...

    @property
    def camera(self) -> Camera:
        """The intrinsics."""
        ...


@runtime_checkable
class PosedDepth(Depth, Protocol):
    """Anything with depth, intrinsics and pose: a frame, or what was kept of one."""

    @property
    def T_map_camera(self) -> Float64[ndarray, "4 4"]:
        """The pose."""
        ...


@dataclass(frozen=True, kw_only=True)
class ViewIncidence:
    """Which scene points one view sees, and at which pixel: one slice of the paper's record C."""

    points: Int64[ndarray, " pairs"]
    """Indices into the scene cloud, each at most once."""
    pixels: Int32[ndarray, "pairs 2"]
    """(column u, row v) of the view's image."""


@dataclass(frozen=True, kw_only=True)
class SceneCloud:
    """The reconstructed surface points, in the map frame."""

    xyz: Float32[ndarray, "points 3"]
    color: UInt8[ndarray, "points 3"]
    normal: Float32[ndarray, "points 3"]
    blocks: CloudBlocks | None = None
    """Which points lie in which block of space, of a cloud as it was read from a volume: tells what stayed the same."""

    @classmethod
    def empty(cls) -> "SceneCloud":
        """A cloud without a point."""
        nothing = np.zeros((0, 3), np.float32)
        return cls(xyz=nothing, color=nothing.astype(np.uint8), normal=nothing)

    def at(self, points: ndarray | slice) -> "SceneCloud":
        """Some of the points, by index, flag or slice."""
        return SceneCloud(xyz=self.xyz[points], color=self.color[points], normal=self.normal[points])

    def __len__(self) -> int:
        return len(self.xyz)


def _no_points() -> Int64[ndarray, " none"]:
    return np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class LiftedMask:
    """A mask carried onto scene points: a partial 3D label, valid in its view only."""

    view: int
    mask: int
    """Its place among the masks of its view: with `view`, what it is known by when it is lifted again."""
    points: Int64[ndarray, " members"]
    """Indices into the scene cloud, sorted, each once."""
    score: float
    label: str | None = None
    embedding: Float32[ndarray, " channels"] | None = None
    rim: Int64[ndarray, " rim"] = field(default_factory=_no_points)
    """Points within its outline that are not surely its own: lifting took them off. Sorted, each once."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box that stands upright in the map: `size` along its own axes, turned by `yaw` about z."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float


@dataclass(frozen=True, kw_only=True)
class ObjectRecord:
    """What readers see of one object of the map."""

    id: int
    label: str
    """The name most views agree on, or "object" where nothing could name it."""
    score: float
    """Confidence 0..1 that the object exists and carries the right name."""
    centre: tuple[float, float, float]
    box: Box
    points: int
    observations: int
    first_seen: float
    last_seen: float
    state: str
    name_score: float = 1.0
    """Probability 0..1 that the label is right, by what the views called the object; 1 for a label that nobody has
    to guess: an operator's, or that of structure."""


@dataclass(frozen=True, kw_only=True)
class QueryHit:
    """One object that answers a text, with how well it does, 0..1."""

    object: ObjectRecord
    score: float


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """The answer to a free text: what the map can say, best object first."""

    text: str
    verdict: Verdict
    hits: tuple[QueryHit, ...] = ()
    explanation: str = ""
    """For people: how a text that says where the thing is was understood, and why it has this verdict."""


@dataclass(frozen=True, kw_only=True)
class Instances:
    """Instance masks over the points of one cloud, as the ScanNet benchmark counts them."""

    masks: Bool[ndarray, "instances points"]
    labels: Int64[ndarray, " instances"]
    """Label ids of the vocabulary in use."""
    scores: Float[ndarray, " instances"]

    @cached_property
    def sizes(self) -> Int64[ndarray, " instances"]:
        """Points of each instance."""
        return self.masks.sum(axis=1)
