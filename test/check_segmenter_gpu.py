"""Holds the GPU's ways to the plain twin, on a GPU: `python test/check_segmenter_gpu.py --scenes FOLDER`.

The tests do the same on the CPU, where Triton interprets its kernels. This prints how far apart results are, forward
and backward, and ends with exit code 1 where a bound is broken.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from bench_segmenter import CONSOLE, load_clouds, make_batch, make_cloud
from torch import Tensor

from ovseg3r_core.segmenter.build import base_config, build_segmenter
from ovseg3r_core.segmenter.engine import Given, Room, SegmenterEngine
from ovseg3r_core.segmenter.inputs import Batch
from ovseg3r_core.segmenter.sparse.convolve import convolve, use_flavour
from ovseg3r_core.segmenter.sparse.table import GatherTable
from ovseg3r_core.types import SceneCloud

BOUNDS = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}
"""Relative to the twin in float64, which gets the same rounded operands: the halves' are a few roundings of results."""
SPCONV_FACTOR = 5  # it sums half precision in half precision
BESIDE = (60_000, 45_000, 30_000, 20_000, 12_000, 8_000)
"""Voxels of the scenes that are segmented beside another thread: a graph each."""
broken = 0


def apart(one: Tensor, other: Tensor) -> float:
    """Relative distance."""
    return float((one.double() - other.double()).norm() / other.double().norm())


def hold(what: str, distance: float, bound: float) -> None:
    """Print, and remember what breaks its bound."""
    global broken
    broken += not distance <= bound
    CONSOLE.print(f"{what:60} {distance:.2e}  bound {bound:.0e}{'' if distance <= bound else '  BROKEN'}")


def check_convolutions(batch: Batch) -> None:
    """Every kind of table, several widths, forward and both gradients."""
    pyramid = build_segmenter(base_config()).pyramid(batch)
    kinds = {"3x3x3": pyramid.neighbours[1], "down": pyramid.down[0], "up": pyramid.up[0]}
    flavours = ["triton"]
    try:
        import spconv.pytorch  # noqa: F401

        flavours.append("spconv")
    except ImportError:
        CONSOLE.print("spconv is not here")
    for kind, table in kinds.items():
        for inputs, outputs in ((32, 32), (64, 96), (160, 128), (6, 32)):
            for dtype in (torch.float32, torch.float16, torch.bfloat16):
                truth = _three(table, inputs, outputs, torch.float64, "torch", dtype)
                for flavour in flavours:
                    if flavour == "spconv" and dtype == torch.bfloat16:
                        continue
                    try:
                        found = _three(table, inputs, outputs, dtype, flavour, dtype)
                    except Exception as error:
                        CONSOLE.print(f"{flavour} {kind} {inputs}>{outputs} {dtype}: {error!r:.100}")
                        continue
                    worst = max(apart(a, b) for a, b in zip(found, truth, strict=True))
                    bound = BOUNDS[dtype] * (SPCONV_FACTOR if flavour == "spconv" else 1)
                    hold(f"{flavour} {kind} {inputs}>{outputs} {dtype}", worst, bound)


def _three(
    table: GatherTable, inputs: int, outputs: int, dtype: torch.dtype, flavour: str, rounded: torch.dtype
) -> Sequence[Tensor]:
    """Output and gradients of inputs and weights; what goes in is rounded to a type first."""
    generator = torch.Generator(table.index.device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        drawn = torch.randn(*shape, generator=generator, device=table.index.device)
        return drawn.to(rounded).to(dtype)

    x, weight = draw(table.sources, inputs).requires_grad_(), draw(table.offsets, inputs, outputs).requires_grad_()
    with use_flavour(flavour):
        out = convolve(x, weight, table)
        return [out.detach(), *torch.autograd.grad(out, (x, weight), draw(table.rows, outputs))]


@torch.inference_mode()
def check_engine(cloud: SceneCloud, superpoints: int) -> None:
    """The engine against the plain modules with the twin's convolutions; runs again, points shuffled, other scenes."""
    batch = make_batch(cloud, superpoints).to("cuda")
    torch.manual_seed(0)
    net = build_segmenter(base_config()).to(batch.xyz.device)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    texts = torch.nn.functional.normalize(torch.randn(50, 384, device=batch.xyz.device), dim=1)
    with use_flavour("torch"):
        (truth,) = net(batch, texts)
    rows = batch.most_superpoints
    for dtype, bound in ((torch.float32, 2e-4), (torch.float16, 5e-2), (torch.bfloat16, 3e-1)):
        engine = SegmenterEngine(net, dtype)
        room = Room.of(batch, texts)
        given = Given.make(room, batch, texts, dtype)
        pooled, _ = engine.pool(given, p := engine.pyramid(given, room), engine.backbone(given, p))
        said = engine.decode(given, pooled)
        hold(f"engine {dtype}: names", apart(said.name_logits[:, :rows], truth.name_logits), bound)
        hold(f"engine {dtype}: masks", apart(said.mask_logits[:, :rows, :rows], truth.mask_logits), bound)
        start = time.perf_counter()
        one = engine(batch, texts)
        CONSOLE.print(f"engine {dtype}: first call of a size {time.perf_counter() - start:.2f} s")
        two = engine(batch, texts)
        hold(f"engine {dtype}: two runs, scores", float((one.score - two.score).abs().max()), 0.0)
        hold(f"engine {dtype}: two runs, masks that differ", float((one.masks != two.masks).float().mean()), 0.0)
        order = torch.randperm(len(batch.xyz), device="cuda")
        given.fill(shuffled(batch, order), texts)
        pooled, _ = engine.pool(given, p := engine.pyramid(given, room), engine.backbone(given, p))
        again = engine.decode(given, pooled)
        hold(f"engine {dtype}: points shuffled, masks", apart(again.mask_logits, said.mask_logits), bound / 10)
    beside = make_batch(cloud, superpoints, scenes=2).to("cuda")
    with use_flavour("triton"):
        (alone,), (together,) = net(batch, texts), net(beside, texts)
    hold("another scene in the batch, masks", apart(together.mask_logits[:1, :rows, :rows], alone.mask_logits), 1e-5)


@torch.inference_mode()
def check_beside(cloud: SceneCloud, superpoints: int) -> None:
    """Graphs are captured while another thread takes memory of the GPU and waits for it, as SAM does in a live map."""
    net = build_segmenter(base_config()).to("cuda")
    texts = torch.nn.functional.normalize(torch.randn(50, 384, device="cuda"), dim=1)
    batches = [make_batch(make_cloud([cloud], size), superpoints).to("cuda") for size in BESIDE]
    alone, beside = SegmenterEngine(net), SegmenterEngine(net)
    expected, over, uses = [alone(batch, texts).score for batch in batches], threading.Event(), Counter[str]()

    def use() -> None:
        """No random numbers: torch's generator of a GPU belongs to the capture while there is one."""
        while not over.is_set():
            try:
                size = 512 + 64 * (uses["well"] % 32)
                square = torch.full((size, size), 0.5, device="cuda")
                (square @ square).sum().cpu()
                uses["well"] += 1
            except RuntimeError as error:
                CONSOLE.print(f"beside a capture: {error!s:.200}")
                uses["failed"] += 1
                over.wait(0.01)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        differ = max(
            float((beside(batch, texts).score - score).abs().max())
            for batch, score in zip(batches, expected, strict=True)
        )
    finally:
        over.set()
        thread.join()
    hold(f"{len(batches)} graphs captured beside {uses['well']} uses of another thread", differ, 0.0)
    hold("of which failed", uses["failed"], 0)


def shuffled(batch: Batch, order: Tensor) -> Batch:
    """The same points in another order."""
    return replace(batch, xyz=batch.xyz[order], features=batch.features[order], superpoint=batch.superpoint[order])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--voxels", type=int, default=60_000)
    options = parser.parse_args()
    cloud = make_cloud(load_clouds(options.scenes), options.voxels)
    check_convolutions(make_batch(cloud, 700).to("cuda"))
    check_engine(cloud, 700)
    check_beside(cloud, 700)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
