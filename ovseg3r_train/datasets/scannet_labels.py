"""ScanNet's raw labels in the label sets of its benchmarks, by the map that comes with the dataset."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.vocabulary import scannet20, scannet200
from ovseg3r_train.datasets.files import read_list
from ovseg3r_train.datasets.names import truth_name

LabelSet = Literal["scannet200", "scannet20", "all"]
"""The 200 or 20 classes of the benchmarks, the rest unannotated; or all, by the ScanNet200 name where there is one."""

_STUFF = ("wall", "floor")  # the benchmarks have no instances of them


@dataclass(frozen=True, kw_only=True)
class ScanNetClass:
    """What the benchmark's files call a raw label."""

    id: int
    """Label id in the ground truth: 0 for none."""
    name: str | None
    """None for what is no instance."""


NO_CLASS = ScanNetClass(id=0, name=None)


def read_label_map(path: Path, labels: LabelSet) -> Mapping[str, ScanNetClass]:
    """Class by raw label, from `scannetv2-labels.combined.tsv`: columns raw_category, id (ScanNet200's) and nyu40id.

    Raises:
        Rejected: `bad_file` where a column is missing or an id is no integer.
    """
    rows = list(csv.DictReader(read_list(path), delimiter="\t"))
    try:
        return {row["raw_category"]: _class(row, labels) for row in reversed(rows)}  # the first of two rows counts
    except (KeyError, TypeError, ValueError) as error:
        detail = f"{path} is not the label map: columns raw_category, id and nyu40id are expected ({error!r})"
        raise Rejected("bad_file", detail) from error


def unknown_class(raw: str, labels: LabelSet) -> ScanNetClass:
    """The class of a raw label that the map does not hold: 0, as in the benchmarks' own scripts."""
    return ScanNetClass(id=0, name=truth_name(raw)) if labels == "all" else NO_CLASS


def _class(row: Mapping[str, str], labels: LabelSet) -> ScanNetClass:
    id200, nyu40 = int(row["id"]), int(row["nyu40id"])
    if labels == "scannet20":
        return _known(nyu40, scannet20().name_by_id.get(nyu40))
    name = scannet200().name_by_id.get(id200)
    if labels == "all" and name is None:
        return ScanNetClass(id=id200, name=truth_name(row["raw_category"]))
    return _known(id200, name)


def _known(id_: int, name: str | None) -> ScanNetClass:
    if name is None:
        return NO_CLASS
    return ScanNetClass(id=id_, name=None if name in _STUFF else name)
