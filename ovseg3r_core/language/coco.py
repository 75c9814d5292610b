"""The kinds of things the system has names for: the 80 classes of COCO, and what else stands in a house.

A detector says "tv" for every screen, so each kind carries the other names people have for what it covers
(aliases), and what it is good for ("something to type on"). Uses may be shared: a chair and a couch are both
"somewhere to sit". An alias belongs to one kind only.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ovseg3r_core.language.phrase import key


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A sort of thing, with all the words that lead to it."""

    name: str
    aliases: tuple[str, ...] = ()
    """Other names for the same things."""
    uses: tuple[str, ...] = ()
    """What the things are for, and looser names that they share with other kinds."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)


def kind_of(label: str) -> Kind:
    """The known kind that a label names, by its name or an alias; else a kind of that name alone."""
    return _BY_KEY.get(key(label)) or Kind(name=label)


def same_name(label_a: str, label_b: str) -> bool:
    """Whether two labels name the same kind: "sofa" and "couch", "Chair" and "office chairs"."""
    return key(kind_of(label_a).name) == key(kind_of(label_b).name)


def _read(group: str) -> tuple[Kind, ...]:
    content = json.loads((Path(__file__).parent / "data" / "kinds.json").read_text(encoding="utf-8"))
    return tuple(
        Kind(name=kind["name"], aliases=tuple(kind["aliases"]), uses=tuple(kind["uses"])) for kind in content[group]
    )


COCO: tuple[Kind, ...] = _read("coco")
"""In the order in which COCO detectors number them."""
COCO_CLASSES: tuple[str, ...] = tuple(kind.name for kind in COCO)
HOUSEHOLD: tuple[Kind, ...] = _read("household")
"""Structure and furniture outside COCO."""

_BY_KEY = {key(name): kind for kind in (*COCO, *HOUSEHOLD) for name in kind.names}
