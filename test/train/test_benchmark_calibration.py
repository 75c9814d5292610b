"""Are verdicts honest: what rooms are asked for, what answers add up to, and the fit that makes scores honest."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import tiny_scenes
from typer.testing import CliRunner

from ovseg3r_core.language.encoder import EmbeddingMemory
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.models import MissingModel
from ovseg3r_train.benchmark.calibrate import Calibration, as_json, as_table, map_of, write_calibration
from ovseg3r_train.benchmark.calibration import Asked, AskedMap, Named, absent_names, ask, named_objects, present_names
from ovseg3r_train.benchmark.honesty import best_within, fit_trust, honesty, reliability, thresholds
from ovseg3r_train.cli import app
from ovseg3r_train.scene import LabelledScene, Truth
from ovseg3r_train.scene_set import SceneSet


class NoLikeness:
    """A text encoder to which no text is like any other."""

    name = "no-likeness"

    def __init__(self) -> None:
        self._known = 0
        self._memory = EmbeddingMemory(self._encode, channels=2048)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return self._memory.embed(texts)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 2048), np.float32)
        rows[np.arange(len(texts)), self._known + np.arange(len(texts))] = 1
        self._known += len(texts)
        return rows


@pytest.fixture(scope="module")
def engine() -> QueryEngine:
    return QueryEngine(NoLikeness())


@pytest.fixture(scope="module")
def scene() -> LabelledScene:
    return tiny_scenes.tiny_scene()


def misnamed(scene: LabelledScene, **names: str) -> LabelledScene:
    """The scene where masks call these things something else."""
    lifted = [replace(mask, label=names.get(mask.label or "", mask.label)) for mask in scene.lifted]
    return tiny_scenes.with_masks(scene, lifted)


def answers(room: AskedMap, engine: QueryEngine, absent: int = 20) -> dict[str, Asked]:
    return {it.text: it for it in ask(room, engine, absent=absent, rng=np.random.default_rng(0))}


def asked(
    score: float,
    *,
    right: bool,
    present: bool = True,
    nameable: bool = True,
    verdict: str = "found",
    clear: bool = True,
) -> Asked:
    return Asked(
        scene="room",
        text="cup",
        present=present,
        nameable=nameable,
        verdict=verdict,  # pyright: ignore[reportArgumentType]
        score=score,
        clear=clear,
        right=right,
    )


# What rooms are asked for


def test_all_that_is_there_is_found_under_its_name_and_nothing_else_is(scene, engine):
    told = answers(map_of(scene), engine)
    there = {text: it for text, it in told.items() if it.present}
    assert there.keys() == {"chair", "desk", "lamp"}
    assert all(it.verdict == "found" and it.right and it.nameable for it in there.values())
    assert len(told) == 23
    assert {it.verdict for it in told.values() if not it.present} == {"none"}


def test_a_misnamed_thing_is_a_wrong_answer_and_a_miss(scene, engine):
    told = answers(map_of(misnamed(scene, lamp="toilet", desk="chair")), engine, absent=200)
    assert (told["lamp"].verdict, told["lamp"].nameable, told["lamp"].right) == ("none", False, False)
    assert (told["toilet"].present, told["toilet"].verdict, told["toilet"].right) == (False, "found", False)


def test_names_that_share_a_word_or_a_meaning_with_what_is_there_are_not_absent():
    truth = Truth(instance=np.zeros(60, np.int32), names={0: "coffee table", 1: "couch"})
    absent = absent_names(truth)
    assert not {"table", "coffee table", "coffee maker", "couch", "wall", "furniture"} & set(absent)
    assert {"bicycle", "toilet"} <= set(absent)


def test_things_of_a_few_points_and_vague_names_are_not_asked_for():
    instance = np.repeat(np.array([0, 1, 2], np.int32), [60, 60, 5])
    assert present_names(Truth(instance=instance, names={0: "cup", 1: "decoration", 2: "bed"})) == ["cup"]


def test_a_scene_without_truth_is_refused(scene):
    with pytest.raises(ValueError, match="tiny: there is no truth"):
        map_of(replace(scene, truth=None))


def test_a_scene_without_masks_is_an_empty_map(scene, engine):
    told = answers(map_of(tiny_scenes.with_masks(scene, [])), engine)
    assert {it.verdict for it in told.values()} == {"none"}


def test_the_names_of_objects_are_compared_with_what_the_objects_are(scene):
    lifted = [replace(mask, score=0.6) for mask in misnamed(scene, lamp="toilet").lifted]
    named = named_objects(map_of(tiny_scenes.with_masks(scene, lifted)))
    assert sorted(it.right for it in named) == [False, True, True]


# What answers add up to


def test_shares_are_of_what_was_asked():
    sums = honesty(
        [
            asked(0.9, right=True),
            asked(0.8, right=False),
            asked(0.4, right=True, verdict="ambiguous"),
            asked(0.0, right=False, nameable=False, verdict="none"),
            asked(0.7, right=False, present=False),
            asked(0.3, right=False, present=False, verdict="ambiguous"),
            *[asked(0.0, right=False, present=False, verdict="none")] * 2,
        ]
    )
    assert (sums.present, sums.nameable, sums.absent) == (4, 3, 4)
    assert (sums.recall, sums.wrong_object) == (0.25, 0.25)
    assert (sums.nameable_recall, sums.nameable_listed) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (sums.false_found, sums.absent_ambiguous) == (0.25, 0.25)


def test_scores_that_are_right_as_often_as_they_say_have_no_calibration_error():
    honest = [asked(0.75, right=i < 3) for i in range(4)]
    assert honesty(honest).calibration_error == pytest.approx(0)
    assert honesty([asked(1.0, right=i < 3) for i in range(4)]).calibration_error == pytest.approx(0.25)
    assert reliability(honest) == [(0.75, 0.75, 4)]


def test_a_higher_threshold_finds_less_and_makes_up_less():
    told = [asked(s, right=True) for s in (0.4, 0.6, 0.9)] + [asked(s, right=False, present=False) for s in (0.5, 0.2)]
    curve = thresholds(told, 0.3, steps=8)
    assert [round(it.found_at, 1) for it in curve] == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert [it.false_found for it in curve] == [0.5, 0.5, 0.5, 0, 0, 0, 0, 0]
    assert sorted((it.recall for it in curve), reverse=True) == [it.recall for it in curve]
    best = best_within(curve, 0.05)
    assert best is not None
    assert (round(best.found_at, 1), best.recall) == (0.6, pytest.approx(2 / 3))


def test_no_threshold_finds_what_the_text_is_not_clear_about():
    assert {it.recall for it in thresholds([asked(0.9, right=True, clear=False)], 0.3)} == {0.0}


def test_where_all_thresholds_make_up_too_much_none_is_best():
    assert best_within(thresholds([asked(1.0, right=False, present=False)], 0.3)) is None


def names_of(count: int, bias: float, gain: float, seed: int = 0) -> list[Named]:
    """Names that are right as often as this line of the log-odds of confidence says."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.05, 0.95, count)
    right = rng.random(count) < 1 / (1 + np.exp(-bias - gain * np.log(confidence / (1 - confidence))))
    return [Named(confidence=c, right=r) for c, r in zip(confidence.tolist(), right.tolist(), strict=True)]


def test_the_fit_finds_how_often_names_are_right():
    assert fit_trust([names_of(5000, -0.5, 1.5)]) == pytest.approx((-0.5, 1.5), abs=0.15)


def test_sources_count_alike_in_the_fit_however_many_names_they_have():
    many, few = names_of(4000, 1.0, 1.0, 1), names_of(400, -1.0, 1.0, 2)
    fit = fit_trust([many, few])
    assert fit is not None
    assert fit[0] == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("named", [[], [Named(confidence=0.5, right=True)] * 3])
def test_names_that_are_all_right_fit_nothing(named):
    assert fit_trust([named]) is None


# Files


def test_what_is_not_defined_is_null_in_the_file_and_a_dash_on_the_screen(tmp_path):
    nothing = Calibration(masks="none", scenes=1, asked=(asked(0.0, right=False, nameable=False),), named=())
    some = Calibration(
        masks="simulated",
        scenes=1,
        asked=(asked(0.7, right=True), asked(0.0, right=False, present=False)),
        named=tuple(names_of(50, 0.0, 1.0)),
    )
    numbers, picture = write_calibration(tmp_path / "figures", [nothing, some], 0.3)
    content = json.loads(numbers.read_text())
    assert content == json.loads(json.dumps(as_json([nothing, some], 0.3)))
    assert [it["nameable_recall"] for it in content["sources"]] == [None, 1.0]
    assert content["sources"][0]["thresholds"][0]["false_found"] is None
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert as_table([nothing, some], 0.3).row_count == 2


@pytest.mark.slow
def test_the_verb_asks_every_room_and_writes_what_came_of_it(tmp_path, scene):
    try:
        MiniLm()
    except MissingModel as missing:
        pytest.skip(str(missing))
    scenes = SceneSet.create(tmp_path / "rooms")
    for masks, room in (("perfect", scene), ("simulated", misnamed(scene, lamp="toilet"))):
        scenes.add(replace(room, name=f"room-{masks}"), "val", masks)
    run = CliRunner().invoke(app, ["calibrate", str(tmp_path / "rooms"), "--absent", "10"])
    assert run.exit_code == 0, run.output
    content = json.loads((tmp_path / "rooms" / "calibration" / "calibration.json").read_text())
    assert [(it["masks"], it["present"], it["absent"]) for it in content["sources"]] == [
        ("perfect", 3, 10),
        ("simulated", 3, 10),
    ]
    assert content["sources"][0]["recall"] == 1
    assert content["sources"][1]["recall"] == pytest.approx(2 / 3)
