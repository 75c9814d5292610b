"""Furnished homes: what stands where, that it is reachable, and that splits keep their models apart."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from ovseg3r_core.language.vocabulary import scannet200, scannet200_split
from ovseg3r_core.synthetic.furniture import MissingFurnitureError, furniture_folder, read_catalogue
from ovseg3r_core.synthetic.mesh import bounds
from ovseg3r_core.synthetic.truth import Furnished, TruthSurface
from ovseg3r_train.homes.attribution import attribution, credits, split_report
from ovseg3r_train.homes.contact_sheet import contact_sheet
from ovseg3r_train.homes.free_floor import PERSON_RADIUS_M
from ovseg3r_train.homes.home import Home, HomeConfig, HomePlan, build_home, lay_out
from ovseg3r_train.homes.plans import PLANS
from ovseg3r_train.homes.stock import (
    MADE_THINGS,
    SPLITS,
    Stock,
    class_names,
    class_of,
    home_classes,
    kinds_of_models,
    made_thing,
    split_of_models,
)
from ovseg3r_train.homes.wishes import Wish

SEED = 5


@pytest.fixture(scope="module")
def home() -> Home:
    return build_home(HomeConfig(seed=SEED))


@pytest.fixture(scope="module")
def plans() -> list[HomePlan]:
    return [
        lay_out(config)
        for config in (HomeConfig(seed=SEED), HomeConfig(seed=2, split="val"), HomeConfig(seed=3, split="test"))
    ]


def wishes(nested: tuple[Wish, ...] | None = None) -> Iterator[Wish]:
    for wish in nested if nested is not None else [wish for plan in PLANS.values() for wish in plan.wishes]:
        yield wish
        yield from wishes(wish.things)


def test_classes_are_scannet200_names_and_enough_of_them():
    assert set(class_names()) <= set(scannet200().names)
    assert len(class_names()) >= 113
    assert len(set(class_names()) & scannet200_split("base")) >= 30
    assert len(set(class_names()) & scannet200_split("novel")) >= 80


def test_every_wish_can_be_granted_and_every_kind_is_wished_for():
    known = {*kinds_of_models(), *MADE_THINGS}
    wished = {kind for wish in wishes() for kind in wish.kind.split("|")}
    assert wished - known == {"windowsill"}  # made to the width of its window
    assert known - wished == {"door"}  # one in every first room


def test_every_model_of_the_table_is_in_the_libraries_once():
    ids = [id for ids in kinds_of_models().values() for id in ids]
    assert len(ids) == len(set(ids)) > 400
    assert set(ids) <= set(read_catalogue(furniture_folder()))


@pytest.mark.parametrize("kind", sorted(MADE_THINGS))
def test_made_things_stand_on_the_floor_and_have_the_size_they_say(kind):
    first, again, other = (made_thing(kind, np.random.default_rng(seed)) for seed in (1, 1, 2))
    low, high = bounds(first.parts)
    assert low[2] == pytest.approx(0, abs=1e-6)
    assert (np.maximum(-low[:2], high[:2]) <= np.array(first.size_m[:2]) / 2 + 1e-6).all()
    assert max(first.size_m) < 2.6
    assert all((a.vertices == b.vertices).all() for a, b in zip(first.parts, again.parts, strict=True))
    assert other.class_name == first.class_name == class_of(kind)


def test_models_of_classes_with_three_or_more_are_in_one_split_only():
    splits, classes = split_of_models(), home_classes()
    for name in set(classes.values()):
        ids = [id for id, other in classes.items() if other == name]
        if len(ids) >= 3:
            assert all(len(splits[id]) == 1 for id in ids), name
            assert {"train", "test"} <= {splits[id][0] for id in ids}, name
        else:
            assert all(splits[id] == SPLITS for id in ids), name
            assert split_report()[name]["shared"]


def test_models_that_look_alike_are_in_one_split():
    splits = split_of_models()
    assert splits["Scopia#beige_sofa"] == splits["Scopia#beige_sofa_2seats"] == splits["Scopia#burlap_sofa"]


def test_same_seed_gives_the_same_home_and_another_seed_or_split_another(home):
    assert build_home(HomeConfig(seed=SEED)).objects == home.objects
    assert lay_out(HomeConfig(seed=SEED + 1)).layout != lay_out(HomeConfig(seed=SEED)).layout
    assert lay_out(HomeConfig(seed=SEED, split="val")).layout != lay_out(HomeConfig(seed=SEED)).layout


def test_homes_have_named_instances_from_one_on(home):
    assert [thing.id for thing in home.objects] == list(range(1, len(home.objects) + 1))
    assert 20 <= len(home.objects) <= 120
    assert {id for id, _ in home.parts} == {0, *home.names}
    assert set(home.names.values()) <= set(scannet200().names)


def test_nothing_shares_space_but_what_stands_on_or_in_a_thing(plans):
    for plan in plans:
        free = [thing for thing in plan.things if thing.thing.class_name not in ("mat", "doorframe")]
        for i, a in enumerate(free):
            for b in free[:i]:
                shared = np.minimum(a.box[1], b.box[1]) - np.maximum(a.box[0], b.box[0])
                if (shared > 0.002).all():
                    small, large = sorted((a, b), key=lambda thing: np.prod(thing.box[1] - thing.box[0]))
                    names = small.thing.kind, large.thing.kind
                    assert large.thing.supports or large.thing.below.area_m2, names  # it stands in or under it
                    overhang = small.box[:, :2] - np.clip(small.box[:, :2], large.box[0, :2], large.box[1, :2])
                    assert np.abs(overhang).max() < 0.06, names


def test_nothing_floats(plans):
    for plan in plans:
        for thing in plan.things:
            low, kind = thing.box[0, 2], thing.thing.kind
            if low < 0.005 or thing.box[1, 2] > plan.layout.height_m - 0.02:
                continue
            floor = plan.layout.spaces[thing.room].floor
            to_wall = np.array([thing.box[0, 0] - floor.x0, thing.box[0, 1] - floor.y0])
            to_far_wall = np.array([floor.x1 - thing.box[1, 0], floor.y1 - thing.box[1, 1]])
            hangs = min(to_wall.min(), to_far_wall.min()) < 0.03 or kind == "blinds"
            below = [
                other
                for other in plan.things
                if other is not thing
                and other.box[0, 2] < low
                and other.box[1, 2] > low - 0.004
                and (other.box[0, :2] < thing.box[1, :2]).all()
                and (thing.box[0, :2] < other.box[1, :2]).all()
            ]
            assert hangs or below, kind


def test_a_person_can_walk_to_every_room(plans):
    for plan in plans:
        free = plan.floor_plan.free.astype(np.uint8)
        radius_px = PERSON_RADIUS_M / plan.floor_plan.cell_m
        far = cv2.distanceTransform(np.pad(free, 1), cv2.DIST_L2, 5)[1:-1, 1:-1] >= radius_px
        _, label = cv2.connectedComponents(far.astype(np.uint8), connectivity=4)
        rooms = range(len(plan.layout.spaces))
        reached = [set(np.unique(label[plan.floor_plan.room == room])) - {0} for room in rooms]
        assert set.intersection(*reached)
        assert not (plan.floor_plan.free & (plan.floor_plan.room < 0)).any()


def test_truth_of_the_floor_is_nothing_and_of_a_box_is_its_thing(home):
    scene: Furnished = home
    surface = TruthSurface(scene)
    big = max(home.objects, key=lambda thing: np.prod(thing.box.size))
    vertices = np.concatenate([part.vertices for id, part in home.parts if id == big.id])
    assert (surface.instance_at(vertices[:200]) == big.id).mean() > 0.8
    outside = np.array([[home.size_m[0], home.size_m[1], 1.0]], dtype=np.float32)
    assert surface.instance_at(outside).tolist() == [-1]


def test_walls_have_holes_where_doorways_are(plans):
    plan = next(plan for plan in plans if plan.layout.doorways)
    doorway = plan.layout.doorways[0]
    both = [opening for opening in plan.openings if opening.room in doorway.rooms and opening.height_m[0] == 0.0]
    widths = [opening.along_m[1] - opening.along_m[0] for opening in both]
    assert sum(width == pytest.approx(doorway.width_m) for width in widths) >= 2
    assert 0.8 <= doorway.width_m <= 1.0


def test_attribution_names_creator_and_licence_of_every_library_model(home):
    text = attribution([home])
    for thing in home.objects:
        if not thing.model.startswith("made:"):
            assert f"{thing.model} (" in text
            assert thing.creator in text
    assert all(credit["creator"] and credit["licence"] for credit in credits())


def test_missing_libraries_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("OVSEG3R_FURNITURE", str(tmp_path))
    with pytest.raises(MissingFurnitureError, match="apt-get install"):
        Stock("train")


def test_contact_sheet_shows_each_home(home, tmp_path):
    contact_sheet([home], tmp_path / "sheet.png", columns=1, width_px=320)
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert picture.shape == (240, 320, 3)
    assert picture.std() > 20
