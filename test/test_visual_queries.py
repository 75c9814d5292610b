"""Objects asked by what they look like: scores and verdicts on embeddings made by hand, storage, and the wiring.

The OpenCLIP model in here is tiny and random. It shows loading, names, errors and who is handed to whom, and nothing
about what a real checkpoint sees: no real one was at hand to calibrate the thresholds on.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import recordings
from maps import make_snapshot
from safetensors.numpy import load, save
from scenes import AnalyticScene, box_room
from test_perception import FromFunction, perceive
from test_queries import Meanings, a_map, ids
from tiny_clip import write_tiny_clip

from ovseg3r_core import cli, models
from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.language.open_clip_model import split_source
from ovseg3r_core.language.open_clip_text import OpenClipText, open_clip_text
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.association import NEW, AssociationConfig, match_mask
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings
from ovseg3r_core.mapping.storage import DamagedMap, load_map, save_map
from ovseg3r_core.mapping.visual_queries import CANONICAL, name_by_looks, visual_lead, visual_score
from ovseg3r_core.masks.clip_embedding import ClipEmbedded, ClipImages
from ovseg3r_core.types import LiftedMask

MADE_BY = EncoderId(name="by hand", source="tiny:by-hand.safetensors")
SIZE = 64
ANYTHING = 0
"""The axis of all phrases that fit anything; every other text gets an axis of its own."""


class ByHand:
    """An image-text encoder with one axis a text, and looks that are mixed of texts."""

    name = MADE_BY.name

    def __init__(self) -> None:
        self._axes: dict[str, int] = dict.fromkeys(CANONICAL, ANYTHING)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), SIZE), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[self._axes.setdefault(text, len(set(self._axes.values())))] = 1
        return rows

    def looking_like(self, text: str, lead: float) -> np.ndarray:
        """A unit vector that is nearer to the text than to anything else by this difference of cosines."""
        near = np.float32((lead + np.sqrt(2 - lead**2)) / 2)  # near - far = lead, near^2 + far^2 = 1
        return near * self.embed([text])[0] + (near - np.float32(lead)) * self.embed([CANONICAL[0]])[0]


def looks(vectors: dict[int, np.ndarray], encoder: EncoderId = MADE_BY) -> ObjectEmbeddings:
    return ObjectEmbeddings(
        encoder=encoder, ids=np.array(list(vectors), np.int32), vectors=np.stack([*vectors.values()])
    )


@pytest.fixture
def by_hand() -> ByHand:
    return ByHand()


def test_the_score_is_0_at_even_odds_and_a_half_at_3_to_1(by_hand):
    leads = (-0.1, 0.0, np.log(3) / 100, 0.5)
    embeddings = looks({i: by_hand.looking_like("ladder", lead) for i, lead in enumerate(leads)})
    lead = visual_lead(["ladder"], embeddings, by_hand)
    np.testing.assert_allclose(lead[0], leads, atol=1e-6)
    np.testing.assert_allclose(visual_score(lead)[0], [0, 0, 0.5, 1], atol=1e-4)


def test_the_score_is_the_relevancy_of_the_paper():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, SIZE)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts = dict(
        zip(("ladder", *CANONICAL), rows[:5] * np.float32(0.05), strict=True)
    )  # keeps the softmax from 0 and 1

    class Given:
        name = MADE_BY.name

        def embed(self, texts_: Sequence[str]) -> np.ndarray:
            return np.stack([texts[text] for text in texts_])

    score = visual_score(visual_lead(["ladder"], looks(dict(enumerate(rows[5:]))), Given()))[0]
    for seen, got in zip(rows[5:], score, strict=True):
        pairs = [np.exp(100 * np.array([seen @ texts["ladder"], seen @ texts[phrase]])) for phrase in CANONICAL]
        relevancy = min(pair[0] / pair.sum() for pair in pairs)
        assert got == pytest.approx(max(2 * relevancy - 1, 0), abs=1e-3)


def test_objects_without_a_name_answer_by_looks_best_first(by_hand):
    engine = QueryEngine(Meanings(), visual=by_hand)
    like = by_hand.looking_like
    embeddings = looks({0: like("ladder", 0.02), 1: like("ladder", 0.04), 2: like("hose", 0.04), 3: like("hose", 0.0)})
    objects = a_map("object", "object", "object", "cup")
    found = engine.answer("ladder", objects, embeddings=embeddings)
    assert (found.verdict, ids(found)) == ("found", [1, 0])
    assert engine.answer("find me the ladder", objects, embeddings=embeddings).hits == found.hits
    assert engine.answer("garden gnome", objects, embeddings=embeddings).verdict == "none"
    assert engine.answer("ladder", objects).verdict == "none"


def test_the_better_of_name_and_looks_counts(by_hand):
    engine = QueryEngine(Meanings(), visual=by_hand)
    embeddings = looks({0: by_hand.looking_like("book", 0.03), 1: by_hand.looking_like("cup", 0.028)})
    result = engine.answer("cup", a_map("cup", "object"), embeddings=embeddings)
    assert (result.verdict, ids(result)) == ("found", [0, 1])  # what the detector named comes first
    assert 1 > result.hits[0].score > result.hits[1].score > 0.8
    misnamed = engine.answer("cup", a_map("cup", "book"), embeddings=embeddings)
    assert (misnamed.verdict, ids(misnamed)) == ("found", [0, 1])


def test_a_weak_likeness_by_looks_is_ambiguous(by_hand):
    embeddings = looks({0: by_hand.looking_like("ladder", 0.008)})
    result = QueryEngine(Meanings(), visual=by_hand).answer("ladder", a_map("object"), embeddings=embeddings)
    assert (result.verdict, ids(result)) == ("ambiguous", [0])


def test_a_name_and_a_look_that_fit_a_text_alike_leave_it_ambiguous(by_hand):
    embeddings = looks({1: by_hand.looking_like("goblin", 0.04)})
    engine = QueryEngine(Meanings(goblin=("cup", 0.8)), visual=by_hand)
    result = engine.answer("goblin", a_map("cup", "object"), embeddings=embeddings)
    assert (result.verdict, sorted(ids(result))) == ("ambiguous", [0, 1])


def test_structure_and_objects_that_are_not_asked_do_not_answer(by_hand):
    embeddings = looks({5: by_hand.looking_like("ladder", 0.05)})
    result = QueryEngine(Meanings(), visual=by_hand).answer("ladder", a_map("object"), embeddings=embeddings)
    assert result.verdict == "none"


def test_embeddings_of_another_encoder_are_refused(by_hand):
    embeddings = looks({0: by_hand.looking_like("ladder", 0.05)}, EncoderId(name="ViT-B-32 0123", source="ViT-B-32:w"))
    engine = QueryEngine(Meanings(), visual=by_hand)
    with pytest.raises(Rejected, match=r"ViT-B-32 0123 \(then ViT-B-32:w\), the text encoder is by hand") as refused:
        engine.answer("ladder", a_map("object"), embeddings=embeddings)
    assert refused.value.reason == "other_encoder"


def test_objects_without_a_name_take_the_entry_they_look_like(by_hand):
    like = by_hand.looking_like
    records = make_snapshot().objects * 4
    labels = ("object", "object", "cup", "object")
    objects = tuple(replace(records[i], id=i, label=label) for i, label in enumerate(labels))
    embeddings = looks({0: like("ladder", 0.03), 1: like("ladder", 0.005), 2: like("ladder", 0.03)})
    vocabulary = Vocabulary(name="test", names=("object", "hose", "ladder"), ids=(1, 2, 3))
    named = name_by_looks(replace(make_snapshot(), objects=objects, embeddings=embeddings), vocabulary, by_hand)
    assert [record.label for record in named.objects] == ["ladder", "object", "cup", "object"]


# Association


def seen_mask(points: np.ndarray, embedding: np.ndarray | None, label: str | None = None) -> LiftedMask:
    return LiftedMask(view=1, mask=0, points=points, score=0.9, label=label, embedding=embedding)


def test_a_mask_inside_an_object_that_looks_otherwise_is_another_thing():
    owner, visible = np.full(100, 1, np.int32), np.array([0, 100], np.int32)
    east, north = np.eye(2, dtype=np.float32)
    part, most = np.arange(10), np.arange(80)

    def matched(mask: LiftedMask, labels: dict[int, str] | None = None) -> int:
        return match_mask(mask, owner, visible, labels or {}, {1: east}, AssociationConfig())

    assert matched(seen_mask(part, north)) == NEW
    assert matched(seen_mask(part, east)) == 1
    assert matched(seen_mask(part, None)) == 1
    assert matched(seen_mask(most, north)) == 1  # where nearly all is shared, looks have no say
    assert matched(seen_mask(part, north, "cup"), {1: "cup"}) == 1  # nor where names agree


# Storage


def with_looks() -> MapSnapshot:
    snapshot = make_snapshot()
    return replace(snapshot, embeddings=looks({7: np.float32([0.6, 0.8, 0])}))


def test_embeddings_come_back_as_they_were_saved(tmp_path):
    save_map(with_looks(), tmp_path)
    back = load_map(tmp_path).embeddings
    assert back is not None and back.encoder == MADE_BY
    np.testing.assert_array_equal(back.ids, [7])
    np.testing.assert_array_equal(back.vectors, np.float32([[0.6, 0.8, 0]]))
    save_map(make_snapshot(), tmp_path)
    assert load_map(tmp_path).embeddings is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"embedding": np.float32([[0.6, np.nan, 0]])},
        {"embedding": np.float32([[np.inf, 0, 0]])},
        {"embedding": np.float32([[0.6, 0.9, 0]])},
        {"embedding": np.float32([[0, 0, 0]])},
        {"embedding": np.float64([[0.6, 0.8, 0]])},
        {"embedding": np.float32([0.6, 0.8, 0])},
        {"embedding": np.float32([[0.6, 0.8], [0.6, 0.8]])},
        {"embedding": np.float32([[1], [1]]), "embedding_of": np.int32([7, 7])},
        {"embedding_of": np.int32([8])},
        {"embedding_of": np.int64([7])},
        {"embedding": None},
    ],
)
def test_damaged_embeddings_are_refused_though_the_checksums_are_right(tmp_path, monkeypatch, wrong):
    def saved(tensors: dict[str, np.ndarray]) -> bytes:
        return save({name: array for name, array in (tensors | wrong).items() if array is not None})

    monkeypatch.setattr("ovseg3r_core.mapping.storage.save_tensors", saved)
    save_map(with_looks(), tmp_path)
    with pytest.raises(DamagedMap, match="embedding"):
        load_map(tmp_path)


def test_embeddings_lie_in_the_same_two_files(tmp_path):
    save_map(with_looks(), tmp_path)
    (cloud,) = tmp_path.glob("cloud-*")
    assert {"embedding", "embedding_of"} < set(load(cloud.read_bytes()))
    assert len(list(tmp_path.iterdir())) == 2


# A tiny OpenCLIP model: loading, names, errors, wiring


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=3)


def test_both_towers_of_the_same_weights_have_one_name_wherever_the_file_lies(tiny, tmp_path):
    images, moved = ClipImages("tiny", tiny), Path(shutil.copy(tiny, tmp_path / "moved.safetensors"))
    assert OpenClipText("tiny", moved).name == images.encoder.name
    assert open_clip_text(images.encoder.source).name == images.encoder.name
    other = write_tiny_clip(tmp_path / "other", seed=1)
    assert OpenClipText("tiny", other).name != images.encoder.name


def test_the_hub_is_off_while_a_model_is_loaded(tiny, monkeypatch):
    import huggingface_hub
    import open_clip

    off: list[bool] = []
    real = open_clip.get_tokenizer

    def tokenizer(*arguments):
        off.append(huggingface_hub.constants.HF_HUB_OFFLINE)
        return real(*arguments)

    monkeypatch.setattr(open_clip, "get_tokenizer", tokenizer)
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    OpenClipText("tiny", tiny)
    assert (off, huggingface_hub.constants.HF_HUB_OFFLINE) == ([True], before)


def test_absent_weights_of_the_text_tower_are_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="download the weights yourself"):
        OpenClipText("ViT-B-32", "laion2b_s34b_b79k")


@pytest.mark.parametrize("source", ["tiny", "tiny:", ":weights.pt", ""])
def test_a_source_without_architecture_or_checkpoint_is_refused(source):
    with pytest.raises(ValueError, match="ARCHITECTURE:CHECKPOINT"):
        split_source(source)


def test_a_map_holds_the_embeddings_of_its_objects(room, tiny):
    images = ClipImages("tiny", tiny)
    exact = FromFunction(lambda frame: room.masks(frame.index, named=False))
    snapshot = perceive(room.frames, ClipEmbedded(exact, images)).snapshot()
    assert snapshot.embeddings is not None and snapshot.embeddings.encoder == images.encoder
    assert snapshot.embeddings.ids.tolist() == [record.id for record in snapshot.objects] != []
    assert snapshot.embeddings.vectors.shape == (len(snapshot.objects), 12)
    np.testing.assert_allclose(np.linalg.norm(snapshot.embeddings.vectors, axis=1), 1, atol=1e-5)
    assert perceive(room.frames, exact).snapshot().embeddings is None


# The command line


@pytest.fixture
def ovseg3r(monkeypatch, capsys):
    try:
        models.find("minilm-l6-v2")
    except models.MissingModel as missing:
        pytest.skip(str(missing))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ovseg3r", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return call


def gizmo_map(folder: Path, weights: Path) -> None:
    """A map with one object without a name, whose look is that of the text "gizmo" less what fits anything."""
    texts = OpenClipText("tiny", weights)
    look = texts.embed(["gizmo"])[0] - texts.embed(CANONICAL).mean(axis=0)
    embeddings = looks({7: look / np.linalg.norm(look)}, ClipImages("tiny", weights).encoder)
    (record,) = make_snapshot().objects
    save_map(replace(make_snapshot(), objects=(replace(record, label="object"),), embeddings=embeddings), folder)


def test_query_finds_by_looks_what_has_no_name(tiny, tmp_path, ovseg3r):
    gizmo_map(tmp_path, tiny)
    code, out, err = ovseg3r("query", tmp_path, "gizmo", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["verdict"] == "found" and json.loads(out)["objects"][0]["id"] == 7


def test_query_without_the_weights_answers_by_names_and_says_so_in_one_line(tiny, tmp_path, ovseg3r):
    moved = Path(shutil.copy(tiny, tmp_path / "moved.safetensors"))
    gizmo_map(tmp_path / "map", moved)
    moved.rename(tmp_path / "here.safetensors")
    code, out, err = ovseg3r("query", tmp_path / "map", "gizmo", "--json")
    assert (code, json.loads(out)["verdict"]) == (0, "none")
    assert err.startswith("warning: ") and "--clip ARCHITECTURE:CHECKPOINT" in err and err.count("\n") == 1
    clip = f"tiny:{tmp_path / 'here.safetensors'}"
    code, out, err = ovseg3r("query", tmp_path / "map", "gizmo", "--clip", clip, "--json")
    assert (code, err, json.loads(out)["verdict"]) == (0, "", "found")


def test_query_with_other_weights_is_refused(tiny, tmp_path, ovseg3r):
    gizmo_map(tmp_path / "map", tiny)
    other = write_tiny_clip(tmp_path / "other", seed=1)
    code, _, err = ovseg3r("query", tmp_path / "map", "gizmo", "--clip", f"tiny:{other}")
    assert code == 2 and "give the same architecture and weights" in err
    save_map(make_snapshot(), tmp_path / "map")
    code, _, err = ovseg3r("query", tmp_path / "map", "gizmo", "--clip", f"tiny:{other}")
    assert code == 2 and "holds no embeddings" in err


def test_segment_embeds_the_masks_and_names_by_looks(room, tiny, tmp_path, ovseg3r, monkeypatch):
    folder = tmp_path / "room"
    shots = [
        recordings.Shot(
            color=frame.color, depth_mm=np.rint(frame.depth_m * 1000).astype(np.uint16), pose=frame.T_map_camera
        )
        for frame in room.frames
    ]
    recordings.write_posed_folder(folder, shots)
    recordings.write_matrix(folder / "camera-intrinsics.txt", room.frames[0].camera.K)
    import cv2

    for index, shown in enumerate(room.ids):
        cv2.imwrite(
            str(folder / f"{index:06d}.instances.png"),
            np.where(np.isin(shown, room.things), shown, 0).astype(np.uint16),
        )
    (tmp_path / "names.txt").write_text("gizmo\nwidget\n")
    monkeypatch.setattr("ovseg3r_core.mapping.visual_queries.LOGIT_SCALE", 1e6)  # random leads are tiny
    options = ["--masks", f"files:{folder}+clip:tiny:{tiny}", "--vocabulary", tmp_path / "names.txt", "--device", "cpu"]
    code, _, err = ovseg3r("segment", folder, "--out", tmp_path / "out", *options, "--no-segmenter")
    assert code == 0, err
    snapshot = load_map(tmp_path / "out")
    assert snapshot.embeddings is not None and len(snapshot.embeddings.ids) == len(snapshot.objects) == len(room.things)
    lead = visual_lead(["gizmo", "widget"], snapshot.embeddings, OpenClipText("tiny", tiny))
    expected = [
        ("gizmo", "widget")[best] if top > 1e-5 else "object"
        for best, top in zip(lead.argmax(0), lead.max(0), strict=True)
    ]
    assert [record.label for record in snapshot.objects] == expected
    assert set(expected) != {"object"}
