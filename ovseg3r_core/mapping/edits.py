"""What an operator corrected by hand, kept apart from what perception finds so that perception can never undo it."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.vocabulary import MAX_NAME

MAX_SEEDS = 32


@dataclass(frozen=True)
class Cut:
    """One object that is several things: a seed on each, and every point belongs to the nearest seed."""

    ids: tuple[int, ...]
    seeds: tuple[tuple[float, float, float], ...]
    """Metres, in the map frame, in the order of `ids`."""

    def __post_init__(self) -> None:
        """Check that every part has an id and a place of its own."""
        if not 2 <= len(self.seeds) <= MAX_SEEDS or not np.isfinite(self.seeds).all():
            raise Rejected(
                "bad_edit", f"split needs 2 to {MAX_SEEDS} finite seeds, one on each thing; it got {len(self.seeds)}"
            )
        if len(set(self.seeds)) != len(self.seeds) or len(set(self.ids)) != len(self.seeds):
            raise Rejected("bad_edit", f"split needs different seeds, and an id for each: {self.seeds}")

    def part_of(self, xyz_map: Float32[ndarray, "points 3"]) -> Int32[ndarray, " points"]:
        """The id of the part that each point belongs to."""
        distance = np.linalg.norm(xyz_map[:, None, :] - np.array(self.seeds, np.float32)[None], axis=2)
        return np.array(self.ids, np.int32)[distance.argmin(axis=1)]

    def without(self, ids: Set[int]) -> "Cut | None":
        """The cut between the other parts; None where there are not two of them."""
        left = [(id_, seed) for id_, seed in zip(self.ids, self.seeds, strict=True) if id_ not in ids]
        return Cut(*map(tuple, zip(*left, strict=True))) if len(left) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Edits:
    """All corrections of one map."""

    labels: dict[int, str] = field(default_factory=dict)
    """Names that an operator gave."""
    hidden: frozenset[int] = frozenset()
    """Objects that are no things: they keep their masks and points, so that nothing new grows there, unseen."""
    united: frozenset[int] = frozenset()
    """Objects whose masks belong together whatever the views say."""
    cuts: tuple[Cut, ...] = ()
    redirects: dict[int, int] = field(default_factory=dict)
    """Where the ids of merged objects lead; also those of objects that turned out to be one that had been elsewhere."""

    def resolve(self, object_id: int) -> int:
        """The object that an id means today."""
        while object_id in self.redirects:
            object_id = self.redirects[object_id]
        return object_id

    def keeps(self, object_id: int) -> bool:
        """Whether an operator vouched for the object: it then needs no evidence from the views."""
        return (
            object_id in self.labels
            or object_id in self.hidden
            or object_id in self.united
            or any(object_id in cut.ids for cut in self.cuts)
        )

    def relabelled(self, object_id: int, label: str) -> "Edits":
        """The object carries this name; an empty one gives the naming back to perception."""
        label = " ".join(label.split())
        if len(label) > MAX_NAME or not label.isprintable():
            raise Rejected("bad_edit", f"label has {len(label)} characters; give 1 to {MAX_NAME} printable ones")
        labels = {id_: name for id_, name in self.labels.items() if id_ != object_id}
        return replace(self, labels=labels | ({object_id: label} if label else {}))

    def merged(self, object_id: int, others: Iterable[int]) -> "Edits":
        """The others are parts of the object; their ids lead to it from now on."""
        gone = set(others)
        cuts = tuple(cut for cut in self.cuts if not gone & set(cut.ids) and object_id not in cut.ids)
        labels = {id_: name for id_, name in self.labels.items() if id_ not in gone}
        redirects = self.redirects | dict.fromkeys(gone, object_id)
        return replace(self, labels=labels, cuts=cuts, redirects=redirects, united=(self.united - gone) | {object_id})

    def one_thing(self, object_id: int, other: int) -> "Edits":
        """The id of the other leads to the object: it is what became of it. No operator said so."""
        return replace(self, redirects=self.redirects | {other: object_id})

    def changed_by(self, later: "Edits") -> set[int]:
        """The objects that later edits merge or split, and these do not."""
        merged = later.redirects.items() - self.redirects.items()
        return {id_ for pair in merged for id_ in pair} | {
            id_ for c in later.cuts if c not in self.cuts for id_ in c.ids
        }

    def may_join(self, kept: int, gone: int) -> bool:
        """Whether nothing that an operator did stands against taking two objects for one."""
        cuts = [set(cut.ids) for cut in self.cuts]
        named = self.labels.get(kept, ""), self.labels.get(gone, "")
        both_cut = all(any(id_ in ids for ids in cuts) for id_ in (kept, gone))
        return not both_cut and (named[0] == named[1] or not all(named))

    def joined(self, kept: int, gone: int) -> "Edits":
        """Perception found two objects to be one thing: what was done to either holds for the one that is kept."""
        id_of = {gone: kept}
        return replace(
            self,
            labels={id_of.get(id_, id_): label for id_, label in self.labels.items()},
            hidden=frozenset(id_of.get(id_, id_) for id_ in self.hidden),
            united=frozenset(id_of.get(id_, id_) for id_ in self.united),
            cuts=tuple(replace(cut, ids=tuple(id_of.get(id_, id_) for id_ in cut.ids)) for cut in self.cuts),
            redirects=self.redirects | id_of,
        )

    def split(self, cut: Cut) -> "Edits":
        """The first of the cut's ids is the object of before, the others are new."""
        return replace(self, cuts=(*self.cuts, cut))

    def deleted(self, object_id: int) -> "Edits":
        """The object is not shown again."""
        return replace(self, hidden=self.hidden | {object_id})
