"""Methods side by side on a folder of scenes: every method on every scene, then one row a method and kind of points."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_train.benchmark.cost import Cost, CostMeter
from ovseg3r_train.benchmark.found_files import load_found, save_found
from ovseg3r_train.benchmark.measures import Judged, on_clean_vertices, on_reconstruction
from ovseg3r_train.benchmark.methods import Method, methods_named
from ovseg3r_train.benchmark.table import Points, Row, row_of
from ovseg3r_train.scene_set import SceneEntry, SceneSet


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One scene, the methods to run on it, and where what they find goes."""

    scenes: Path
    entry: SceneEntry
    methods: tuple[str, ...]
    cache: Path

    @property
    def kind(self) -> tuple[str, str]:
        """Source of masks, and sensor: scenes that differ in these are never mixed."""
        return self.entry.masks, self.entry.sensor

    def file(self, method: str) -> Path:
        """What a method found; a scene that was made anew has another checksum, and nothing was found in it yet."""
        return self.cache / f"{self.entry.name}-{self.entry.sha256[:12]}" / f"{method}.safetensors"


def compare(
    folder: Path,
    entries: Sequence[SceneEntry],
    methods: Sequence[Method],
    cache: Path,
    *,
    workers: int,
    on_scene: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Run the methods on every scene and judge them, one row a source of masks, sensor, method and kind of points.

    Args:
        folder: of the set that the entries are of.
        cache: folder for what was found; what is there for the same scene file is not computed again.
        workers: processes; with more than one, seconds are those of a busy machine.
        on_scene: called after each scene.

    Raises:
        ValueError: there are no scenes, or one is without truth.
    """
    if not entries:
        raise ValueError(f"{folder} holds no such scenes to compare on: see `ovseg3r-train show`")
    names = tuple(method.name for method in methods)
    tasks = [_Task(scenes=folder, entry=entry, methods=names, cache=cache) for entry in entries]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for _ in pool.map(_find, tasks):
            on_scene()
        return _judge_all(tasks, methods, pool)


def _find(task: _Task) -> None:
    wanted = [method for method in methods_named(task.methods) if not task.file(method.name).exists()]
    if not wanted:
        return
    scene = SceneSet(task.scenes).load(task.entry.name, clean=False)
    for method in wanted:
        with CostMeter() as meter:
            found = method.find(scene)
        save_found(task.file(method.name), found, meter.cost)


def _judge_all(tasks: Sequence[_Task], methods: Sequence[Method], pool: ProcessPoolExecutor) -> list[Row]:
    kinds = sorted({task.kind for task in tasks})
    of_kind = {kind: [task for task in tasks if task.kind == kind] for kind in kinds}
    pairs = [(method, kind) for kind in kinds for method in methods]
    rows = pool.map(_rows, [method.name for method, _ in pairs], [of_kind[kind] for _, kind in pairs])
    return [row for some in rows for row in some]


def _rows(name: str, tasks: Sequence[_Task]) -> list[Row]:
    """The rows of one method over the scenes with one source of masks and one sensor."""
    (method,) = methods_named([name])
    namer = Namer(scannet200(), MiniLm())
    judged: dict[Points, list[Judged]] = {"reconstruction": [], "clean": []}
    costs: list[Cost] = []
    for task in tasks:
        scene = SceneSet(task.scenes).load(task.entry.name)
        found, cost = load_found(task.file(name))
        costs.append(cost)
        judged["reconstruction"].append(on_reconstruction(scene, found, namer))
        if scene.clean is not None:
            judged["clean"].append(on_clean_vertices(scene, found, namer))
    masks, sensor = tasks[0].kind
    return [row_of(method.title, masks, sensor, points, items, costs) for points, items in judged.items() if items]
