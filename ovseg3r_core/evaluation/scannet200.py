"""Which classes a comparison is about: those of ScanNet200 or of ScanNet, or the lines of a vocabulary.

Walls and floors are surfaces, not things: the benchmark leaves them out of the valid classes, so their vertices are
void. ScanNet200 has 198 classes left (64 head, 68 common, 66 tail; 51 base and 147 novel in the split of Open3DIS),
ScanNet 18.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from ovseg3r_core.language.vocabulary import Split, Vocabulary, scannet20, scannet200, scannet200_split

SURFACES = ("wall", "floor")
"""What the benchmark leaves out: stuff, not things."""


@dataclass(frozen=True, kw_only=True)
class EvaluatedClasses:
    """The valid classes of a comparison, and the groups that are also averaged by themselves."""

    vocabulary: str
    """Where the label ids come from."""
    names: Mapping[int, str]
    """Name of each valid label id."""
    groups: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Label ids of each group; none is empty."""


def scannet200_classes() -> EvaluatedClasses:
    """The 198 instance classes of ScanNet200 under the benchmark's own ids."""
    return vocabulary_classes(scannet200())


def scannet20_classes() -> EvaluatedClasses:
    """The 18 instance classes of the ScanNet benchmark under their NYU40 ids, without groups."""
    return EvaluatedClasses(vocabulary="scannet20", names=_things(scannet20()))


def vocabulary_classes(vocabulary: Vocabulary) -> EvaluatedClasses:
    """All names of a vocabulary but "wall" and "floor"; the groups are those of the ScanNet200 names among them."""
    names = _things(vocabulary)
    groups = {split: _named(names, scannet200_split(split)) for split in get_args(Split)}
    groups = {split: ids for split, ids in groups.items() if ids}
    return EvaluatedClasses(vocabulary=vocabulary.name, names=names, groups=groups)


def _things(vocabulary: Vocabulary) -> dict[int, str]:
    return {id_: name for id_, name in vocabulary.name_by_id.items() if name.casefold() not in SURFACES}


def _named(names: Mapping[int, str], wanted: frozenset[str]) -> frozenset[int]:
    return frozenset(id_ for id_, name in names.items() if name.casefold() in wanted)
