"""The files of a comparison: the table as JSON, bars of the methods, curves of the sensors."""

import json
from collections.abc import Sequence
from pathlib import Path

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_train.benchmark.plots import plot_curves, plot_methods
from ovseg3r_train.benchmark.table import Row, as_json


def write_results(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Write what there is to write of some rows; the paths of the files."""
    make_folder(folder)
    written = [folder / "table.json"]
    with atomic_write(written[0]) as temporary:
        temporary.write_text(json.dumps(as_json(rows), indent=1), "utf-8")
    usual = [row for row in rows if not row.sensor]
    if usual:
        written.append(folder / "methods.png")
        plot_methods(usual, written[-1])
    for masks in sorted({row.masks for row in rows if row.sensor}):
        written.append(folder / f"curves_{masks}.png")
        plot_curves([row for row in rows if row.masks == masks], written[-1])
    return written
