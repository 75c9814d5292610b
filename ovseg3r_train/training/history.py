"""What a training tells while it runs: a line of JSON each time, TensorBoard where it is installed, and a picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ovseg3r_core.atomic import atomic_write

HISTORY = "history.jsonl"
PICTURE = "training.png"


class History:
    """The numbers of a training by step, in its folder.

    Args:
        step: where the training goes on: what was told of later steps is forgotten, it will be told again.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._path = folder / HISTORY
        self.rows = [row for row in read_history(folder) if row["step"] <= step]
        with atomic_write(self._path) as part:
            part.write_text("".join(json.dumps(row) + "\n" for row in self.rows), "utf-8")
        self._board = _board(folder, step)

    def tell(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers of a step, under names such as `loss/name` and `val/ap50`."""
        row = {"step": step, **{name: round(value, 6) for name, value in numbers.items()}}
        self.rows.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def draw(self) -> Path | None:
        """The picture of all numbers so far; None before there is any."""
        groups = sorted({name.split("/")[0] for row in self.rows for name in row if "/" in name})
        if not groups:
            return None
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5 * len(groups), 4), layout="constrained")
        for place, group in enumerate(groups, start=1):
            axes = figure.add_subplot(1, len(groups), place)
            for name in sorted({name for row in self.rows for name in row if name.startswith(group + "/")}):
                points = [(row["step"], row[name]) for row in self.rows if name in row]
                axes.plot(
                    *zip(*points, strict=True),
                    marker="o" if len(points) < 30 else None,
                    markersize=3,
                    label=name.split("/", 1)[1],
                )
            axes.set(title=group, xlabel="step")
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)
        path = self._path.with_name(PICTURE)
        with atomic_write(path) as part:
            figure.savefig(part, format="png", dpi=100)
        return path

    def close(self) -> None:
        """Write what is not written yet."""
        if self._board is not None:
            self._board.close()


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The rows of a training's history; a last line that a crash cut off is left out."""
    rows, path = [], folder / HISTORY
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def _board(folder: Path, step: int):
    """TensorBoard's writer; None where it is not installed (extra `train`)."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
