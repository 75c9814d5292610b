"""The verb `evaluate`: predicted instances against true ones, by the rules of the ScanNet benchmark."""

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ovseg3r_core.commands.app import err, out, warn
from ovseg3r_core.commands.options import AsJson
from ovseg3r_core.commands.tables import percent

if TYPE_CHECKING:
    from ovseg3r_core.evaluation.report import BenchmarkReport


class Protocol(str, Enum):
    """Whose classes and label ids `evaluate` goes by."""

    scannet200 = "scannet200"
    scannet20 = "scannet20"
    class_agnostic = "class-agnostic"


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="<scene>.txt in the benchmark's format, their folder, or the --out of a segment run.")
    ],
    ground_truth: Annotated[
        Path,
        typer.Argument(help="<scene>.txt with 1000 * label id + instance a vertex, a PLY with instances, or a folder."),
    ],
    protocol: Annotated[
        Protocol, typer.Option(help="Whose classes and label ids; class-agnostic counts any name as right.")
    ] = Protocol.scannet200,
    vocabulary: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="One name a line: label ids are its line numbers, from 1, on both sides."),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.json", help="Write the JSON there as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score predicted instances by the rules of the ScanNet benchmark: AP, AP50 and AP25, Top-K and Top-1.

    A scene of the truth without predictions counts as found nothing.
    """
    from rich.progress import Progress

    from ovseg3r_core.evaluation.evaluate import evaluate_files
    from ovseg3r_core.outputs import write_json

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("scenes", total=None)
        result = evaluate_files(
            predictions,
            ground_truth,
            protocol.value,
            vocabulary,
            advance=lambda scenes: progress.update(task, total=scenes, advance=1),
        )
    for warning in result.warnings():
        warn(warning)
    if out_file:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(out_file, result.to_json())
    if as_json:
        out.print_json(json.dumps(result.to_json()))
    else:
        if result.report.top_k.classes:
            out.print(classes_table(result.report))
        out.print(precision_table(result.report))


def precision_table(report: "BenchmarkReport") -> Table:
    """Average precision in percent: over all classes, over groups, and whatever the names."""
    table = Table("", "classes", "AP", "AP50", "AP25", "Top-1 AP", "AP50", "AP25")
    pairs = [("all classes", report.top_k.overall, report.top_1.overall)]
    if report.protocol == "class-agnostic":
        pairs = []
    pairs += [(group, mean, report.top_1.groups[group]) for group, mean in report.top_k.groups.items()]
    pairs += [("any name", report.top_k.class_agnostic, report.top_1.class_agnostic)]
    for name, top_k, top_1 in pairs:
        figures = (top_k.ap, top_k.ap50, top_k.ap25, top_1.ap, top_1.ap50, top_1.ap25)
        table.add_row(name, str(top_k.classes), *map(percent, figures))
    left_out = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in report.left_out.items() if count)
    table.caption = (
        f"{report.scenes} scenes, {report.true_instances} true instances, {report.top_k.predictions} predictions, "
        f"label ids of {escape(report.vocabulary)}; left out: {left_out or 'nothing'}"
    )
    return table


def classes_table(report: "BenchmarkReport") -> Table:
    """Average precision in percent of the classes that are there, as the predictions are given (Top-K)."""
    table = Table("id", "class", "AP", "AP50", "AP25", "true instances", "predictions")
    there = [row for row in report.top_k.classes if row.true_instances]
    for row in there:
        figures = map(percent, (row.ap, row.ap50, row.ap25))
        table.add_row(str(row.id), escape(row.name), *figures, str(row.true_instances), str(row.predictions))
    absent = sum(row.predictions for row in report.top_k.classes if not row.true_instances)
    table.caption = f"and {absent} predictions of classes that the truth has nothing of: no figure counts them"
    return table
