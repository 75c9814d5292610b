"""Which superpoints become queries while a segmenter learns: a random half to all of them (method 2.3)."""

import torch
from jaxtyping import Int64
from torch import Tensor

PADDING = -1


def all_seeds(superpoints: tuple[int, ...]) -> Int64[Tensor, "scenes queries"]:
    """Every superpoint of each scene, padded with -1."""
    place = torch.arange(max(superpoints))
    return torch.where(place < torch.tensor(superpoints)[:, None], place, PADDING)


def random_seeds(
    superpoints: tuple[int, ...], generator: torch.Generator, least: float = 0.5
) -> Int64[Tensor, "scenes queries"]:
    """A random share of the superpoints of each scene, between `least` and 1, padded with -1."""
    chosen = []
    for count in superpoints:
        share = least + (1 - least) * torch.rand((), generator=generator).item()
        chosen.append(torch.randperm(count, generator=generator)[: max(1, round(share * count))])
    padded = torch.full((len(chosen), max(map(len, chosen))), PADDING)
    for row, seeds in zip(padded, chosen, strict=True):
        row[: len(seeds)] = seeds
    return padded
