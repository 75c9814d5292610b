"""Text encoders, phrases, kinds, vocabularies and naming."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import COCO, COCO_CLASSES, HOUSEHOLD, kind_of, same_name
from ovseg3r_core.language.encoder import EmbeddingMemory
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer, NamingConfig
from ovseg3r_core.language.phrase import clean, key, wordings
from ovseg3r_core.language.vocabulary import (
    Vocabulary,
    default_vocabulary,
    load_vocabulary,
    read_vocabulary,
    scannet20,
    scannet200,
    scannet200_split,
)
from ovseg3r_core.models import MissingModel


@pytest.fixture(scope="module")
def minilm() -> MiniLm:
    try:
        return MiniLm()
    except MissingModel as missing:
        pytest.skip(str(missing))


class Letters:
    """A deterministic encoder: texts are near each other when they share letters."""

    name = "letters"

    def embed(self, texts):
        counts = np.array([[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32)
        return (counts + 1e-3) / np.linalg.norm(counts + 1e-3, axis=1, keepdims=True)


# MiniLM


def test_minilm_agrees_with_the_reference_implementation(minilm):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    from ovseg3r_core import models

    folder = models.find("minilm-l6-v2")
    transformers.logging.set_verbosity_error()
    reference = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    texts = ["sofa", "red office chair", "  Ünïcödé 椅子 ", "a cup of coffee on the table beside the window"]
    for text, ours in zip(texts, minilm.embed(texts), strict=True):
        ids = torch.tensor([minilm._tokenizer.encode(text).ids])
        with torch.inference_mode():
            mean = reference(ids).last_hidden_state.mean(dim=1)[0].numpy()
        np.testing.assert_allclose(ours, mean / np.linalg.norm(mean), atol=1e-5)


def test_minilm_rows_are_unit_and_do_not_depend_on_the_batch(minilm):
    alone = MiniLm().embed(["couch"])
    together = MiniLm().embed(["a much longer text about something else", "couch", "sofa"])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)


def test_minilm_puts_synonyms_together(minilm):
    couch, sofa, door = minilm.embed(["couch", "sofa", "door"])
    assert couch @ sofa > 0.8 > 0.5 > couch @ door


def test_minilm_takes_no_text_and_very_long_text(minilm):
    assert minilm.embed([]).shape == (0, 384)
    assert np.isfinite(minilm.embed(["chair " * 1000])).all()


def test_minilm_starts_without_torch(minilm):
    code = "import sys; import ovseg3r_core.language.minilm; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


def test_minilm_that_was_not_fetched_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("OVSEG3R_CACHE", str(tmp_path))
    with pytest.raises(MissingModel, match="ovseg3r models fetch minilm-l6-v2"):
        MiniLm()


def test_memory_encodes_each_text_once_and_forgets_the_oldest():
    asked = []

    def encode(texts):
        asked.extend(texts)
        return Letters().embed(texts)

    memory = EmbeddingMemory(encode, channels=26, capacity=2)
    rows = memory.embed(["a", "b", "a"])
    assert asked == ["a", "b"]
    np.testing.assert_array_equal(rows, Letters().embed(["a", "b", "a"]))
    memory.embed(["a"])
    memory.embed(["c"])
    memory.embed(["a"])
    assert asked == ["a", "b", "c"]
    memory.embed(["b"])
    assert asked == ["a", "b", "c", "b"]


# OpenCLIP: a tiny random model shows loading, shapes and errors; it says nothing about meaning


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory) -> Path:
    """A checkpoint of an architecture that is registered with open_clip for the time of the tests."""
    pytest.importorskip("open_clip")
    from tiny_clip import write_tiny_clip

    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


def test_open_clip_text_gives_unit_rows_from_a_local_checkpoint(tiny_clip):
    from ovseg3r_core.language.open_clip_text import OpenClipText

    rows = OpenClipText("tiny", tiny_clip).embed(["chair", "table", "chair"])
    assert rows.shape == (3, 12)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(rows[0], rows[2])


@pytest.mark.parametrize(
    ("architecture", "file", "words"),
    [
        ("ViT-unheard-of", "tiny.safetensors", "open_clip cannot load ViT-unheard-of from .*tiny.safetensors"),
        ("hf-hub:some/model", "tiny.safetensors", "open_clip cannot load hf-hub:some/model from .*tiny.safetensors"),
        ("tiny", "gone.pt", "gone.pt is no file"),
    ],
)
def test_open_clip_text_names_what_it_cannot_load(tiny_clip, architecture, file, words):
    from ovseg3r_core.language.open_clip_text import OpenClipText

    with pytest.raises(ValueError, match=words):
        OpenClipText(architecture, tiny_clip.parent / file)


def test_open_clip_text_without_open_clip_says_what_to_install(monkeypatch):
    from ovseg3r_core.language.open_clip_text import OpenClipText

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ImportError, match=r"pip install ovseg3r_ros\[openclip\]"):
        OpenClipText("ViT-B-32", "weights.pt")


# Phrases


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("couch", "Couches"),
        ("vase", "vases"),
        ("knife", "knives"),
        ("shelf", "shelves"),
        ("bus", "buses"),
        ("glass", "glasses"),
        ("mouse", "mice"),
        ("person", "people"),
        ("battery", "batteries"),
        ("tie", "ties"),
        ("potato", "potatoes"),
        ("tube", "tubes"),
        ("toaster oven", "The Toaster-Ovens!"),
    ],
)
def test_case_number_article_and_punctuation_do_not_count(one, other):
    assert key(one) == key(other)


@pytest.mark.parametrize(("one", "other"), [("tub", "tube"), ("pan", "pane"), ("car", "care"), ("glas", "glass")])
def test_different_words_keep_different_keys(one, other):
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red office chairs", ["red office chairs", "chairs"]),
        ("find me the big mug on my desk", ["big mug on my desk", "big mug", "mug"]),
        ("where is my cup?", ["cup"]),
        ("I need a chair to sit on", ["chair to sit on", "chair"]),
        ("a shiny toaster oven", ["shiny toaster oven", "toaster oven"]),
        ("something to sit on", ["something to sit on"]),
        ("where food is kept cold", ["where food is kept cold"]),
        ("???", ["???"]),
    ],
)
def test_wordings_end_with_the_head_noun(text, expected):
    assert wordings(text, {key(name) for name in ("chair", "mug", "cup", "oven", "toaster oven")}) == expected


def test_clean_drops_control_characters():
    assert clean("\x00 red\x1b[31m\n\tchair\u202e ") == "red [31m chair"


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x07", "a" * 1001])
def test_texts_that_ask_nothing_or_too_much_are_refused(text):
    with pytest.raises(Rejected) as refused:
        clean(text)
    assert refused.value.reason == "bad_query"


# Kinds


def test_coco_has_its_80_classes_in_the_order_of_the_detectors():
    assert len(COCO_CLASSES) == 80
    assert [COCO_CLASSES[i] for i in (0, 39, 56, 62, 79)] == ["person", "bottle", "chair", "tv", "toothbrush"]


def test_a_name_leads_to_one_kind_only():
    keys = [key(name) for kind in (*COCO, *HOUSEHOLD) for name in kind.names]
    assert sorted(keys) == sorted(set(keys))


def test_every_kind_says_what_else_it_is_called_or_for():
    assert [kind.name for kind in COCO if not kind.aliases and not kind.uses] == []


def test_same_name_knows_synonyms():
    assert same_name("sofa", "couch")
    assert same_name("Office Chairs", "chair")
    assert same_name("quetzal", "Quetzals")
    assert not same_name("chair", "couch")


def test_a_label_that_nobody_lists_is_its_own_kind():
    assert kind_of("pommel horse").names == ("pommel horse",)


# Vocabularies


def test_label_ids_of_a_file_are_its_line_numbers(tmp_path):
    (tmp_path / "names.txt").write_text("\ufeffchair\n\n  swivel   chair \r\ntable\n", encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "names.txt")
    assert vocabulary.id_by_name == {"chair": 1, "swivel chair": 3, "table": 4}
    assert vocabulary.name_by_id[3] == "swivel chair"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "has 0 names"),
        (b"\n \n", "has 0 names"),
        (b"chair\ntable\nChair\n", "'Chair' is there twice, as 1 and as 3"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a" * 101, "101 characters"),
        (b"\n".join(b"%d" % i for i in range(5001)), "5001 names"),
        (b"x" * (1 << 20) + b"x", "bytes"),
    ],
)
def test_a_vocabulary_file_that_cannot_be_used_says_why(tmp_path, content, complaint):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        read_vocabulary(tmp_path / "names.txt")


def test_a_missing_vocabulary_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"names\.txt"):
        load_vocabulary(str(tmp_path / "names.txt"))


def test_ids_must_differ():
    with pytest.raises(ValueError, match="share an id"):
        Vocabulary(name="mine", names=("a", "b"), ids=(1, 1))


def test_scannet_vocabularies_keep_the_ids_of_the_benchmark():
    assert len(scannet200()) == 200 and len(scannet20()) == 20
    assert scannet200().id_by_name["potted plant"] == 1189
    assert scannet20().id_by_name["otherfurniture"] == 39
    splits = [scannet200_split(split) for split in ("head", "common", "tail")]
    assert [len(split) for split in splits] == [66, 68, 66]
    assert frozenset().union(*splits) == set(scannet200().names)
    assert not scannet200_split("base") & scannet200_split("novel")


def test_scannet_vocabularies_agree_with_the_published_lists(shared_data):
    published = json.loads((shared_data / "labels" / "scannet200.json").read_text())
    assert scannet200().id_by_name == published["classes200"]
    assert scannet20().id_by_name == published["classes20"]


def test_the_default_vocabulary_holds_the_detector_and_the_room():
    assert {*COCO_CLASSES, "wall", "floor", "ceiling", "object"} == set(load_vocabulary().names)


# Naming


def named(vocabulary: Vocabulary, label: str) -> str | None:
    return Namer(vocabulary, Letters(), NamingConfig(min_cosine=0.99)).name(label)


def of(*names: str) -> Vocabulary:
    return Vocabulary(name="test", names=names, ids=tuple(range(1, len(names) + 1)))


def test_naming_takes_the_entry_itself_before_an_alias():
    assert named(of("table", "dining table"), "dining table") == "dining table"
    assert named(of("table", "shelf"), "dining table") == "table"
    assert named(of("Sofas"), "couch") == "Sofas"


def test_naming_goes_by_meaning_where_no_alias_helps():
    assert named(of("nib", "object"), "bin liner") == "object"
    assert named(of("tac", "object"), "cat") == "tac"


def test_what_nothing_names_is_an_object_where_the_vocabulary_has_one():
    assert named(of("wall", "object"), "zebra") == "object"
    assert named(of("wall"), "zebra") is None
    assert named(of("wall"), "object") is None


@pytest.mark.parametrize(
    ("label", "entry"),
    [
        ("couch", "couch"),
        ("tv", "tv"),
        ("cell phone", "telephone"),
        ("potted plant", "potted plant"),
        ("hair drier", "hair dryer"),
        ("teddy bear", "stuffed animal"),
        ("rocking chair", "chair"),
        ("door frame", "doorframe"),
        ("giraffe", "object"),
        ("motorcycle", "object"),
        ("object", "object"),
    ],
)
def test_naming_in_scannet200(minilm, label, entry):
    assert Namer(scannet200(), minilm).name(label) == entry


def test_the_detector_is_named_by_itself_in_the_default_vocabulary():
    namer = Namer(default_vocabulary(), Letters())
    assert [namer.name(label) for label in COCO_CLASSES] == list(COCO_CLASSES)


def test_a_vocabulary_grows_by_the_names_it_lacks_and_keeps_its_ids():
    default = load_vocabulary()
    grown = default.with_names(["Chair", "kleenex box", "door"])
    assert grown.names == (*default.names, "kleenex box", "door")
    assert grown.ids[: len(default)] == default.ids
    assert grown.ids[len(default) :] == (len(default) + 1, len(default) + 2)
