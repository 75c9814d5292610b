"""Which weights the segmenter runs with, and what is said where there are none. Random weights: plumbing alone."""

import json
import logging
from pathlib import Path

import pytest
from segmenter_files import save_random_weights

from ovseg3r_core import models, shipped
from ovseg3r_core.model_errors import DamagedModel, MissingModel
from ovseg3r_core.segmenter_choice import choose_segmenter

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a package would have the weights; there are none yet, and the environment names no others."""
    path = tmp_path / "package" / f"{shipped.NAME}.safetensors"
    monkeypatch.setattr(shipped, "path", lambda: path)
    monkeypatch.delenv(shipped.VARIABLE, raising=False)
    return path


def test_the_option_goes_before_the_environment_and_that_before_the_package(package, tmp_path, monkeypatch):
    assert shipped.chosen_checkpoint() is None
    save_random_weights(package)
    assert shipped.chosen_checkpoint() == package
    monkeypatch.setenv(shipped.VARIABLE, str(tmp_path / "mine.safetensors"))
    assert shipped.chosen_checkpoint() == tmp_path / "mine.safetensors"
    assert shipped.chosen_checkpoint(Path("other.safetensors")) == Path("other.safetensors")


def test_weights_that_the_package_lacks_are_missing_and_the_remedy_is_told():
    for ask in (models.find, models.verify, models.fetch):
        with pytest.raises(
            MissingModel, match=r"not part of this installation .*--segmenter FILE or OVSEG3R_SEGMENTER"
        ):
            ask(shipped.NAME)


def test_whole_weights_are_found_and_verified(package):
    save_random_weights(package)
    models.verify(shipped.NAME)
    assert models.find(shipped.NAME) == models.fetch(shipped.NAME) == package


def test_a_flipped_bit_is_refused(package):
    save_random_weights(package)
    data = bytearray(package.read_bytes())
    data[-1] ^= 1
    package.write_bytes(bytes(data))
    with pytest.raises(DamagedModel, match=r"segmenter-small is damaged .*install ovseg3r_ros again"):
        models.verify(shipped.NAME)


@pytest.mark.parametrize("card", [None, "not json", "[]", json.dumps({"sha256": "0" * 64})])
def test_the_card_beside_the_weights_must_be_theirs(package, card):
    save_random_weights(package)
    beside = package.with_suffix(".json")
    beside.unlink() if card is None else beside.write_text(card)
    with pytest.raises(DamagedModel, match="install ovseg3r_ros again"):
        models.verify(shipped.NAME)


def test_without_weights_a_run_says_once_how_to_get_them(caplog):
    with caplog.at_level(logging.WARNING):
        choice = choose_segmenter(off=False, checkpoint=None, names=(), device="cpu")
    (said,) = caplog.messages
    assert "from masks alone" in said and "--segmenter FILE" in said and "--no-segmenter" in said
    report = choice.report(None, 0.0)
    assert (report["used"], report["reason"]) == (False, "no_weights") and "OVSEG3R_SEGMENTER" in report["detail"]


def test_a_run_that_uses_none_says_why_and_takes_none(caplog):
    choice = choose_segmenter(off=True, checkpoint=None, names=(), device="cpu")
    assert choice.report(None, 0.0)["reason"] == "switched_off" and not caplog.messages
    with pytest.raises(ValueError, match=r"--segmenter mine\.safetensors and --no-segmenter exclude each other"):
        choose_segmenter(off=True, checkpoint=Path("mine.safetensors"), names=(), device="cpu")


def test_a_checkpoint_that_is_asked_for_and_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        choose_segmenter(off=False, checkpoint=tmp_path / "none.safetensors", names=(), device="cpu")


def test_what_lies_in_the_folder_of_weights_becomes_part_of_a_wheel():
    assert '"weights/*"' in (ROOT / "pyproject.toml").read_text()
    assert "weights/" not in (ROOT / ".gitignore").read_text()


def test_nothing_in_the_repository_is_random_weights(monkeypatch):
    monkeypatch.undo()
    if shipped.path().is_file():
        from ovseg3r_core.segmenter.checkpoint import read_card

        assert "random" not in json.dumps(dict(read_card(shipped.path()).data))
