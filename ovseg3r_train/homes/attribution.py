"""Who made the models: the licences of the furniture libraries ask for their names, and for what was changed."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from ovseg3r_core.synthetic.furniture import furniture_folder, read_catalogue
from ovseg3r_train.homes.home import Home
from ovseg3r_train.homes.stock import MADE_BY, MADE_LICENCE, home_classes, kinds_of_models, split_of_models


class Credit(TypedDict):
    """One model."""

    model: str
    name: str
    class_name: str
    creator: str
    licence: str
    library: str
    splits: list[str]


def credits(models: Iterable[str] | None = None, folder: Path | None = None) -> list[Credit]:
    """Creator, licence and library of some models, by catalogue id; without ids, of all that homes may hold.

    Things made by code have no entry of their own.
    """
    catalogue, classes, splits = read_catalogue(folder or furniture_folder()), home_classes(), split_of_models()
    wanted = sorted({id for id in (classes if models is None else models) if id in classes and id in catalogue})
    return [
        Credit(
            model=id,
            name=catalogue[id].name,
            class_name=classes[id],
            creator=catalogue[id].creator,
            licence=catalogue[id].licence,
            library=catalogue[id].library.name,
            splits=list(splits[id]),
        )
        for id in wanted
    ]


def attribution(homes: Iterable[Home], folder: Path | None = None) -> str:
    """The text to put beside some homes: every library model in them, and what was done to it."""
    models = {thing.model for home in homes for thing in home.objects}
    lines = [
        "Furniture models, from the libraries of Sweet Home 3D (Debian package sweethome3d-furniture).",
        "Changed: scaled to their catalogue's sizes, glass left out, textures reduced, placed in rooms and rendered.",
        "",
    ]
    for credit in credits(models, folder):
        lines.append(
            f"{credit['model']} ({credit['name']}): by {credit['creator']}, {credit['licence']}, {credit['library']}"
        )
    if any(model.startswith("made:") for model in models):
        lines += ["", f"Other things, walls and textures are made by code of {MADE_BY}, {MADE_LICENCE}."]
    return "\n".join(lines) + "\n"


def split_report() -> dict[str, dict[str, object]]:
    """By class: how many models each split has, and whether they are shared, which one or two models have to be."""
    classes: dict[str, list[str]] = {}
    for id, name in home_classes().items():
        classes.setdefault(name, []).append(id)
    splits = split_of_models()
    return {
        name: {
            **{split: sum(split in splits[id] for id in ids) for split in ("train", "val", "test")},
            "shared": any(len(splits[id]) > 1 for id in ids),
            "kinds": sorted(kind for kind in kinds_of_models() if kind.split("/")[0] == name),
        }
        for name, ids in sorted(classes.items())
    }
