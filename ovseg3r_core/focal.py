"""When a focal length is doubted: only where the images would have another one, and fit it clearly better."""

_GAIN = 0.05  # points must be seen nearer to where they should be by this share: few images fit any focal length
_DOUBTFUL = 0.1  # a focal length that the images would change by more than this is a wrong one


def believed(told: float, off_px: float, off_told_px: float) -> float:
    """What the images say a focal length is over what it was taken to be, 1 where they have no reason to say anything.

    Args:
        told: by what they would multiply it.
        off_px: how far points are seen from where they should be, with the focal length as it was given.
        off_told_px: the same with theirs.
    """
    return told if off_told_px < (1 - _GAIN) * off_px else 1.0


def doubtful(told: float) -> bool:
    """Whether it is so far off that what comes of it is wrong."""
    return abs(told - 1) > _DOUBTFUL
