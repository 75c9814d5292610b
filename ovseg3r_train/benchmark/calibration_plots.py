"""The picture of a calibration: scores against the share of right answers, and false answers against recall."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ovseg3r_core.atomic import atomic_write
from ovseg3r_train.benchmark.honesty import FALSE_FOUND, Threshold

_COLORS = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#7a5195", "#8d99ae")


def plot_calibration(
    bins: Mapping[str, Sequence[tuple[float, float, int]]],
    curves: Mapping[str, Sequence[Threshold]],
    path: Path,
) -> None:
    """A line a source of masks.

    Args:
        bins: (mean score, share of right answers, number) of each bin, by source of masks.
        curves: what verdicts would be at other thresholds, by source of masks.
    """
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    columns = figure.subplots(2, 2, height_ratios=(3, 1), sharex="col", squeeze=False)
    _reliability(columns[0, 0], columns[1, 0], bins)
    for axes in columns[:, 1]:
        axes.remove()
    _curves(figure.add_subplot(columns[0, 1].get_gridspec()[:, 1]), curves)
    FigureCanvasAgg(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _reliability(shares: Axes, counts: Axes, bins: Mapping[str, Sequence[tuple[float, float, int]]]) -> None:
    """Above, how often scores were right, beside the diagonal of honest ones; below, how many answers had them."""
    shares.plot([0, 1], [0, 1], "--", color="grey", linewidth=1, label="honest")
    width = 0.09 / max(len(bins), 1)
    for index, (masks, line) in enumerate(bins.items()):
        color = _COLORS[index % len(_COLORS)]
        score, right, number = ([row[i] for row in line] for i in range(3))
        shares.plot(score, right, "o-", color=color, markersize=4, label=f"{masks} ({sum(number)} answers)")
        left = [min(int(10 * s), 9) / 10 + 0.005 + index * width for s in score]
        counts.bar(left, number, width, align="edge", color=color)
    shares.set(title="Are scores honest?", ylabel="share of right answers", xlim=(0, 1.01), ylim=(0, 1.02))
    shares.legend(fontsize=8)
    counts.set(xlabel="score of the best object", ylabel="answers", yscale="symlog")
    for axes in (shares, counts):
        axes.grid(alpha=0.3)


def _curves(axes: Axes, curves: Mapping[str, Sequence[Threshold]]) -> None:
    """What a lower threshold finds and what it makes up; dots are the threshold 0.5."""
    for index, (masks, line) in enumerate(curves.items()):
        color = _COLORS[index % len(_COLORS)]
        axes.plot([100 * it.false_found for it in line], [100 * it.recall for it in line], color=color, label=masks)
        usual = min(line, key=lambda it: abs(it.found_at - 0.5))
        axes.plot(100 * usual.false_found, 100 * usual.recall, "o", color=color)
    axes.axvline(100 * FALSE_FOUND, color="grey", linestyle="--", linewidth=1)
    axes.axhline(90, color="grey", linestyle="--", linewidth=1)
    axes.set(title="found_at from low to high; dots at 0.5", ylim=(0, 102), xlim=(-0.1, None))
    axes.set(xlabel="absent names that are found, percent", ylabel="nameable names that are found and right, percent")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
