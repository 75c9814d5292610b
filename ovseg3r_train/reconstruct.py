"""From posed frames with a known truth to labelled scenes, the way a user's recording would go.

frames ─► fused as the robot does it ─► cloud, keyframes           once: `fuse`
keyframes ─► masks of one source ─► lifted onto the cloud ─► scene  for each source of masks: `label`

The cloud is what the noisy depth gives. The truth comes from the exact surfaces: on the points of that cloud, and on
clean vertices that no reconstruction has moved.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import invert, transform
from ovseg3r_core.lifting import clean_ids, lift_views
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.reconstruction.keyframes import KeyframeSelector
from ovseg3r_core.reconstruction.tsdf import TsdfVolume
from ovseg3r_core.sequences.sequence import Sequence
from ovseg3r_core.synthetic.seen_surface import SeenSurface
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame, SceneCloud
from ovseg3r_core.views import OpenView, View
from ovseg3r_train.scene import CleanTruth, LabelledScene, SceneView, Truth

_CLEAN_FRAMES = 3  # as many as fusion asks for, see TsdfConfig.min_weight


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What the frames of a sequence come to before anyone looks for things in them."""

    name: str
    cloud: SceneCloud
    keyframes: tuple[Frame, ...]
    """As they were read, 2 MB each at 640x480."""
    config: PerceptionConfig
    fused: int
    """Frames that are in the cloud."""
    drops: Mapping[str, int]
    """Frames that are not, by the reason why."""


@dataclass(frozen=True, kw_only=True)
class KnownTruth:
    """What is truly there, on the points of a reconstruction and on clean vertices."""

    truth: Truth
    clean: CleanTruth | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where the world comes from: generator, seed, licences."""


def reconstruct(
    source: Sequence, proposer: MaskProposer, config: PerceptionConfig | None = None, known: KnownTruth | None = None
) -> LabelledScene:
    """Both halves at once, for one source of masks."""
    return label(fuse(source, config), proposer, known)


def fuse(source: Sequence, config: PerceptionConfig | None = None) -> Reconstruction:
    """Fuse all frames and choose the keyframes, as `Perception.integrate` does.

    Raises:
        ValueError: no surface came of the frames; the text says why they were left out.
    """
    config = config or PerceptionConfig()
    volume, drops, keyframes = TsdfVolume(config.tsdf), Counter[str](), []
    selectors: dict[str, KeyframeSelector] = {}
    for item in source.read():
        try:
            frame = _usable(item)
            volume.integrate(frame)
        except Rejected as rejected:
            drops[rejected.reason] += 1
            continue
        if selectors.setdefault(frame.sensor, KeyframeSelector(config.keyframes)).accepts(frame):
            if len(keyframes) < config.max_views:
                keyframes.append(frame)
            else:
                drops["view_budget"] += 1
    cloud = volume.extract()
    if not len(cloud):
        raise ValueError(
            f"{source.name}: {volume.frames} frames were fused and gave no surface; left out: {dict(drops)}"
        )
    return Reconstruction(
        name=source.name,
        cloud=cloud,
        keyframes=tuple(keyframes),
        config=config,
        fused=volume.frames,
        drops=dict(drops),
    )


def label(
    reconstruction: Reconstruction,
    proposer: MaskProposer,
    known: KnownTruth | None = None,
    name: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> LabelledScene:
    """Mask every keyframe in full and lift the masks onto the cloud, as `Perception.refine` does.

    Args:
        name: of the scene; that of the reconstruction where none is given.
        facts: of the masks, beside those of the world.
    """
    config, keyframes = reconstruction.config, enumerate(reconstruction.keyframes)
    views = (masked_view(place, frame, proposer, config) for place, frame in keyframes)
    return lift_onto(reconstruction, views, known, name, facts)


def masked_view(place: int, keyframe: Frame, proposer: MaskProposer, config: PerceptionConfig) -> View:
    """A keyframe as `Perception` keeps it: masked in full, a pixel has one mask, depth is rounded to a millimetre.

    Args:
        place: of the view in its scene.

    Raises:
        Rejected: the proposer has masks that it cannot use.
    """
    masks = proposer.propose(keyframe, np.zeros(keyframe.depth_m.shape, bool))
    return View.of(place, keyframe, masks, clean_ids(masks, keyframe.depth_m, config.lifting))


def lift_onto(
    reconstruction: Reconstruction,
    views: Iterable[View],
    known: KnownTruth | None = None,
    name: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> LabelledScene:
    """The second half of `label`, for keyframes that are masked already; each is unpacked when its turn comes."""
    config, cameras = reconstruction.config, list[SceneView]()

    def opened() -> Iterator[OpenView]:
        for view in views:
            cameras.append(SceneView(camera=view.camera, T_map_camera=view.T_map_camera))
            yield view.open()

    seen, lifted = lift_views(opened(), reconstruction.cloud, config.incidence, config.lifting)
    return LabelledScene(
        name=name or reconstruction.name,
        cloud=reconstruction.cloud,
        views=tuple(cameras),
        seen=seen,
        lifted=tuple(lifted),
        truth=known.truth if known else None,
        clean=known.clean if known else None,
        facts=_facts(reconstruction) | dict(known.facts if known else {}) | dict(facts or {}),
    )


def truth_at(
    reconstruction: Reconstruction,
    surface: TruthSurface,
    names: Mapping[int, str],
    T_map_true: Mapping[int, Float64[ndarray, "4 4"]] | None = None,
) -> Truth:
    """The instance of the exact surface nearest to each reconstructed point; -1 beyond `truth.REACH_M`.

    Args:
        T_map_true: where the camera was at each frame index, if not where the frames believe.
    """
    xyz = reconstruction.cloud.xyz if T_map_true is None else where_truly(reconstruction, T_map_true)
    return _truth(surface.instance_at(xyz), names)


def where_truly(
    reconstruction: Reconstruction, T_map_true: Mapping[int, Float64[ndarray, "4 4"]]
) -> Float32[ndarray, "points 3"]:
    """The points of a cloud where they would be had the camera known where it was.

    Fusion puts a point where the views that see it say on average. So each of these views takes the point back to
    where it truly was, and the mean of that counts. Points that no keyframe sees stay.
    """
    xyz = reconstruction.cloud.xyz
    moved, views = np.zeros(xyz.shape, np.float64), np.zeros(len(xyz))
    for frame in reconstruction.keyframes:
        points = see_points(xyz, frame, reconstruction.config.incidence).points
        T_true_believed = T_map_true[frame.index] @ invert(frame.T_map_camera)
        moved[points] += transform(T_true_believed, xyz[points].astype(np.float64)) - xyz[points]
        views[points] += 1
    return (xyz + moved / np.maximum(views, 1)[:, None]).astype(np.float32)


def clean_truth(frames: Iterable[Frame | Rejected], surface: TruthSurface, names: Mapping[int, str]) -> CleanTruth:
    """The exact surface as far as the frames show it well, a vertex every 2 cm, with its instances.

    Args:
        frames: of exact depth and pose.
    """
    xyz = seen_surface(frames)
    return CleanTruth(xyz=xyz, truth=_truth(surface.instance_at(xyz), names))


def seen_surface(frames: Iterable[Frame | Rejected], min_frames: int = _CLEAN_FRAMES) -> Float32[ndarray, "points 3"]:
    """What frames show, one point a voxel of 2 cm, the one that was seen first; in voxel order.

    Args:
        min_frames: a voxel that fewer frames show is left out: what a camera passed over once is in no reconstruction.
    """
    seen = SeenSurface()
    for item in frames:
        if isinstance(item, Frame):
            seen.add(item)
    return seen.xyz[seen.frames >= min_frames]


def _usable(item: Frame | Rejected) -> Frame:
    if isinstance(item, Rejected):
        raise item
    return item


def _truth(instance: Int32[ndarray, " points"], names: Mapping[int, str]) -> Truth:
    present = set(np.unique(instance).tolist()) - {-1}
    return Truth(instance=instance, names={id_: names[id_] for id_ in sorted(present)})


def _facts(reconstruction: Reconstruction) -> dict[str, Any]:
    return {
        "frames": reconstruction.fused,
        "frames_left_out": dict(reconstruction.drops),
        "voxel_size_m": reconstruction.config.tsdf.voxel_size_m,
    }
