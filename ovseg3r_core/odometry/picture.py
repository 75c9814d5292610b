"""A reconstruction as a picture: the cloud from above and from the side, with the way of the camera."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.types import SceneCloud

_MOST_POINTS = 60_000


def draw_reconstruction(
    path: Path, cloud: SceneCloud, poses: Mapping[int, Float64[ndarray, "4 4"]], report: Mapping[str, Any]
) -> None:
    """Write the picture as PNG; poses are T_map_camera by frame index."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    way = np.array([poses[index][:3, 3] for index in sorted(poses)])
    some = np.random.default_rng(0).permutation(len(cloud))[:_MOST_POINTS]
    unit = "m" if report["scale_known"] else "units: the scale is not known"
    above, beside = figure.subplots(1, 2)
    for axes, up, title in ((above, 1, "from above"), (beside, 2, "from the side")):
        order = some[np.argsort(cloud.xyz[some, 3 - up], kind="stable")]
        axes.scatter(cloud.xyz[order, 0], cloud.xyz[order, up], c=cloud.color[order] / 255, s=1.5, linewidths=0)
        axes.plot(way[:, 0], way[:, up], color="tab:red", linewidth=1.2, label="camera")
        axes.plot(*way[0, [0, up]], "o", color="tab:green", label="start")
        axes.set(aspect="equal", xlabel=f"x, {unit}", ylabel="xyz"[up] + f", {unit}", title=title)
    above.legend(loc="upper right")
    figure.suptitle(_caption(report))
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=100)


def _caption(report: Mapping[str, Any]) -> str:
    frames, error = report["frames"], report["against_recorded_poses"]
    text = f"{frames['posed']} of {frames['read']} frames placed, {report['points']} points, from {report['from']}"
    return text + (f"; {100 * error['ate_m']:.1f} cm from the recorded poses" if error else "")
