"""What a few agreeing views are worth: a share with the doubt of small numbers in it."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def surely(agreeing: Float64[ndarray, " _"], asked: Float64[ndarray, " _"]) -> Float64[ndarray, " _"]:
    """The lower end of Wilson's interval, at one standard deviation, of the agreeing share of those asked.

    Ten of ten are surer than one of one: 0.91 and 0.5.

    Args:
        asked: 1 at least.
    """
    share = agreeing / asked
    doubt = np.sqrt((share * (1 - share) + 0.25 / asked) / asked)
    return (share + 0.5 / asked - doubt) / (1 + 1 / asked)
