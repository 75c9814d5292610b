"""Scenes from files to a report: what `ovseg3r evaluate` does."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ovseg3r_core.evaluation.benchmark_files import SceneFiles, find_scenes, read_pair, repeated_masks
from ovseg3r_core.evaluation.report import BenchmarkReport, SceneScores, report_of, score_scene
from ovseg3r_core.evaluation.scannet200 import (
    EvaluatedClasses,
    scannet20_classes,
    scannet200_classes,
    vocabulary_classes,
)
from ovseg3r_core.language.vocabulary import load_vocabulary

Protocol = Literal["scannet200", "scannet20", "class-agnostic"]
_MOST_WORKERS = 4  # each holds the masks of one scene, which can be 200 MB


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A report, and what its reader must know."""

    report: BenchmarkReport
    missing: tuple[str, ...]
    """Scenes that nobody predicted anything for; they count as found nothing."""
    repeated: Mapping[str, int]
    """Lines that each scene lost since a later one names the same mask file."""
    hints: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report, and the scenes that are not whole."""
        return self.report.to_json() | {"missing_scenes": list(self.missing), "repeated_masks": dict(self.repeated)}

    def warnings(self) -> list[str]:
        """One line each."""
        told = list(self.hints)
        if self.missing:
            some = ", ".join(self.missing[:3]) + (", ..." if len(self.missing) > 3 else "")
            told.append(
                f"{len(self.missing)} of {self.report.scenes} scenes have no predictions and count as found nothing: "
                f"{some}"
            )
        if self.repeated:
            told.append(
                f"{sum(self.repeated.values())} lines name a mask file that a later line names too; like the "
                "benchmark, only the last counts: write the mask once for each of its labels"
            )
        return told


def evaluate_files(
    predictions: Path,
    ground_truth: Path,
    protocol: Protocol = "scannet200",
    vocabulary: str | None = None,
    *,
    advance: Callable[[int], None] = lambda scenes: None,
) -> Evaluation:
    """Read and judge every scene, several at a time; the masks of a scene are gone once it is judged.

    Args:
        vocabulary: whose label ids are used; None for the protocol's own.
        advance: is told how many scenes there are each time that one is done.
    """
    classes = classes_of(protocol, vocabulary)
    files = find_scenes(predictions, ground_truth)
    repeated = repeated_masks(files)

    def score(scene: SceneFiles) -> SceneScores:
        scores = score_scene(read_pair(scene, classes, named=protocol != "class-agnostic"), classes)
        advance(len(files))
        return scores

    with ThreadPoolExecutor(max_workers=min(_MOST_WORKERS, len(files), os.cpu_count() or 1)) as pool:
        try:
            scored = list(pool.map(score, files))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # the first bad file is the answer, not the last
            raise
    report = report_of(scored, classes, protocol)
    return Evaluation(
        report=report,
        missing=tuple(scene.scene for scene in files if scene.predicted is None),
        repeated=repeated,
        hints=_hints(files, report, vocabulary),
    )


def classes_of(protocol: Protocol, vocabulary: str | None) -> EvaluatedClasses:
    """The valid classes: a vocabulary's where one is given, else the protocol's; class-agnostic takes ScanNet200's."""
    if vocabulary is not None:
        return vocabulary_classes(load_vocabulary(vocabulary))
    return scannet20_classes() if protocol == "scannet20" else scannet200_classes()


def _hints(files: list[SceneFiles], report: BenchmarkReport, vocabulary: str | None) -> tuple[str, ...]:
    hints = []
    beside = files[0].truth.with_name("vocabulary.txt")
    if vocabulary is None and files[0].truth.suffix == ".txt" and beside.is_file():
        hints.append(
            f"label ids are read as {report.vocabulary}'s, but {beside} lies beside the truth: "
            "if they are its line numbers, give it with --vocabulary"
        )
    others = report.left_out["true_instances_of_other_classes"]
    if not report.true_instances:
        hints.append(
            f"nothing to find: no true instance of 100 vertices has a label id of {report.vocabulary} "
            f"({others} have others, {report.left_out['small_true_instances']} are smaller)"
        )
    return tuple(hints)
