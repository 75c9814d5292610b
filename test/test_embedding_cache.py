"""Texts that were encoded once need no encoder in the next process."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ovseg3r_core.language import embedding_cache
from ovseg3r_core.language.embedding_cache import CachedEncoder


class Counting:
    """Encodes a text as a direction made of its letters, and remembers what it was asked for."""

    def __init__(self, name: str = "letters") -> None:
        self.name, self.asked = name, []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        rows = np.array([[text.count(letter) + 1.0 for letter in "aeiou"] for text in texts], np.float32).reshape(-1, 5)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_next_process_asks_nobody(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    rows = CachedEncoder(first, tmp_path).embed(["chair", "table", "chair"])
    again = CachedEncoder(second, tmp_path).embed(["table", "chair"])
    assert first.asked == ["chair", "table"] and second.asked == []
    assert np.array_equal(rows[[1, 0]], again) and np.array_equal(rows, first.embed(["chair", "table", "chair"]))


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    CachedEncoder(Counting(), tmp_path).embed(["chair"])
    encoder = Counting()
    CachedEncoder(encoder, tmp_path).embed(["chair", "lamp"])
    assert encoder.asked == ["lamp"]


def test_encoders_do_not_share_what_they_said(tmp_path: Path) -> None:
    CachedEncoder(Counting("letters"), tmp_path).embed(["chair"])
    other = Counting("runes")
    CachedEncoder(other, tmp_path).embed(["chair"])
    assert other.asked == ["chair"] and len(list(tmp_path.glob("*.safetensors"))) == 2


def test_what_two_processes_add_is_kept_of_both(tmp_path: Path) -> None:
    one, two = CachedEncoder(Counting(), tmp_path), CachedEncoder(Counting(), tmp_path)
    one.embed(["chair"])
    two.embed(["lamp"])
    third = Counting()
    CachedEncoder(third, tmp_path).embed(["chair", "lamp"])
    assert third.asked == []


@pytest.mark.parametrize("hurt", [lambda d: b"", lambda d: d[: len(d) // 2], lambda d: d[:-4] + b"\xff\xff\xff\x7f"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, hurt, caplog) -> None:
    CachedEncoder(Counting(), tmp_path).embed(["chair"])
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(hurt(path.read_bytes()))
    encoder = Counting()
    rows = CachedEncoder(encoder, tmp_path).embed(["chair"])
    assert encoder.asked == ["chair"] and np.isfinite(rows).all()
    assert "is made anew" in caplog.text
    last = Counting()
    CachedEncoder(last, tmp_path).embed(["chair"])
    assert last.asked == []


def test_where_nothing_can_be_written_texts_are_encoded_each_time(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("a file where the folder should be")
    encoder = Counting()
    assert CachedEncoder(encoder, tmp_path / "texts").embed(["chair"]).shape == (1, 5)


def test_the_oldest_texts_go_first(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(embedding_cache, "MAX_TEXTS", 3)
    CachedEncoder(Counting(), tmp_path).embed(["a", "b", "c", "d"])
    encoder = Counting()
    CachedEncoder(encoder, tmp_path).embed(["d", "a"])
    assert encoder.asked == ["a"]


def test_no_text_is_no_row(tmp_path: Path) -> None:
    assert CachedEncoder(Counting(), tmp_path).embed([]).shape == (0, 5)
