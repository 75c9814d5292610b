"""`pseudo_labels.json` beside the scenes, and the same as a short table: are the labels any good?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from ovseg3r_core.checks import Rejected
from ovseg3r_core.outputs import write_json
from ovseg3r_train.pseudo.figures import LabelFigures, figures_told_by, read_figures, total
from ovseg3r_train.scene_set import SceneEntry, SceneSet

REPORT = "pseudo_labels.json"
_FORMAT, _VERSION = "ovseg3r-pseudo-labels", 1


def write_report(scenes: SceneSet, failed: Mapping[str, str]) -> dict[str, LabelFigures]:
    """Write the report of all pseudo-labelled scenes of a set, whenever they were made; gives their figures by name.

    Args:
        failed: why each recording failed that did, in the run that ends now.
    """
    path = scenes.folder / REPORT
    known, figures, told = _known(path), dict[str, LabelFigures](), dict[str, Any]()
    for entry in scenes.entries:
        found = _figures(scenes, entry, known)
        if found is not None:
            figures[entry.name] = found
            about = {"sha256": entry.sha256, "split": entry.split, "masks": entry.masks}
            told[entry.name] = about | found.to_json()
    totals = {"scenes": len(figures), **total(list(figures.values())).to_json()}
    content = {"format": _FORMAT, "version": _VERSION, "scenes": told, "failed": dict(failed), "totals": totals}
    write_json(path, content)
    return figures


def report_table(figures: Mapping[str, LabelFigures]) -> Table:
    """One line a scene, and the totals below."""
    table = Table("scene", show_footer=len(figures) > 1)
    table.columns[0].footer = f"{len(figures)} scenes"
    rows = {name: _row(it) for name, it in figures.items()}
    footer = _row(total(list(figures.values())))
    for place, column in enumerate(_COLUMNS):
        table.add_column(column, footer[place], justify="right")
    for name, row in rows.items():
        table.add_row(escape(name), *row)
    return table


_COLUMNS = ("points", "views", "seen", "covered", "masks a view", "named", "masks left out", "frames left out", "s")


def _row(figures: LabelFigures) -> tuple[str, ...]:
    return (
        str(figures.points),
        str(figures.views),
        f"{figures.seen:.0%}",
        f"{figures.covered:.0%}",
        f"{figures.masks_a_view:.1f}",
        f"{figures.named:.0%}",
        _reasons(figures.masks_left_out),
        _reasons(figures.frames_left_out),
        f"{sum(figures.seconds.values()):.0f}",
    )


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {escape(reason)}" for reason, count in counts.items()) or "0"


def _known(path: Path) -> Mapping[str, Any]:
    """The scenes of the report that is there; without one, or where it cannot be used, all are read again."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return content["scenes"] if (content["format"], content["version"]) == (_FORMAT, _VERSION) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _figures(scenes: SceneSet, entry: SceneEntry, known: Mapping[str, Any]) -> LabelFigures | None:
    told = known.get(entry.name)
    if isinstance(told, dict) and told.get("sha256") == entry.sha256:  # nothing of it has changed
        try:
            return read_figures(told, entry.name)
        except Rejected:
            pass
    if not scenes.is_whole(entry.name):
        return None
    return figures_told_by(scenes.load(entry.name, clean=False))
