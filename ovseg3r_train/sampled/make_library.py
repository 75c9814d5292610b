"""Make the file of model samples: `python -m ovseg3r_train.sampled.make_library FILE`, where there is furniture."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ovseg3r_core.synthetic.furniture import furniture_folder, load_model, read_catalogue
from ovseg3r_train.homes.stock import home_classes
from ovseg3r_train.sampled.model_library import BUDGET_BYTES, ModelLibrary, build_library, save_library


def furniture_library(ids: Sequence[str] | None = None, budget_bytes: int = BUDGET_BYTES) -> ModelLibrary:
    """Samples of catalogue models.

    Args:
        ids: catalogue ids; None for every model that homes may hold.

    Raises:
        MissingFurnitureError: there are no libraries; the text says how to get them.
    """
    catalogue = read_catalogue(furniture_folder())
    classes = {id: name for id, name in home_classes().items() if id in catalogue}
    wanted = sorted(classes) if ids is None else ids
    models = {id: load_model(catalogue[id], classes.get(id, "object")).parts for id in wanted}
    return build_library(models, budget_bytes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the library and say how large it is."""
    parser = argparse.ArgumentParser(description="Sample all furniture models into one file.")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    library = furniture_library()
    save_library(library, options.file)
    Console().print(f"{len(library.names)} models, {len(library.xyz)} samples, {options.file.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
