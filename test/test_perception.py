"""The whole method on an analytic room with exact masks: frames in, the true objects out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recordings
from scenes import AnalyticScene, box_room, orbit
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import PerceptionConfig, config_of
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.reconstruction.spare_views import most_spare
from ovseg3r_core.reconstruction.tsdf import TsdfConfig
from ovseg3r_core.sequences.bag_writer import write_bag
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.types import Frame, Mask

MIN_IOU = {"table": 0.8, "cabinet": 0.75, "ball": 0.7, "cup": 0.55}
"""A cup is 60 points of 2 cm, half of them at an edge; of the others a rim of a voxel may go to nobody."""


class FromFunction:
    """A proposer that asks a function, and remembers what was explained at each call."""

    def __init__(self, masks_of: Callable[[Frame], list[Mask]]) -> None:
        self.masks_of = masks_of
        self.explained: list[np.ndarray] = []

    def propose(self, frame: Frame, explained: np.ndarray) -> list[Mask]:
        self.explained.append(explained)
        return self.masks_of(frame)


def exact(room: AnalyticScene, named: bool = True) -> FromFunction:
    return FromFunction(lambda frame: room.masks(frame.index, named))


def perceive(frames, proposer, config: PerceptionConfig | None = None, refine: bool = True) -> Perception:
    perception = Perception(proposer, same_name, config or config_of(online=False))
    for item in frames:
        perception.integrate(item)
    if refine:
        perception.refine()
    return perception


def found_for(room: AnalyticScene, snapshot: MapSnapshot) -> dict[str, tuple[int, float]]:
    """For each true thing the object that overlaps it best, and the IoU of their points."""
    true, instance = room.nearest(snapshot.cloud.xyz), snapshot.instance()

    def iou(thing: int, id_: int) -> float:
        both, either = (true == thing) & (instance == id_), (true == thing) | (instance == id_)
        return np.count_nonzero(both) / np.count_nonzero(either)

    def best(thing: int) -> tuple[int, float]:
        share, id_ = max((iou(thing, record.id), record.id) for record in snapshot.objects)
        return id_, share

    return {room.solids[thing].name: best(thing) for thing in room.things}


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=6, width=320, height=240)


@pytest.fixture(scope="module")
def offline(room: AnalyticScene) -> Perception:
    return perceive(room.frames, exact(room))


@pytest.fixture(scope="module")
def online(room: AnalyticScene) -> Perception:
    return perceive(room.frames, exact(room), config_of(online=True))


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_every_thing_is_one_object_with_its_name(room, mode, request):
    snapshot = request.getfixturevalue(mode).snapshot()
    found = found_for(room, snapshot)
    label_of = {record.id: record.label for record in snapshot.objects}
    assert len({id_ for id_, _ in found.values()}) == len(found) == len(snapshot.objects)
    for name, (id_, iou) in found.items():
        assert label_of[id_] == name
        assert iou >= MIN_IOU[name], name


def test_both_modes_give_the_same_objects(online, offline):
    one, other = online.snapshot(), offline.snapshot()
    np.testing.assert_array_equal(one.cloud.xyz, other.cloud.xyz)
    np.testing.assert_array_equal(one.owner, other.owner)
    assert one.objects == other.objects


def test_nameless_masks_give_the_same_things_without_names(room):
    snapshot = perceive(room.frames, exact(room, named=False)).snapshot()
    found = found_for(room, snapshot)
    assert {record.label for record in snapshot.objects} == {"object"}
    assert len({id_ for id_, _ in found.values()}) == len(snapshot.objects) == len(room.things)
    assert all(iou >= MIN_IOU[name] for name, (_, iou) in found.items())


def test_boxes_lie_where_the_things_stand(room, offline):
    snapshot = offline.snapshot()
    (cabinet,) = (record for record in snapshot.objects if record.label == "cabinet")
    assert cabinet.box.centre == pytest.approx((-0.85, 0.75, 0.45), abs=0.06)
    assert cabinet.box.size == pytest.approx((0.5, 0.5, 0.9), abs=0.1)
    assert (cabinet.first_seen, cabinet.last_seen) == (room.frames[0].stamp_s, room.frames[-1].stamp_s)
    assert cabinet.observations == len(room.frames)


def test_walls_and_floor_are_structure_and_no_objects(room):
    def masks_of(frame: Frame) -> list[Mask]:
        ids = room.ids[frame.index]
        stuff = [Mask(pixels=ids == i, score=0.9) for i in range(3)]
        return [*stuff, *room.masks(frame.index)]

    snapshot = perceive(room.frames, FromFunction(masks_of)).snapshot()
    assert sorted(record.label for record in snapshot.structure) == ["floor", "wall", "wall"]
    assert sorted(record.label for record in snapshot.objects) == ["ball", "cabinet", "cup", "table"]
    assert not {record.id for record in snapshot.structure} & set(snapshot.instance().tolist())


def test_ids_stay_when_all_views_are_looked_at_again(room):
    perception = perceive(room.frames[:4], exact(room), refine=False)
    live = found_for(room, perception.snapshot())
    perception.refine()
    refined = found_for(room, perception.snapshot())
    for frame in room.frames[4:]:
        perception.integrate(frame)
    perception.refine()
    perception.refine()
    later = found_for(room, perception.snapshot())
    ids = [{name: id_ for name, (id_, _) in found.items()} for found in (live, refined, later)]
    assert ids[0] == ids[1] == ids[2]


def test_looking_again_without_news_changes_nothing(room, offline):
    before = offline.snapshot()
    offline.refine()
    after = offline.snapshot()
    assert before.objects == after.objects
    np.testing.assert_array_equal(before.owner, after.owner)


def test_a_snapshot_is_not_touched_by_later_frames(room):
    perception = perceive(room.frames[:2], exact(room), refine=False)
    snapshot = perception.snapshot()
    owner, objects = snapshot.owner.copy(), snapshot.objects
    for frame in room.frames[2:]:
        perception.integrate(frame)
    perception.refine()
    np.testing.assert_array_equal(snapshot.owner, owner)
    assert snapshot.objects == objects
    assert len(snapshot.cloud) == len(owner)


def test_the_live_map_sees_before_the_first_look_at_all_views(room):
    snapshot = perceive(room.frames, exact(room), config_of(online=True), refine=False).snapshot()
    assert {record.label for record in snapshot.objects} == set(MIN_IOU)


def test_online_looks_at_all_views_now_and_then(room):
    config = replace(config_of(online=True), refine_every=3)
    perception = perceive(room.frames, exact(room), config, refine=False)
    assert perception.clock.times["refine"] == len(room.frames) // 3


def test_rejected_items_are_counted_under_their_reason_and_the_rest_goes_on(room):
    bad = [Rejected("bad_pose", "tilted"), Rejected("bad_pose", "again"), Rejected("missing_file", "gone")]
    perception = perceive([bad[0], *room.frames[:4], bad[1], *room.frames[4:], bad[2]], exact(room))
    assert dict(perception.drops) == {"bad_pose": 2, "missing_file": 1}
    assert perception.frames == len(room.frames) + 3
    assert perception.volume.frames == len(room.frames)
    assert len(perception.snapshot().objects) == len(room.things)


def test_the_first_of_each_reason_are_told_and_a_thousand_are_not(caplog):
    perception = Perception(FromFunction(lambda frame: []), same_name)
    for number in range(1000):
        perception.integrate(Rejected("bad_file", f"{number:06d}.depth.png is truncated"))
    perception.integrate(Rejected("bad_pose", "000007.pose.txt is not rigid"))
    assert len(caplog.messages) == 4
    assert "000000.depth.png is truncated" in caplog.messages[0]
    assert "000007.pose.txt is not rigid" in caplog.messages[3]
    assert dict(perception.drops) == {"bad_file": 1000, "bad_pose": 1}


def test_a_proposer_that_rejects_a_frame_costs_that_frame_only(room):
    def masks_of(frame: Frame) -> list[Mask]:
        if frame.index == 3:
            raise Rejected("bad_mask", "the file of frame 3 is of another size")
        return room.masks(frame.index)

    perception = perceive(room.frames, FromFunction(masks_of))
    assert dict(perception.drops) == {"bad_mask": 1}
    assert len(perception.views) == len(room.frames) - 1
    assert len(perception.snapshot().objects) == len(room.things)


def test_frames_that_need_more_memory_than_the_budget_are_dropped_and_the_map_stays(room):
    far = [replace(frame, T_map_camera=moved(frame.T_map_camera, 20.0 * i)) for i, frame in enumerate(room.frames)]
    config = replace(config_of(online=False), tsdf=TsdfConfig(memory_budget_mb=48.0))
    perception = perceive(far, exact(room), config)
    kept = perception.volume.frames
    assert 0 < kept < len(far)
    assert dict(perception.drops) == {"memory_budget": len(far) - kept}
    assert len(perception.views) == kept
    assert len(perception.snapshot().cloud)


def moved(T_map_camera: np.ndarray, along_x_m: float) -> np.ndarray:
    T = T_map_camera.copy()
    T[0, 3] += along_x_m
    return T


def test_of_keyframes_beyond_the_budget_the_most_alike_make_room_and_their_things_stay(room):
    config = replace(config_of(online=True), max_views=4, refine_every=3)
    perception, all_kept = perceive(room.frames, exact(room), config), perceive(room.frames, exact(room))
    assert (len(perception.views), perception.retired, dict(perception.drops)) == (len(room.frames), 2, {})
    assert perception.views[-1].kept
    assert perception.volume.frames == len(room.frames)
    found, wanted = (sorted(it.label for it in one.snapshot().objects) for one in (perception, all_kept))
    assert found == wanted


def test_a_thing_that_only_retired_keyframes_show_is_still_there(room):
    config = replace(config_of(online=True), refine_every=0)
    perception = perceive(room.frames, exact(room), config)
    before = {it.id: it for it in perception.snapshot().objects}
    perception.views = [view.retired() for view in perception.views]
    perception.refine()
    after = {it.id: it for it in perception.snapshot().objects}
    assert after.keys() == before.keys()
    for id_, record in after.items():
        assert (record.label, record.first_seen) == (before[id_].label, before[id_].first_seen)
        assert record.points == pytest.approx(before[id_].points, rel=0.05)


def test_the_keyframe_that_goes_is_the_older_of_the_two_most_alike():
    poses = [moved(np.eye(4), x) for x in (0.0, 1.0, 1.9, 2.0, 4.0)]
    assert most_spare(poses, KeyframeConfig()) == 2
    turned = poses[4].copy()
    turned[:3, :3] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    assert most_spare([*poses[:2], poses[4], turned, poses[4]], KeyframeConfig()) == 2
    assert most_spare([np.eye(4), np.eye(4)], KeyframeConfig()) == 0


def test_a_camera_that_stands_still_gives_one_view(room):
    perception = perceive([room.frames[0]] * 4, exact(room))
    assert (len(perception.views), perception.volume.frames) == (1, 4)


def test_a_proposer_that_finds_nothing_leaves_a_map_without_objects(room):
    snapshot = perceive(room.frames, FromFunction(lambda frame: [])).snapshot()
    assert (snapshot.objects, snapshot.structure, snapshot.views) == ((), (), len(room.frames))
    assert len(snapshot.cloud) > 10_000
    assert set(snapshot.owner.tolist()) == {-1}


def test_no_frame_at_all_leaves_an_empty_map():
    snapshot = perceive([], FromFunction(lambda frame: [])).snapshot()
    assert (snapshot.objects, snapshot.views, len(snapshot.cloud), len(snapshot.owner)) == ((), 0, 0, 0)


@pytest.mark.parametrize("named", [True, False])
def test_a_thousand_random_masks_a_frame_end_and_invent_no_crowd(room, named):
    def masks_of(frame: Frame) -> list[Mask]:
        rng = np.random.default_rng(frame.index)
        return [random_rectangle(rng, frame.depth_m.shape, "ball" if named else None) for _ in range(1000)]

    perception = perceive(room.frames[:3], FromFunction(masks_of))
    snapshot = perception.snapshot()
    assert sum(len(view.tags) for view in perception.views) == 3000
    assert len(snapshot.objects) < 1000
    assert len(snapshot.owner) == len(snapshot.cloud)


def random_rectangle(rng: np.random.Generator, shape: tuple[int, int], label: str | None) -> Mask:
    pixels = np.zeros(shape, bool)
    top, left = rng.integers(0, shape[0] - 8), rng.integers(0, shape[1] - 8)
    height, width = rng.integers(4, 80, 2)
    pixels[top : top + height, left : left + width] = True
    return Mask(pixels=pixels, score=float(rng.uniform(0.1, 1)), label=label)


def test_masks_of_the_whole_image_do_not_swallow_the_things(room):
    def masks_of(frame: Frame) -> list[Mask]:
        everything = Mask(pixels=np.ones(frame.depth_m.shape, bool), score=0.5)
        return [everything, *room.masks(frame.index)]

    found = found_for(room, perceive(room.frames, FromFunction(masks_of)).snapshot())
    assert all(iou >= MIN_IOU[name] for name, (_, iou) in found.items())


def test_empty_masks_are_no_things(room):
    nothing = Mask(pixels=np.zeros(room.frames[0].depth_m.shape, bool), score=0.9, label="ghost")
    snapshot = perceive(room.frames, FromFunction(lambda f: [nothing, *room.masks(f.index)])).snapshot()
    assert {record.label for record in snapshot.objects} == set(MIN_IOU)


def test_online_tells_the_proposer_which_pixels_are_explained_and_by_what():
    room = box_room(poses=orbit(6, to_deg=30.0), width=320, height=240)
    proposer = exact(room)
    config = config_of(online=True)
    perceive(room.frames, proposer, config)
    table = next(i for i in room.things if room.solids[i].name == "table")
    share = [explained[room.ids[view] == table].mean() for view, explained in enumerate(proposer.explained)]
    assert max(share[: config.explained_after_views]) == 0
    assert min(share[config.explained_after_views :]) > 0.9
    for view, explained in enumerate(proposer.explained):
        assert explained.shape == room.ids[view].shape
        assert explained[room.ids[view] < 3].mean() < 0.25  # nobody masked floor and walls: only rims of things


def test_offline_explains_nothing_so_that_every_keyframe_is_masked_in_full(room):
    proposer = exact(room)
    perceive(room.frames, proposer, config_of(online=False))
    assert not any(explained.any() for explained in proposer.explained)


def test_a_bag_gives_the_same_map_as_the_folder_it_was_made_of(room, tmp_path: Path):
    folder = write_folder(tmp_path / "room", room)
    write_bag(open_sequence(folder), tmp_path / "room_bag")
    from_folder, from_bag = (
        perceive(open_sequence(path).read(), exact(room)).snapshot() for path in (folder, tmp_path / "room_bag")
    )
    assert len(from_folder.objects) == len(room.things)
    np.testing.assert_allclose(from_bag.cloud.xyz, from_folder.cloud.xyz, atol=1e-4)
    np.testing.assert_array_equal(from_bag.owner, from_folder.owner)
    for one, other in zip(from_bag.objects, from_folder.objects, strict=True):
        assert (one.id, one.label, one.points, one.observations) == (
            other.id,
            other.label,
            other.points,
            other.observations,
        )
        assert one.centre == pytest.approx(other.centre, abs=1e-4)


def write_folder(folder: Path, room: AnalyticScene) -> Path:
    """The frames in the 7-Scenes layout, depth rounded to a millimetre."""
    shots = [
        recordings.Shot(
            color=frame.color,
            depth_mm=np.rint(frame.depth_m * 1000).astype(np.uint16),
            pose=frame.T_map_camera,
        )
        for frame in room.frames
    ]
    recordings.write_posed_folder(folder, shots)
    recordings.write_matrix(folder / "camera-intrinsics.txt", room.frames[0].camera.K)
    return folder


@pytest.mark.parametrize(("name", "value"), [("explained_after_views", 0), ("refine_every", -1), ("max_views", 0)])
def test_settings_out_of_range_name_their_value(name, value):
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        PerceptionConfig(**{name: value})
