"""The one table: a row a method, all rulers side by side; as numbers, as a table on the screen, and as a plot."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from rich.table import Table

from ovseg3r_core.commands.tables import percent
from ovseg3r_train.benchmark.cost import Cost
from ovseg3r_train.benchmark.measures import (
    SIZES,
    Judged,
    any_name_precision,
    class_ids,
    named_precision,
    size_precision,
)

Points = Literal["reconstruction", "clean"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method over all scenes; precisions are 0..1 and NaN where the truth has nothing of the kind."""

    method: str
    masks: str
    """Where the 2D masks come from."""
    sensor: str
    """What the sensor is called; empty for the usual one."""
    points: Points
    scenes: int
    things: int
    """True things that are there."""
    ap: float
    """Whatever the names."""
    ap50: float
    ap25: float
    named_ap: float
    named_ap50: float
    named_ap25: float
    base_ap: float
    novel_ap: float
    small_ap: float
    medium_ap: float
    large_ap: float
    found: float
    """Share of the things with an instance that overlaps them by a quarter."""
    duplicates: float
    """Further instances of a found thing, a scene."""
    ghosts: float
    """Instances that are nothing, a scene; walls and floors among them."""
    right_names: float
    """Share of the found things under a name of theirs."""
    seconds: float
    """Median of the scenes, masks given."""
    memory_mb: float
    """Largest of the scenes."""


def row_of(
    method: str, masks: str, sensor: str, points: Points, judged: Sequence[Judged], costs: Sequence[Cost]
) -> Row:
    """Sum up one method over all scenes."""
    things = sum(item.counts.there for item in judged)
    found = sum(item.counts.found for item in judged)
    any_name, named = any_name_precision(judged), named_precision(judged)
    sizes = {f"{size}_ap": size_precision(judged, size).ap for size in SIZES}
    return Row(
        method=method,
        masks=masks,
        sensor=sensor,
        points=points,
        scenes=len(judged),
        things=things,
        ap=any_name.ap,
        ap50=any_name.ap50,
        ap25=any_name.ap25,
        named_ap=named.ap,
        named_ap50=named.ap50,
        named_ap25=named.ap25,
        base_ap=named.among(class_ids("base")).ap,
        novel_ap=named.among(class_ids("novel")).ap,
        found=found / max(things, 1),
        duplicates=sum(item.counts.duplicates for item in judged) / len(judged),
        ghosts=sum(len(item.counts.ghosts) for item in judged) / len(judged),
        right_names=sum(item.counts.right_names for item in judged) / max(found, 1),
        seconds=float(np.median([cost.seconds for cost in costs])),
        memory_mb=max(cost.memory_mb for cost in costs),
        **sizes,
    )


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with null for what is not defined: NaN is no JSON."""
    return [{k: None if v != v else v for k, v in asdict(row).items()} for row in rows]


def as_table(rows: Sequence[Row], title: str) -> Table:
    """The rows for a person: precisions in percent."""
    table = Table(title=title)
    for name in ("method", "masks", "sensor", "points"):
        table.add_column(name)
    numbers = ("AP", "AP50", "AP25", "named AP", "AP50", "AP25", "base", "novel", "small", "medium", "large")
    for name in (*numbers, "found", "twice", "ghosts", "right names", "s", "MB"):
        table.add_column(name, justify="right")
    for row in rows:
        shares = (row.ap, row.ap50, row.ap25, row.named_ap, row.named_ap50, row.named_ap25)
        shares += (row.base_ap, row.novel_ap, row.small_ap, row.medium_ap, row.large_ap, row.found)
        rest = (f"{row.duplicates:.1f}", f"{row.ghosts:.1f}", percent(row.right_names))
        cost = (f"{row.seconds:.2f}", f"{row.memory_mb:.0f}")
        table.add_row(row.method, row.masks, row.sensor, row.points, *map(percent, shares), *rest, *cost)
    return table
