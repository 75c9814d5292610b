"""What is known of an object from the learned segmenter, beside its masks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """What the segmenter says of one object of the map."""

    label: str | None
    """What it calls it; None where it is not sure."""
    score: float
    """Confidence 0..1 that there is such a thing."""
    name_score: float
    """Confidence 0..1 in the name, given that the thing is there."""
    first_seen: float
    """Stamp, seconds, of the first view that sees the object, masked or not; `last_seen` that of the last."""
    last_seen: float


def surer(one: Recognition | None, other: Recognition | None) -> Recognition | None:
    """That of the two which is surer of its thing; the one that there is where one is missing."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=lambda it: it.score)
