"""The training loop: lessons in, a checkpoint out; stopped at any moment, it goes on where it was saved.

lesson ─► segmenter ─► losses of scenes with truth, losses of views (VIP) ─► gradients ─► weights ─► their mean
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ovseg3r_core.atomic import make_folder
from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.segmenter.build import base_config, build_segmenter, small_config, wide_config
from ovseg3r_core.segmenter.checkpoint import load_segmenter
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_core.segmenter.voxels import VoxelPyramid
from ovseg3r_train.learning.example import Example
from ovseg3r_train.learning.losses import Losses, segmenter_losses
from ovseg3r_train.learning.soft_names import soft_names
from ovseg3r_train.training.config import TrainConfig
from ovseg3r_train.training.keeper import Keeper, Look
from ovseg3r_train.training.lessons import Lesson, Lessons
from ovseg3r_train.training.state import load_state

try:
    from accelerate import Accelerator, DistributedDataParallelKwargs
except ImportError as error:
    raise ImportError("training needs Accelerate, which is not installed: pip install 'ovseg3r_ros[train]'") from error

_SIZES = {"small": small_config, "base": base_config, "wide": wide_config}


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The texts that a training compares with."""

    places: Mapping[str, int]
    """The row of each name."""
    rows: Float32[Tensor, "texts text_channels"]
    """Their embeddings, unit rows."""
    encoder: EncoderId
    """What made them."""


@dataclass(frozen=True, kw_only=True)
class _Names:
    """The vocabulary on the training's device."""

    rows: Float32[Tensor, "texts text_channels"]
    soft: Float32[Tensor, "names names"] | None
    """How the names that views give are spread; None where they are not."""

    @classmethod
    def of(cls, rows: Tensor, softness: float) -> "_Names":
        return cls(rows=rows, soft=soft_names(rows, softness) if softness else None)


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a training is run, which does not change what comes out."""

    folder: Path
    device: str = "cuda"
    """cuda, or cpu. Several GPUs take one process each, started by `torchrun`."""
    workers: int = 2
    """Processes that make lessons."""
    save_every_s: float = 60.0
    validate_every: int = 1000
    """Steps between two looks at scenes that were not learned from."""
    seconds: float = float("inf")
    """Stop after so long, at a saved step; the next call goes on."""
    start: Path | None = None
    """A checkpoint that a new training starts from; random weights without it."""


def train(
    config: TrainConfig,
    examples: Sequence[Example],
    texts: Texts,
    run: Run,
    look: Look = lambda _: {},
    on_step: Callable[[int, Losses], None] = lambda step, losses: None,
) -> Segmenter:
    """Learn the examples, from the start or from where the folder's last training was saved.

    The same configuration, examples and number of processes give the same weights, stopped in between or not.

    Args:
        look: called now and then with the mean of the weights, and at the end.
        on_step: called after each step of the first process.

    Returns:
        The mean of the weights, in evaluation mode.

    Raises:
        ValueError: the folder holds a training of another configuration, or a damaged one.
    """
    make_folder(run.folder)
    engine = _engine(config, run)
    torch.manual_seed(config.seed)
    segmenter = _first(config, texts, run.start).train()
    optimiser = torch.optim.AdamW(
        segmenter.parameters(), lr=config.rate, weight_decay=config.weight_decay, fused=run.device == "cuda"
    )
    schedule = LambdaLR(optimiser, lambda step: _rate(step, config))
    mean = AveragedModel(segmenter, use_buffers=True)
    model, optimiser = engine.prepare(segmenter, optimiser)  # from here on the segmenter is on its device
    if engine.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        if config.precision == "bf16-mixed":
            halve_backbone(segmenter)
    mean, names = mean.to(engine.device), _Names.of(texts.rows.to(engine.device), config.losses.name_softness)
    parts = {"segmenter": segmenter, "optimiser": optimiser, "schedule": schedule, "mean": mean}
    step = _restore(run.folder, parts, config)
    keeper = None
    if engine.is_main_process:
        keeper = Keeper(
            run.folder,
            step,
            _bare(mean),
            lambda: _state(parts, step, config),
            look=look,
            validate_every=run.validate_every,
            save_every_s=run.save_every_s,
        )
    lessons = Lessons(examples, texts.places, config, engine.process_index, engine.num_processes)
    start = time.monotonic()
    for lesson in _loader(lessons, step, run.workers):
        losses = _learn(engine, model, optimiser, lesson.to(engine.device), names, config)
        schedule.step()
        step += 1
        _average(mean, segmenter, step, config.average)
        on_step(step, losses)
        stopped = _any(engine, time.monotonic() - start > run.seconds)
        if keeper:
            keeper.after(step, losses, last=step == config.steps, stopped=stopped)
        if stopped:
            break
    if keeper:
        keeper.close()
    return _bare(mean).eval()


def _first(config: TrainConfig, texts: Texts, start: Path | None) -> Segmenter:
    """The weights that a training starts from."""
    if start is None:
        sizes = _SIZES[config.size](voxel_size_m=config.voxel_size_m, text_channels=texts.rows.shape[1])
        return build_segmenter(sizes)
    segmenter, card = load_segmenter(start)
    if card.encoder.name != texts.encoder.name:
        raise ValueError(f"{start} learned its names in {card.encoder.name}; this training's are {texts.encoder.name}")
    return segmenter


def _engine(config: TrainConfig, run: Run) -> Accelerator:
    # A batch without truth teaches no boxes: some parameters have no gradient in some steps.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=run.device == "cpu", kwargs_handlers=[ddp])


def halve_backbone(segmenter: Segmenter) -> None:
    """Let the U-Net compute in bfloat16 from now on, and everything else in float32.

    The decoder's products are so small that a GPU would take longer to convert their weights than it saves.
    """
    backbone = segmenter.backbone
    half = torch.autocast(next(backbone.parameters()).device.type, torch.bfloat16)(backbone.forward)

    def forward(features: Tensor, pyramid: VoxelPyramid) -> Tensor:
        return half(features, pyramid).float()

    backbone.forward = forward


def _any(engine: Accelerator, flag: bool) -> bool:
    """Whether any process says so: all stop at the same step."""
    if engine.num_processes == 1:
        return flag
    flags = engine.gather(torch.tensor([flag], device=engine.device))
    assert isinstance(flags, Tensor)
    return bool(flags.any())


def _learn(engine: Accelerator, model, optimiser, lesson: Lesson, names: _Names, config: TrainConfig) -> Losses:
    """One step: the losses of scenes with truth, and those of what views say of the others."""
    said = model(lesson.batch, names.rows, lesson.seeds, every_layer=True)
    of_views = partial(segmenter_losses, config=config.losses, boxes=False, soft=names.soft)
    losses = []
    true = 0 if lesson.truth is None else len(lesson.truth.real)
    if lesson.truth is not None:
        layers = [it.of(slice(0, true), lesson.truth.masks.shape[2]) for it in said]
        losses.append(segmenter_losses(layers, lesson.truth, lesson.seeds[:true], config.losses))
    if lesson.views is not None and lesson.part is not None:
        layers = [lesson.part.cut(it) for it in said]
        sparing = lesson.part if config.lessons.spare_matched else None
        losses.append(of_views(layers, lesson.views, lesson.part.seeds, sparing=sparing))
    elif lesson.views is not None:
        layers = [it.of(slice(true, None), lesson.views.masks.shape[2]) for it in said]
        losses.append(of_views(layers, lesson.views, lesson.seeds[true:]))
    total = sum(losses[1:], losses[0])
    optimiser.zero_grad()
    engine.backward(total.total)
    engine.clip_grad_norm_(model.parameters(), config.clip)
    optimiser.step()
    return total


def _average(mean: AveragedModel, segmenter: Segmenter, step: int, average: float) -> None:
    """Move the running mean of the weights; early on it follows quickly, so that it forgets the random start."""
    mean.multi_avg_fn = get_ema_multi_avg_fn(min(average, (1 + step) / (10 + step)))
    mean.update_parameters(segmenter)


def _rate(step: int, config: TrainConfig) -> float:
    """Of the highest learning rate: up in a straight line, level, down by a power."""
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    left = (config.steps - step) / max(1, config.steps - config.falls_from)
    return min(max(left, 0.0), 1.0) ** 0.9


def _loader(lessons: Lessons, step: int, workers: int) -> DataLoader:
    """The lessons from a step on, in order, made ahead by other processes."""
    return DataLoader(
        lessons,
        sampler=range(step, len(lessons)),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,  # the examples are shared, not copied
    )


def _state(parts: Mapping[str, Any], step: int, config: TrainConfig) -> dict[str, Any]:
    network = asdict(parts["segmenter"].config)  # for `export`, which knows neither scenes nor the first weights
    about = {"step": step, "config": asdict(config), "network": network}
    return about | {name: part.state_dict() for name, part in parts.items()}


def _restore(folder: Path, parts: Mapping[str, Any], config: TrainConfig) -> int:
    """Bring every part to where it was saved; the step that comes next."""
    state = load_state(folder)
    if state is None:
        return 0
    saved, step = state["config"], state["step"]
    other = sorted(name for name, value in asdict(config).items() if saved.get(name) != value)
    if other == ["steps"] and step <= min(config.falls_from, replace(config, steps=saved["steps"]).falls_from):
        other = []  # the rate would be the same until here
    if other:
        raise ValueError(
            f"{folder} holds a training with other settings ({', '.join(other)}): go on with those, or give another "
            "folder"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return step


def _bare(mean: AveragedModel) -> Segmenter:
    segmenter = mean.module
    assert isinstance(segmenter, Segmenter)
    return segmenter
