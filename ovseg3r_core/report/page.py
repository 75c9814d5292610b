"""A run as one HTML file that needs nothing else: pictures, objects, answers, times and what was left out."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jinja2
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import DamagedMap, load_both, load_map
from ovseg3r_core.report.known_answers import PLACES, known_answers, places
from ovseg3r_core.report.plan import plan_of
from ovseg3r_core.report.thumbnails import thumbnails
from ovseg3r_core.types import ObjectRecord
from ovseg3r_core.views import View
from ovseg3r_core.visual.colors import object_color

_PICTURE_QUALITY = 85
_MOST_PLACES = 600  # that a page knows the answers of: each takes some milliseconds and a hundred bytes


def write_report(folder: Path, page: Path, engine: QueryEngine) -> None:
    """Write the page of a run.

    Args:
        folder: what `ovseg3r segment` wrote, or a saved map alone: what a folder lacks is left out of the page.
        engine: answers the texts that the page knows.

    Raises:
        FileNotFoundError, DamagedMap: the folder holds no map that can be read.
    """
    snapshot, views = _map_of(folder)
    labels = {record["id"]: record["label"] for record in _json(folder / "objects.json").get("objects", [])}
    cut, plan = thumbnails(snapshot, views), plan_of(snapshot)
    rows = [
        _row(record, labels.get(record.id, record.label), cut.get(record.id))
        for record in sorted(snapshot.objects, key=lambda it: -it.score)
    ]
    told = places(snapshot)
    answers = {it.text: asdict(it) for it in known_answers(snapshot, engine, told[:_MOST_PLACES])}
    content = {
        "name": folder.resolve().name,
        "rows": rows,
        "structure": [record.label for record in snapshot.structure],
        "preview": _picture_of(folder / "preview.png"),
        "plan": _jpeg(plan.picture[:, :, ::-1]) if plan else None,
        "places": plan.places if plan else {},
        "run": _json(folder / "report.json"),
        "answers": answers,
        "names": sorted({it.label.lower() for it in (*snapshot.objects, *snapshot.structure)} - {UNNAMED}),
        "relations": PLACES if len(told) <= _MOST_PLACES else (),
        "points": len(snapshot.cloud),
        "views": snapshot.views,
        "unit": "m" if snapshot.scale_known else "unit unknown",
    }
    template = files("ovseg3r_core.report").joinpath("page.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    with atomic_write(page) as part:
        part.write_text(environment.from_string(template).render(content), "utf-8")


def _map_of(folder: Path) -> tuple[MapSnapshot, tuple[View, ...]]:
    """The map, and its keyframes where it was saved with them."""
    try:
        snapshot, memory = load_both(folder)
    except DamagedMap:  # saved without what mapping goes on from; a map that is really damaged fails again
        return load_map(folder), ()
    return snapshot, memory.views


def _row(record: ObjectRecord, label: str, thumbnail: bytes | None) -> dict[str, Any]:
    """One line of the table of objects."""
    return {
        "id": record.id,
        "label": label,
        "color": "#{:02x}{:02x}{:02x}".format(*object_color(record.id)),
        "score": round(record.score, 2),
        "size": " × ".join(f"{length:.2f}" for length in record.box.size),
        "centre": ", ".join(f"{place:.2f}" for place in record.centre),
        "points": record.points,
        "observations": record.observations,
        "seen": f"{record.last_seen - record.first_seen:.1f}",
        "thumbnail": _data(thumbnail) if thumbnail else None,
    }


def _json(path: Path) -> Mapping[str, Any]:
    """What a file of the run says; nothing where it is not there.

    Raises:
        ValueError: it is not JSON.
    """
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): run `ovseg3r segment` again, or take the file away") from error


def _picture_of(path: Path) -> str | None:
    image = cv2.imread(str(path)) if path.is_file() else None
    return None if image is None else _jpeg(image)


def _jpeg(bgr: UInt8[ndarray, "height width 3"]) -> str:
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY])
    return _data(data.tobytes())


def _data(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
