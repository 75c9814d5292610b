"""The files of the ScanNet benchmark on both sides: which scenes there are, and each scene read.

Predictions are `<scene>.txt` with a line `<mask file> <label id> <confidence>` each, mask files relative to it, as
`ovseg3r segment --on-points` writes them; the truth is `<scene>.txt` with one integer a vertex, or a PLY with
`instance` and `label`.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.ground_truth import read_ground_truth
from ovseg3r_core.evaluation.mask_text import read_mask, read_values
from ovseg3r_core.evaluation.scannet200 import EvaluatedClasses
from ovseg3r_core.evaluation.scene_pair import ScenePair, TrueInstances
from ovseg3r_core.types import Instances

_OURS = ("truth.txt", "truth.ply", "scene.ply")  # the one truth of a saved room or a run, among other files
_NO_SCENES = {"vocabulary.txt", "semantic_instance_evaluation.txt"}
_UNKNOWN_LABEL = 0


@dataclass(frozen=True, kw_only=True)
class SceneFiles:
    """Where one scene's two sides are."""

    scene: str
    predicted: Path | None
    """None where nobody predicted anything for the scene: it counts as found nothing."""
    truth: Path


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One prediction as its file lists it."""

    mask: Path
    label: int
    score: float


def find_scenes(predictions: Path, ground_truth: Path) -> list[SceneFiles]:
    """Pair the scenes of the two sides by name.

    One file on both sides is one scene whatever the names; a file on one side picks its scene from the folder on the
    other. Of two folders every scene of the truth counts, also those without predictions.

    Raises:
        FileNotFoundError: a side is not there or holds no scene, or a predicted scene has no truth.
    """
    predicted, truth = _predictions(predictions), _truths(ground_truth)
    if len(predicted) == len(truth) == 1 and _one_scene(ground_truth, truth):
        (scene, file), (true_file,) = *predicted.items(), truth.values()
        return [SceneFiles(scene=scene, predicted=file, truth=true_file)]
    if predictions.is_file():
        truth = {scene: file for scene, file in truth.items() if scene in predicted}
    if ground_truth.is_file():
        predicted = {scene: file for scene, file in predicted.items() if scene in truth}
    if unknown := sorted(predicted.keys() - truth.keys()):
        raise FileNotFoundError(f"no truth in {ground_truth} for {_listed(unknown)}: name both sides' files alike")
    if not predicted:
        raise FileNotFoundError(
            f"no predictions in {predictions} for {_listed(list(truth))}: name both sides' files alike"
        )
    return [SceneFiles(scene=name, predicted=predicted.get(name), truth=file) for name, file in sorted(truth.items())]


def read_pair(files: SceneFiles, classes: EvaluatedClasses, *, named: bool = True) -> ScenePair:
    """Read one scene.

    Args:
        named: False where the names will not count: a PLY without labels is then of some valid class.

    Raises:
        FileNotFoundError: a mask file is missing.
        Rejected: a file holds what makes no sense; the text names it, and the line.
    """
    truth = read_truth(files.truth, classes)
    if not named and not any(truth.labels.values()):
        truth = TrueInstances(instance=truth.instance, labels=dict.fromkeys(truth.labels, next(iter(classes.names))))
    lines = [] if files.predicted is None else _read_lines(files.predicted)
    masks = np.zeros((len(lines), len(truth.instance)), bool)
    for row, line in zip(masks, lines, strict=True):
        row[:] = _mask_of(line, files.truth, len(row))
    predicted = Instances(
        masks=masks,
        labels=np.array([line.label for line in lines], np.int64),
        scores=np.array([line.score for line in lines], np.float64),
    )
    return ScenePair(predicted=predicted, truth=truth)


def read_truth(path: Path, classes: EvaluatedClasses) -> TrueInstances:
    """The truth of one scene; a PLY that comes with names is matched by them, all else by label id."""
    if path.suffix != ".ply":
        return TrueInstances.of_values(read_values(path))
    truth = read_ground_truth(path)
    if not truth.names:
        return truth.instances
    id_of = {name.casefold(): id_ for id_, name in classes.names.items()}
    labels = {
        instance: id_of.get(truth.name_of(instance).casefold(), _UNKNOWN_LABEL) for instance in truth.instances.labels
    }
    return TrueInstances(instance=truth.instances.instance, labels=labels)


def repeated_masks(files: Iterable[SceneFiles]) -> Mapping[str, int]:
    """How many lines each scene loses since a later one names the same mask file."""
    lost = {}
    for scene in files:
        if scene.predicted is not None:
            lines = _read_all_lines(scene.predicted)
            lost[scene.scene] = len(lines) - len({line.mask for line in lines})
    return {scene: count for scene, count in lost.items() if count}


def _predictions(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise FileNotFoundError(f"no predictions at {path}; give a <scene>.txt, its folder, or a run of segment")
    folder = path / "scannet" if (path / "scannet").is_dir() else path
    found = {file.stem: file for file in sorted(folder.glob("*.txt")) if file.name not in _NO_SCENES}
    if not found:
        raise FileNotFoundError(f"{folder} holds no <scene>.txt; ovseg3r segment --on-points writes them")
    return found


def _truths(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise FileNotFoundError(f"no ground truth at {path}; give a <scene>.txt, a PLY with instances, or their folder")
    if ours := [path / name for name in _OURS if (path / name).is_file()]:
        return {ours[0].stem: ours[0]}
    for suffix in (".txt", ".ply"):
        found = {f.stem: f for f in sorted(path.glob(f"*{suffix}")) if f.name not in _NO_SCENES}
        if found:
            return found
    raise FileNotFoundError(f"{path} holds no <scene>.txt with the truth, and no PLY either")


def _one_scene(ground_truth: Path, truth: Mapping[str, Path]) -> bool:
    """Whether the truth was pointed at, so that its name does not matter."""
    return ground_truth.is_file() or next(iter(truth.values())).name in _OURS


def _read_lines(path: Path) -> list[_Line]:
    """The predictions; of lines that name the same mask file the last one holds, in the place of the first."""
    return list({line.mask: line for line in _read_all_lines(path)}.values())


def _read_all_lines(path: Path) -> list[_Line]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected("bad_predictions", f"{path} is not UTF-8 text: {error}") from error
    return [_parse(path, number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _parse(path: Path, number: int, line: str) -> _Line:
    try:
        name, label, score = line.rsplit(maxsplit=2)
        parsed = _Line(mask=_inside(path.parent, name), label=_whole(label), score=float(score))
        if math.isfinite(parsed.score):
            return parsed
        problem = "the confidence is not finite"
    except (ValueError, OverflowError) as error:
        problem = str(error)
    raise Rejected(
        "bad_predictions",
        f"{path}, line {number}: {line.strip()[:100]!r} is not <mask file> <label id> <confidence> ({problem})",
    )


def _inside(folder: Path, name: str) -> Path:
    """The benchmark takes no mask from elsewhere."""
    mask = Path(os.path.abspath(folder / name.strip()))
    if Path(name.strip()).is_absolute() or not mask.is_relative_to(os.path.abspath(folder)):
        raise ValueError(f"the mask file must lie under {folder}, by a relative path")
    return mask


def _whole(text: str) -> int:
    """The benchmark reads label ids by way of floats, and so do some writers."""
    if not float(text).is_integer():
        raise ValueError(f"label id {text} is not whole")
    return int(float(text))


def _mask_of(line: _Line, truth: Path, points: int) -> Bool[ndarray, " points"]:
    if not line.mask.is_file():
        raise FileNotFoundError(f"no mask file {line.mask}, which the predictions name")
    mask = read_mask(line.mask)
    if len(mask) != points:
        raise Rejected(
            "bad_mask",
            f"{line.mask} has {len(mask)} lines but {truth} has {points} vertices: both must speak of one cloud",
        )
    return mask


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
