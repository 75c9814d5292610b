"""The flavour of the spconv wheels: CUDA (spconv-cu120, spconv-cu126) by implicit GEMM, CPU (spconv) by native pairs.

spconv builds its own index maps as a rule. Here it is given ours, so that voxels keep their order.

The CPU wheel 2.3.8 gives wrong sums with more than one thread, and its gradients ask for a CUDA driver
(docs/segmenter.md): it runs in one thread and has no gradients.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from ovseg3r_core.segmenter.sparse.table import GatherTable

try:
    import spconv.pytorch.functional as functional  # pyright: ignore[reportMissingImports]
    from spconv.core import ConvAlgo  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError(
        "spconv is not installed: pip install 'ovseg3r_ros[spconv-cu126]' (or spconv-cu120, spconv-cpu)"
    ) from error

_ALL_OFFSETS = [np.array([0xFFFFFFFF], dtype=np.uint32)]


def convolve(
    features: Float[Tensor, "sources inputs"], weight: Float[Tensor, "offsets inputs outputs"], table: GatherTable
) -> Float[Tensor, "rows outputs"]:
    """As the twin's, differentiable by spconv's own functions."""
    edge = round(weight.shape[0] ** (1 / 3))
    filters = weight.permute(2, 0, 1).reshape(weight.shape[2], edge, edge, edge, weight.shape[1]).contiguous()
    if features.is_cuda:
        return _on_cuda(features.contiguous(), filters, table)
    if torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad):
        raise RuntimeError("spconv's CPU wheel has no gradients without a CUDA driver: train with the flavour cpu")
    with _one_thread():
        pairs, counts = _native_pairs(table)
        return functional.indice_conv(  # pyright: ignore[reportReturnType]
            features.contiguous(), filters, pairs, counts, table.rows, ConvAlgo.Native
        )


def _on_cuda(features: Tensor, filters: Tensor, table: GatherTable) -> Tensor:
    out, back = _side(table), _side(table.transposed)
    return functional.implicit_gemm(  # pyright: ignore[reportReturnType]
        features,
        filters,
        out.index,
        back.index,
        [out.mask],
        [back.mask],
        [out.order],
        [back.order],
        table.rows,
        _ALL_OFFSETS,
        torch.is_grad_enabled(),
        False,
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """What implicit GEMM wants to know of one direction."""

    index: Int32[Tensor, "offsets rows"]
    mask: Int32[Tensor, "rows 1"]
    """One bit for each offset that a row reads something at, sorted."""
    order: Int32[Tensor, " rows"]
    """The row of each."""


_sides: WeakKeyDictionary[GatherTable, _Side] = WeakKeyDictionary()
_pairs: WeakKeyDictionary[GatherTable, tuple[Tensor, Tensor]] = WeakKeyDictionary()


def _side(table: GatherTable) -> _Side:
    if table not in _sides:
        bits = 1 << torch.arange(table.offsets, device=table.index.device)
        mask, order = ((table.index >= 0) * bits[:, None]).sum(0).sort()
        _sides[table] = _Side(table.index.contiguous(), mask.int()[:, None], order.int())
    return _sides[table]


def _native_pairs(table: GatherTable) -> tuple[Int32[Tensor, "2 offsets rows"], Int32[Tensor, " offsets"]]:
    if table not in _pairs:
        pairs = torch.full((2, table.offsets, max(table.rows, table.sources)), -1, dtype=torch.int32)
        for k, (sources, rows) in enumerate(table.pairs):
            pairs[0, k, : len(sources)], pairs[1, k, : len(rows)] = sources.int(), rows.int()
        counts = torch.tensor([len(rows) for _, rows in table.pairs], dtype=torch.int32)
        _pairs[table] = pairs, counts
    return _pairs[table]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
