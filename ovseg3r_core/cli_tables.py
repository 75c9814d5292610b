"""What the command line prints: results as tables, reports as a few lines."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ovseg3r_core.types import QueryResult

if TYPE_CHECKING:
    from ovseg3r_core.evaluation.report import BenchmarkReport
    from ovseg3r_core.language.naming import Namer
    from ovseg3r_core.mapping.snapshot import MapSnapshot
    from ovseg3r_core.view_labels import ViewLabels


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
        f"{report['keyframes']} keyframes, {report['masks']} masks; dropped: {_dropped(report)}\n"
        f"{seconds['total']:.0f} s in all, {seconds.get('masks', 0):.0f} s of it for masks; "
        f"peak memory {report['peak_memory_mb'] / 1024:.1f} GiB\n"
        f"segmenter: {took_part}\n"
        f"{folder / 'preview.png'}  {folder / 'objects.json'}  {folder / 'recording.rrd'}"
    )


def reconstruction_text(report: Mapping[str, Any], folder: Path) -> Text:
    """How many frames have a pose, how far from the recorded poses, and where it is."""
    frames, error = report["frames"], report["against_recorded_poses"]
    compared = ""
    if error:
        compared = (
            f"against the recorded poses: ATE {100 * error['ate_m']:.1f} cm, RPE {1000 * error['rpe_m']:.1f} mm and "
            f"{np.degrees(error['rpe_rad']):.2f} degrees a frame, over {error['frames']} frames"
            f"{'' if report['scale_known'] else ', stretched to fit them'}\n"
        )
    how = _by_structure(report) if report["from"] == "colour" else _by_odometry(report)
    return Text(
        f"{frames['posed']} of {frames['read']} frames placed; without a pose: {_dropped(report)}\n{compared}{how}"
        f"{folder / 'preview.png'}  {folder / 'trajectory.txt'}  {folder / 'cloud.ply'}"
    )


def _by_odometry(report: Mapping[str, Any]) -> str:
    frames, seconds = report["frames"]["read"], report["seconds"]
    return (
        f"{report['keyframes']} keyframes, {report['loops']} loops, {report['points']} points; "
        f"{1000 * seconds['track'] / max(frames, 1):.0f} ms a frame to track, {seconds['loops']:.1f} s for loops\n"
    )


def _by_structure(report: Mapping[str, Any]) -> str:
    seconds, camera = report["seconds"], report["intrinsics"]
    return (
        f"{report['points']} points; scale: {report['scale']}\n"
        f"intrinsics {'given' if camera['known'] else 'estimated'}: fx {camera['fx']:.1f}, fy {camera['fy']:.1f}, "
        f"cx {camera['cx']:.1f}, cy {camera['cy']:.1f}; points are seen within {report['reprojection_px']:.2f} px, "
        f"{100 * report['depth_share']:.0f} % of the pixels have depth\n"
        f"{seconds['read']:.0f} s to read, {seconds['structure']:.0f} s for poses, {seconds['depth']:.0f} s for depth\n"
    )


def _dropped(report: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(report["drops"].items())) or "none"


def superpoints_text(
    superpoint: Int64[ndarray, " points"], labels: "ViewLabels | None", seconds: float, path: Path
) -> Text:
    """What was made, of what, and where it is."""
    sizes = np.bincount(superpoint)
    median = f", median size {np.median(sizes):.0f}" if len(sizes) else ""
    masks = "" if labels is None else f"; masks of {np.count_nonzero(np.bincount(labels.view))} views"
    return Text(f"{len(superpoint)} points, {len(sizes)} superpoints{median}{masks}; {seconds:.2f} s\n{path}")


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


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal; a dash where there is none, or it is not a number."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def weights_table() -> Table:
    """The weights there are, and which are here: in the cache, or inside this package."""
    from ovseg3r_core import models, shipped

    table = Table("name", "what", "from", "licence", "MB", "here")
    for model in models.MANIFEST:
        source = f"{model.registry} {model.package} {model.version}"
        table.add_row(
            model.name, model.about, source, model.licence, f"{model.bytes / 1e6:.1f}", whether_here(model.name)
        )
    size = f"{shipped.path().stat().st_size / 1e6:.1f}" if shipped.path().is_file() else "-"
    table.add_row(shipped.NAME, shipped.ABOUT, "this package", shipped.LICENCE, size, whether_here(shipped.NAME))
    return table


def whether_here(name: str) -> str:
    """Whether some weights are on this machine, and whole."""
    from ovseg3r_core import models

    try:
        models.find(name)
    except models.MissingModel:
        return "no"
    except models.DamagedModel:
        return "[red]damaged[/]"
    return "yes"


def metres(xyz: tuple[float, float, float]) -> str:
    """Three lengths, to the centimetre."""
    return " ".join(f"{value:.2f}" for value in xyz)
