"""What a teacher calls a thing: the right name, a wrong one, or none, and how sure it is."""

import zlib
from collections.abc import Collection, Sequence

import numpy as np

from ovseg3r_core.language.coco import COCO_CLASSES, kind_of, same_name
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, scannet200
from ovseg3r_train.teacher.near_names import near_names
from ovseg3r_train.teacher.noise_model import Naming, TeacherNoise


def words_of(naming: Naming) -> tuple[str, ...]:
    """The words that a teacher of this kind has for things."""
    return (
        COCO_CLASSES
        if naming == "coco"
        else tuple(name for name in scannet200().names if name not in (*STRUCTURE, UNNAMED))
    )


def right_name(name: str, words: Collection[str]) -> str | None:
    """The word among these for a thing of that name; None where there is none."""
    if name in words:
        return name
    kind = kind_of(name).name
    return kind if kind in words else None


class TeacherNames:
    """Names as one teacher gives them; wrong ones repeat themselves from view to view and within a class."""

    def __init__(self, noise: TeacherNoise, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._noise = noise
        self._known = set(self.words)

    def name(self, true_name: str, nameless: float, wrong: float, rng: np.random.Generator) -> str | None:
        """What it calls a thing in one view.

        Args:
            nameless: where the thing stands among all things, 0..1: the lowest get no name.
            wrong: the same for wrong names.
        """
        noise, right = self._noise, right_name(true_name, self._known)
        if nameless < (noise.nameless_foreign if right is None else noise.nameless):
            return None
        if wrong < (noise.wrong_foreign if right is None else noise.wrong):
            return self._wrong_name(true_name, rng)
        return right or true_name

    def any_name(self, rng: np.random.Generator) -> str:
        """A name for what is no thing."""
        return self.words[int(rng.integers(len(self.words)))]

    def score(self, name: str | None, true_name: str | None, rng: np.random.Generator) -> float:
        """How sure it is of a name, or of an outline without one."""
        noise = self._noise
        if name is None:
            return _beta(noise.score_nameless, rng)
        right = true_name is not None and same_name(name, true_name)
        return _beta(noise.score_right if right else noise.score_wrong, rng)

    def _wrong_name(self, true_name: str, rng: np.random.Generator) -> str:
        usual = rng.random() < np.sqrt(self._noise.same_wrong_name)  # both of two views, as often as was measured
        return self._pick(true_name, np.random.default_rng(zlib.crc32(true_name.encode())) if usual else rng)

    def _pick(self, true_name: str, rng: np.random.Generator) -> str:
        near = near_names(true_name, self.words)
        if near and rng.random() < self._noise.near_share:
            return near[int(rng.integers(len(near)))]
        others = [word for word in self.words if word not in near and not same_name(word, true_name)]
        return others[int(rng.integers(len(others)))]


def _beta(mean_and_spread: tuple[float, ...], rng: np.random.Generator) -> float:
    """A number in 0..1 of that mean and standard deviation."""
    mean, spread = min(mean_and_spread[0], 1.0), mean_and_spread[1]
    if spread <= 0 or mean in (0.0, 1.0):
        return float(mean)
    weight = max(mean * (1 - mean) / spread**2 - 1, 0.1)
    return float(rng.beta(mean * weight, (1 - mean) * weight))
