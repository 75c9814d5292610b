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
    """One line a scene, the totals below, and why masks and frames were left out."""
    whole = total(list(figures.values()))
    table = Table(show_footer=len(figures) > 1, padding=0)  # a scene's name is long, and a terminal may be narrow
    table.add_column("scene", f"{len(figures)} scenes", overflow="fold")
    for name, footer in zip(_COLUMNS, _row(whole), strict=True):
        table.add_column(name, footer, justify="right", no_wrap=True)
    for name, it in figures.items():
        table.add_row(escape(name), *_row(it))
    reasons = _reasons(whole.masks_left_out), _reasons(whole.frames_left_out)
    table.caption = f"masks: lifted, a view; left out: masks: {reasons[0]}; frames: {reasons[1]}"
    return table


_COLUMNS = ("points", "views", "seen", "covered", "masks", "named", "left out", "s")


def _row(figures: LabelFigures) -> tuple[str, ...]:
    masks, frames = sum(figures.masks_left_out.values()), sum(figures.frames_left_out.values())
    return (
        str(figures.points),
        str(figures.views),
        f"{figures.seen:.0%}",
        f"{figures.covered:.0%}",
        f"{figures.masks_a_view:.1f}",
        f"{figures.named:.0%}",
        f"{masks}; {frames}",
        f"{sum(figures.seconds.values()):.0f}",
    )


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {escape(reason)}" for reason, count in counts.items()) or "none"


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
