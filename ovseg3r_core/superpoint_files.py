"""What the verb `superpoints` reads and writes: masks as an array or of a saved map, and superpoint ids."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, Integer
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_core.lifting import LiftingConfig, lift_views
from ovseg3r_core.mapping.storage import load_memory
from ovseg3r_core.reconstruction.incidence import IncidenceConfig
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.view_labels import ViewLabels


def read_labels(path: Path, cloud: SceneCloud) -> ViewLabels:
    """The masks of a cloud, from a `.npy` array or a map folder.

    The array has a mask id a point, or a row of them a view: 0 and more for masks, -1 for background, -2 where the view
    does not see the point. Of a map, the kept keyframes are lifted onto the cloud, which lies in the map's frame.

    Raises:
        Rejected: `bad_mask`; the array is damaged or not of this cloud, or no keyframe of the map sees the cloud.
        FileNotFoundError: there is no such file, or no map in the folder.
        DamagedMap: the map cannot be trusted, or has no keyframes.
    """
    return labels_of_map(path, cloud) if path.is_dir() else ViewLabels.of_array(_read_ids(path, len(cloud)))


def labels_of_map(folder: Path, cloud: SceneCloud) -> ViewLabels:
    """The masks of a saved map's keyframes, lifted onto a cloud in the map's frame; raises as `read_labels` does."""
    views = (view.open() for view in load_memory(folder).views)
    seen, lifted = lift_views(views, cloud, IncidenceConfig(), LiftingConfig())
    if not len(seen.points):
        raise Rejected("bad_mask", f"no keyframe of {folder} sees any of the {len(cloud)} points: is it another frame?")
    return ViewLabels.of_masks(seen, lifted, len(cloud))


def write_superpoints(path: Path, superpoint: Int64[ndarray, " points"]) -> None:
    """One int64 a point as `.npy`, whole or not at all; the folder is made if it is not there."""
    make_folder(path.parent)
    with atomic_write(path) as temporary, temporary.open("wb") as file:  # given a name, numpy might add .npy to it
        np.save(file, superpoint)


def _read_ids(path: Path, points: int) -> Integer[ndarray, "views points"]:
    try:
        ids = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError) as error:  # the last two: a hostile shape
        raise Rejected("bad_mask", f"{path} is no .npy file of integers ({error})") from error
    if not isinstance(ids, ndarray) or not np.issubdtype(ids.dtype, np.integer):
        kind = ids.dtype if isinstance(ids, ndarray) else "an archive"
        raise Rejected("bad_mask", f"{path} holds {kind}, not integers: give an array of mask ids")
    if ids.ndim not in (1, 2) or ids.shape[-1] != points:
        raise Rejected(
            "bad_mask",
            f"{path} has the shape {ids.shape} but the cloud {points} points: give (points,) or (views, points)",
        )
    return np.atleast_2d(ids)
