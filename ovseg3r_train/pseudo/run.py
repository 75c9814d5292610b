"""Many recordings labelled: on one machine or on a cluster, with a progress bar, and a report at the end."""

import os
from collections.abc import Iterator, Sequence

import psutil
from rich.console import Console
from rich.markup import escape

from ovseg3r_core.progress import progress_bar
from ovseg3r_train.make_scenes import Outcome, jobs_left, run_jobs
from ovseg3r_train.pseudo.recording_job import RecordingJob, make
from ovseg3r_train.pseudo.report import REPORT, report_table, write_report
from ovseg3r_train.ray_jobs import run_on_ray
from ovseg3r_train.scene_set import SceneSet

_WORKER_BYTES = 4e9  # networks 1 GB, keyframes 2 MB each and the volume the rest


def pseudo_label(
    jobs: Sequence[RecordingJob], scenes: SceneSet, out: Console, err: Console, *, workers: int = 0, ray: str = ""
) -> bool:
    """Label the recordings that are not labelled yet and say how it went; whether all of them succeeded.

    Args:
        workers: processes at once; 0 for as many as this machine, or the cluster, has room for.
        ray: the address of a cluster; empty for this machine alone.
    """
    with err.status("looking at what is there"):
        left = jobs_left(jobs, scenes)
    failed: dict[str, str] = {}
    with progress_bar(err) as progress:
        task = progress.add_task("recordings", total=len(jobs), completed=len(jobs) - len(left))
        for outcome in _outcomes(left, workers, ray):
            progress.advance(task)
            for doubt in outcome.doubts:
                said = f"[bold yellow]warning:[/] {escape(outcome.job.world)}: {escape(doubt)}"
                progress.console.print(said, highlight=False, soft_wrap=True)
            if outcome.error is not None:
                failed[outcome.job.world] = outcome.error
                said = f"[bold red]failed:[/] {escape(outcome.job.world)}: {escape(outcome.error)}"
                progress.console.print(said, highlight=False, soft_wrap=True)
    figures = write_report(SceneSet(scenes.folder), failed)
    asked = {job.name(masks) for job in jobs for masks in job.masks}
    out.print(report_table({name: it for name, it in figures.items() if name in asked}))
    out.print(
        f"{escape(str(scenes.folder / REPORT))}: {len(jobs) - len(left)} recordings were labelled already, "
        f"{len(left) - len(failed)} were labelled, {len(failed)} failed",
        highlight=False,
        soft_wrap=True,
    )
    return not failed


def workers_that_fit(device: str) -> int:
    """How many processes this machine has room for: two cores and 4 GB each; one where a GPU does the work."""
    room = min((os.cpu_count() or 1) // 2, int(psutil.virtual_memory().available / _WORKER_BYTES))
    return 1 if device == "cuda" else max(1, room)


def _outcomes(left: Sequence[RecordingJob], workers: int, ray: str) -> Iterator[Outcome[RecordingJob]]:
    if not left:
        return iter(())
    if ray:
        return run_on_ray(left, make, ray, at_once=workers, gpus=1.0 if left[0].device == "cuda" else 0.0)
    return run_jobs(left, make, min(workers or workers_that_fit(left[0].device), len(left)))
