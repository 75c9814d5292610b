"""How fast the segmenter is, and how far from what the machine could do: `python test/bench_segmenter.py --help`.

Weights are random: speed does not depend on them. Clouds are those of labelled scenes (`--scenes`, made with
`ovseg3r-train scenes`), put side by side until there are enough voxels.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ovseg3r_core.segmenter import build, morton
from ovseg3r_core.segmenter.engine import Given, Room, SegmenterEngine
from ovseg3r_core.segmenter.inputs import Batch, collate, scene_input
from ovseg3r_core.segmenter.pooling import count_by, mean_by
from ovseg3r_core.segmenter.postprocess import find_instances
from ovseg3r_core.segmenter.segmenter import Segmenter, pool
from ovseg3r_core.segmenter.sparse.convolve import use_flavour
from ovseg3r_core.segmenter.voxels import VoxelPyramid, cells
from ovseg3r_core.types import SceneCloud

TEXTS = 200
CONSOLE = Console(width=200)
PEAK_FLOPS = {torch.float16: 798e12, torch.float32: 52e12}
"""Of an H100: an 8192 bf16 matrix product measured 798 TFLOP/s; float32 without tensor cores is the datasheet's 67."""
GROWTH_VOXELS = (50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000)
GROWTH_SUPERPOINTS = (500, 1000, 2000, 4000, 8000)
PEAK_BYTES = 3.0e12
"""A second, measured device to device, reading and writing."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table, milliseconds."""

    voxels: int
    superpoints: int
    dtype: str
    how: str
    maps: float
    backbone: float
    decoder: float
    choose: float
    total: float
    peak_mb: float

    def line(self) -> str:
        """In words."""
        return (
            f"  {self.how}: maps {self.maps:.2f}, backbone {self.backbone:.2f}, decoder {self.decoder:.2f}, choose "
            f"{self.choose:.2f}, total {self.total:.2f} ms, peak {self.peak_mb:.0f} MB"
        )


def make_cloud(scenes: Sequence[SceneCloud], voxels: int) -> SceneCloud:
    """Scenes side by side, cut to a number of voxels of 2 cm, one point a voxel."""
    parts, have, shift = [], 0, 0.0
    while have < voxels:
        cloud = scenes[len(parts) % len(scenes)]
        cell = cells(torch.from_numpy(cloud.xyz), 0.02, 5)
        _, first = np.unique(morton.encode(torch.zeros(len(cell), dtype=torch.int64), cell), return_index=True)
        kept = first[: voxels - have]
        parts.append((cloud.xyz[kept] + np.float32([shift, 0, 0]), cloud.color[kept]))
        have, shift = have + len(kept), shift + 25.6
    xyz, color = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return SceneCloud(xyz=xyz, color=color, normal=np.zeros_like(xyz))


def make_batch(cloud: SceneCloud, superpoints: int, scenes: int = 1) -> Batch:
    """With superpoints of equal size, pieces of the surface; further scenes are the second half of the cloud."""
    parts = [slice(None), *[slice(len(cloud) // 2, None)] * (scenes - 1)]
    superpoint = np.arange(len(cloud)) * superpoints // len(cloud)
    return collate(
        [
            scene_input(
                SceneCloud(xyz=cloud.xyz[part], color=cloud.color[part], normal=cloud.normal[part]),
                superpoint[part] - superpoint[part].min(),
            )
            for part in parts
        ]
    )


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Median of timed runs after two that are not; on a GPU the host waits for each."""
    times = []
    for number in range(repeats + 2):
        _wait()
        start = time.perf_counter()
        run()
        _wait()
        if number >= 2:
            times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def graph_milliseconds(run: Callable[[], object], repeats: int) -> float:
    """The same of a CUDA graph: what the GPU needs, without the host."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run(), run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return milliseconds(graph.replay, repeats)


def time_plain(net: Segmenter, batch: Batch, texts: torch.Tensor, how: str, repeats: int) -> Row:
    """The plain modules, one launch after the other."""
    dtype = texts.dtype
    pyramid = net.pyramid(batch)
    voxels = mean_by(batch.features, pyramid.voxel_of_point, pyramid.voxels[0]).to(dtype)
    pooled = pool(net.backbone(voxels, pyramid)[pyramid.voxel_of_point], batch)
    points = count_by(batch.superpoint, batch.most_superpoints)
    (said,) = net.decoder(pooled, texts)

    def whole() -> None:
        fresh = net.pyramid(batch)
        rows = mean_by(batch.features, fresh.voxel_of_point, fresh.voxels[0]).to(dtype)
        again = pool(net.backbone(rows, fresh)[fresh.voxel_of_point], batch)
        find_instances(net.decoder(again, texts)[0], 0, again.centre[0], points).kept.sum().item()

    _reset_peak()
    return Row(
        voxels=pyramid.voxels[0],
        superpoints=batch.most_superpoints,
        dtype=str(dtype).removeprefix("torch."),
        how=how,
        maps=milliseconds(lambda: net.pyramid(batch), repeats),
        backbone=milliseconds(lambda: net.backbone(voxels, pyramid), repeats),
        decoder=milliseconds(lambda: net.decoder(pooled, texts), repeats),
        choose=milliseconds(lambda: find_instances(said, 0, pooled.centre[0], points), repeats),
        total=milliseconds(whole, repeats),
        peak_mb=_peak_mb(),
    )


def time_engine(net: Segmenter, batch: Batch, texts: torch.Tensor, dtype: torch.dtype, repeats: int) -> Row:
    """The engine: its total is a call as users make it, the parts are graphs of their own."""
    engine = SegmenterEngine(net, dtype)
    engine(batch, texts)
    _reset_peak()
    total = milliseconds(lambda: engine(batch, texts), repeats)
    peak = _peak_mb()
    room = Room.of(batch, texts)
    given = Given.make(room, batch, texts, dtype)
    with torch.inference_mode():
        pyramid = engine.pyramid(given, room)
        voxels = engine.backbone(given, pyramid)
        pooled, points = engine.pool(given, pyramid, voxels)
        said = engine.decode(given, pooled)
        return Row(
            voxels=int(pyramid.counts[0]),
            superpoints=batch.most_superpoints,
            dtype=str(dtype).removeprefix("torch."),
            how="engine",
            maps=graph_milliseconds(lambda: engine.pyramid(given, room), repeats),
            backbone=graph_milliseconds(lambda: engine.backbone(given, pyramid), repeats),
            decoder=graph_milliseconds(lambda: engine.decode(given, pooled), repeats),
            choose=graph_milliseconds(lambda: engine.choose(said, pooled, points), repeats),
            total=total,
            peak_mb=peak,
        )


def backbone_floor(net: Segmenter, pyramid: VoxelPyramid, dtype: torch.dtype) -> tuple[float, float, float]:
    """Operations and bytes that no backbone can do without, and the milliseconds that the larger of them takes.

    Operations are those of pairs that exist; bytes are each convolution's input, output and weights once.
    """
    size = torch.finfo(dtype).bits // 8
    operations, moved, milliseconds_ = 0.0, 0.0, 0.0
    for table, inputs, outputs in _convolutions(net, pyramid):
        pairs = int((table.index >= 0).sum())
        flops = 2.0 * pairs * inputs * outputs
        traffic = size * (table.sources * inputs + table.rows * outputs + table.offsets * inputs * outputs)
        operations, moved = operations + flops, moved + traffic
        milliseconds_ += 1e3 * max(flops / PEAK_FLOPS[dtype], traffic / PEAK_BYTES)
    return operations, moved, milliseconds_


def decoder_floor(net: Segmenter, superpoints: int, dtype: torch.dtype) -> float:
    """Milliseconds of the decoder's matrix products alone."""
    c, s, config = net.config.channels, superpoints, net.config
    projections = 2.0 * s * c * c * (13 + 2 * config.feedforward_channels / c)
    attention = 2.0 * s * s * c * (3 + 2 + 1)  # to superpoints twice as wide as among queries; masks
    return 1e3 * config.layers * (projections + attention) / PEAK_FLOPS[dtype]


def _convolutions(net: Segmenter, pyramid: VoxelPyramid) -> Iterator[tuple]:
    widths, blocks = net.config.widths, net.config.blocks
    yield pyramid.neighbours[0], net.config.input_channels, widths[0]
    for level, width in enumerate(widths):
        last = level == len(widths) - 1
        for block in range(blocks if last else 2 * blocks):
            inputs = 2 * width if block == blocks and not last else width
            yield pyramid.neighbours[level], inputs, width
            yield pyramid.neighbours[level], width, width
        if not last:
            yield pyramid.down[level], width, widths[level + 1]
            yield pyramid.up[level], widths[level + 1], width


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> float:
    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else float("nan")


def load_clouds(folder: Path) -> list[SceneCloud]:
    from ovseg3r_train.scene_set import SceneSet

    return [scene.cloud for scene in SceneSet(folder, masks="perfect").read(clean=False)]


def rows_of(options: argparse.Namespace, cloud: SceneCloud, superpoints: int) -> list[Row]:
    """All types and ways on one cloud."""
    rows, device = [], torch.device(options.device)
    batch = make_batch(cloud, superpoints).to(device)
    for name in options.dtypes:
        dtype = getattr(torch, name)
        net = build.build_segmenter(getattr(build, f"{options.size}_config")()).to(device)
        texts = torch.nn.functional.normalize(torch.randn(TEXTS, net.config.text_channels, device=device), dim=1)
        with torch.inference_mode():
            pyramid = net.pyramid(batch)
            flops, moved, floor = backbone_floor(net, pyramid, dtype)
            CONSOLE.print(
                f"{name}: voxels {pyramid.voxels}, {superpoints} superpoints; backbone {flops / 1e9:.1f} GFLOP, "
                f"{moved / 1e6:.0f} MB; on an H100 at least {floor:.3f} ms, the decoder "
                f"{decoder_floor(net, superpoints, dtype):.3f} ms"
            )
            for how in options.flavours:
                if how == "engine":
                    rows.append(time_engine(net, batch, texts, dtype, options.repeats))
                else:
                    typed = build.build_segmenter(net.config).to(device, dtype)
                    with use_flavour(how):
                        rows.append(time_plain(typed, batch, texts.to(dtype), how, options.repeats))
                CONSOLE.print(rows[-1].line(), highlight=False)
    return rows


def training_step(options: argparse.Namespace, cloud: SceneCloud, flavour: str) -> float:
    """Milliseconds of forward and backward with automatic mixed precision, without losses' own matching."""
    net = build.build_segmenter(getattr(build, f"{options.size}_config")()).to(options.device).train()
    batch = make_batch(cloud, options.superpoints).to(options.device)
    texts = torch.nn.functional.normalize(torch.randn(TEXTS, net.config.text_channels, device=options.device), dim=1)

    def step() -> None:
        net.zero_grad(set_to_none=True)
        with torch.autocast(options.device, torch.float16):
            said = net(batch, texts, every_layer=True)
            loss = sum(it.mask_logits.float().square().mean() + it.name_logits.float().square().mean() for it in said)
        (loss * 128).backward()

    with use_flavour(flavour):
        return milliseconds(step, 5)


def plot_growth(by_voxels: Sequence[Row], by_superpoints: Sequence[Row], path: Path) -> None:
    """Time against voxels and against superpoints, by stage."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for axis, rows, key in ((axes[0], by_voxels, "voxels"), (axes[1], by_superpoints, "superpoints")):
        x = [getattr(row, key) for row in rows]
        for stage in ("total", "backbone", "decoder", "maps", "choose"):
            style = {"linewidth": 2.5, "color": "black"} if stage == "total" else {}
            axis.plot(x, [getattr(row, stage) for row in rows], marker="o", label=stage, **style)
        axis.set(xscale="log", yscale="log", xlabel=key)
        axis.set_xticks(x, [f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" for value in x])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="milliseconds", title=f"{by_voxels[0].superpoints} superpoints")
    axes[1].set(title=f"{by_superpoints[0].voxels} voxels")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def show(rows: Sequence[Row]) -> None:
    out = Table("voxels", "superpoints", "type", "how", "maps", "backbone", "decoder", "choose", "total", "peak MB")
    for row in rows:
        figures = (row.maps, row.backbone, row.decoder, row.choose, row.total)
        numbers = [f"{value:.2f}" for value in figures]
        out.add_row(str(row.voxels), str(row.superpoints), row.dtype, row.how, *numbers, f"{row.peak_mb:.0f}")
    CONSOLE.print(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, help="a folder of labelled scenes with perfect masks")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", default="base", choices=("small", "base", "wide"))
    parser.add_argument("--voxels", type=int, nargs="+", default=[80_000, 200_000, 540_000])
    parser.add_argument("--superpoints", type=int, default=1500)
    parser.add_argument("--dtypes", nargs="+", default=["float16", "float32"])
    parser.add_argument("--flavours", nargs="+", default=["engine", "triton", "spconv", "torch"])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--growth", action="store_true", help="more voxels, then more superpoints, in place of the table"
    )
    parser.add_argument("--training", action="store_true", help="a training step at the first size, by flavour")
    parser.add_argument("--out", type=Path, help="write the rows there as JSON")
    parser.add_argument("--plot", type=Path, nargs=2, metavar=("GROWTH.json", "OUT.png"), help="draw earlier rows")
    options = parser.parse_args()
    if options.plot:
        sides = json.loads(options.plot[0].read_text())
        plot_growth(*([Row(**row) for row in side] for side in sides), options.plot[1])
        return
    clouds = load_clouds(options.scenes)
    if options.training:
        cloud = make_cloud(clouds, options.voxels[0])
        for flavour in options.flavours:
            CONSOLE.print(
                f"training step, {options.voxels[0]} voxels, {flavour}: {training_step(options, cloud, flavour):.1f} ms"
            )
        return
    if options.growth:
        sizes = [rows_of(options, make_cloud(clouds, voxels), options.superpoints)[0] for voxels in GROWTH_VOXELS]
        middle = make_cloud(clouds, 200_000)
        counts = [rows_of(options, middle, count)[0] for count in GROWTH_SUPERPOINTS]
        written = [[asdict(row) for row in sizes], [asdict(row) for row in counts]]
        show([*sizes, *counts])
    else:
        rows = [
            row
            for voxels in options.voxels
            for row in rows_of(options, make_cloud(clouds, voxels), options.superpoints)
        ]
        written = [asdict(row) for row in rows]
        show(rows)
    if options.out:
        options.out.write_text(json.dumps(written, indent=1))


if __name__ == "__main__":
    main()
