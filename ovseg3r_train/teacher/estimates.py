"""From the measures of many frames to the parameters of the noise, each with how much it was counted on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from ovseg3r_core.language.coco import same_name
from ovseg3r_train.teacher.measure import FalseMask, FrameMeasure, SeenThing
from ovseg3r_train.teacher.near_names import near_names
from ovseg3r_train.teacher.noise_model import SIZE_EDGES, SIZES, Naming, TeacherNoise, kept_within
from ovseg3r_train.teacher.teacher_names import right_name, words_of

_INTACT = 0.85
"""Share of a thing that its mask covers from which no piece of it is missing."""
_FINEST = 1e-3  # smaller errors than this of an outline are those of the pixels

Estimate = tuple[float | tuple[float, ...], int]
"""A parameter and the number of cases behind it."""


@dataclass(frozen=True)
class _Sample:
    """Everything that was seen, sorted into what the estimates are made of."""

    frames: Sequence[FrameMeasure]
    keys: list[tuple[str, int]]
    """Place and id of each thing; the same in all views of it."""
    things: list[SeenThing]
    whole: list[SeenThing]
    false: list[FalseMask]


def estimate(frames: Sequence[FrameMeasure], naming: Naming = "coco") -> dict[str, Estimate]:
    """The parameters of `TeacherNoise` but its naming, with the number of cases behind each.

    Raises:
        ValueError: there is no thing, or no mask that outlines one.
    """
    keyed = [((frame.place, thing.id), thing) for frame in frames for thing in frame.things]
    things = [thing for _, thing in keyed]
    whole = [thing for thing in things if thing.state == "whole"]
    if not whole:
        raise ValueError(f"{len(frames)} frames with {len(things)} visible things, none outlined: nothing to fit")
    false = [mask for frame in frames for mask in frame.false_masks]
    sample = _Sample(frames, [key for key, _ in keyed], things, whole, false)
    return {
        **_states(sample),
        **_names(sample, naming),
        **_extras(sample),
        **_outlines(sample),
        **_structure(sample),
        **_scores(sample),
    }


def noise_from(estimates: dict[str, Estimate], naming: Naming = "coco") -> TeacherNoise:
    """The noise with these parameters."""
    values = {name: value for name, (value, _) in estimates.items()}
    return TeacherNoise(naming=naming, **values)  # pyright: ignore[reportArgumentType]: by name, checked in it


def corrected(noise: TeacherNoise, real: dict[str, Estimate], simulated: dict[str, Estimate]) -> TeacherNoise:
    """The noise moved by what the simulation with it measures too much or too little (one step of indirect inference).

    One error looks like another: an eroded outline like a missing piece, a lump of two like a thing without an
    outline. What counts is that the simulated masks measure as the real ones do.
    """
    states = [
        np.array(getattr(noise, name)) + np.array(real[name][0]) - np.array(simulated[name][0]) for name in _STATES
    ]
    rates = np.clip(states, 0, 1)
    rates /= np.maximum(rates.sum(axis=0), 1)
    changes: dict[str, object] = {name: tuple(values) for name, values in zip(_STATES, rates.tolist(), strict=True)}
    for name in _ADDED:
        value = getattr(noise, name) + _number(real[name]) - _number(simulated[name])
        changes[name] = kept_within(name, value)
    for name in _MULTIPLIED:
        value = getattr(noise, name) * _number(real[name]) / max(_number(simulated[name]), 1e-6)
        changes[name] = kept_within(name, value)
    return replace(noise, **changes)  # pyright: ignore[reportArgumentType]: values of the fields' own types


_STATES = ("missed", "lumped", "in_parts")
_ADDED = ("truncated", "absorbs", "swallows", "repeats", "parts_of_whole", "outline_mean", "false_whole")
_MULTIPLIED = ("false_masks", "false_share", "outline_spread", "outline_reach", "parts_of_split")


def _number(estimate_: Estimate) -> float:
    value, _ = estimate_
    assert isinstance(value, float)
    return value


def agreement(happened: Bool[ndarray, " cases"], expected: Float64[ndarray, " cases"], keys: Sequence[object]) -> float:
    """Correlation of an event between two cases with the same key, beyond what is expected of each; 0 to 1."""
    _, group = np.unique([str(key) for key in keys], return_inverse=True)
    left, spread = happened - expected, np.sqrt(expected * (1 - expected))
    pairs = np.bincount(group, left) ** 2 - np.bincount(group, left**2)
    possible = np.bincount(group, spread) ** 2 - np.bincount(group, spread**2)
    return float(np.clip(pairs.sum() / possible.sum(), 0, 1)) if possible.sum() > 1e-9 else 0.0


def count_agreement(counts: Int64[ndarray, " cases"], keys: Sequence[object]) -> float:
    """Correlation of a count between two cases with the same key; 0 to 1."""
    _, group = np.unique([str(key) for key in keys], return_inverse=True)
    left = counts - counts.mean()
    pairs = np.bincount(group, left) ** 2 - np.bincount(group, left**2)
    sizes = np.bincount(group)
    possible = float((sizes * (sizes - 1)).sum() * left.var())
    return float(np.clip(pairs.sum() / possible, 0, 1)) if possible > 1e-9 else 0.0


def _whole_keys(sample: _Sample) -> list[tuple[str, int]]:
    return [key for key, thing in zip(sample.keys, sample.things, strict=True) if thing.state == "whole"]


def _states(sample: _Sample) -> dict[str, Estimate]:
    size = _size_class([thing.share for thing in sample.things])
    counts = np.bincount(size, minlength=len(SIZES))
    state = np.array([thing.state for thing in sample.things])
    rates = {name: _by_size(state == name, size, counts) for name in ("missed", "lumped", "parts")}
    broken = np.sum(list(rates.values()), axis=0)[size]
    lumped = [thing.in_structure for thing in sample.things if thing.state == "lumped"]
    return {
        "missed": (tuple(rates["missed"].tolist()), len(size)),
        "lumped": (tuple(rates["lumped"].tolist()), len(size)),
        "in_parts": (tuple(rates["parts"].tolist()), len(size)),
        "lumped_in_structure": _mean(lumped),
        "state_agreement": (agreement(state != "whole", broken, sample.keys), _repeated(sample.keys)),
    }


def _size_class(shares: Sequence[float]) -> Int64[ndarray, " things"]:
    return np.searchsorted(SIZE_EDGES, shares, side="right")


def _by_size(
    happened: Bool[ndarray, " things"], size: Int64[ndarray, " things"], counts: Int64[ndarray, " sizes"]
) -> Float64[ndarray, " sizes"]:
    """Share of each size; a size that was never seen has that of the nearest one."""
    events = np.bincount(size, happened, minlength=len(counts))
    seen = np.flatnonzero(counts)
    nearest = seen[np.abs(np.arange(len(counts))[:, None] - seen).argmin(axis=1)]
    return events[nearest] / counts[nearest]


def _names(sample: _Sample, naming: Naming) -> dict[str, Estimate]:
    words = words_of(naming)
    keys = _whole_keys(sample)
    foreign = np.array([naming == "coco" and right_name(thing.name, words) is None for thing in sample.whole])
    nameless = np.array([thing.label is None for thing in sample.whole])
    wrong = np.array([t.label is not None and not same_name(t.label, t.name) for t in sample.whole])
    expected = np.where(foreign, nameless[foreign].mean() if foreign.any() else 0.0, _rate(nameless[~foreign]))
    named = ~nameless
    expected_wrong = np.where(foreign, 1.0, _rate(wrong[named & ~foreign]))
    labels = [(thing.name, thing.label) for thing in sample.whole if thing.label is not None]
    mistakes = [(name, label) for name, label in labels if not same_name(label, name)]
    own = np.flatnonzero(named & ~foreign)
    return {
        "nameless": _mean(nameless[~foreign]),
        "nameless_foreign": _mean(nameless[foreign], 1.0),
        "wrong": _mean(wrong[named & ~foreign]),
        "wrong_foreign": _mean(wrong[named & foreign], 1.0),
        "nameless_agreement": (agreement(nameless, expected, keys), _repeated(keys)),
        "wrong_agreement": (
            agreement(wrong[own], expected_wrong[own], [keys[i] for i in own.tolist()]),
            _repeated([keys[i] for i in own.tolist()]),
        ),
        "same_wrong_name": _same_again(mistakes),
        "near_share": _mean([label in near_names(name, words) for name, label in mistakes]),
    }


def _same_again(mistakes: Sequence[tuple[str, str]]) -> Estimate:
    """How often two wrong names of a class are the same; every class counts as often as it was misnamed."""
    by_class: dict[str, list[str]] = defaultdict(list)
    for name, label in mistakes:
        by_class[name].append(label)
    groups = [labels for labels in by_class.values() if len(labels) > 1]
    if not groups:
        return 0.0, 0
    shares = [np.mean([a == b for a, b in combinations(labels, 2)]) for labels in groups]
    return float(np.average(shares, weights=[len(labels) for labels in groups])), sum(map(len, groups))


def _extras(sample: _Sample) -> dict[str, Estimate]:
    split = [thing for thing in sample.things if thing.state == "parts"]
    parts = [share for thing in (*split, *sample.whole) for share in thing.parts]
    named = sum(thing.named_parts for thing in (*split, *sample.whole))
    outlined = [thing for thing in sample.whole if thing.outline is not None]
    cut = [1 - thing.recall for thing in outlined if thing.recall < _INTACT]
    absorbed = np.sum([frame.absorbed for frame in sample.frames], axis=0)
    swallowed = np.sum([frame.swallowed for frame in sample.frames], axis=0)
    return {
        "repeats": _mean([thing.repeats for thing in sample.whole]),
        "parts_of_whole": _mean([len(thing.parts) for thing in sample.whole]),
        "parts_of_split": _mean([len(thing.parts) for thing in split]),
        "parts_agreement": (
            count_agreement(np.array([len(thing.parts) for thing in sample.whole]), _whole_keys(sample)),
            _repeated(_whole_keys(sample)),
        ),
        "part_share": _mean(parts),
        "part_share_spread": (float(np.std(parts)) if parts else 0.0, len(parts)),
        "named_parts": (named / max(len(parts), 1), len(parts)),
        "truncated": (len(cut) / max(len(outlined), 1), len(outlined)),
        "truncated_share": _mean(cut),
        "absorbs": (float(absorbed[1] / max(absorbed[0], 1)), int(absorbed[0])),
        "swallows": (float(swallowed[1] / max(swallowed[0], 1)), int(swallowed[0])),
    }


def _outlines(sample: _Sample) -> dict[str, Estimate]:
    errors = [thing.outline for thing in sample.whole if thing.outline is not None and thing.recall >= _INTACT]
    if not errors:
        raise ValueError("no mask outlines a whole thing alone: there is no outline to fit")
    means = np.array([error.mean for error in errors])
    spreads = np.maximum([error.spread for error in errors], _FINEST)
    reaches = np.array([error.reach for error in errors])
    known = reaches[np.isfinite(reaches)]
    return {
        "outline_mean": (float(means.mean()), len(means)),
        "outline_mean_spread": (float(means.std()), len(means)),
        "outline_spread": (float(np.median(spreads)), len(spreads)),
        "outline_spread_factor": (float(np.exp(np.log(spreads).std())), len(spreads)),
        "outline_reach": (float(np.median(known)) if len(known) else 0.1, len(known)),
    }


def _structure(sample: _Sample) -> dict[str, Estimate]:
    pieces = [mask.share for mask in sample.false if not mask.fills]
    shares = np.log(pieces or [0.1])
    return {
        "false_masks": (len(sample.false) / len(sample.frames), len(sample.frames)),
        "false_whole": _mean([mask.fills for mask in sample.false]),
        "false_share": (float(np.exp(np.median(shares))), len(pieces)),
        "false_share_factor": (float(np.exp(shares.std())), len(pieces)),
        "false_named": _mean([mask.label is not None for mask in sample.false]),
    }


def _scores(sample: _Sample) -> dict[str, Estimate]:
    named = [(t.score, same_name(t.label, t.name)) for t in sample.whole if t.label is not None]
    nameless = [mask.score for mask in (*sample.whole, *sample.false) if mask.label is None]
    return {
        "score_right": _mean_and_spread([score for score, right in named if right]),
        "score_wrong": _mean_and_spread([score for score, right in named if not right]),
        "score_nameless": _mean_and_spread(nameless),
    }


def _rate(events: Bool[ndarray, " cases"]) -> float:
    return float(events.mean()) if len(events) else 0.0


def _mean(values: Sequence[float | int] | ndarray, without: float = 0.0) -> Estimate:
    return (float(np.mean(values)), len(values)) if len(values) else (without, 0)


def _mean_and_spread(values: Sequence[float]) -> Estimate:
    return ((float(np.mean(values)), float(np.std(values))), len(values)) if values else ((1.0, 0.0), 0)


def _repeated(keys: Sequence[object]) -> int:
    """Cases that have another one with the same key."""
    _, counts = np.unique([str(key) for key in keys], return_counts=True)
    return int(counts[counts > 1].sum())
