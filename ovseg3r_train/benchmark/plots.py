"""Pictures of the tables: bars for methods, lines for what happens as the sensor gets worse."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ovseg3r_core.atomic import atomic_write
from ovseg3r_train.benchmark.table import Row

_COLORS = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#7a5195", "#8d99ae")


def plot_methods(rows: Sequence[Row], path: Path) -> None:
    """AP, AP50, AP25 and named AP of every method, a panel for each source of masks and kind of points."""
    panels = list(dict.fromkeys((row.masks, row.points) for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    figure = Figure(figsize=(4 + 3.2 * len(panels), 4.2), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        of_panel = {row.method: row for row in rows if (row.masks, row.points) == panel}
        for index, method in enumerate(methods):
            if row := of_panel.get(method):
                values = [100 * value for value in (row.ap, row.ap50, row.ap25, row.named_ap)]
                at = [group + 0.8 * (index / len(methods) - 0.5) for group in range(4)]
                axes.bar(at, values, 0.8 / len(methods), align="edge", color=_COLORS[index % 6], label=method)
        axes.set_xticks(range(4), ["AP", "AP50", "AP25", "named AP"])
        axes.set_title(f"{panel[0]} masks, on {panel[1]}", fontsize=9)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylabel("percent")
    handles = {
        text: handle for axes in figure.axes for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize=8)
    _save(figure, path)


def plot_curves(curves: Mapping[str, Mapping[str, float]], ylabel: str, path: Path) -> None:
    """A panel a kind of degradation: value by its level, in the order given.

    Args:
        curves: kind -> level -> value 0..1.
    """
    figure = Figure(figsize=(1 + 3 * len(curves), 3.2), layout="constrained")
    for axes, (kind, values) in zip(
        figure.subplots(1, len(curves), sharey=True, squeeze=False)[0], curves.items(), strict=True
    ):
        axes.plot(list(values), [100 * value for value in values.values()], "o-", color=_COLORS[0])
        axes.set_title(kind, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(ylabel)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
