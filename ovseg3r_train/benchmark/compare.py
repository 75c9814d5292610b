"""Methods side by side on a folder of scenes: every method on every scene, then one row a method and kind of points."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_train.benchmark.cost import Cost, CostMeter
from ovseg3r_train.benchmark.found_files import load_found, save_found
from ovseg3r_train.benchmark.measures import Judged, nearest_points, on_clean_vertices, on_reconstruction
from ovseg3r_train.benchmark.methods import Method, methods_named
from ovseg3r_train.benchmark.table import Points, Row, row_of
from ovseg3r_train.scene_set import SceneEntry, SceneSet


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One scene, the methods to run on it, and where what they find goes."""

    scenes: Path
    entry: SceneEntry
    methods: tuple[str, ...]
    checkpoint: Path | None
    """Of the segmenter, where it is among the methods."""
    cache: Path

    @property
    def kind(self) -> tuple[str, str]:
        """Source of masks, and sensor: scenes that differ in these are never mixed."""
        return self.entry.masks, self.entry.sensor

    def file(self, method: Method) -> Path:
        """What a method found; with another checksum of scene or weights, nothing was found yet."""
        name = f"{method.name}-{method.weights[:12]}" if method.weights else method.name
        return self.cache / f"{self.entry.name}-{self.entry.sha256[:12]}" / f"{name}.safetensors"


_Result = dict[str, tuple[Mapping[Points, Judged], Cost]]
"""Of each method in one scene: the verdicts on both kinds of points, and what it cost."""


def compare(
    folder: Path,
    entries: Sequence[SceneEntry],
    methods: Sequence[Method],
    cache: Path,
    *,
    workers: int,
    checkpoint: Path | None = None,
    on_scene: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Run the methods on every scene and judge them, one row a source of masks, sensor, method and kind of points.

    Args:
        folder: of the set that the entries are of.
        cache: folder for what was found; what is there for the same scene file is not computed again.
        checkpoint: of the segmenter, where it is among the methods.
        workers: processes; with more than one, seconds are those of a busy machine.
        on_scene: called after each scene.

    Raises:
        ValueError: there are no scenes, or one is without truth.
    """
    if not entries:
        raise ValueError(f"{folder} holds no such scenes to compare on: see `ovseg3r-train show`")
    names = tuple(method.name for method in methods)
    tasks = [_Task(scenes=folder, entry=entry, methods=names, checkpoint=checkpoint, cache=cache) for entry in entries]
    results: dict[tuple[str, str], list[_Result]] = {kind: [] for kind in sorted({task.kind for task in tasks})}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for task, result in zip(tasks, pool.map(_run, tasks), strict=True):
            results[task.kind].append(result)
            on_scene()
    return [row for kind, of_kind in results.items() for method in methods for row in _rows(method, kind, of_kind)]


def _run(task: _Task) -> _Result:
    """Find with every method, where that was not done before, and judge."""
    scene = SceneSet(task.scenes).load(task.entry.name)
    nearest = nearest_points(scene) if scene.clean is not None else None
    result: _Result = {}
    for method in methods_named(task.methods, task.checkpoint):
        path = task.file(method)
        if not path.exists():
            with CostMeter() as meter:
                found = method.find(scene)
            save_found(path, found, meter.cost)
        found, cost = load_found(path)
        judged: dict[Points, Judged] = {"reconstruction": on_reconstruction(scene, found, _namer())}
        if nearest is not None:
            judged["clean"] = on_clean_vertices(scene, found, _namer(), nearest)
        result[method.name] = judged, cost
    return result


@cache
def _namer() -> Namer:
    """One a process: loading the text encoder takes longer than judging a scene."""
    return Namer(scannet200(), MiniLm())


def _rows(method: Method, kind: tuple[str, str], results: Sequence[_Result]) -> Iterator[Row]:
    """The rows of one method over the scenes with one source of masks and one sensor."""
    costs = [result[method.name][1] for result in results]
    for points in get_args(Points):
        if judged := [result[method.name][0][points] for result in results if points in result[method.name][0]]:
            yield row_of(method.title, *kind, points, judged, costs)
