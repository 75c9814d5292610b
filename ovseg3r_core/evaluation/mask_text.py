"""Integers as text, one a line: the files of the ScanNet benchmark."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected

_ZERO, _ONE = (np.frombuffer(line, "<u2")[0] for line in (b"0\n", b"1\n"))


def read_mask(path: Path) -> Bool[ndarray, " points"]:
    """One mask; what is not 0 belongs to it, as in the benchmark.

    Raises:
        Rejected: with reason `bad_mask` where the file holds anything else than integers.
    """
    data = path.read_bytes()
    lines = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    if len(lines) % 2 == 0:
        pairs = lines.view("<u2")
        ones = pairs == _ONE
        if (ones | (pairs == _ZERO)).all():
            return ones
    return _integers(data, path, "bad_mask") != 0  # other integers, other line ends


def read_values(path: Path) -> Int64[ndarray, " points"]:
    """The truth: one integer a vertex, `1000 * label id + instance`.

    Raises:
        Rejected: with reason `bad_truth` where the file is empty or holds anything else than integers.
    """
    values = _integers(path.read_bytes(), path, "bad_truth")
    if not len(values):
        raise Rejected("bad_truth", f"{path} is empty; it wants one integer a vertex, 1000 * label id + instance")
    return values


def _integers(data: bytes, path: Path, reason: str) -> Int64[ndarray, " points"]:
    try:
        return np.array(data.decode("ascii").split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise Rejected(reason, f"{path} is not one integer a line: {error}") from error
