"""What several verbs print of objects and of runs."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ovseg3r_core.types import QueryResult

if TYPE_CHECKING:
    from ovseg3r_core.language.naming import Namer
    from ovseg3r_core.mapping.snapshot import MapSnapshot


def objects_table(snapshot: "MapSnapshot", namer: "Namer") -> Table:
    """The objects of a map, named ones first; what has no name is only counted."""
    from ovseg3r_core.language.vocabulary import UNNAMED
    from ovseg3r_core.outputs import named

    records = [named(record, namer) for record in snapshot.objects]
    known = sorted((r for r in records if r.label != UNNAMED), key=lambda r: (r.label, -r.score))
    table = Table("id", "label", "score", "views", "points", *_lengths(snapshot.scale_known))
    table.caption = f"and {len(records) - len(known)} objects without a name"
    for r in known:
        table.add_row(
            str(r.id),
            escape(r.label),
            f"{r.score:.2f}",
            str(r.observations),
            str(r.points),
            metres(r.centre),
            metres(r.box.size),
        )
    return table


def answer_table(result: QueryResult, *, scale_known: bool) -> Table:
    """The objects that answer a text, best first."""
    table = Table("id", "label", "score", "state", *_lengths(scale_known))
    for hit in result.hits:
        it = hit.object
        score = f"{hit.score:.2f}"
        table.add_row(str(it.id), escape(it.label), score, it.state, metres(it.centre), metres(it.box.size))
    return table


def _lengths(scale_known: bool) -> tuple[str, str]:
    return ("centre (m)", "size (m)") if scale_known else ("centre (unit unknown)", "size (unit unknown)")


def report_text(report: Mapping[str, Any], folder: Path) -> Text:
    """The report in four lines."""
    frames, seconds = report["frames"], report["seconds"]
    segmenter = report["segmenter"]
    took_part = f"{segmenter['instances']} instances" if segmenter["used"] else f"not used ({segmenter['reason']})"
    return Text(
        f"{frames['fused']} of {frames['read']} frames fused at {report['fused_frames_per_second']:.0f} frames/s, "
        f"{report['keyframes']} keyframes, {report['masks']} masks; dropped: {dropped(report)}\n"
        f"{seconds['total']:.0f} s in all, {seconds.get('masks', 0):.0f} s of it for masks; "
        f"peak memory {report['peak_memory_mb'] / 1024:.1f} GiB\n"
        f"segmenter: {took_part}\n"
        f"{folder / 'preview.png'}  {folder / 'objects.json'}  {folder / 'recording.rrd'}"
    )


def dropped(report: Mapping[str, Any]) -> str:
    """What was left out of a run, by reason."""
    return ", ".join(f"{count} {reason}" for reason, count in sorted(report["drops"].items())) or "none"


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal; a dash where there is none, or it is not a number."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def metres(xyz: tuple[float, float, float]) -> str:
    """Three lengths, to the centimetre."""
    return " ".join(f"{value:.2f}" for value in xyz)
