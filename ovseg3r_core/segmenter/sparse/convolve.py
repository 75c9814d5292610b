"""Sparse convolution behind one function: which flavour of code computes it, chosen by device, overridden by name.

All flavours give what the plain torch twin (`reference.py`) gives; tests hold them to it, forward and backward.
"""

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ovseg3r_core.segmenter.sparse import cpu, reference
from ovseg3r_core.segmenter.sparse.table import GatherTable

logger = logging.getLogger(__name__)

Flavour = Literal["torch", "cpu", "triton", "spconv"]
FLAVOURS: tuple[Flavour, ...] = ("torch", "cpu", "triton", "spconv")

_Convolve = Callable[[Tensor, Tensor, GatherTable], Tensor]
_wanted: ContextVar[Flavour | None] = ContextVar("flavour", default=None)


def convolve(
    features: Float[Tensor, "sources inputs"], weight: Float[Tensor, "offsets inputs outputs"], table: GatherTable
) -> Float[Tensor, "rows outputs"]:
    """Output row r is the sum over offsets k of `features[table.index[k, r]] @ weight[k]`; differentiable.

    Under autocast it computes in the type of autocast, as torch's own convolutions do; sums are always float32.
    """
    kind = features.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        features, weight = features.to(dtype), weight.to(dtype)
    with torch.autocast(kind, enabled=False):
        return _implementation(flavour_for(features.device, features.dtype))(features, weight, table)


@contextmanager
def use_flavour(flavour: str) -> Iterator[None]:
    """Compute with one flavour while the block runs, in place of the one for the device.

    Raises:
        ValueError: there is no such flavour. One that cannot run here raises ImportError when it is used.
    """
    known: Flavour | None = next((name for name in FLAVOURS if name == flavour), None)
    if known is None:
        raise ValueError(f"no sparse convolution is called {flavour!r}; there are {', '.join(FLAVOURS)}")
    token = _wanted.set(known)
    try:
        yield
    finally:
        _wanted.reset(token)


def flavour_for(device: torch.device, dtype: torch.dtype = torch.float32) -> Flavour:
    """The flavour in use on a device: the one that was asked for, else the fastest that is right there."""
    return _wanted.get() or _fastest(device.type, dtype)


@cache
def _fastest(device: str, dtype: torch.dtype) -> Flavour:
    """Measured in docs/segmenter.md. What is chosen is logged once."""
    flavour: Flavour = "torch"
    if device == "cpu" and dtype == torch.float32:
        flavour = "cpu"
    elif device == "cuda" and importlib.util.find_spec("triton"):
        flavour = "triton"
    elif device == "cuda" and importlib.util.find_spec("spconv"):
        flavour = "spconv"
    logger.info("sparse convolution on %s in %s: %s", device, dtype, flavour)
    return flavour


@cache
def _implementation(flavour: Flavour) -> _Convolve:
    if flavour == "torch":
        return reference.convolve
    if flavour == "cpu":
        return _differentiable(cpu)
    if flavour == "triton":
        from ovseg3r_core.segmenter.sparse import gpu

        return _differentiable(gpu)
    from ovseg3r_core.segmenter.sparse import spconv_wheel

    return spconv_wheel.convolve


def _differentiable(kernels: Any) -> _Convolve:
    """A module's `convolve` and `weight_gradient` as one differentiable function."""

    def run(features: Tensor, weight: Tensor, table: GatherTable) -> Tensor:
        return _Convolution.apply(features, weight, table, kernels)  # pyright: ignore[reportReturnType]

    return run


class _Convolution(torch.autograd.Function):
    """The gradient of a gather is a gather along the transposed table."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, table: GatherTable, kernels: Any) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.table, ctx.kernels = table, kernels
        return kernels.convolve(features, weight, table)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        grad, grad_features, grad_weight = grads[0], None, None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(1, 2).contiguous()
            grad_features = ctx.kernels.convolve(grad.contiguous(), turned, ctx.table.transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = ctx.kernels.weight_gradient(features, grad.contiguous(), ctx.table).to(weight.dtype)
        return grad_features, grad_weight, None, None
