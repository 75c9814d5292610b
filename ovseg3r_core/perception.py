"""The whole method on one page: frames in, named 3D objects out, free text answered.

frame ─► fuse into the surface                                   every frame
      ─► what of the map does it see through?                    twice a second
      ─► masks ─► lift onto the surface ─► associate             every keyframe
views ─► lift all masks again ─► consensus ─► redraw the objects now and then
                              ─► superpoints ─► segmenter ─┘     where there is one
text  ─► compare with the names of the objects                   at any time, on a snapshot
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.lifting import LiftingConfig, clean_ids, lift_view, lift_views
from ovseg3r_core.mapping.anchors import anchored, first_views
from ovseg3r_core.mapping.duplicates import heirs, led_on
from ovseg3r_core.mapping.evidence import verdicts
from ovseg3r_core.mapping.explained import explained_pixels
from ovseg3r_core.mapping.fusion import Segmented
from ovseg3r_core.mapping.instances import FindsInstances, without_structure
from ovseg3r_core.mapping.life import Departure, LifeConfig, LifeEvent
from ovseg3r_core.mapping.lives import remember, reunite, watched_of, witness
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.object_map import NOWHERE, ObjectMap, Placed
from ovseg3r_core.mapping.objects import SameName
from ovseg3r_core.mapping.operator import Operation
from ovseg3r_core.mapping.reanchoring import Reanchored, reanchor
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings
from ovseg3r_core.mapping.structure import StructureConfig, up_of
from ovseg3r_core.masks.proposer import EmbedsMasks, MaskProposer
from ovseg3r_core.pose_correction import CorrectionLog, PoseCorrection, distances, motion
from ovseg3r_core.reconstruction.incidence import Incidence, IncidenceConfig, see_points
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig, KeyframeSelector
from ovseg3r_core.reconstruction.surface import extract_cloud
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import Frame, LiftedMask, SceneCloud
from ovseg3r_core.views import View

logger = logging.getLogger(__name__)

_LOGGED_OF_EACH_REASON = 3  # a recording with a thousand bad poses is told three times, and counted


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """The settings of every part, and how they work together."""

    tsdf: TsdfConfig = field(default_factory=TsdfConfig)
    """How depth is fused."""
    incidence: IncidenceConfig = field(default_factory=IncidenceConfig)
    """When a view counts as seeing a point."""
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    """Which frames are looked at for objects."""
    lifting: LiftingConfig = field(default_factory=LiftingConfig)
    """How masks are cleaned on their way onto points."""
    mapping: MappingConfig = field(default_factory=MappingConfig)
    """How masks become objects."""
    structure: StructureConfig = field(default_factory=StructureConfig)
    """What belongs to the room."""
    life: LifeConfig = field(default_factory=LifeConfig)
    """When objects are missing, removed or moved."""
    explained_after_views: Annotated[int, Within(1, 10**9)] = 4
    """An object masked in this many views explains its pixels: nothing there is masked for its own sake again."""
    refine_every: Annotated[int, Within(0, 10**6)] = 15
    """Keyframes between two looks at all views together; 0 leaves it to the caller."""
    max_views: Annotated[int, Within(1, 10**6)] = 500
    """Keyframes kept at most, 250 kB each; later ones are refused and counted."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class Perception:
    """Reconstructs a scene and maps its objects, one frame at a time.

    `integrate` does everything in the caller's thread. A live system calls its parts, `fuse`, `look` and `refine`, from
    one thread each: they share the surface and the map for moments only, never while a network runs or while all
    views are compared.

    Args:
        segmenter: finds instances in the surface, which vote beside the masks whenever all views are looked at
            together. Another may take its place at any time: the next look uses that.
        map_id: which map the frame is of, where somebody says; a saved map keeps it.
    """

    def __init__(
        self,
        proposer: MaskProposer,
        same_name: SameName,
        config: PerceptionConfig | None = None,
        device: str = "cpu",
        map_frame: str = "map",
        segmenter: FindsInstances | None = None,
        map_id: str = "",
    ) -> None:
        self.config = config or PerceptionConfig()
        self.segmenter = segmenter
        self.proposer = proposer
        self.encoder = proposer.encoder if isinstance(proposer, EmbedsMasks) else None
        self.map_frame, self.map_id = map_frame, map_id
        self.clock = Stopwatch()
        self._same_name = same_name
        self._device = "CUDA:0" if device == "cuda" else "CPU:0"
        self._surface, self._map = Lock(), RLock()  # where both are held, the surface's was taken first
        self._counting = Lock()
        self.frames = 0
        self.drops: Counter[str] = Counter()
        self._corrections = CorrectionLog()
        self.reset()

    def reset(self) -> None:
        """Forget everything; a keyframe that is being looked at belongs to the old map and is dropped."""
        with self._surface, self._map:
            self.volume = TsdfVolume(self.config.tsdf, device=self._device)
            self.keyframes: dict[str, KeyframeSelector] = {}
            self.objects = ObjectMap(self.config.mapping, self._same_name)
            self.views: list[View] = []
            self._refined_views = 0
            self._watched = watched_of(self.objects, self.config.life)
            self._watched_s: dict[str, float] = {}
            self._to_fuse: list[View] = []  # keyframes that the surface lacks since their poses were corrected
            self._frames_before = 0  # frames that they stand for
            self._settling = False  # from a correction to the next look at all views
            self.segmented: Segmented | Rejected | None = None
            """What the segmenter said in the last look at all views, or why it could not; None without one."""

    def resume(self, snapshot: MapSnapshot, memory: Memory) -> None:
        """Go on from a saved map: its keyframes are fused again, its objects, ids and edits are as they were.

        What was removed between two keyframes is forgotten between them. A keyframe that today's settings of the
        surface refuse is counted; its masks stay.
        """
        self.reset()
        with self._surface, self._map:
            for view in memory.views:
                self._fuse_kept(view.index, view.frame(), memory.lives.departures, snapshot.cloud)
            self._forget(memory.lives.departures, snapshot.cloud, before_view=len(memory.views))
            self.objects = ObjectMap.restored(self.config.mapping, self._same_name, snapshot, memory)
            self.views = list(memory.views)
            self._refined_views = len(self.views)
            if not len(memory.anchor):  # of a map from before they were saved
                seen = [see_points(snapshot.cloud.xyz, view.open(), self.config.incidence) for view in self.views]
                self.objects.anchor = first_views(Incidence.build(seen), len(snapshot.cloud))
            self._remember()

    def integrate(self, item: Frame | Rejected) -> None:
        """Take one frame of the stream; what cannot be used is counted under its reason."""
        try:
            keyframe = self.fuse(item)
            if keyframe is not None:
                self.look(keyframe)
                if self.refinement_is_due:
                    self.refine()
        except Rejected as rejected:
            self.count(rejected)

    @property
    def pose_revision(self) -> int:
        """How often poses were corrected; tells a frame that was posed before a correction from one posed after it."""
        return self._corrections.revision

    @property
    def unrefined(self) -> int:
        """Views that came after the last look at all views together."""
        return len(self.views) - self._refined_views

    @property
    def refinement_is_due(self) -> bool:
        """Whether enough views have come for the next look at all views together."""
        return 0 < self.config.refine_every <= self.unrefined

    def count(self, rejected: Rejected) -> None:
        """Count what was left out under its reason; the first few of each are told."""
        with self._counting:
            self.drops[rejected.reason] += 1
        if self.drops[rejected.reason] <= _LOGGED_OF_EACH_REASON:
            logger.warning("left out (%s): %s", rejected.reason, rejected)

    def fuse(self, item: Frame | Rejected) -> Frame | None:
        """Fuse a frame into the surface, and see what it sees through; a keyframe comes back, to be looked at.

        Raises:
            Rejected: the frame cannot be used.
        """
        self.frames += 1
        if isinstance(item, Rejected):
            raise item
        with self._surface, self.clock("fuse"):
            item = self._corrections.applied_to(item)
            self.volume.integrate(item)
        self._witness(item)
        selector = self.keyframes.setdefault(item.sensor, KeyframeSelector(self.config.keyframes))
        return item if selector.accepts(item) else None

    def look(self, keyframe: Frame) -> None:
        """Find the masks of a keyframe, lift them, and place them on the objects of the map.

        Raises:
            Rejected: `view_budget` where no more keyframes are kept, `map_reset` where the map that it belongs to is
                gone by now.
        """
        if len(self.views) >= self.config.max_views:
            raise Rejected("view_budget", f"frame {keyframe.index}: {self.config.max_views} keyframes are kept already")
        objects = self.objects
        explained = self._explained(keyframe, objects)
        with self.clock("masks"):
            masks = self.proposer.propose(keyframe, explained)
        with self.clock("lift"):
            ids = clean_ids(masks, keyframe.depth_m, self.config.lifting)
        with self._map:
            if self.objects is not objects:
                raise Rejected("map_reset", f"frame {keyframe.index} belongs to the map before this one")
            overtaken = keyframe.pose_revision not in (None, self.pose_revision)
            view = View.of(len(self.views), self._corrections.applied_to(keyframe), masks, ids)
            self.views.append(view)
            if overtaken:
                self._to_fuse.append(view)  # what was fused of it went with the surface of before
            self._place(view)
            self._remember()

    def refine(self) -> None:
        """Look at all views together: lift every mask onto the present surface and redraw the objects.

        The segmenter votes where there is one. A scene that is beyond it is counted under its reason, and drawn from
        the masks alone. Where poses were corrected, the surface is made anew first, of the keyframes that are kept.
        """
        revision = self.pose_revision  # a correction from here on empties the surface that is looked at
        self._fuse_again()
        with self._map:
            objects, views, segmenter = self.objects, tuple(self.views), self.segmenter
            dead = objects.dead_masks()
        cloud = self._extract()
        with self.clock("refine"):
            opened = (view.open() for view in views)
            seen, lifted = lift_views(opened, cloud, self.config.incidence, self.config.lifting)
            lifted = [mask for mask in lifted if (mask.view, mask.mask) not in dead]
            segmented = self._segment(segmenter, cloud, seen, lifted, views) if segmenter else None
            drawing = redraw(lifted, seen, cloud, self.config.mapping, segmented)
            with self._map:
                if self.objects is not objects or self.pose_revision != revision:
                    return  # the map was reset or moved meanwhile; where it was moved, the next look is due
                former = objects.adopt(drawing, [view.stamp_s for view in views], anew=self._settling)
                for view in self.views[len(views) :]:
                    self._place(view, former)
                if self._settling:
                    self.objects.edit(led_on(self.objects.edits, heirs(former, self.objects)))
                    self._settling = False
                self.objects.tell_structure(self._up(), self.config.tsdf.voxel_size_m, self.config.structure)
                self._refined_views = len(views)
                self._remember()
                reunite(self.objects, max((view.stamp_s for view in views), default=0.0), self.config.life)

    @property
    def has_news(self) -> bool:
        """Whether something became of an object since `take_events` was last called."""
        return bool(self.objects.events)

    def take_events(self) -> tuple[LifeEvent, ...]:
        """What became of objects since the last call."""
        with self._map:
            return self.objects.take_events()

    def correct_poses(self, poses: Mapping[int, Float64[ndarray, "4 4"]]) -> Reanchored:
        """Put keyframes where they really were, by their index; those between them in time are moved with them.

        Raises:
            Rejected: `bad_pose` where one is not finite or not rigid, or `no_view` where no keyframe is named that
                there is. Nothing is changed then.
        """
        found = {view: check_pose(T) for view, T in poses.items()}
        with self._surface, self._map:
            known = sorted((v for v in found if 0 <= v < len(self.views)), key=lambda v: self.views[v].stamp_s)
            if not known:
                raise Rejected("no_view", f"poses of keyframes {sorted(found)[:5]}, but {len(self.views)} are kept")
            before = {self.views[v].stamp_s: self.views[v].T_map_camera for v in known}
            correction = PoseCorrection.between(before, {self.views[v].stamp_s: found[v] for v in known})
            for _ in range(len(found) - len(known)):
                self.count(Rejected("no_view", "a keyframe whose pose was corrected is not kept"))
            return self._move(
                correction, lambda view: found.get(view.index, correction.corrected(view.stamp_s, view.T_map_camera))
            )

    def correct(self, correction: PoseCorrection) -> Reanchored:
        """Take a correction of all poses: the map moves at once, and its surface is made anew by the next `refine`.

        Points, objects and edits move with the keyframes that saw them, things that were mapped twice become one, and
        ids, names and edits stay. Frames that were posed before it (`Frame.pose_revision`) are moved when they come.
        """
        with self._surface, self._map:
            return self._move(correction, lambda view: correction.corrected(view.stamp_s, view.T_map_camera))

    def edit(self, operation: Operation) -> tuple[int, ...]:
        """Let an operator correct the map; gives the ids of the objects that the edit left.

        Raises:
            Rejected: `no_object` or `bad_edit`; nothing is changed then.
        """
        with self._map:
            change = operation(self.objects)
            self.objects.edit(change.edits)
            self._remember()
        return change.ids

    def snapshot(self) -> MapSnapshot:
        """The map as it is now; nothing that happens later changes it."""
        with self._map:
            objects = self.objects
            records = objects.records()
            structure = {id_ for id_, obj in objects.objects.items() if obj.structure}
            things = tuple(record for record in records if record.id not in structure)
            return MapSnapshot(
                map_frame=self.map_frame,
                map_id=self.map_id,
                cloud=objects.cloud,
                owner=objects.ownership.owner,
                objects=things,
                structure=tuple(record for record in records if record.id in structure),
                removed=objects.removed(),
                up=tuple(self._up().tolist()),
                views=len(self.views),
                embeddings=self._embeddings([record.id for record in things]),
            )

    def memory(self) -> Memory:
        """What mapping needs beyond the snapshot to go on."""
        with self._map:
            return Memory(
                views=tuple(self.views),
                members=self.objects.members(),
                anchor=self.objects.anchor,
                next_id=self.objects.next_id,
                edits=self.objects.edits,
                sightings=self.objects.sightings(),
                recognitions=self.objects.recognitions(),
                lives=self.objects.saved_lives(),
            )

    def state(self) -> tuple[MapSnapshot, Memory]:
        """The map and what mapping needs beyond it, both of one moment."""
        with self._map:
            return self.snapshot(), self.memory()

    def configure(self, config: PerceptionConfig) -> None:
        """Other settings from now on; those of the surface (`tsdf`) hold from the next `reset`."""
        with self._map:
            self.config, self.objects.config = config, config.mapping
            for selector in self.keyframes.values():
                selector.config = config.keyframes

    def _witness(self, frame: Frame) -> None:
        """Ask a frame now and then which objects it meets and which it sees through, and forget what has gone."""
        since_s = frame.stamp_s - self._watched_s.get(frame.sensor, -np.inf)
        if 0 <= since_s < self.config.life.evidence.every_s:  # less than 0 where the clock jumped back
            return
        self._watched_s[frame.sensor] = frame.stamp_s
        with self.clock("witness"):
            with self._map:
                objects, watched = self.objects, self._watched
            said = verdicts(watched, frame, self.config.life.evidence)
            with self._surface, self._map:
                if self.objects is objects and said:
                    left = witness(objects, said, frame.stamp_s, len(self.views), self.config.life)
                    self._forget(left, objects.cloud, before_view=len(self.views))
                    if left or any(verdict == "gone" for verdict in said.values()):
                        self._watched = watched_of(objects, self.config.life)

    def _forget(self, left: Sequence[Departure], cloud: SceneCloud, *, before_view: int) -> None:
        """Forget the surface of what left its place before this view came."""
        for departure in left:
            if departure.before_view == before_view:
                self.volume.forget(departure.place.xyz, cloud.xyz)

    def _remember(self) -> None:
        """Note where the objects are now, and watch them."""
        remember(self.objects, self.config.life)
        self._watched = watched_of(self.objects, self.config.life)

    def _explained(self, keyframe: Frame, objects: ObjectMap) -> Bool[ndarray, "height width"]:
        """The pixels of a keyframe that show what the map knows well already.

        Between a correction of the poses and the next look at all views the surface is not what the map lies on.
        """
        newest = None if self._settling else self._extract()
        with self._map:
            if newest is not None and not self._settling:
                objects.follow(newest)
            cloud = objects.cloud
            owner = objects.ownership.owner
            known = {o.id for o in objects.objects.values() if o.views >= self.config.explained_after_views}
        seen = see_points(cloud.xyz, keyframe, self.config.incidence)
        return explained_pixels(owner, seen, known, *keyframe.depth_m.shape)

    def _segment(
        self,
        segmenter: FindsInstances,
        cloud: SceneCloud,
        seen: Incidence,
        lifted: Sequence[LiftedMask],
        views: Sequence[View],
    ) -> Segmented | None:
        """What the segmenter finds, without pieces of the room; None where the scene is beyond it."""
        with self.clock("segmenter"):
            try:
                found = segmenter.find(cloud, seen, lifted)
            except Rejected as rejected:
                self.segmented = rejected
                if len(cloud):  # of nothing, nothing is left out
                    self.count(rejected)
                return None
            up, voxel_m = up_of(cloud, [view.T_map_camera for view in views]), self.config.tsdf.voxel_size_m
            things = without_structure(found, cloud, up, voxel_m, self.config.structure)
            self.segmented = Segmented(instances=things, stamps_s=tuple(view.stamp_s for view in views))
            return self.segmented

    def _move(self, correction: PoseCorrection, corrected: Callable[[View], Float64[ndarray, "4 4"]]) -> Reanchored:
        """Move the map with its keyframes; both locks are held."""
        start = time.perf_counter()
        views = [view.moved_to(corrected(view)) for view in self.views]
        T_before, T_after = (np.array([v.T_map_camera for v in some]).reshape(-1, 4, 4) for some in (self.views, views))
        T_new_old = np.array([motion(*pair) for pair in zip(T_before, T_after, strict=True)]).reshape(-1, 4, 4)
        still = (T_new_old == np.eye(4)).all(axis=(1, 2))
        if views and still.all():
            return Reanchored()
        self._corrections.add(correction)
        self._frames_before = max(self._frames_before, self.volume.frames)
        self.volume.clear()
        if not views:
            return Reanchored()
        merged = reanchor(self.objects, T_new_old)
        self.views, self._to_fuse, self._refined_views, self._settling = views, list(views), 0, True
        self._remember()
        shift_m, _ = distances(T_before, T_after)
        return Reanchored(
            views=int(np.count_nonzero(~still)),
            median_shift_m=float(np.median(shift_m)),
            merged=merged,
            seconds=time.perf_counter() - start,
        )

    def _fuse_again(self) -> None:
        """Make the surface anew of the keyframes that are kept, where their poses were corrected.

        Each of them counts for the frames round it, which are gone: the surface is the same, and coarser where only
        they saw it well.
        """
        while (view := self._next_to_fuse()) is not None:
            with self.clock("fuse again"):
                self._fuse_view(view)

    def _fuse_view(self, view: View) -> None:
        frame = view.frame()  # decoded without a lock
        with self._surface, self._map:
            if view.index < len(self.views) and self.views[view.index] is view:  # else it was moved again, or reset
                self._fuse_kept(view.index, frame, self.objects.departures, self.objects.cloud)

    def _fuse_kept(self, view: int, frame: Frame, departures: Sequence[Departure], cloud: SceneCloud) -> None:
        """Fuse a kept keyframe, without what had left by then; the surface's lock is held."""
        self._forget(departures, cloud, before_view=view)
        try:
            self.volume.integrate(frame)
        except Rejected as rejected:
            self.count(rejected)

    def _next_to_fuse(self) -> View | None:
        with self._surface, self._map:
            if self._to_fuse:
                return self._to_fuse.pop(0)  # in their order, as things left their places between two of them
            if self._frames_before and self.views:
                self._forget(self.objects.departures, self.objects.cloud, before_view=len(self.views))
                self.volume.weigh(max(self._frames_before / len(self.views), 1.0))
                self._frames_before = 0
            return None

    def _extract(self) -> SceneCloud:
        with self.clock("extract"):
            with self._surface:
                field = self.volume.read()
            return extract_cloud(field)

    def _place(self, view: View, former: Mapping[Placed, int] = NOWHERE) -> None:
        """Lift the masks of one view and place them on the objects of the map."""
        with self.clock("lift"):
            seen, lifted = lift_view(view.open(), self.objects.cloud, self.config.incidence, self.config.lifting)
        with self.clock("associate"):
            self.objects.associate(lifted, seen, view.stamp_s, former)
            self.objects.anchor = anchored(self.objects.anchor, view.index, seen.points)

    def _embeddings(self, ids: list[int]) -> ObjectEmbeddings | None:
        found = {id_: row for id_ in ids if (row := self.objects.objects[id_].embedding()) is not None}
        if self.encoder is None or not found:
            return None
        return ObjectEmbeddings(
            encoder=self.encoder, ids=np.array(list(found), np.int32), vectors=np.stack(list(found.values()))
        )

    def _up(self) -> Float64[ndarray, "3"]:
        return up_of(self.objects.cloud, [view.T_map_camera for view in self.views])
