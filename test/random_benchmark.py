"""Random scenes that reach every rule of the ScanNet benchmark: ties, overlaps, small instances, void, nothing."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ovseg3r_core.evaluation.scene_pair import ScenePair, TrueInstances
from ovseg3r_core.types import Instances

CLASSES = (2, 4, 5, 7, 10, 11)
"""The valid classes; the truth never has anything of the last."""
_TRUE_LABELS = (2, 2, 2, 4, 4, 5, 7, 10, 1, 3)  # 1 and 3 are walls and floors: void
_PREDICTED_LABELS = (2, 2, 2, 4, 4, 5, 7, 10, 11, 3, 99)


@dataclass(frozen=True)
class RandomScene:
    """One scene in the benchmark's terms."""

    values: np.ndarray
    """1000 * label + instance a vertex, 0 for none."""
    masks: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def pair(self) -> ScenePair:
        return ScenePair(
            predicted=Instances(masks=self.masks, labels=self.labels, scores=self.scores),
            truth=TrueInstances.of_values(self.values),
        )

    def digest(self) -> str:
        """Changes with every bit of the scene."""
        arrays = (self.values, self.masks, self.labels, np.round(self.scores * 1000).astype(np.int64))
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def random_scenes(seed: int) -> list[RandomScene]:
    """One to three scenes; of every fifth seed the last has no prediction, of every seventh no true instance."""
    rng = np.random.default_rng([seed, 4])
    scenes = [_random_scene(rng) for _ in range(int(rng.integers(1, 4)))]
    last = scenes[-1]
    if seed % 5 == 0:
        scenes[-1] = RandomScene(last.values, last.masks[:0], last.labels[:0], last.scores[:0])
    if seed % 7 == 0:
        scenes[-1] = RandomScene(np.zeros_like(last.values), scenes[-1].masks, scenes[-1].labels, scenes[-1].scores)
    return scenes


def _random_scene(rng: np.random.Generator) -> RandomScene:
    values = _random_truth(rng)
    count = int(rng.integers(5, 60))
    masks = np.array([_random_mask(rng, values) for _ in range(count)])
    labels = np.array([_likely_label(rng, values, mask) for mask in masks], np.int64)
    steps = int(rng.integers(1, 30))  # one step: every score is the same
    return RandomScene(values, masks, labels, rng.integers(1, steps + 1, count) / steps)


def _random_truth(rng: np.random.Generator) -> np.ndarray:
    parts = []
    for number in range(int(rng.integers(3, 20))):
        size = int(rng.choice([20, 99, 100, 101, 200, 300, 400]))
        label = _TRUE_LABELS[int(rng.integers(len(_TRUE_LABELS)))]
        parts.append(np.full(size, 1000 * label + number + 1))
        parts.append(np.full(int(rng.integers(0, 120)), int(rng.integers(0, 3))))  # without a class
    return np.concatenate(parts)


def _random_mask(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Tenths of an instance, so that overlaps fall on the thresholds, and at times a run of what lies beside it."""
    mask = np.zeros(len(values), bool)
    ids = np.unique(values)
    for _ in range(int(rng.integers(1, 3))):
        members = np.flatnonzero(values == ids[int(rng.integers(len(ids)))])
        mask[members[: len(members) * int(rng.integers(2, 11)) // 10]] = True
    if rng.random() < 0.4:
        start = int(rng.integers(len(values)))
        mask[start : start + int(rng.integers(20, 300))] = True
    return mask


def _likely_label(rng: np.random.Generator, values: np.ndarray, mask: np.ndarray) -> int:
    inside = values[mask] // 1000
    if len(inside) and rng.random() < 0.7:
        return int(np.bincount(inside).argmax())
    return _PREDICTED_LABELS[int(rng.integers(len(_PREDICTED_LABELS)))]
