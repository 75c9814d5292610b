"""Every flavour of sparse convolution gives what the plain twin gives in double precision, forward and backward."""

import importlib.util
import os
from collections.abc import Callable

import pytest
import torch
from segmenter_parts import a_pyramid
from torch import Tensor

from ovseg3r_core.segmenter.sparse import gpu, schedule
from ovseg3r_core.segmenter.sparse.convolve import convolve, flavour_for, use_flavour
from ovseg3r_core.segmenter.sparse.cpu import weight_gradient as cpu_weight_gradient
from ovseg3r_core.segmenter.sparse.table import GatherTable

PYRAMID = a_pyramid()
TABLES = {"neighbours": PYRAMID.neighbours[0], "down": PYRAMID.down[0], "up": PYRAMID.up[0]}
WIDTHS = ((6, 16), (32, 32), (33, 17))
has_spconv = pytest.mark.skipif(importlib.util.find_spec("spconv") is None, reason="no spconv wheel is installed")


def drawn(table: GatherTable, inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, weights and an upstream gradient."""
    generator = torch.Generator().manual_seed(inputs)
    shapes = ((table.sources, inputs), (table.offsets, inputs, outputs), (table.rows, outputs))
    x, weight, grad = (torch.randn(*shape, generator=generator) for shape in shapes)
    return x, weight, grad


def twin(x: Tensor, weight: Tensor, grad: Tensor, table: GatherTable) -> list[Tensor]:
    """Output and both gradients in double precision."""
    x, weight = x.double().requires_grad_(), weight.double().requires_grad_()
    with use_flavour("torch"):
        out = convolve(x, weight, table)
        return [out.detach(), *torch.autograd.grad(out, (x, weight), grad.double())]


def apart(found: Tensor, truth: Tensor) -> float:
    return float((found.double() - truth).norm() / truth.norm())


def test_the_twin_is_the_sum_over_what_each_row_reads() -> None:
    table = TABLES["down"]
    x, weight, _ = drawn(table, 3, 2)
    with use_flavour("torch"):
        out = convolve(x, weight, table)
    for row in range(table.rows):
        read = [(k, int(source)) for k, source in enumerate(table.index[:, row]) if source >= 0]
        assert torch.allclose(out[row], sum((x[source] @ weight[k] for k, source in read), torch.zeros(2)), atol=1e-5)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("flavour", ["cpu", "triton"])
def test_a_flavour_equals_the_twin_forward_and_backward(name: str, inputs: int, outputs: int, flavour) -> None:
    table = TABLES[name]
    x, weight, grad = drawn(table, inputs, outputs)
    truth = twin(x, weight, grad, table)
    x.requires_grad_(), weight.requires_grad_()
    with use_flavour(flavour):
        out = convolve(x, weight, table)
        found = [out.detach(), *torch.autograd.grad(out, (x, weight), grad)]
    assert max(apart(a, b) for a, b in zip(found, truth, strict=True)) < 1e-5


@has_spconv
@pytest.mark.filterwarnings("ignore")  # spconv's, of torch
@pytest.mark.parametrize("name", TABLES)
def test_spconv_equals_the_twin_and_has_no_gradients_on_the_cpu(name: str) -> None:
    table = TABLES[name]
    x, weight, grad = drawn(table, 32, 16)
    with use_flavour("spconv"):
        assert apart(convolve(x, weight, table), twin(x, weight, grad, table)[0]) < 1e-5
        with pytest.raises(RuntimeError, match="train with the flavour cpu"):
            convolve(x.requires_grad_(), weight, table)


def test_without_a_wheel_spconv_says_how_to_get_one(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "spconv", None)
    monkeypatch.delitem(sys.modules, "ovseg3r_core.segmenter.sparse.spconv_wheel", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'ovseg3r_ros\[spconv-cu126\]'"):
        import ovseg3r_core.segmenter.sparse.spconv_wheel  # noqa: F401


@pytest.mark.parametrize("name", TABLES)
def test_half_precision_stays_within_its_rounding(name: str) -> None:
    table = TABLES[name]
    x, weight, grad = (value.half() for value in drawn(table, 32, 32))
    truth = twin(x, weight, grad, table)
    out = torch.empty(table.rows, 32, dtype=torch.float16)
    gpu.gather_matmul(x, weight, schedule.schedule_of(table), raw=out)
    assert apart(out, truth[0]) < 1e-3  # operands are equal, sums are float32: one rounding of the result is left


def test_a_fused_convolution_adds_the_residual_and_applies_the_norms_of_those_who_read_it() -> None:
    table = TABLES["neighbours"]
    x, weight, residual = drawn(table, 16, 16)
    norms = [torch.randn(2, 16), torch.randn(2, 16)]
    wide, acted = torch.zeros(table.rows, 40), [torch.zeros(table.rows, 16), torch.zeros(table.rows, 16)]
    gpu.gather_matmul(
        x,
        weight,
        schedule.schedule_of(table),
        raw=wide[:, 24:],
        residual=residual,
        acted=[gpu.Acted(norm, out) for norm, out in zip(norms, acted, strict=True)],
    )
    expected = twin(x, weight, residual, table)[0] + residual
    assert apart(wide[:, 24:], expected) < 1e-6 and not wide[:, :24].any()
    for norm, out in zip(norms, acted, strict=True):
        assert apart(out, torch.relu(expected * norm[0] + norm[1])) < 1e-5


def test_a_schedule_takes_every_row_once_and_names_the_offsets_that_a_block_needs() -> None:
    for table in TABLES.values():
        plan = schedule.schedule_of(table)
        order = plan.order.long()
        assert sorted(order.tolist()) == list(range(table.rows))
        assert torch.equal(plan.index, table.index[:, order])
        for block in range(plan.blocks):
            rows = plan.index[:, block * schedule.BLOCK : (block + 1) * schedule.BLOCK]
            needed, *which = plan.active[block].tolist()
            assert which[:needed] == (rows >= 0).any(1).nonzero().squeeze(1).tolist()


def test_rows_that_read_alike_are_put_together() -> None:
    table = a_pyramid(points=3000).neighbours[0]
    plan = schedule.schedule_of(table)
    blocks = [table.index[:, i : i + schedule.BLOCK] for i in range(0, table.rows, schedule.BLOCK)]
    in_given_order = sum(int((rows >= 0).any(1).sum()) for rows in blocks)
    assert int(plan.active[:, 0].sum()) < in_given_order


@pytest.mark.parametrize("run", [lambda x, w, g, t: convolve(x, w, t), lambda x, w, g, t: cpu_weight_gradient(x, g, t)])
def test_the_cpu_repeats_itself_to_the_bit_with_any_number_of_threads(run: Callable, monkeypatch) -> None:
    table = TABLES["neighbours"]
    given = drawn(table, 16, 16)
    with use_flavour("cpu"):
        first = run(*given, table)
        for cores in ({0}, set(range(5))):
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
            assert torch.equal(first, run(*given, table))


def test_the_cpu_computes_float32_by_its_own_loops_and_all_else_by_the_twin() -> None:
    cpu = torch.device("cpu")
    assert flavour_for(cpu) == "cpu" and flavour_for(cpu, torch.float64) == "torch"
    table = TABLES["down"]
    x, weight, _ = drawn(table, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(x, weight, table).dtype == torch.bfloat16


def test_an_unknown_flavour_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="there are torch, cpu, triton, spconv"), use_flavour("vanilla"):
        pass
