"""What a 2D teacher gets wrong, as numbers that hold at every resolution.

Sizes are shares of the image, lengths are in units of the square root of a thing's visible area. Rates by size are
given for the sizes of `SIZES` and read in between along the logarithm.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges

Naming = Literal["coco", "open"]

SIZE_EDGES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Shares of the image between which the rates by size are counted."""
SIZES = (0.0006, 0.0017, 0.0055, 0.017, 0.055, 0.2)
"""The share of the image that each rate by size stands for."""

_Share = Annotated[float, Within(0.0, 1.0)]
_Shares = Annotated[tuple[float, ...], Within(0.0, 1.0)]
_Score = Annotated[tuple[float, ...], Within(0.0, 1.0)]
_FITTED = Path(__file__).parent / "default_masks.json"


@dataclass(frozen=True, kw_only=True)
class TeacherNoise:
    """The errors of a teacher; what the words mean is defined in `measure.py`."""

    naming: Naming = "coco"
    """Which words it has: those of COCO, or any name there is."""

    missed: _Shares
    """Share of things without any mask, by size."""
    lumped: _Shares
    """Share of things that only a mask of something else covers, by size."""
    in_parts: _Shares
    """Share of things that have part masks only, by size."""
    lumped_in_structure: _Share
    """Share of the lumped things that lie in a mask on structure; the others lie in that of a neighbour."""
    state_agreement: _Share
    """Correlation between two views of whether a thing is outlined as a whole."""

    nameless: _Share
    """Share of outlined things without a name, where the teacher has a word for them."""
    nameless_foreign: _Share
    """The same where it has none."""
    wrong: _Share
    """Share of the names that are wrong, where the teacher has a word for the thing."""
    wrong_foreign: _Share
    """The same where it has none: 1, unless some of the error is scaled away."""
    nameless_agreement: _Share
    """Correlation between two views of whether a thing has a name."""
    wrong_agreement: _Share
    """Correlation between two views of whether the name is wrong."""
    same_wrong_name: _Share
    """How often two wrong names of one class are the same."""
    near_share: _Share
    """Share of wrong names that are near in meaning to the right one (`near_names.py`)."""

    repeats: Annotated[float, Within(0.0, 5.0)]
    """Further masks of an outlined thing."""
    parts_of_whole: Annotated[float, Within(0.0, 10.0)]
    """Part masks of an outlined thing."""
    parts_of_split: Annotated[float, Within(0.0, 10.0)]
    """Part masks of a thing that has nothing else."""
    parts_agreement: _Share
    """Correlation between two views of how many parts an outlined thing has beside its outline."""
    part_share: _Share
    """Share of the thing that a part covers."""
    part_share_spread: _Share
    """Standard deviation of that."""
    named_parts: _Share
    """Share of the parts that have a name."""
    truncated: _Share
    """Share of the outlined things of which a piece is missing."""
    truncated_share: _Share
    """Share of the thing that is missing then."""
    absorbs: _Share
    """Share of the smaller neighbours that the mask of a thing takes in, though they have their own."""
    swallows: _Share
    """Share of the outlined things at its border that a mask on structure takes in."""

    outline_mean: Annotated[float, Within(-0.2, 0.2)]
    """Signed distance from the true outline: positive bleeds out, negative is eroded."""
    outline_mean_spread: Annotated[float, Within(0.0, 0.2)]
    """Standard deviation of that between masks."""
    outline_spread: Annotated[float, Within(0.0, 0.2)]
    """Standard deviation along an outline, of the middle one of all masks."""
    outline_spread_factor: Annotated[float, Within(1.0, 10.0)]
    """By what factor that differs from mask to mask: the exponential of the standard deviation of its logarithm."""
    outline_reach: Annotated[float, Within(0.01, 1.0)]
    """Way along an outline after which its error has half forgotten itself."""

    false_masks: Annotated[float, Within(0.0, 50.0)]
    """Masks on walls, floor and ceiling, a frame."""
    false_whole: _Share
    """Share of these that are a wall, floor or ceiling as a whole, as far as it is seen; the others are pieces."""
    false_share: Annotated[float, Within(0.0001, 1.0)]
    """Size of the middle one of the pieces, as a share of the image."""
    false_share_factor: Annotated[float, Within(1.0, 20.0)]
    """By what factor their size differs."""
    false_named: _Share
    """Share of the masks on structure with a name."""

    score_right: _Score
    """Mean and standard deviation of the scores of right names."""
    score_wrong: _Score
    """The same of wrong names."""
    score_nameless: _Score
    """The same of outlines without a name, of things and of structure."""

    def __post_init__(self) -> None:
        """Check the ranges, and that there is a rate for each size."""
        check_ranges(self)
        for name in ("missed", "lumped", "in_parts"):
            if len(getattr(self, name)) != len(SIZES):
                raise ValueError(f"{name} has {len(getattr(self, name))} rates; give one for each of {SIZES}")
        for name in ("score_right", "score_wrong", "score_nameless"):
            if len(getattr(self, name)) != 2:
                raise ValueError(f"{name} has {len(getattr(self, name))} numbers; give the mean and the spread")
        if (worst := max(map(sum, zip(self.missed, self.lumped, self.in_parts, strict=True)))) > 1 + 1e-6:
            raise ValueError(f"missed, lumped and in_parts add up to {worst:.3f} at one size; they are shares of one")

    def state_rates(self, share: float) -> Float64[ndarray, "3"]:
        """Rates of missed, lumped and in parts of a thing that covers this share of the image."""
        at, sizes = np.log(max(share, 1e-9)), np.log(SIZES)
        return np.array([np.interp(at, sizes, rates) for rates in (self.missed, self.lumped, self.in_parts)])

    def scale(self, factor: float) -> "TeacherNoise":
        """The same teacher with its errors made rarer and smaller, or more and larger; 0 is a perfect one.

        Shares of a kind of error (where a lumped thing lies, how far a wrong name is off) and how views agree
        stay as they are.

        Raises:
            ValueError: the factor is negative.
        """
        if not factor >= 0:
            raise ValueError(f"factor is {factor}; it must be 0 or more")
        states = np.array([self.missed, self.lumped, self.in_parts]) * factor
        states /= np.maximum(states.sum(axis=0), 1.0)
        changes: dict[str, object] = {
            name: tuple(rates) for name, rates in zip(("missed", "lumped", "in_parts"), states.tolist(), strict=True)
        }
        for name in _SCALED:
            changes[name] = kept_within(name, getattr(self, name) * factor)
        for name in ("score_right", "score_wrong", "score_nameless"):
            mean, spread = getattr(self, name)
            changes[name] = (max(mean + (1 - mean) * (1 - factor), 0.05), min(spread * factor, 0.5))
        return replace(self, **changes)  # pyright: ignore[reportArgumentType]: values of the fields' own types


_SCALED = (
    "nameless",
    "nameless_foreign",
    "wrong",
    "wrong_foreign",
    "repeats",
    "parts_of_whole",
    "named_parts",
    "truncated",
    "absorbs",
    "swallows",
    "outline_mean",
    "outline_mean_spread",
    "outline_spread",
    "false_masks",
    "false_named",
)


def default_masks() -> TeacherNoise:
    """What the embedded detector with SAM gets wrong, as fitted to rendered frames."""
    return read_noise(_FITTED)


def open_vocabulary() -> TeacherNoise:
    """The same with a word for everything.

    This is an assumption, not a measurement: outlines, misses and rates of wrong names are those of `default_masks`
    on things it has words for, and an open-vocabulary detector is taken to be as good on every class.
    """
    return replace(default_masks(), naming="open")


def read_noise(path: Path) -> TeacherNoise:
    """The noise of a JSON file that `write_fit` wrote.

    Raises:
        ValueError: a parameter is missing, unknown or out of range.
    """
    parameters = json.loads(path.read_text("utf-8"))["parameters"]
    known = {field.name for field in fields(TeacherNoise)}
    if parameters.keys() != known:
        odd = sorted(parameters.keys() ^ known)
        raise ValueError(f"{path}: parameters {', '.join(odd)} are missing or unknown: fit it again")
    tuples = {name: tuple(value) for name, value in parameters.items() if isinstance(value, list)}
    return TeacherNoise(**(parameters | tuples))


def noise_as_json(noise: TeacherNoise) -> dict[str, object]:
    """The parameters as they stand in a file."""
    return asdict(noise)


@cache
def _range(name: str) -> Within:
    hint = TeacherNoise.__annotations__[name]
    return next(note for note in hint.__metadata__ if isinstance(note, Within))


def kept_within(name: str, value: float) -> float:
    """The value, or the end of a parameter's range that it is beyond."""
    within = _range(name)
    return float(min(max(value, within.low), within.high))
