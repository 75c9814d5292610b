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
from dataclasses import replace
from threading import Lock, RLock

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.lifted_views import LiftedViews
from ovseg3r_core.lifting import clean_ids, lift_view
from ovseg3r_core.map_surface import MapSurface
from ovseg3r_core.mapping.anchors import anchored, first_views
from ovseg3r_core.mapping.duplicates import heirs, led_on
from ovseg3r_core.mapping.evidence import verdicts
from ovseg3r_core.mapping.explained import explained_pixels
from ovseg3r_core.mapping.fusion import Segmented
from ovseg3r_core.mapping.instances import FindsInstances, without_structure
from ovseg3r_core.mapping.life import Departure, LifeEvent
from ovseg3r_core.mapping.lives import remember, reunite, shown_in_place, witness
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.object_map import NOWHERE, ObjectMap, Placed
from ovseg3r_core.mapping.objects import MapObject, SameName
from ovseg3r_core.mapping.operator import Operation
from ovseg3r_core.mapping.reanchoring import Reanchored, reanchor
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.structure import Plane, structure_of
from ovseg3r_core.mapping.take_snapshot import take_snapshot
from ovseg3r_core.masks.proposer import EmbedsMasks, MaskProposer
from ovseg3r_core.odometry.pose_check import slip_of_nearest
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.pose_correction import CorrectionLog, PoseCorrection, distances, motion
from ovseg3r_core.reconstruction.incidence import Incidence, see_points
from ovseg3r_core.reconstruction.keyframes import KeyframeSelector
from ovseg3r_core.reconstruction.spare_views import most_spare
from ovseg3r_core.reconstruction.tsdf import TsdfVolume
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import Frame, LiftedMask, SceneCloud
from ovseg3r_core.views import View
from ovseg3r_core.watch import Watch

logger = logging.getLogger(__name__)

_LOGGED_OF_EACH_REASON = 3  # a recording with a thousand bad poses is told three times, and counted


class Perception:
    """Reconstructs a scene and maps its objects, one frame at a time.

    `integrate` does everything in the caller's thread. A live system calls its parts from threads of their own, one for
    `fuse`, one for `refine`, and one or more for `look`: they share the surface and the map for moments only, never
    while a network runs or while all views are compared.

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
        self._surface = MapSurface(self.config.tsdf)
        self._map, self._following, self._counting = RLock(), Lock(), Lock()
        self.frames = 0
        self.drops: Counter[str] = Counter()
        self._corrections = CorrectionLog()
        self._begin()

    def reset(self) -> None:
        """Forget everything; a keyframe that is being looked at belongs to the old map and is dropped."""
        with self._surface.lock, self._map:
            self._surface.clear(self.config.tsdf)
            self._begin()

    def resume(self, snapshot: MapSnapshot, memory: Memory) -> None:
        """Go on from a saved map: its keyframes are fused again, its objects, ids and edits are as they were.

        What was removed between two keyframes is forgotten between them. A keyframe that today's settings of the
        surface refuse is counted; its masks stay.
        """
        self.reset()
        with self._surface.lock, self._map:
            for view in (view for view in memory.views if view.kept):
                self._fuse_kept(view, view.frame(), memory.lives.departures, snapshot.cloud)
            self._surface.forget(memory.lives.departures, snapshot.cloud, before_view=len(memory.views))
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
    def volume(self) -> TsdfVolume:
        """What the frames were fused into."""
        return self._surface.volume

    @property
    def pose_revision(self) -> int:
        """How often poses were corrected; tells a frame that was posed before a correction from one posed after it."""
        return self._corrections.revision

    @property
    def unrefined(self) -> int:
        """Views that came after the last look at all views together."""
        return len(self.views) - self._refined_views

    @property
    def retired(self) -> int:
        """Keyframes that made room for others: `max_views` are kept."""
        return sum(not view.kept for view in self.views)

    @property
    def refinement_is_due(self) -> bool:
        """Whether enough views have come for the next look at all views together."""
        looked_at = min(self._refined_views, self.config.max_views)
        every = max(self.config.refine_every, self.config.refine_share * looked_at)
        return self.config.refine_every > 0 and every <= self.unrefined

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
        with self._surface.lock, self.clock("fuse"):
            item = self._corrections.applied_to(item)
            self._surface.fuse(item)
        self._witness(item)
        selector = self.keyframes.setdefault(item.sensor, KeyframeSelector(self.config.keyframes))
        return item if selector.accepts(item) else None

    def look(self, keyframe: Frame) -> None:
        """Find the masks of a keyframe, lift them, and place them on the objects of the map.

        Raises:
            Rejected: `map_reset` where the map that it belongs to is gone by now.
        """
        objects = self.objects
        explained = self._explained(keyframe, objects)
        with self.clock("masks"):
            masks = self.proposer.propose(keyframe, explained)
        with self.clock("lift"):
            ids = clean_ids(masks, keyframe.depth_m, self.config.lifting)
            packed = View.of(len(self.views), keyframe, masks, ids)  # before the lock: the images are encoded
        with self._map:
            if self.objects is not objects:
                raise Rejected("map_reset", f"frame {keyframe.index} belongs to the map before this one")
            overtaken = keyframe.pose_revision not in (None, self.pose_revision)
            T_map_camera = self._corrections.applied_to(keyframe).T_map_camera
            view = replace(packed, index=len(self.views), T_map_camera=T_map_camera)
            self.views.append(view)
            self._make_room()
            if overtaken:
                self._surface.await_again(view)
            self._place(view)
            self._remember(little_changed=True)

    def refine(self) -> None:
        """Look at all views together: lift every mask onto the present surface and redraw the objects.

        The segmenter votes where there is one. A scene that is beyond it is counted under its reason, and drawn from
        the masks alone. Where poses were corrected, the surface is made anew first, of the keyframes that are kept.
        """
        revision = self.pose_revision  # a correction from here on empties the surface that is looked at
        self._fuse_again()
        with self._map:
            objects, views, on_cloud, segmenter = self.objects, tuple(self.views), self._lifted, self.segmenter
            dead = objects.dead_masks()
        cloud = self._extract()
        with self.clock("refine"):
            seen, lifted = on_cloud.lift(views, cloud, self.config.incidence, self.config.lifting)
            lifted = [mask for mask in lifted if (mask.view, mask.mask) not in dead]
            structure, poses = self.config.structure, [view.T_map_camera for view in views]
            planes = structure_of(cloud, poses, self.config.tsdf.voxel_size_m, structure)
            segmented = self._segment(segmenter, cloud, seen, lifted, views, planes) if segmenter else None
            drawing = redraw(lifted, seen, cloud, self.config.mapping, segmented)
            with self._map:
                if self.objects is not objects or self.pose_revision != revision:
                    return  # the map was reset or moved meanwhile; where it was moved, the next look is due
                lost = {view.index for view in views if not view.kept}
                stamps_s = [view.stamp_s for view in views]
                former = objects.adopt(drawing, stamps_s, without=lost, anew=self._settling)
                for view in self.views[len(views) :]:
                    self._place(view, former)
                if self._settling:
                    self.objects.edit(led_on(self.objects.edits, heirs(former, self.objects)))
                    self._settling = False
                self.objects.tell_structure(planes, structure)
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
        with self._surface.lock, self._map:
            known = sorted((v for v in found if 0 <= v < len(self.views)), key=lambda v: self.views[v].stamp_s)
            if not known:
                raise Rejected("no_view", f"poses of keyframes {sorted(found)[:5]}, but {len(self.views)} are kept")
            before = {self.views[v].stamp_s: self.views[v].T_map_camera for v in known}
            correction = PoseCorrection.between(before, {self.views[v].stamp_s: found[v] for v in known})
            for _ in range(len(found) - len(known)):
                self.count(Rejected("no_view", "a keyframe whose pose was corrected is not kept"))
            done = self._move(
                correction, lambda view: found.get(view.index, correction.corrected(view.stamp_s, view.T_map_camera))
            )
        self._remember_moved()
        return done

    def correct(self, correction: PoseCorrection, readable: Callable[[], object] = lambda: None) -> Reanchored:
        """Take a correction of all poses: the map moves at once, and its surface is made anew by the next `refine`.

        Points, objects and edits move with the keyframes that saw them, things that were mapped twice become one, and
        ids, names and edits stay. Frames that were posed before it (`Frame.pose_revision`) are moved when they come.

        Args:
            readable: called as soon as the moved map can be read, while what is to be watched in it is still chosen.
        """
        with self._surface.lock, self._map:
            done = self._move(correction, lambda view: correction.corrected(view.stamp_s, view.T_map_camera))
        readable()
        self._remember_moved()
        return done

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
            return take_snapshot(self.objects, self.views, self.encoder, map_frame=self.map_frame, map_id=self.map_id)

    def memory(self) -> Memory:
        """What mapping needs beyond the snapshot to go on."""
        with self._map:
            return Memory.of(self.objects, self.views)

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

    def _begin(self) -> None:
        """A map of nothing."""
        self.keyframes: dict[str, KeyframeSelector] = {}
        self.objects = ObjectMap(self.config.mapping, self._same_name)
        self.views: list[View] = []
        self._lifted = LiftedViews()
        self._refined_views = 0
        self._watch = Watch(self.objects, self.config.life)
        self._settling = False  # from a correction to the next look at all views
        self.segmented: Segmented | Rejected | None = None
        """What the segmenter said in the last look at all views, or why it could not; None without one."""

    def _witness(self, frame: Frame) -> None:
        """Ask a frame now and then which objects it meets and which it sees through, and forget what has gone."""
        if not self._watch.is_due(frame, self.config.life.evidence.every_s):
            return
        with self.clock("witness"):
            revision, (objects, watched) = self.pose_revision, self._watch.now
            said = verdicts(watched, frame, self.config.life.evidence)
            gone = [id_ for id_, verdict in said.items() if verdict == "gone"]
            if gone and self._looked_beside(frame, objects, gone):
                return
            with self._surface.lock, self._map:
                if said and self.objects is objects and self.pose_revision == revision:
                    left = witness(objects, said, frame.stamp_s, len(self.views), self.config.life)
                    self._surface.forget(left, objects.cloud, before_view=len(self.views))
                    if gone:
                        self._watch.renew(objects, self.config.life)

    def _looked_beside(self, frame: Frame, objects: ObjectMap, gone: Sequence[int]) -> bool:
        """Whether a frame sees through things because its pose is wrong, by the nearest view that showed one there."""
        with self._map:
            shown = shown_in_place(objects, gone, self.views)
        return bool(shown) and slip_of_nearest(frame, shown) > self.config.life.evidence.max_slip_m

    def _make_room(self) -> None:
        """Let go of the images of keyframes beyond the budget."""
        kept = [view for view in self.views if view.kept]
        while len(kept) > self.config.max_views:
            spare = kept.pop(most_spare([view.T_map_camera for view in kept], self.config.keyframes))
            self.views[spare.index] = spare.retired()

    def _remember(self, *, little_changed: bool = False) -> None:
        """Note where the objects are now, and watch them."""
        remember(self.objects, self.config.life)
        self._watch.renew(self.objects, self.config.life, little_changed=little_changed)

    def _remember_moved(self) -> None:
        """The same, after a correction: takes longer than the correction itself, and no reader needs to wait for it."""
        with self._surface.lock, self._map:
            self._remember()

    def _explained(self, keyframe: Frame, objects: ObjectMap) -> Bool[ndarray, "height width"]:
        """The pixels of a keyframe that show what the map knows well already.

        Between a correction of the poses and the next look at all views the surface is not what the map lies on.
        """
        with self._following:  # of two that look at once, neither goes back to what the other left
            newest = None if self._settling else self._extract(all_of_it=False)
            with self._map:
                if newest is not None and not self._settling:
                    objects.follow(newest)
                cloud, owner = objects.cloud, objects.ownership.owner
                known = {o.id for o in objects.objects.values() if self._is_well_known(o)}
        seen = see_points(cloud.xyz, keyframe, self.config.incidence)
        return explained_pixels(owner, seen, known, *keyframe.depth_m.shape)

    def _is_well_known(self, obj: MapObject) -> bool:
        sure = obj.sighting.sureness >= self.config.explained_sureness
        return sure and obj.views >= self.config.explained_after_views

    def _segment(
        self,
        segmenter: FindsInstances,
        cloud: SceneCloud,
        seen: Incidence,
        lifted: Sequence[LiftedMask],
        views: Sequence[View],
        planes: Sequence[Plane],
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
            things = without_structure(found, cloud, planes, self.config.structure)
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
        self._surface.begin_anew([view for view in views if view.kept])
        if not views:
            return Reanchored()
        merged = reanchor(self.objects, T_new_old)
        self.views, self._refined_views, self._settling = views, 0, True
        self._watch.rest()
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
        while True:
            with self._surface.lock, self._map:
                view = self._surface.next_awaited()
                if view is None:
                    views, left, cloud = self.views, self.objects.departures, self.objects.cloud
                    self._surface.end_anew(left, cloud, views=len(views), kept=len(views) - self.retired)
                    return
            with self.clock("fuse again"):
                frame = view.frame()  # decoded without a lock
                with self._surface.lock, self._map:
                    if view.index < len(self.views) and self.views[view.index] is view:  # else moved again, or reset
                        self._fuse_kept(view, frame, self.objects.departures, self.objects.cloud)

    def _fuse_kept(self, view: View, frame: Frame, departures: Sequence[Departure], cloud: SceneCloud) -> None:
        """Fuse a kept keyframe, both locks held; what the surface refuses of it is counted."""
        try:
            self._surface.fuse_kept(view.index, frame, departures, cloud)
        except Rejected as rejected:
            self.count(rejected)

    def _extract(self, *, all_of_it: bool = True) -> SceneCloud:
        with self.clock("extract"):
            return self._surface.read(all_of_it=all_of_it)

    def _place(self, view: View, former: Mapping[Placed, int] = NOWHERE) -> None:
        """Lift the masks of one view and place them on the objects of the map."""
        with self.clock("lift"):
            seen, lifted = lift_view(view.open(), self.objects.cloud, self.config.incidence, self.config.lifting)
        with self.clock("associate"):
            self.objects.associate(lifted, seen, view.stamp_s, former)
            self.objects.anchor = anchored(self.objects.anchor, view.index, seen.points)
