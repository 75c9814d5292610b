"""What every reader ends with: a cloud with its truth, and what the frames, where there are any, see of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import voxel_keys
from ovseg3r_core.lifting import LiftingConfig, clean_ids, lift_views
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.reconstruction.incidence import IncidenceConfig
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig, KeyframeSelector
from ovseg3r_core.sequences.sequence import Sequence
from ovseg3r_core.types import Frame, MaskTag, SceneCloud
from ovseg3r_core.views import OpenView
from ovseg3r_train.datasets.files import Official
from ovseg3r_train.scene import NO_INSTANCE, LabelledScene, SceneView, Truth


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How much of a dataset's scene is read."""

    frame_step: Annotated[int, Within(0, 10_000)] = 10
    """Every how many frames one is read and may become a view; 0 reads none: cloud and truth alone are left."""
    max_views: Annotated[int, Within(1, 10**6)] = 500
    """Views at most; later ones are counted as left out."""
    voxel_m: Annotated[float, Within(0.0, 0.5)] = 0.0
    """Edge of voxels of which one point each is kept; 0 keeps all points, which is what the benchmarks count on."""
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    """Which of the frames that are read become views."""
    incidence: IncidenceConfig = field(default_factory=IncidenceConfig)
    """When a view counts as seeing a point."""
    lifting: LiftingConfig = field(default_factory=LiftingConfig)
    """How masks are cleaned on their way onto points."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def frames(self) -> slice:
        """The frames of a sequence that are read."""
        return slice(None, None, max(self.frame_step, 1))


@dataclass(frozen=True, kw_only=True)
class Annotated3d:
    """What a reader found in a scene's files apart from its frames, in the map frame."""

    official: Official
    name: str
    cloud: SceneCloud
    truth: Truth | None
    """None where the dataset keeps it to itself, as for test scenes."""
    T_map_dataset: Float64[ndarray, "4 4"] = field(default_factory=lambda: np.eye(4))
    """From the frame of the dataset's own files, poses among them, to the map."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def assemble(
    found: Annotated3d, frames: Sequence | None, proposer: MaskProposer | None, config: ReadConfig
) -> LabelledScene:
    """The labelled scene: views and incidence of the frames, and with a source of masks their lifted masks.

    Args:
        frames: those that `config.frames` takes of the recording; None where there are none.
        proposer: makes the masks of each view; without it the scene has no partial labels.
    """
    cloud, truth = _thinned(found.cloud, found.truth, config.voxel_m)
    drops, views = Counter[str](), list[SceneView]()
    opened = _views(frames if config.frame_step else None, found.T_map_dataset, proposer, config, drops, views)
    seen, lifted = lift_views(opened, cloud, config.incidence, config.lifting)
    facts = {
        "dataset": found.official.name,
        "official_page": found.official.page,
        "T_map_dataset": found.T_map_dataset.tolist(),
        "frame_step": config.frame_step,
        "frames_left_out": dict(drops),
        "voxel_m": config.voxel_m,
        "masks": type(proposer).__name__ if proposer else "none",
    }
    return LabelledScene(
        name=found.name,
        cloud=cloud,
        views=tuple(views),
        seen=seen,
        lifted=tuple(lifted),
        truth=truth,
        facts=facts | dict(found.facts),
    )


def truth_of(instance: Int64[ndarray, " points"], names: Mapping[int, str | None]) -> Truth:
    """Truth with the ids that have a name; the points of all others belong to nothing.

    Args:
        instance: a thing's id a point, or a negative number.
        names: by id; None for what is no instance, as walls.
    """
    kept = np.array(sorted(id_ for id_, name in names.items() if name is not None), np.int64)
    instance = np.where(np.isin(instance, kept), instance, NO_INSTANCE)
    present = np.unique(instance[instance != NO_INSTANCE]).tolist()
    return Truth(instance=instance.astype(np.int32), names={id_: str(names[id_]) for id_ in present})


def _views(
    frames: Sequence | None,
    T_map_dataset: Float64[ndarray, "4 4"],
    proposer: MaskProposer | None,
    config: ReadConfig,
    drops: Counter[str],
    views: list[SceneView],
) -> Iterator[OpenView]:
    """The keyframes with their masks, one in memory at a time; `drops` and `views` are filled on the way."""
    selector = KeyframeSelector(config.keyframes)
    for item in frames.read() if frames is not None else ():
        if isinstance(item, Rejected):
            drops[item.reason] += 1
            continue
        frame = replace(item, T_map_camera=T_map_dataset @ item.T_map_camera)
        if not selector.accepts(frame):
            continue
        if len(views) >= config.max_views:
            drops["view_budget"] += 1
            continue
        views.append(SceneView(camera=frame.camera, T_map_camera=frame.T_map_camera))
        yield _open(frame, len(views) - 1, proposer, config.lifting)


def _open(frame: Frame, view: int, proposer: MaskProposer | None, config: LiftingConfig) -> OpenView:
    masks = proposer.propose(frame, np.zeros(frame.depth_m.shape, bool)) if proposer else []
    return OpenView(
        index=view,
        depth_m=frame.depth_m,
        camera=frame.camera,
        T_map_camera=frame.T_map_camera,
        ids=clean_ids(masks, frame.depth_m, config) if masks else np.full(frame.depth_m.shape, -1, np.int32),
        tags=tuple(MaskTag(score=mask.score, label=mask.label, embedding=mask.embedding) for mask in masks),
    )


def _thinned(cloud: SceneCloud, truth: Truth | None, voxel_m: float) -> tuple[SceneCloud, Truth | None]:
    """The first point of each voxel, in the order of the file."""
    if not voxel_m:
        return cloud, truth
    kept = np.sort(np.unique(voxel_keys(cloud.xyz, voxel_m), return_index=True)[1])
    return cloud.at(kept), truth and truth_of(truth.instance[kept].astype(np.int64), truth.names)
