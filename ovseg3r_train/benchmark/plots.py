"""Pictures of the tables: bars for methods, lines for what happens as the sensor gets worse."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ovseg3r_core.atomic import atomic_write
from ovseg3r_train.benchmark.degradation import curves
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


def plot_curves(rows: Sequence[Row], path: Path) -> None:
    """AP50 against each fault of the sensor, a panel a fault and kind of points, a line a method."""
    points = list(dict.fromkeys(row.points for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    lines = {
        (kind, method): curves([row for row in rows if (row.points, row.method) == (kind, method)])
        for kind in points
        for method in methods
    }
    faults = list(dict.fromkeys(fault for line in lines.values() for fault in line))
    figure = Figure(figsize=(1 + 3 * max(len(faults), 1), 3 * len(points) + 0.6), layout="constrained")
    grid = figure.subplots(len(points), max(len(faults), 1), sharey=True, squeeze=False)
    for panels, kind in zip(grid, points, strict=True):
        for axes, fault in zip(panels, faults, strict=False):
            for index, method in enumerate(methods):
                line = lines[kind, method].get(fault, {})
                values = [100 * row.ap50 for row in line.values()]
                axes.plot(list(line), values, "o-", color=_COLORS[index % len(_COLORS)], label=method)
            axes.set_title(f"{fault}, on {kind}", fontsize=9)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("AP50, percent")
    drawn, titles = figure.axes[0].get_legend_handles_labels()
    figure.legend(drawn, titles, loc="outside lower center", ncols=2, fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
