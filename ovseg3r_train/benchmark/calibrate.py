"""Calibration of a folder of scenes: a map of each, asked for what is there and what is not.

Maps are made with one look at all views, as a recording's final map is; walls, floor and ceiling answer as such.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.commands.tables import percent
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.structure import structure_of
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_train.baselines.ours import map_of_all_views
from ovseg3r_train.benchmark.calibration import Asked, AskedMap, Named, ask, named_objects
from ovseg3r_train.benchmark.calibration_plots import plot_calibration
from ovseg3r_train.benchmark.honesty import best_within, fit_trust, honesty, reliability, thresholds
from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.scene_set import SceneEntry, SceneSet


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """All answers with the masks of one source."""

    masks: str
    scenes: int
    asked: tuple[Asked, ...]
    named: tuple[Named, ...]


def map_of(scene: LabelledScene, config: PerceptionConfig | None = None) -> AskedMap:
    """What the map holds after one look at all views.

    Raises:
        ValueError: the scene has no truth.
    """
    if scene.truth is None:
        raise ValueError(f"{scene.name}: there is no truth to compare answers with")
    config = config or PerceptionConfig()
    objects = map_of_all_views(scene, config.mapping)
    poses = [view.T_map_camera for view in scene.views]
    planes = structure_of(scene.cloud, poses, config.tsdf.voxel_size_m, config.structure)
    objects.tell_structure(planes, config.structure)
    return AskedMap(
        scene=scene.name,
        objects=objects.records(),
        members=objects.ownership.points_of,
        truth=scene.truth,
        brought=frozenset(mask.label for mask in scene.lifted if mask.label is not None),
    )


def calibrate(
    folder: Path,
    entries: Sequence[SceneEntry],
    *,
    absent: int,
    workers: int,
    on_scene: Callable[[], None] = lambda: None,
) -> list[Calibration]:
    """Ask the maps of all scenes, one result a source of masks.

    Args:
        folder: of the set that the entries are of.
        absent: how many absent names each room is asked for.
        workers: processes.
        on_scene: called after each scene.

    Raises:
        ValueError: there are no scenes, or one is without truth.
    """
    if not entries:
        raise ValueError(f"{folder} holds no such scenes to ask about: see `ovseg3r-train show`")
    answers: dict[str, list[tuple[list[Asked], list[Named]]]] = {entry.masks: [] for entry in entries}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        count = len(entries)
        told = pool.map(_ask, [folder] * count, [entry.name for entry in entries], [absent] * count)
        for entry, answer in zip(entries, told, strict=True):
            answers[entry.masks].append(answer)
            on_scene()
    return [
        Calibration(
            masks=masks,
            scenes=len(rooms),
            asked=tuple(it for asked, _ in rooms for it in asked),
            named=tuple(it for _, named in rooms for it in named),
        )
        for masks, rooms in sorted(answers.items())
    ]


def write_calibration(folder: Path, results: Sequence[Calibration], lowest: float) -> list[Path]:
    """Write calibration.json and reliability.png; the paths of both.

    Args:
        lowest: value of `found_at` to draw curves from.
    """
    make_folder(folder)
    numbers, picture = folder / "calibration.json", folder / "reliability.png"
    with atomic_write(numbers) as temporary:
        temporary.write_text(json.dumps(as_json(results, lowest), indent=1, allow_nan=False), "utf-8")
    curves = {it.masks: thresholds(it.asked, lowest) for it in results}
    plot_calibration({it.masks: reliability(it.asked) for it in results}, curves, picture)
    return [numbers, picture]


def as_json(results: Sequence[Calibration], lowest: float) -> dict[str, Any]:
    """All figures, bins and curves, with null for what is not defined."""
    fit = fit_trust([it.named for it in results])
    return {
        "fit": {"label_bias": fit[0], "label_gain": fit[1]} if fit else None,
        "sources": [
            {
                "masks": it.masks,
                "scenes": it.scenes,
                "named_objects": len(it.named),
                "right_names": sum(item.right for item in it.named),
                **_defined(asdict(honesty(it.asked))),
                "reliability": [{"score": s, "right": r, "answers": n} for s, r, n in reliability(it.asked)],
                "thresholds": [_defined(asdict(at)) for at in thresholds(it.asked, lowest)],
            }
            for it in results
        ],
    }


def as_table(results: Sequence[Calibration], lowest: float) -> Table:
    """One row a source of masks; shares in percent.

    recall, of nameable: names that are there, `found`, the right object first; listed: `ambiguous` counts too; wrong:
    names that are there, `found`, a wrong object first; false, unsure: names that are not there, `found` or
    `ambiguous`; ECE: calibration error of the scores; last, the best that another threshold would do.
    """
    table = Table(title=f"{sum(it.scenes for it in results)} maps asked")
    heads = ("maps", "present", "nameable", "absent", "recall", "of nameable", "listed", "wrong", "false", "unsure")
    heads += ("ECE", "most recall, 5 % false")
    table.add_column("masks")
    for head in heads:
        table.add_column(head, justify="right")
    for it in results:
        sums, best = honesty(it.asked), best_within(thresholds(it.asked, lowest))
        shares = (sums.recall, sums.nameable_recall, sums.nameable_listed, sums.wrong_object)
        shares += (sums.false_found, sums.absent_ambiguous, sums.calibration_error)
        most = f"{percent(best.recall)} at {best.found_at:.2f}" if best else "-"
        counts = (it.scenes, sums.present, sums.nameable, sums.absent)
        table.add_row(it.masks, *map(str, counts), *map(percent, shares), most)
    return table


def _ask(folder: Path, name: str, absent: int) -> tuple[list[Asked], list[Named]]:
    """One scene, in a process of the pool; absent names are drawn by the name of the scene."""
    room = map_of(SceneSet(folder).load(name, clean=False))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return list(ask(room, _engine(), absent=absent, rng=rng)), named_objects(room)


@cache
def _engine() -> QueryEngine:
    return QueryEngine(MiniLm())


def _defined(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in values.items()}
