"""The whole method on one page: frames in, named 3D objects out, free text answered.

frame ─► fuse into the surface                                   every frame
      ─► masks ─► lift onto the surface ─► associate             every keyframe
views ─► lift all masks again ─► consensus ─► redraw the objects now and then
text  ─► compare with the names of the objects                   at any time, on a snapshot
"""

import logging
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.lifting import LiftingConfig, carry, clean_ids
from ovseg3r_core.mapping.explained import explained_pixels
from ovseg3r_core.mapping.object_map import MappingConfig, ObjectMap
from ovseg3r_core.mapping.objects import SameName
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings
from ovseg3r_core.mapping.structure import StructureConfig, find_structure, structure_kind, up_direction
from ovseg3r_core.masks.proposer import EmbedsMasks, MaskProposer
from ovseg3r_core.reconstruction.incidence import Incidence, IncidenceConfig, see_points
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig, KeyframeSelector
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import Frame, LiftedMask, SceneCloud, ViewIncidence
from ovseg3r_core.views import OpenView, View

logger = logging.getLogger(__name__)

_LOGGED_OF_EACH_REASON = 3  # a recording with a thousand bad poses is told three times, and counted


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """The settings of every part, and how they work together."""

    tsdf: TsdfConfig = field(default_factory=TsdfConfig)
    incidence: IncidenceConfig = field(default_factory=IncidenceConfig)
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    lifting: LiftingConfig = field(default_factory=LiftingConfig)
    mapping: MappingConfig = field(default_factory=MappingConfig)
    structure: StructureConfig = field(default_factory=StructureConfig)
    explained_after_views: int = 4
    """An object masked in this many views explains its pixels: nothing there is masked for its own sake again."""
    refine_every: int = 15
    """Keyframes between two looks at all views together; 0 leaves it to the caller."""
    max_views: int = 500
    """Keyframes kept at most, 250 kB each; later ones are refused and counted."""

    def __post_init__(self) -> None:
        if self.explained_after_views < 1 or self.refine_every < 0 or self.max_views < 1:
            raise ValueError(
                f"explained_after_views is {self.explained_after_views}, refine_every {self.refine_every} and "
                f"max_views {self.max_views}; they must be at least 1, 0 and 1"
            )


class Perception:
    """Reconstructs a scene and maps its objects, one frame at a time."""

    def __init__(
        self,
        proposer: MaskProposer,
        same_name: SameName,
        config: PerceptionConfig | None = None,
        device: str = "cpu",
        map_frame: str = "map",
    ) -> None:
        self.config = config or PerceptionConfig()
        self.proposer = proposer
        self.encoder = proposer.encoder if isinstance(proposer, EmbedsMasks) else None
        self.map_frame = map_frame
        self.volume = TsdfVolume(self.config.tsdf, device="CUDA:0" if device == "cuda" else "CPU:0")
        self.keyframes = KeyframeSelector(self.config.keyframes)
        self.objects = ObjectMap(self.config.mapping, same_name)
        self.views: list[View] = []
        self.clock = Stopwatch()
        self.frames = 0
        self.drops: Counter[str] = Counter()

    def integrate(self, item: Frame | Rejected) -> None:
        """Take one frame of the stream; what cannot be used is counted under its reason."""
        self.frames += 1
        try:
            if isinstance(item, Rejected):
                raise item
            with self.clock("fuse"):
                self.volume.integrate(item)
            if self.keyframes.accepts(item):
                self._look(item)
        except Rejected as rejected:
            self.drops[rejected.reason] += 1
            if self.drops[rejected.reason] <= _LOGGED_OF_EACH_REASON:
                logger.warning("left out (%s): %s", rejected.reason, rejected)

    def refine(self) -> None:
        """Look at all views together: lift every mask onto the present surface and redraw the objects."""
        cloud = self._update_cloud()
        with self.clock("refine"):
            seen, lifted = [], []
            for view in self.views:
                opened = view.open()
                seen.append(see_points(cloud.xyz, opened, self.config.incidence))
                lifted += self._lift(opened, seen[-1], cloud)
            self.objects.refine(lifted, Incidence.build(seen), [view.stamp_s for view in self.views])
            self._tell_structure(cloud)

    def snapshot(self) -> MapSnapshot:
        """The map as it is now; nothing that happens later changes it."""
        cloud = self.objects.cloud or self.volume.extract()
        records = self.objects.records()
        structure = {id_ for id_, obj in self.objects.objects.items() if obj.structure}
        things = tuple(record for record in records if record.id not in structure)
        return MapSnapshot(
            map_frame=self.map_frame,
            cloud=cloud,
            owner=self.objects.ownership.owner if self.objects.cloud else np.full(len(cloud), -1, np.int32),
            objects=things,
            structure=tuple(record for record in records if record.id in structure),
            up=tuple(self._up(cloud).tolist()),
            views=len(self.views),
            embeddings=self._embeddings([record.id for record in things]),
        )

    def _look(self, frame: Frame) -> None:
        """A keyframe: find its masks, lift them, and place them on the objects of the map."""
        if len(self.views) >= self.config.max_views:
            raise Rejected("view_budget", f"frame {frame.index}: {self.config.max_views} keyframes are kept already")
        cloud = self._update_cloud()
        seen = see_points(cloud.xyz, frame, self.config.incidence)
        known = {o.id for o in self.objects.objects.values() if o.views >= self.config.explained_after_views}
        explained = explained_pixels(self.objects.ownership.owner, seen, known, *frame.depth_m.shape)
        with self.clock("masks"):
            masks = self.proposer.propose(frame, explained)
        with self.clock("lift"):
            view = View.of(len(self.views), frame, masks, clean_ids(masks, frame.depth_m, self.config.lifting))
            lifted = self._lift(view.open(), seen, cloud)
        with self.clock("associate"):
            self.views.append(view)
            self.objects.associate(lifted, seen, frame.stamp_s)
        if self.config.refine_every and len(self.views) % self.config.refine_every == 0:
            self.refine()

    def _update_cloud(self) -> SceneCloud:
        with self.clock("extract"):
            cloud = self.volume.extract()
            self.objects.follow(cloud)
        return cloud

    def _lift(self, view: OpenView, seen: ViewIncidence, cloud: SceneCloud) -> list[LiftedMask]:
        return carry(view.ids, view.tags, seen, cloud, view.depth_m, view.index, self.config.lifting)

    def _tell_structure(self, cloud: SceneCloud) -> None:
        """Mark the objects that are pieces of the walls, the floor or the ceiling."""
        config = self.config.structure
        planes = find_structure(cloud, self.config.tsdf.voxel_size_m, self._up(cloud), config)
        for id_, points in self.objects.ownership.points_of().items():
            named = self.objects.name(id_) is not None
            kind = structure_kind(points, cloud, planes, named=named, config=config)
            self.objects.objects[id_].structure = kind

    def _embeddings(self, ids: list[int]) -> ObjectEmbeddings | None:
        found = {id_: row for id_ in ids if (row := self.objects.objects[id_].embedding()) is not None}
        if self.encoder is None or not found:
            return None
        return ObjectEmbeddings(
            encoder=self.encoder, ids=np.array(list(found), np.int32), vectors=np.stack(list(found.values()))
        )

    def _up(self, cloud: SceneCloud) -> Float64[ndarray, "3"]:
        camera_up = np.array([-view.T_map_camera[:3, 1] for view in self.views]).reshape(-1, 3)
        return up_direction(cloud.normal, camera_up)
