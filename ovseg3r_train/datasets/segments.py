"""ScanNet's way to annotate a mesh, shared by ScanNet++: vertices in segments, segments in groups with names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_train.datasets.files import integers, json_list, read_json


@dataclass(frozen=True, kw_only=True)
class Group:
    """One annotated thing."""

    id: int
    """Its `objectId` in the file."""
    label: str
    segments: Int64[ndarray, " segments"]


def read_segments(path: Path, points: int) -> Int64[ndarray, " points"]:
    """The segment of each vertex (`segIndices`).

    Raises:
        Rejected: `bad_file` where there is not one integer for each of the `points` vertices.
    """
    segments = integers(json_list(read_json(path), "segIndices", path), path, "segIndices")
    if len(segments) != points:
        raise Rejected("bad_file", f"{path} has segments for {len(segments)} vertices but the mesh has {points}")
    return segments


def read_groups(path: Path) -> list[Group]:
    """The annotated things in the order of the file (`segGroups`); raises `Rejected` with the path."""
    groups = []
    for place, group in enumerate(json_list(read_json(path), "segGroups", path)):
        fields = group if isinstance(group, dict) else {}
        id_, label = fields.get("objectId", fields.get("id")), fields.get("label")
        if not isinstance(id_, int) or not isinstance(label, str) or not 0 <= id_ < 1 << 31:
            raise Rejected("bad_file", f"{path}: segGroups[{place}] has no objectId that is an integer, or no label")
        segments = integers(fields.get("segments"), path, f"segGroups[{place}].segments")
        groups.append(Group(id=id_, label=label, segments=segments))
    return groups


def owners(segment: Int64[ndarray, " points"], groups: Sequence[Group]) -> Int64[ndarray, " points"]:
    """For each vertex the place of its group, -1 for none; of groups that share a segment the last one has it."""
    known, place = np.unique(segment, return_inverse=True)
    owner = np.full(len(known), -1, np.int64)
    for number, group in enumerate(groups):
        owner[_places(known, group)] = number
    return owner[place]


def smallest_last(segment: Int64[ndarray, " points"], groups: Sequence[Group]) -> list[Group]:
    """The groups from the one with most vertices to the one with fewest, so that `owners` gives the smallest its own.

    Of two equal ones the first of the file comes last.
    """
    known, counts = np.unique(segment, return_counts=True)
    sizes = [int(counts[_places(known, group)].sum()) for group in groups]
    order = sorted(range(len(groups)), key=lambda number: (-sizes[number], -number))
    return [groups[number] for number in order]


def _places(known: Int64[ndarray, " known"], group: Group) -> Int64[ndarray, " places"]:
    """Where a group's segments lie among those of the mesh, each once; ScanNet++ has a segment a vertex or so."""
    segments = np.unique(group.segments)
    places = np.searchsorted(known, segments).clip(max=max(len(known) - 1, 0))
    return places[known[places] == segments] if len(known) else np.zeros(0, np.int64)
