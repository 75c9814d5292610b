"""The paper's ablation (method 1.6) on scenes with truth: one training a row and seed, one table, one picture.

Rows differ from `full` in one switch. Trainings run side by side in processes that share the examples; what is done
lies in its folder and is not done again.
"""

import json
import multiprocessing
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from scipy.stats import t as student

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.config import with_settings
from ovseg3r_core.segmenter.checkpoint import Card, save_segmenter
from ovseg3r_train.learning.example import Example, SuperpointKind
from ovseg3r_train.training.config import TrainConfig
from ovseg3r_train.training.prepare import class_rows
from ovseg3r_train.training.trainer import Run, Texts, train
from ovseg3r_train.training.validate import Precision, validate

ROWS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "without VIP": {"lessons.partition": "none"},
    "without IBSp": {"lessons.superpoints": "geometry"},
    "10 % of the videos": {"lessons.pseudo_share": 0.1},
    "no videos": {"lessons.pseudo_scenes": 0},
    "every class labelled": {"lessons.classes": "all", "lessons.pseudo_scenes": 0},
    "views told of each other": {"lessons.associate_views": True},
    "matched elsewhere spared": {"lessons.spare_matched": True},
    "soft names": {"losses.name_softness": 0.05},
    "nameless masks too": {"lessons.nameless_masks": "learn"},
    "masks weighed": {"lessons.weigh_masks": True},
    "silence doubted": {"lessons.doubt_silence": True},
}
"""What each row changes of the settings."""
DONE = "precision.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What all rows learn from and are judged on, for each kind of superpoint that a row asks for."""

    learned: Mapping[SuperpointKind, Sequence[Example]]
    judged: Mapping[SuperpointKind, Sequence[Example]]
    texts: Texts


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row with one seed."""

    row: str
    seed: int
    folder: Path

    def config(self, common: TrainConfig) -> TrainConfig:
        """The common settings, and what the row changes."""
        return with_settings(common, {"seed": self.seed, **ROWS[self.row]})


def jobs_of(folder: Path, rows: Mapping[str, int]) -> list[Job]:
    """The trainings of an ablation.

    Args:
        rows: how many seeds of each row.

    Raises:
        ValueError: there is no such row.
    """
    if unknown := sorted(rows.keys() - ROWS.keys()):
        raise ValueError(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return [
        Job(row=row, seed=seed, folder=folder / f"{row.replace(' %', '').replace(' ', '_')}-{seed}")
        for row, seeds in rows.items()
        for seed in range(seeds)
    ]


def ablate(
    jobs: Sequence[Job], common: TrainConfig, material: Material, *, device: str, side_by_side: int, workers: int
) -> dict[str, list[Precision]]:
    """Train and judge what is not done yet; the results by row.

    Args:
        side_by_side: how many trainings run at the same time; GPUs are dealt out in turn.

    Raises:
        RuntimeError: a training failed; the others were finished.
    """
    left = [job for job in jobs if not (job.folder / DONE).is_file()]
    failed = _run_all(left, common, material, device, side_by_side, workers)
    if failed:
        raise RuntimeError(f"{', '.join(failed)} failed; what is done stays, the same call goes on with the rest")
    results: dict[str, list[Precision]] = {}
    for job in jobs:
        results.setdefault(job.row, []).append(Precision(**json.loads((job.folder / DONE).read_text("utf-8"))))
    return results


def _run_all(
    left: Sequence[Job], common: TrainConfig, material: Material, device: str, side_by_side: int, workers: int
) -> list[str]:
    if side_by_side == 1:
        for job in left:
            run_job(job, common, material, device, workers)
        return []
    context = multiprocessing.get_context("fork")  # the examples are shared, not copied
    running: list[tuple[Job, Any]] = []
    failed = []
    for number, job in enumerate(left):
        if len(running) == side_by_side:
            failed += _ended(*running.pop(0))
        process = context.Process(target=_on_gpu, args=(number, job, common, material, device, workers))
        process.start()
        running.append((job, process))
    for job, process in running:
        failed += _ended(job, process)
    return failed


def _ended(job: Job, process: Any) -> list[str]:
    process.join()
    return [] if process.exitcode == 0 else [job.folder.name]


def _on_gpu(number: int, job: Job, common: TrainConfig, material: Material, device: str, workers: int) -> None:
    if device == "cuda":  # CUDA is first used here, not in the parent, so that each child sees a GPU of its own
        all_ = ",".join(str(gpu) for gpu in range(torch.cuda.device_count()))
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", all_).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
    torch.set_num_threads(1)
    run_job(job, common, material, device, workers)


def run_job(job: Job, common: TrainConfig, material: Material, device: str, workers: int) -> Precision:
    """Train one row with one seed, and judge it on the scenes that it did not learn from."""
    config = job.config(common)
    kind = config.lessons.superpoints
    make_folder(job.folder)
    run = Run(folder=job.folder, device=device, workers=workers, validate_every=config.steps + 1)
    segmenter = train(config, material.learned[kind], material.texts, run)
    rows = class_rows(material.texts).to(next(segmenter.parameters()).device)
    found = validate(segmenter, material.judged[kind], rows)
    card = Card(config=segmenter.config, encoder=material.texts.encoder, metrics=asdict(found))
    save_segmenter(job.folder / "segmenter.safetensors", segmenter, card)
    with atomic_write(job.folder / DONE) as part:
        part.write_text(json.dumps(asdict(found), indent=1), "utf-8")
    return found


def as_table(results: Mapping[str, Sequence[Precision]]) -> Table:
    """Mean over the seeds, and half the width of the 95 % interval where there are several."""
    table = Table(title="ablation")
    measures = ("ap", "ap50", "base_ap", "novel_ap", "novel_ap50", "any_ap", "any_ap50")
    for title in ("row", "seeds", *measures):
        table.add_column(title.replace("_", " "))
    for row, found in results.items():
        cells = [spread([getattr(it, measure) for it in found]) for measure in measures]
        table.add_row(row, str(len(found)), *(f"{m:.1f}" + (f" ± {h:.1f}" if h else "") for m, h in cells))
    return table


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and half the width of its 95 % interval (Student's t); 0 for a single value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def write(results: Mapping[str, Sequence[Precision]], folder: Path) -> None:
    """Every number as ablation.json, the table's main ones as ablation.png."""
    rows = {row: [asdict(it) for it in found] for row, found in results.items()}
    with atomic_write(folder / "ablation.json") as part:
        part.write_text(json.dumps(rows, indent=1), "utf-8")
    draw(results, folder / "ablation.png")


def draw(results: Mapping[str, Sequence[Precision]], path: Path) -> None:
    """Base and novel precision of each row, with every seed as a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 0.6 * len(results) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    for shift, (measure, colour) in enumerate((("base_ap", "tab:blue"), ("novel_ap", "tab:orange"))):
        for place, found in enumerate(results.values()):
            values = [getattr(it, measure) for it in found]
            at = place + 0.38 * shift
            axes.barh(at, statistics.fmean(values), height=0.36, color=colour, label=None if place else measure[:-3])
            axes.plot(values, [at] * len(values), "k.", markersize=4)
    axes.set(yticks=[place + 0.19 for place in range(len(results))], yticklabels=list(results), xlabel="AP, percent")
    axes.invert_yaxis()
    axes.legend()
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=110)
