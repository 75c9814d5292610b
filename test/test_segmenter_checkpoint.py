"""Checkpoints: what was saved comes back, and nothing else is loaded."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from segmenter_parts import TINY, a_scene, a_segmenter, some_texts

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.segmenter import checkpoint
from ovseg3r_core.segmenter.checkpoint import BadCheckpoint, Card, load_segmenter, save_segmenter
from ovseg3r_core.segmenter.inputs import collate

CARD = Card(
    config=TINY,
    encoder=EncoderId(name="letters", source="nowhere"),
    data={"scenes": 3},
    metrics={"AP50": 0.5},
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "office.safetensors"
    save_segmenter(path, a_segmenter(), CARD, dtype=torch.float32)
    return path


def test_a_segmenter_comes_back_as_it_was(saved: Path) -> None:
    segmenter, card = load_segmenter(saved)
    assert replace(card, sha256="") == CARD and len(card.sha256) == 64
    batch, texts = collate([a_scene()]), some_texts(4)
    with torch.inference_mode():
        (mine,), (theirs,) = a_segmenter()(batch, texts), segmenter(batch, texts)
    assert torch.equal(mine.mask_logits, theirs.mask_logits) and torch.equal(mine.name_logits, theirs.name_logits)
    assert not segmenter.training


def test_half_precision_halves_the_file_and_keeps_the_norms_exact(saved: Path) -> None:
    half = saved.with_name("half.safetensors")
    save_segmenter(half, a_segmenter(), CARD)
    assert half.stat().st_size < 0.62 * saved.stat().st_size
    norms = {name: value for name, value in a_segmenter().state_dict().items() if "running_" in name}
    loaded = load_segmenter(half)[0].state_dict()
    assert norms and all(torch.equal(value, loaded[name]) for name, value in norms.items())


def test_the_card_lies_beside_the_weights_for_people_to_read(saved: Path) -> None:
    card = json.loads(saved.with_suffix(".json").read_text())
    assert card["encoder"]["name"] == "letters" and card["config"]["width"] == TINY.width
    assert card["metrics"] == {"AP50": 0.5} and len(card["sha256"]) == 64


def test_one_file_is_enough(saved: Path) -> None:
    saved.with_suffix(".json").unlink()
    assert load_segmenter(saved)[1].data == {"scenes": 3}


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*none.safetensors"):
        load_segmenter(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [i / 50 for i in range(50)])
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadCheckpoint):
        load_segmenter(saved)


def test_a_flipped_bit_is_refused_wherever_it_is(saved: Path) -> None:
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    places = [*rng.integers(0, len(data), 40), *range(8), *rng.integers(8, 3000, 20), len(data) - 1]
    for place in places:
        hurt = bytearray(data)
        hurt[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(bytes(hurt))
        with pytest.raises(BadCheckpoint):
            load_segmenter(saved)


def rewritten(path: Path, **changed: torch.Tensor | None) -> None:
    """The same file with other tensors, all checksums right."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    for name, value in changed.items():
        name = name.replace("__", ".")
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value
    save_file(tensors, path)
    weights = checkpoint._split(path.read_bytes())[1]
    import hashlib

    card = json.loads(metadata["card"]) | {"sha256": hashlib.sha256(weights).hexdigest()}
    text = json.dumps(card)
    save_file(tensors, path, metadata={"card": text, "card_sha256": hashlib.sha256(text.encode()).hexdigest()})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.zeros(32, dtype=torch.int64), r"decoder.norm.weight is torch.int64 \(32,\), not a float"),
        (torch.zeros(32, dtype=torch.float64), "torch.float64"),
        (torch.zeros(31), r"\(31,\), not a float \(32,\)"),
        (torch.full((32,), float("nan")), "numbers that are not finite"),
        (None, "lacks 1 tensors, decoder.norm.weight first"),
    ],
)
def test_tensors_of_another_kind_are_refused(saved: Path, value, says: str) -> None:
    rewritten(saved, decoder__norm__weight=value)
    with pytest.raises(BadCheckpoint, match=says):
        load_segmenter(saved)


def test_tensors_too_many_are_refused(saved: Path) -> None:
    rewritten(saved, malware=torch.zeros(3))
    with pytest.raises(BadCheckpoint, match="1 tensors too many for its configuration, malware first"):
        load_segmenter(saved)


def test_other_files_are_no_checkpoint(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    path = tmp_path / "x.safetensors"
    for data in (b"", b"\x00" * 64, b"\xff" * 64, pickle.dumps(Hostile()), json.dumps({"a": 1}).encode()):
        path.write_bytes(data)
        with pytest.raises(BadCheckpoint):
            load_segmenter(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(BadCheckpoint, match="no checkpoint of a segmenter"):
        load_segmenter(path)
    assert not (tmp_path / "ran").exists()


def test_a_huge_file_is_refused_before_it_is_read(saved: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 1000)
    with pytest.raises(BadCheckpoint, match="at most 1000 are read"):
        load_segmenter(saved)


def test_a_card_of_another_version_says_which_is_read(saved: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "_VERSION", 2)
    with pytest.raises(BadCheckpoint, match="version 1; this release reads 'ovseg3r-segmenter' version 2"):
        load_segmenter(saved)


def test_a_card_that_is_of_another_network_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the card is of"):
        save_segmenter(tmp_path / "x.safetensors", a_segmenter(), replace(CARD, config=replace(TINY, layers=3)))
    with pytest.raises(ValueError, match=r"called NAME\.safetensors"):
        save_segmenter(tmp_path / "x.pth", a_segmenter(), CARD)
    assert not list(tmp_path.iterdir())


def test_texts_of_another_encoder_are_refused() -> None:
    class Other:
        name = "runes"

        def embed(self, texts):
            raise AssertionError("nobody may ask it")

    with pytest.raises(Rejected, match=r"learned its names in letters .* the text encoder is runes") as refused:
        checkpoint.check_encoder(CARD, Other())
    assert refused.value.reason == "other_encoder"


def test_a_crash_while_saving_leaves_the_old_checkpoint(saved: Path, monkeypatch) -> None:
    before = saved.read_bytes()

    def crash(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        save_segmenter(saved, a_segmenter(seed=1), CARD)
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()].count("office.safetensors") == 1
    assert load_segmenter(saved)
