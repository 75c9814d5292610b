"""Where the networks run."""

from enum import Enum


class Device(str, Enum):
    """What a user may choose."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def pick_device(device: str, option: str) -> str:
    """ "cuda" where it is asked for, or there and nothing is asked for ("auto"); else "cpu".

    Args:
        option: how the user calls the choice, for the error.

    Raises:
        ValueError: CUDA is asked for and not there.
    """
    if device == "cpu":
        return device
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ValueError(f"{option} cuda, but torch finds no CUDA device here: use {option} cpu")
    return "cuda" if there else "cpu"
