"""What many answers add up to: how honest verdicts and scores are, and the trust in labels that would make them so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.optimize import minimize

from ovseg3r_train.benchmark.calibration import Asked, Named

FALSE_FOUND = 0.05
"""The share of absent names that may be `found`."""
_BINS = 10
_EDGE = 0.001  # a confidence of 0 or 1 has no log-odds


@dataclass(frozen=True, kw_only=True)
class Honesty:
    """How verdicts and truth agree; shares are NaN where nothing of the kind was asked."""

    present: int
    nameable: int
    """Present names that a mask brought."""
    absent: int
    recall: float
    """Share of the present names that are `found`, with the right object first."""
    nameable_recall: float
    """The same, of the nameable names."""
    nameable_listed: float
    """Share of the nameable names with the right object first, `found` or `ambiguous`."""
    wrong_object: float
    """Share of the present names that are `found` with a wrong object first."""
    false_found: float
    """Share of the absent names that are `found`."""
    absent_ambiguous: float
    """Share of the absent names that are `ambiguous`."""
    calibration_error: float
    """Expected calibration error of the scores: mean distance of score and share of right answers, in ten bins."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """What verdicts would be with another `found_at`."""

    found_at: float
    recall: float
    """Of the nameable names."""
    wrong_object: float
    false_found: float


def honesty(asked: Sequence[Asked]) -> Honesty:
    """Sum up the answers of all rooms."""
    present, absent = [it for it in asked if it.present], [it for it in asked if not it.present]
    nameable = [it for it in present if it.nameable]
    score, right = _scored(asked)
    return Honesty(
        present=len(present),
        nameable=len(nameable),
        absent=len(absent),
        recall=_share([it.verdict == "found" and it.right for it in present]),
        nameable_recall=_share([it.verdict == "found" and it.right for it in nameable]),
        nameable_listed=_share([it.right for it in nameable]),
        wrong_object=_share([it.verdict == "found" and not it.right for it in present]),
        false_found=_share([it.verdict == "found" for it in absent]),
        absent_ambiguous=_share([it.verdict == "ambiguous" for it in absent]),
        calibration_error=_calibration_error(score, right),
    )


def thresholds(asked: Sequence[Asked], lowest: float, steps: int = 71) -> list[Threshold]:
    """Recall and false answers as `found_at` moves from its lowest value, which is `none_below`, to 1."""
    present, absent = [it for it in asked if it.present], [it for it in asked if not it.present]
    nameable = [it for it in present if it.nameable]
    return [
        Threshold(
            found_at=at,
            recall=_share([it.clear and it.right and it.score >= at for it in nameable]),
            wrong_object=_share([it.clear and not it.right and it.score >= at for it in present]),
            false_found=_share([it.clear and it.score >= at for it in absent]),
        )
        for at in np.linspace(lowest, 1, steps).tolist()
    ]


def best_within(curve: Sequence[Threshold], false_found: float = FALSE_FOUND) -> Threshold | None:
    """The most recall with no more than this share of absent names found; None where every threshold finds more."""
    fair = [it for it in curve if it.false_found <= false_found]
    return max(fair, key=lambda it: (it.recall, it.found_at), default=None)


def reliability(asked: Sequence[Asked], bins: int = _BINS) -> list[tuple[float, float, int]]:
    """(mean score, share of right answers, number) of each bin of scores that holds any."""
    score, right = _scored(asked)
    place = np.minimum((score * bins).astype(int), bins - 1)
    return [
        (float(score[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]


def fit_trust(sources: Sequence[Sequence[Named]]) -> tuple[float, float] | None:
    """`label_bias` and `label_gain`: a logistic in the log-odds of confidence, each source of masks counting alike.

    None where the names are all right or all wrong, or where there are none: that tells nothing of trust.
    """
    named = [item for source in sources for item in source]
    if len({item.right for item in named}) < 2:
        return None
    weight = np.concatenate([np.full(len(source), 1 / max(len(source), 1)) for source in sources]) * len(named)
    confidence = np.clip([item.confidence for item in named], _EDGE, 1 - _EDGE)
    odds, sign = np.log(confidence / (1 - confidence)), np.array([1 if item.right else -1 for item in named])

    def loss(line: Float64[ndarray, "2"]) -> float:
        return float((weight * np.logaddexp(0, -sign * (line[0] + line[1] * odds))).mean() + 1e-3 * line[1] ** 2)

    bias, gain = minimize(loss, np.array([0.0, 1.0])).x.tolist()
    return bias, gain


def _share(told: Sequence[bool]) -> float:
    return sum(told) / len(told) if told else float("nan")


def _scored(asked: Sequence[Asked]) -> tuple[Float64[ndarray, " answers"], Bool[ndarray, " answers"]]:
    answered = [item for item in asked if item.score > 0]
    return np.array([item.score for item in answered]), np.array([item.right for item in answered], bool)


def _calibration_error(score: Float64[ndarray, " answers"], right: Bool[ndarray, " answers"]) -> float:
    place = np.minimum((score * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((score - right)[place == b].sum())) for b in range(_BINS)]
    return sum(gaps) / len(score) if len(score) else float("nan")
