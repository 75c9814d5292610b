"""A map follows when its keyframes turn out to be elsewhere: everything moves, nothing is there twice, edits hold."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scenes import AnalyticScene, box_room, orbit
from scipy.spatial.transform import Rotation
from test_live import wait_until
from test_perception import exact, found_for

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import transform
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.live import LiveConfig, LivePerception
from ovseg3r_core.mapping import operator
from ovseg3r_core.mapping.reanchoring import laid_out
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import load_both, save_map
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.pose_correction import PoseCorrection
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume

HALF = 3
THINGS = ["ball", "cabinet", "cup", "table"]
VOXEL_M = 0.02
SMALL = TsdfConfig(memory_budget_mb=48.0)


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    """An arc and the same arc again."""
    return box_room(poses=[*orbit(HALF, to_deg=60.0)] * 2, width=240, height=180)


def off(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw_deg: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("z", yaw_deg, degrees=True).as_matrix(), (x, y, z)
    return T


def mapped(room: AnalyticScene, errors: Sequence[np.ndarray], refine: bool = True) -> Perception:
    """The room seen from poses with an error each; every frame is a keyframe."""
    perception = empty(room)
    for frame, error in zip(room.frames, errors, strict=True):
        perception.integrate(replace(frame, T_map_camera=error @ frame.T_map_camera))
    if refine:
        perception.refine()
    return perception


def empty(room: AnalyticScene) -> Perception:
    """Every frame is a keyframe."""
    config = config_of(online=False)
    keyframes = replace(config.keyframes, translation_m=0.001, sharpness_ratio=0.0)
    return Perception(exact(room), same_name, replace(config, keyframes=keyframes, tsdf=SMALL))


DRIFT = off(1.0, 0.8, yaw_deg=10.0)
Maps = Callable[..., Perception]


def copies(room: AnalyticScene, *maps: Perception) -> Maps:
    """Makes the same maps again and again, from what would be saved of them."""
    states = [perception.state() for perception in maps]

    def again(which: int = 0) -> Perception:
        perception = empty(room)
        perception.resume(*states[which])
        return perception

    return again


@pytest.fixture(scope="module")
def drifted(room) -> Maps:
    """Maps whose second half was seen 1.3 m and ten degrees off: 0 after a look at all views, 1 before it."""
    errors = [np.eye(4)] * HALF + [DRIFT] * HALF
    return copies(room, mapped(room, errors), mapped(room, errors, refine=False))


@pytest.fixture(scope="module")
def truly(room) -> Maps:
    """Maps of true poses."""
    return copies(room, mapped(room, [np.eye(4)] * len(room.frames)))


def true_poses(room: AnalyticScene) -> dict[int, np.ndarray]:
    return {i: frame.T_map_camera for i, frame in enumerate(room.frames)}


def labels(snapshot: MapSnapshot) -> list[str]:
    return sorted(record.label for record in snapshot.objects)


def ids_of(snapshot: MapSnapshot, label: str) -> list[int]:
    return [record.id for record in snapshot.objects if record.label == label]


def test_poses_that_are_what_they_were_change_nothing(room, truly):
    perception = truly()
    perception.refine()
    before = perception.snapshot()
    done = perception.correct_poses({i: view.T_map_camera for i, view in enumerate(perception.views)})
    perception.refine()
    after = perception.snapshot()
    assert (done.views, done.median_shift_m, done.merged) == (0, 0.0, {})
    assert after.objects == before.objects
    np.testing.assert_array_equal(after.cloud.xyz, before.cloud.xyz)
    np.testing.assert_array_equal(after.owner, before.owner)


def test_when_all_keyframes_move_as_one_everything_moves_rigidly(room, truly):
    T = off(1.3, -0.7, 0.2, yaw_deg=15.0)
    perception = truly()
    before = perception.snapshot()
    done = perception.correct_poses({0: T @ perception.views[0].T_map_camera})
    at_once = perception.snapshot()
    assert done.views == len(room.frames)
    np.testing.assert_allclose(at_once.cloud.xyz, transform(T, before.cloud.xyz), atol=1e-5)
    np.testing.assert_allclose(at_once.cloud.normal, before.cloud.normal @ T[:3, :3].T, atol=1e-5)
    np.testing.assert_array_equal(at_once.owner, before.owner)
    assert [it.id for it in at_once.objects] == [it.id for it in before.objects]
    perception.refine()
    assert [(it.id, it.label) for it in perception.snapshot().objects] == [(it.id, it.label) for it in before.objects]
    for old, new in zip(before.objects, perception.snapshot().objects, strict=True):
        # before, its faces lay in the voxels' own planes: there a surface has other points than aslant
        assert new.centre == pytest.approx(transform(T, np.array(old.centre)), abs=1.5 * VOXEL_M)


@pytest.mark.parametrize("which", [0, 1], ids=["after a look at all views", "as it is live"])
def test_what_drift_mapped_twice_is_there_once_and_where_it_stands(room, drifted, truly, which):
    perception = drifted(which)
    twice = perception.snapshot()
    assert set(labels(twice)) == set(THINGS)
    assert len(twice.objects) == 2 * len(THINGS)
    older = {label: min(ids_of(twice, label)) for label in THINGS}

    done = perception.correct_poses(true_poses(room))
    at_once = perception.snapshot()
    assert labels(at_once) == THINGS
    assert {label: ids_of(at_once, label)[0] for label in THINGS} == older
    assert {perception.objects.edits.resolve(id_) for id_ in done.merged} == set(older.values())
    assert done.median_shift_m == pytest.approx(0.7, abs=0.7)

    perception.refine()
    after = perception.snapshot()
    assert {label: ids_of(after, label)[0] for label in THINGS} == older
    centre = {it.label: np.array(it.centre) for it in truly().snapshot().objects}
    for snapshot, within_m in (
        (at_once, 0.1),
        (after, VOXEL_M / 2),
    ):  # at first, what was seen twice has twice the points
        for record in snapshot.objects:
            assert np.linalg.norm(record.centre - centre[record.label]) < within_m, record.label
    found = found_for(room, after)
    assert all(iou > 0.5 for _, iou in found.values())


def test_things_that_stood_in_one_another_before_stay_two(room, drifted):
    """Of two objects in one place the views say that they are two; a correction that moves both alike is no news."""
    perception = drifted()
    before = perception.snapshot()
    done = perception.correct_poses({0: off(0.5) @ perception.views[0].T_map_camera})
    assert not done.merged
    assert len(perception.snapshot().objects) == len(before.objects)


@pytest.mark.parametrize("which", ["older", "newer"])
def test_a_name_given_by_hand_stays_whichever_of_the_two_had_it(room, drifted, which):
    perception = drifted()
    older, newer = sorted(ids_of(perception.snapshot(), "ball"))
    perception.edit(operator.relabel({"older": older, "newer": newer}[which], "my ball"))
    perception.correct_poses(true_poses(room))
    for _ in range(2):
        snapshot = perception.snapshot()
        assert ids_of(snapshot, "my ball") == [older]
        assert not ids_of(snapshot, "ball")
        perception.refine()


def test_a_thing_deleted_by_hand_does_not_come_back_as_its_double(room, drifted):
    perception = drifted()
    older, newer = sorted(ids_of(perception.snapshot(), "ball"))
    perception.edit(operator.delete(newer))
    perception.correct_poses(true_poses(room))
    for _ in range(2):
        assert labels(perception.snapshot()) == ["cabinet", "cup", "table"]
        perception.refine()
    assert perception.objects.edits.resolve(newer) == older


def test_two_that_were_named_apart_by_hand_stay_two(room, drifted):
    perception = drifted()
    older, newer = sorted(ids_of(perception.snapshot(), "ball"))
    perception.edit(operator.relabel(older, "my ball"))
    perception.edit(operator.relabel(newer, "your ball"))
    done = perception.correct_poses(true_poses(room))
    assert newer not in done.merged
    assert {"my ball", "your ball"} <= set(labels(perception.snapshot()))


@pytest.mark.parametrize("which", ["older", "newer"])
def test_a_split_moves_with_the_thing_and_takes_its_double_in(room, drifted, which):
    perception = drifted()
    older, newer = sorted(ids_of(perception.snapshot(), "table"))
    error = np.eye(4) if which == "older" else DRIFT
    left, right = ((-0.4, -0.15, 0.5), (0.2, -0.15, 0.5))
    seeds = [(x, y, z) for x, y, z in transform(error, np.array([left, right])).tolist()]
    perception.edit(operator.split({"older": older, "newer": newer}[which], seeds))
    perception.correct_poses(true_poses(room))
    for _ in range(2):
        (cut,) = perception.objects.edits.cuts
        assert cut.ids[0] == older
        np.testing.assert_allclose(cut.seeds, (left, right), atol=1e-6)
        parts = [record for record in perception.snapshot().objects if record.id in cut.ids]
        assert len(parts) == 2
        assert parts[0].centre[0] < -0.1 < parts[1].centre[0]
        assert len(perception.snapshot().objects) == len(THINGS) + 1
        perception.refine()


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan), 1.1 * np.eye(4)], ids=["not finite", "not rigid"])
def test_a_pose_that_is_none_is_refused_and_the_map_stays(room, truly, bad):
    perception = truly()
    before = perception.snapshot()
    with pytest.raises(Rejected) as refused:
        perception.correct_poses({0: off(1.0), 1: bad})
    assert refused.value.reason == "bad_pose"
    after = perception.snapshot()
    np.testing.assert_array_equal(after.cloud.xyz, before.cloud.xyz)
    assert perception.pose_revision == 0


def test_poses_of_keyframes_that_are_gone_are_counted(room, truly):
    perception = truly()
    T = perception.views[0].T_map_camera
    assert perception.correct_poses({0: off(1.0) @ T, 99: np.eye(4), -1: np.eye(4)}).views == len(room.frames)
    assert perception.drops["no_view"] == 2
    with pytest.raises(Rejected) as refused:
        perception.correct_poses({99: np.eye(4)})
    assert refused.value.reason == "no_view"


def everywhere(T: np.ndarray) -> PoseCorrection:
    return PoseCorrection(stamps_s=np.array([0.0]), T_map_before=T[None])


def test_a_keyframe_on_its_way_to_the_map_is_moved_with_it(room):
    """It was posed and fused before the correction, and is looked at after it."""
    perception = empty(room)
    keyframe = perception.fuse(replace(room.frames[0], pose_revision=perception.pose_revision))
    assert keyframe is not None
    late = replace(room.frames[2], pose_revision=perception.pose_revision)
    T = off(2.0, yaw_deg=20.0)
    perception.correct(everywhere(T))
    perception.look(keyframe)
    other = perception.fuse(late)
    assert other is not None
    perception.look(other)
    perception.refine()
    for view, frame in zip(perception.views, (room.frames[0], room.frames[2]), strict=True):
        np.testing.assert_allclose(view.T_map_camera, T @ frame.T_map_camera, atol=1e-12)
    xyz = perception.snapshot().cloud.xyz
    assert perception.volume.frames == 2
    assert np.median(room.distance(transform(np.linalg.inv(T), xyz))) < 0.01


def test_the_moved_map_can_be_read_before_it_is_watched_anew(room, truly):
    """And no frame is asked what it sees of things meanwhile: what is watched lies where they were."""
    perception, T = truly(), off(2.0, yaw_deg=20.0)
    later = replace(room.frames[-1], stamp_s=room.frames[-1].stamp_s + 10.0, T_map_camera=T)
    read, asked = list[MapSnapshot](), list[bool]()

    def read_it() -> None:
        read.append(perception.snapshot())
        asked.append(perception._watch.is_due(later, every_s=0.5))

    perception.correct(everywhere(T), readable=read_it)
    assert read[0].objects == perception.snapshot().objects and len(read[0].objects) > 2
    assert asked == [False] and perception._watch.is_due(later, every_s=0.5)
    watched = np.concatenate([life.samples for life in perception.objects.lives.values()])
    assert np.median(room.distance(transform(np.linalg.inv(T), watched))) < 0.02


def test_a_frame_from_long_before_is_refused(room):
    perception = empty(room)
    for _ in range(17):
        perception.correct(everywhere(off(0.1)))
    with pytest.raises(Rejected) as refused:
        perception.fuse(replace(room.frames[0], pose_revision=0))
    assert refused.value.reason == "pose_outdated"


def test_a_correction_during_a_look_at_all_views_is_not_undone_by_it(room, drifted):
    perception = drifted()

    class Correcting:
        def find(self, cloud, seen, lifted):
            perception.segmenter = None
            perception.correct_poses(true_poses(room))
            raise Rejected("enough", "of that")

    perception.segmenter = Correcting()
    perception.refine()
    at_once = perception.snapshot()
    assert labels(at_once) == THINGS
    assert perception.unrefined == len(room.frames)
    perception.refine()
    assert labels(perception.snapshot()) == THINGS
    assert perception.unrefined == 0


def test_new_keyframes_are_placed_on_the_moved_map_before_its_surface_is_made_anew(room, drifted):
    perception = drifted()
    perception.correct_poses(true_poses(room))
    ids = {it.label: it.id for it in perception.snapshot().objects}
    frame = replace(room.frames[1], index=1, stamp_s=99.0)
    perception.look(frame)
    assert {it.label: it.id for it in perception.snapshot().objects} == ids
    perception.refine()
    assert {it.label: it.id for it in perception.snapshot().objects} == ids


def test_a_corrected_map_is_saved_without_writing_its_keyframes_again(room, drifted, tmp_path):
    perception = drifted()
    snapshot, memory = perception.state()
    save_map(snapshot, tmp_path, memory)
    written = {path.name for path in tmp_path.glob("view-*")}
    perception.correct_poses(true_poses(room))
    snapshot, memory = perception.state()
    save_map(snapshot, tmp_path, memory)
    assert {path.name for path in tmp_path.glob("view-*")} == written
    _, loaded = load_both(tmp_path)
    for view, frame in zip(loaded.views, room.frames, strict=True):
        np.testing.assert_allclose(view.T_map_camera, frame.T_map_camera, atol=1e-12)
    np.testing.assert_array_equal(loaded.anchor, memory.anchor)
    assert loaded.edits == memory.edits


@pytest.mark.parametrize("anchors", [True, False], ids=["with anchors", "of a release without them"])
def test_a_map_that_was_loaded_can_be_corrected(room, drifted, tmp_path, anchors):
    snapshot, memory = drifted().state()
    if not anchors:
        memory = replace(memory, anchor=memory.anchor[:0])
    perception = empty(room)
    perception.resume(snapshot, memory)
    perception.correct_poses(true_poses(room))
    assert labels(perception.snapshot()) == THINGS


def test_a_map_is_laid_out_in_another_with_its_keyframes_and_edits(room, truly):
    first = truly()
    table = ids_of(first.snapshot(), "table")[0]
    first.edit(operator.split(table, [(-0.4, -0.15, 0.5), (0.2, -0.15, 0.5)]))
    T = off(5.0, -2.0, yaw_deg=90.0)
    perception = empty(room)
    snapshot, memory = laid_out(*first.state(), T_map_saved=T)
    perception.resume(snapshot, memory)
    for _ in range(2):
        moved = {it.id: it for it in perception.snapshot().objects}
        for record in first.snapshot().objects:
            assert moved[record.id].label == record.label
            assert moved[record.id].centre == pytest.approx(transform(T, np.array(record.centre)), abs=VOXEL_M)
        perception.refine()


def test_a_cleared_volume_is_like_a_new_one(room):
    used, new = TsdfVolume(SMALL), TsdfVolume(SMALL)
    for frame in room.frames[:3]:
        used.integrate(frame)
    used.clear()
    assert (used.frames, used.blocks) == (0, 0)
    used.clear()
    for frame in room.frames[2:4]:
        used.integrate(frame)
        new.integrate(frame)
    np.testing.assert_array_equal(used.extract().xyz, new.extract().xyz)
    np.testing.assert_array_equal(used.extract().color, new.extract().color)


def test_frames_that_stand_for_others_count_for_them(room):
    """A surface that a tenth of a long sequence saw once or twice is in the cloud as it was before."""
    volume = TsdfVolume(SMALL)
    for frame in room.frames[:3]:
        volume.integrate(frame)
    sparse = len(volume.extract())
    volume.frames = 100  # as after a long sequence: three readings are too few now
    assert len(volume.extract()) < sparse
    volume.frames = 3
    volume.weigh(100 / 3)
    assert volume.frames == 100
    assert len(volume.extract()) == sparse


def test_a_live_map_moves_while_the_node_runs_and_says_what_was_done(room, drifted):
    perception = drifted()
    live = LivePerception(perception, LiveConfig(settle_s=0.2), lambda _: None, lambda: 0.0)
    before = {frame.stamp_s: view.T_map_camera for frame, view in zip(room.frames, perception.views, strict=True)}
    live.start()
    live.correct(PoseCorrection.between(before, {frame.stamp_s: frame.T_map_camera for frame in room.frames}))
    wait_until(lambda: live.counts["corrections"] == 1 and not live.busy)
    live.stop()
    assert labels(live.latest.snapshot) == THINGS
    assert live.counts["merged"] == len(live.reanchored.merged) == len(THINGS)
    assert live.reanchored.views == HALF
    assert live.refined_in_s.summary().count == 1
