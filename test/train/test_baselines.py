"""Baselines on tiny scenes: what each promises, where the masks are right and where they err."""

from collections.abc import Callable

import numpy as np
import pytest
from tiny_scenes import BOXES, iou, partial_mask, seen_by_any, tiny_scene, truth_points, with_masks

from ovseg3r_train.baselines.evidence import found_instances, voted_name
from ovseg3r_train.baselines.mask_clustering import mask_clustering_style
from ovseg3r_train.baselines.ours import ours_offline
from ovseg3r_train.baselines.ovir3d import Ovir3dConfig, ovir3d_style
from ovseg3r_train.baselines.sam3d import sam3d_style
from ovseg3r_train.baselines.structure import without_structure
from ovseg3r_train.scene import FoundInstances, LabelledScene

Method = Callable[[LabelledScene], FoundInstances]
METHODS = (sam3d_style, mask_clustering_style, ovir3d_style, ours_offline)
TINY_OVIR = Ovir3dConfig(min_mask_points=10)


def overlaps(scene: LabelledScene, found: FoundInstances) -> dict[str, float]:
    """For each thing its best overlap, on the points that were seen."""
    seen = np.flatnonzero(seen_by_any(scene))
    return {
        box.name: max((iou(np.intersect1d(truth_points(scene, box.name), seen), p) for p in found.points), default=0.0)
        for box in BOXES
    }


def name_at(scene: LabelledScene, found: FoundInstances, thing: str) -> str | None:
    """What the instance that overlaps a thing most is called."""
    best = int(np.argmax([iou(truth_points(scene, thing), points) for points in found.points]))
    return found.names[best]


@pytest.mark.parametrize("method", METHODS)
def test_exact_masks_give_every_thing_once_under_its_name(method: Method) -> None:
    scene = tiny_scene()
    found = method(scene)
    assert len(found) == 3
    assert min(overlaps(scene, found).values()) > 0.85  # ours adds the rim that lifting takes off real masks
    assert all(name_at(scene, found, box.name) == box.name for box in BOXES)
    assert all(0 < score <= 1 for score in found.scores)


@pytest.mark.parametrize("method", METHODS)
def test_no_masks_find_nothing(method: Method) -> None:
    assert len(method(with_masks(tiny_scene(), []))) == 0


@pytest.mark.parametrize("method", METHODS)
def test_nameless_masks_give_nameless_instances(method: Method) -> None:
    found = method(tiny_scene(named=False))
    assert found.names == (None, None, None)


@pytest.mark.parametrize("method", METHODS)
def test_points_are_sorted_and_each_once(method: Method) -> None:
    for points in method(tiny_scene()).points:
        assert (np.diff(points) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_scene_gives_the_same_instances(method: Method) -> None:
    once, again = method(tiny_scene()), method(tiny_scene())
    assert all(np.array_equal(a, b) for a, b in zip(once.points, again.points, strict=True))
    assert np.array_equal(once.scores, again.scores)


def with_one_blunder(scene: LabelledScene) -> LabelledScene:
    """One view takes the chair and the desk for one thing."""
    chair, desk = (next(m for m in scene.lifted if m.view == 2 and m.label == name) for name in ("chair", "desk"))
    both = partial_mask(2, 0, np.concatenate([chair.points, desk.points]))
    return with_masks(scene, [both, *(m for m in scene.lifted if m is not chair and m is not desk)])


def test_view_consensus_drops_a_mask_that_most_views_split() -> None:
    scene = with_one_blunder(tiny_scene())
    assert min(overlaps(scene, mask_clustering_style(scene)).values()) > 0.9


def test_merging_view_by_view_passes_a_blunder_on() -> None:
    scene = with_one_blunder(tiny_scene())
    assert overlaps(scene, sam3d_style(scene))["chair"] < 0.7


def test_sequential_fusion_keeps_things_with_other_names_apart() -> None:
    """A lamp that nearly covers the desk's points is a new thing where its name says so."""
    scene = tiny_scene(boxes=BOXES[:2])
    half = len(scene.views) // 2
    desk = truth_points(scene, "desk")
    named = [m for m in scene.lifted if m.label == "desk" and m.view < half]
    for other, instances in (("lamp", 2), ("desk", 1), (None, 1)):
        renamed = [
            partial_mask(view, 0, np.intersect1d(scene.seen.view(view).points, desk), other)
            for view in range(half, len(scene.views))
        ]
        fused = ovir3d_style(with_masks(scene, [*named, *renamed]), TINY_OVIR)
        assert len(fused) == instances, other


def test_sequential_fusion_forgets_points_that_few_views_mask() -> None:
    scene = tiny_scene(views=10)
    chair = truth_points(scene, "chair")
    stray = np.setdiff1d(scene.seen.view(4).points, np.flatnonzero(scene.truth.instance > 0))[:200]  # pyright: ignore
    lifted = [
        partial_mask(m.view, m.mask, np.concatenate([m.points, stray]), m.label)
        if (m.view, m.label) == (4, "chair")
        else m
        for m in scene.lifted
    ]
    found = ovir3d_style(with_masks(scene, lifted))
    nearest = max(found.points, key=lambda points: iou(points, chair))
    assert not len(np.intersect1d(nearest, stray))


def test_clustering_needs_two_masks_of_a_thing() -> None:
    scene = tiny_scene()
    lone = [m for m in scene.lifted if m.label != "lamp" or m.view == 0]
    assert overlaps(scene, mask_clustering_style(with_masks(scene, lone)))["lamp"] == 0


def test_superpoints_fill_what_masks_left_open() -> None:
    """Masks that stop short of the rim of a face grow to the whole of it."""
    scene = tiny_scene(spacing_m=0.02)
    inner = np.abs(scene.cloud.xyz[:, 1]) < 0.15
    short = [partial_mask(m.view, m.mask, m.points[inner[m.points]], m.label) for m in scene.lifted]
    found = sam3d_style(with_masks(scene, short))
    top = np.flatnonzero((scene.cloud.xyz[:, 2] > 0.49) & (scene.cloud.xyz[:, 2] < 0.51))  # of the desk
    assert any(np.isin(top, points).all() for points in found.points)


def test_the_name_with_the_most_score_wins_and_equals_go_by_the_alphabet() -> None:
    points = np.arange(3)
    masks = [partial_mask(v, 0, points, name, score) for v, (name, score) in enumerate([("b", 0.5), ("a", 0.5)])]
    assert voted_name(masks) == "a"
    assert voted_name([*masks, partial_mask(2, 0, points, "b", 0.1), partial_mask(3, 0, points)]) == "b"
    assert voted_name([partial_mask(0, 0, points)]) is None


def test_a_score_falls_with_the_views_that_saw_and_did_not_mask() -> None:
    scene = tiny_scene(score=0.8)
    chair = [i for i, mask in enumerate(scene.lifted) if mask.label == "chair"]
    points = np.unique(np.concatenate([scene.lifted[i].points for i in chair]))
    all_views, two_views = found_instances(scene, [points, points], [chair, chair[:2]]).scores
    assert all_views == pytest.approx(0.8)
    assert two_views == pytest.approx(0.8 * 2 / len(scene.views))


def test_structure_goes_from_any_method_and_things_stay() -> None:
    scene = tiny_scene()
    floor = np.flatnonzero(scene.truth.instance < 0)  # pyright: ignore[reportOptionalMemberAccess]
    chair = truth_points(scene, "chair")
    found = FoundInstances(
        points=(floor, chair), names=(None, "chair"), scores=np.array([0.9, 0.8]), name_scores=np.ones(2)
    )
    left = without_structure(scene, found, voxel_m=0.03)
    assert left.names == ("chair",)
    assert np.array_equal(left.points[0], chair) and left.scores.tolist() == [0.8]


def test_views_that_contradict_each_other_leave_the_consensus_empty() -> None:
    """Half of the views cut the top of the chair along x, half along y: half of the views split every mask."""
    scene = tiny_scene(boxes=BOXES[:1])
    top = np.flatnonzero((scene.cloud.normal[:, 2] > 0.9) & (scene.cloud.xyz[:, 2] > 0.1))
    lifted = []
    for view in range(len(scene.views)):
        along = scene.cloud.xyz[top, view % 2]
        low = along < np.median(along)
        lifted += [partial_mask(view, 0, top[low]), partial_mask(view, 1, top[~low])]
    assert len(mask_clustering_style(with_masks(scene, lifted))) == 0
