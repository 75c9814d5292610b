"""`ovseg3r report`: one page that holds all of a run, of whatever a folder has of it."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import Command
from scenes import box_room
from test_perception import exact, perceive

from ovseg3r_core import models
from ovseg3r_core.cli import main
from ovseg3r_core.language.coco import COCO_CLASSES
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import default_vocabulary
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.storage import save_map
from ovseg3r_core.outputs import objects_json, write_json
from ovseg3r_core.perception import Perception
from ovseg3r_core.report.known_answers import PHRASES, known_answers, places
from ovseg3r_core.report.page import write_report
from ovseg3r_core.report.plan import plan_of
from ovseg3r_core.report.thumbnails import thumbnails


class Words:
    """An encoder to which texts are alike where they share letters."""

    name = "letters"

    def embed(self, texts):
        rows = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz "] for text in texts], float)
        rows = rows.reshape(-1, 27) + 0.01
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def ovseg3r(monkeypatch, capsys) -> Command:
    try:
        models.find(MiniLm.name)
    except models.MissingModel as missing:
        pytest.skip(str(missing))
    return Command(main, ("ovseg3r",), monkeypatch, capsys)


@pytest.fixture(scope="module")
def mapped() -> Perception:
    room = box_room(frames=6)
    return perceive(room.frames, exact(room))


@pytest.fixture(scope="module")
def engine() -> QueryEngine:
    return QueryEngine(Words())


@pytest.fixture
def run_folder(mapped: Perception, tmp_path: Path) -> Path:
    snapshot, memory = mapped.state()
    save_map(snapshot, tmp_path / "map", memory)
    write_json(tmp_path / "objects.json", objects_json(snapshot, Namer(default_vocabulary(), Words())))
    write_json(
        tmp_path / "report.json",
        {
            "frames": {"read": 7, "fused": 6},
            "seconds": {"total": 12.0, "fuse": 3.0, "masks": 9.0},
            "drops": {"bad_<pose>": 1},
            "segmenter": {"used": False, "reason": "switched_off"},
            "peak_memory_mb": 2048.0,
        },
    )
    cv2.imwrite(str(tmp_path / "preview.png"), np.full((90, 160, 3), 200, np.uint8))
    return tmp_path


class Page(HTMLParser):
    """What a browser would find: tags that must be closed are, and attributes are readable."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows, self.images, self.links, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "tr" and "data-id" in values:
            self.rows.append(int(values["data-id"]))
        if tag == "img":
            self.images.append(values["src"])
        self.links += [values[key] for key in ("src", "href") if key in values]
        if tag in ("html", "body", "main", "section", "table", "tbody", "tr", "script", "style"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and tag == self.open[-1]:
            self.open.pop()


def test_a_page_holds_all_objects_with_pictures_and_needs_no_other_file(run_folder, mapped, engine):
    write_report(run_folder, run_folder / "report.html", engine)
    text = (run_folder / "report.html").read_text("utf-8")
    page, snapshot = Page(text), mapped.snapshot()
    assert sorted(page.rows) == sorted(record.id for record in snapshot.objects)
    assert len(page.images) == 2 + len(page.rows)  # preview, plan, and a thumbnail each
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    for image in page.images:
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(image.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None and min(decoded.shape[:2]) > 1
    assert "6 of 7" in text and "12 s" in text and "switched_off" in text
    assert "bad_&lt;pose&gt;" in text and "bad_<pose>" not in text


def test_the_answers_in_the_page_are_those_of_the_map(run_folder, mapped, engine):
    write_report(run_folder, run_folder / "report.html", engine)
    text = (run_folder / "report.html").read_text("utf-8")
    found = re.search(r"const answers = (\{.*\});", text)
    assert found
    answers, snapshot = json.loads(found[1]), mapped.snapshot()
    known = (*snapshot.objects, *snapshot.structure)
    for question in ("chair", "floor", "somewhere to sit"):
        result = engine.answer(question, known, top_k=50)
        assert (answers[question]["verdict"], answers[question]["ids"]) == (
            result.verdict,
            [hit.object.id for hit in result.hits],
        )


def test_every_name_and_phrase_is_answered_once(mapped, engine):
    texts = [answer.text for answer in known_answers(mapped.snapshot(), engine)]
    assert len(texts) == len(set(texts)) and {*COCO_CLASSES, *PHRASES} <= set(texts)


def test_the_page_knows_where_things_are_to_each_other(run_folder, mapped, engine):
    write_report(run_folder, run_folder / "report.html", engine)
    text = (run_folder / "report.html").read_text("utf-8")
    answers, snapshot = json.loads(re.search(r"const answers = (\{.*\});", text)[1]), mapped.snapshot()
    told = places(snapshot)
    assert "cup on table" in told and "table on cup" not in told and len(told) == len(set(told))
    cup = next(record for record in snapshot.objects if record.label == "cup")
    assert (answers["cup on table"]["verdict"], answers["cup on table"]["ids"]) == ("found", [cup.id])
    for question in told:
        asked = ask(engine, snapshot, f"the {question}", top_k=50)
        assert answers[question]["ids"] == [hit.object.id for hit in asked.hits]


def test_a_thumbnail_shows_the_object(mapped):
    snapshot, memory = mapped.state()
    cut = thumbnails(snapshot, memory.views)
    assert set(cut) == {record.id for record in snapshot.objects}
    for record in snapshot.objects:
        picture = cv2.imdecode(np.frombuffer(cut[record.id], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(float)
        own = snapshot.cloud.color[snapshot.owner == record.id].astype(float)
        assert np.abs(own - middle).max(axis=1).min() < 40, record.label


def test_objects_lie_on_their_colour_in_the_plan(mapped):
    snapshot = mapped.snapshot()
    plan = plan_of(snapshot)
    assert plan is not None and set(plan.places) == {record.id for record in snapshot.objects}
    assert all(0 < x < 1 and 0 < y < 1 for x, y in plan.places.values())


def test_a_map_alone_makes_a_page_too(mapped, engine, tmp_path):
    save_map(mapped.snapshot(), tmp_path / "map")
    write_report(tmp_path, tmp_path / "page.html", engine)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "it is a map alone" in text and len(Page(text).images) == 1  # the plan


def test_an_empty_map_has_a_page_and_no_plan(engine, tmp_path):
    perception = Perception(exact(box_room(frames=1)), lambda a, b: a == b)
    save_map(perception.snapshot(), tmp_path)
    write_report(tmp_path, tmp_path / "page.html", engine)
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert page.rows == [] and page.images == []


def test_what_is_wrong_is_told_with_the_remedy(run_folder, tmp_path_factory, ovseg3r):
    nowhere = tmp_path_factory.mktemp("nowhere")
    answer = ovseg3r("report", str(nowhere))
    assert answer.code == 2 and answer.err.startswith("error: ") and "map" in answer.err
    (run_folder / "report.json").write_text("{")
    answer = ovseg3r("report", str(run_folder))
    assert answer.code == 2 and "report.json is damaged" in answer.err and not (run_folder / "report.html").exists()
