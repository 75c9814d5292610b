"""The ablation runner: rows differ in one switch, what is done is not done again, tables have intervals."""

import json
from pathlib import Path

import pytest
from training_parts import TINY, examples, texts

from ovseg3r_train.training.ablate import DONE, ROWS, Material, ablate, as_table, jobs_of, spread, write
from ovseg3r_train.training.validate import Precision

SCENES = examples()
MATERIAL = Material(
    learned={"ibsp": SCENES, "geometry": SCENES}, judged={"ibsp": SCENES[:1], "geometry": SCENES[:1]}, texts=texts()
)


def test_rows_are_trained_judged_and_kept(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, {"full": 1, "without VIP": 1})
    results = ablate(jobs, TINY, MATERIAL, device="cpu", side_by_side=1, workers=0)
    assert set(results) == {"full", "without VIP"}
    kept = jobs[0].folder / DONE
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"ap": 77.0}))
    again = ablate(jobs, TINY, MATERIAL, device="cpu", side_by_side=1, workers=0)
    assert again["full"][0].ap == 77.0  # it was read, not trained
    write(again, tmp_path)
    assert json.loads((tmp_path / "ablation.json").read_text())["full"][0]["ap"] == 77.0
    assert (tmp_path / "ablation.png").stat().st_size > 1000
    assert as_table(again).row_count == 2


def test_every_row_but_the_first_changes_one_thing_or_what_belongs_to_it(tmp_path: Path) -> None:
    full = jobs_of(tmp_path, {"full": 1})[0].config(TINY)
    assert full == TINY
    for row in ROWS:
        (job,) = jobs_of(tmp_path, {row: 1})
        assert (job.config(TINY) == TINY) == (row == "full")
    with pytest.raises(ValueError, match="no row is called magic"):
        jobs_of(tmp_path, {"magic": 1})


def test_the_interval_is_students() -> None:
    assert spread([5.0]) == (5.0, 0.0)
    mean, half = spread([1.0, 2.0, 3.0])
    assert mean == 2.0 and half == pytest.approx(4.303 / 3**0.5, rel=1e-3)


def test_precision_is_in_percent_and_by_split() -> None:
    names = set(Precision.__dataclass_fields__)
    assert {"ap", "base_ap", "novel_ap", "any_ap"} <= names
