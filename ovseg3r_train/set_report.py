"""What a set of scenes holds, for people: tables, the histogram of its classes, and whom its models are owed to."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.language.vocabulary import scannet200_split
from ovseg3r_train.make_scenes import Attribution
from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.scene_set import SceneSet

ATTRIBUTION, CLASSES, HISTOGRAM = "attribution.json", "classes.json", "classes.png"
_COLUMNS = ("points", "views", "masks lifted", "instances", "MB")
_COLORS = {"base": "#4477aa", "novel": "#ee6677", "other": "#999999"}


def add_attribution(folder: Path, attribution: Attribution) -> None:
    """Add models, with their creators and licences, to the list beside the scenes."""
    path = folder / ATTRIBUTION
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    _write_json(path, dict(sorted({**known, **attribution}.items())))


def write_classes(scenes: SceneSet) -> Mapping[str, int]:
    """Write how often each class occurs, as JSON and as a picture; a home with several sources of masks counts once."""
    worlds = {entry.name.rpartition("-")[0]: entry.classes for entry in scenes.entries}
    counts: Counter[str] = sum((Counter(classes) for classes in worlds.values()), Counter())
    ordered = dict(counts.most_common())
    _write_json(scenes.folder / CLASSES, {"worlds": len(worlds), "instances": ordered})
    with atomic_write(scenes.folder / HISTOGRAM) as temporary:
        _histogram(ordered, len(worlds)).savefig(temporary, dpi=100)
    return ordered


def set_table(scenes: SceneSet) -> Table:
    """One line a scene."""
    table = Table("scene", "split", "masks", *_COLUMNS)
    for entry in scenes.entries:
        counts = (entry.points, entry.views, entry.lifted, sum(entry.classes.values()))
        table.add_row(
            escape(entry.name),
            escape(entry.split),
            escape(entry.masks),
            *map(str, counts),
            f"{scenes.megabytes(entry.name):.2f}",
        )
    total = sum(scenes.megabytes(name) for name in scenes.names)
    table.caption = f"{len(scenes)} scenes, {total:.1f} MB with their clean vertices"
    return table


def scene_table(scene: LabelledScene, path: Path) -> Table:
    """One scene in one line, its instances by name below."""
    table = Table("scene", *_COLUMNS)
    names = Counter(scene.truth.names.values()) if scene.truth else Counter[str]()
    counts = (len(scene.cloud), len(scene.views), len(scene.lifted), sum(names.values()))
    table.add_row(escape(scene.name), *map(str, counts), f"{path.stat().st_size / 1e6:.2f}")
    table.caption = escape(", ".join(f"{count} {name}" for name, count in names.most_common())) or "no truth"
    return table


def _histogram(counts: Mapping[str, int], worlds: int) -> Figure:
    figure = Figure(figsize=(7.0, 1.2 + 0.16 * len(counts)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(counts)), list(counts.values()), color=[_COLORS[_split(name)] for name in counts])
    axes.set_yticks(range(len(counts)), list(counts), fontsize=7)
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("instances")
    axes.set_title(f"{sum(counts.values())} instances of {len(counts)} classes in {worlds} worlds", fontsize=9)
    for split, color in _COLORS.items():
        axes.barh([0], [0], color=color, label=f"{split} class")
    axes.legend(loc="lower right", fontsize=7)
    return figure


def _split(name: str) -> str:
    return next((split for split in ("base", "novel") if name in scannet200_split(split)), "other")


def _write_json(path: Path, content: object) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
