"""The verbs `train`, `export` and `ablate`: one training, its weights, and the many that an ablation takes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovseg3r_core import shipped
from ovseg3r_core.commands.app import err, out, say
from ovseg3r_core.devices import Device, pick_device
from ovseg3r_core.progress import progress_bar

if TYPE_CHECKING:
    from ovseg3r_core.language.encoder import TextEncoder
    from ovseg3r_core.segmenter.segmenter import Segmenter
    from ovseg3r_train.learning.example import Example, SuperpointKind
    from ovseg3r_train.training.config import TrainConfig

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting by its dotted name, such as lessons.views=8."),
]
Loaders = Annotated[int, typer.Option(min=1, max=256, help="Processes that read scenes and make superpoints.")]
Workers = Annotated[int, typer.Option(min=0, max=256, help="Processes that make lessons, of each training.")]


def train(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Sets of labelled scenes to learn from.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the training; made, or gone on with.")],
    validation: Annotated[Path | None, typer.Option(help="A set with truth to be judged on now and then.")] = None,
    settings: Settings = None,
    steps: Annotated[int, typer.Option(min=1, help="How long it learns.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of the first weights and of every draw.")] = 0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="default|FILE", help="Weights to start from: the package's, or a checkpoint; else random ones."
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Stop after so long; the same call goes on.")] = None,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between two looks at --validation.")] = 1000,
    workers: Workers = 2,
    loaders: Loaders = 2,
    device: Annotated[Device, typer.Option(help="Where the network learns.")] = Device.auto,
) -> None:
    """Train the 3D segmenter on labelled scenes: those with truth, and those that only views' masks tell of (VIP).

    Writes OUT/segmenter.safetensors with its card, history.jsonl, training.png, and state.pt. A training that was
    stopped goes on with the same call, to the same weights as if it had not been.
    """
    from ovseg3r_core.segmenter.checkpoint import Card, read_card, save_segmenter
    from ovseg3r_train.training.prepare import class_rows, texts_of
    from ovseg3r_train.training.trainer import Run
    from ovseg3r_train.training.trainer import train as learn
    from ovseg3r_train.training.validate import validate

    config = _config(settings, steps=steps, seed=seed)
    where = pick_device(device.value, "--device")
    first = shipped.find() if start == "default" else Path(start) if start else None
    if first is not None:
        read_card(first)  # a bad file is told before anything is read and made
    examples = [it for path in folders for it in _examples(path, config.lessons.superpoints, loaders)]
    judged = _examples(validation, config.lessons.superpoints, loaders) if validation else []
    texts = texts_of([*examples, *judged], folder, _minilm, _MINILM_SOURCE)
    rows, metrics = class_rows(texts), {}

    def look(net: "Segmenter") -> dict[str, float]:
        if judged:
            metrics.update(validate(net, judged, rows.to(next(net.parameters()).device)).as_numbers())
        return {f"val/{name}": value for name, value in metrics.items()}

    seconds = float("inf") if minutes is None else 60 * minutes
    run = Run(folder=folder, device=where, workers=workers, validate_every=validate_every, seconds=seconds, start=first)
    with progress_bar(err) as progress:
        task = progress.add_task("steps", total=config.steps)
        segmenter = learn(config, examples, texts, run, look, lambda step, _: progress.update(task, completed=step))
    if int(os.environ.get("RANK", "0")):  # torchrun's: the first process says and saves it all
        return
    if not metrics:  # it was at its end before
        look(segmenter)
    data = {"scenes": len(examples), "folders": [path.name for path in folders], "settings": asdict(config)}
    card = Card(config=segmenter.config, encoder=texts.encoder, data=data, metrics=metrics)
    save_segmenter(folder / "segmenter.safetensors", segmenter, card)
    for name, value in metrics.items():
        out.print(f"{name:12} {value:6.1f}")
    say(f"written: {folder / 'segmenter.safetensors'}")


def export(
    folder: Annotated[Path, typer.Argument(metavar="TRAINING", help="The --out folder of a training.")],
    out_file: Annotated[Path, typer.Option("--out", metavar="FILE.safetensors", help="The weights go there.")],
) -> None:
    """Take the weights out of a training, over or not: for `ovseg3r segment --segmenter FILE`, and for the node.

    They are the mean of the weights where the training was saved last, matrices in half precision. A card of what they
    learned from, and what they were found to be worth, goes into the file and beside it.
    """
    from ovseg3r_core.segmenter.checkpoint import save_segmenter
    from ovseg3r_train.training.export import exported

    segmenter, card = exported(folder)
    save_segmenter(out_file, segmenter, card)
    say(f"written: {out_file}, of step {card.data['step']} of {card.data['settings']['steps']}")


def ablate(
    learned: Annotated[Path, typer.Argument(metavar="FOLDER", help="A set of labelled scenes to learn from.")],
    judged: Annotated[Path, typer.Argument(metavar="TEST_FOLDER", help="A set with truth to be judged on.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the results; made, or gone on with.")],
    rows: Annotated[
        list[str] | None, typer.Option("--row", metavar="ROW=SEEDS", help="Only these rows, so often each.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Of each row, where --row does not tell.")] = 3,
    settings: Settings = None,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 20_000,
    side_by_side: Annotated[int, typer.Option(min=1, max=64, help="Trainings at the same time.")] = 1,
    workers: Workers = 2,
    loaders: Loaders = 2,
    device: Annotated[Device, typer.Option(help="Where the networks learn.")] = Device.auto,
) -> None:
    """The paper's ablation: one training a row and seed, judged on scenes that none of them learned from.

    Writes ablation.json, ablation.png, and a folder for each training. What is done is not done again.
    """
    from ovseg3r_train.training import ablate as ablation

    chosen = _rows(rows, ablation.ROWS, seeds)
    common, where = _config(settings, steps=steps, seed=0), pick_device(device.value, "--device")
    jobs = ablation.jobs_of(folder, chosen)
    kinds: set[SuperpointKind] = {job.config(common).lessons.superpoints for job in jobs}
    from ovseg3r_train.training.prepare import texts_of

    learn: Mapping[SuperpointKind, Sequence[Example]] = {it: _examples(learned, it, loaders) for it in kinds}
    judge: Mapping[SuperpointKind, Sequence[Example]] = {it: _examples(judged, it, loaders) for it in kinds}
    every = [it for examples in (*learn.values(), *judge.values()) for it in examples]
    material = ablation.Material(learned=learn, judged=judge, texts=texts_of(every, folder, _minilm, _MINILM_SOURCE))
    results = ablation.ablate(jobs, common, material, device=where, side_by_side=side_by_side, workers=workers)
    ablation.write(results, folder)
    out.print(ablation.as_table(results))
    say(f"written: {folder}")


_MINILM_SOURCE = "minilm-l6-v2"


def _minilm() -> "TextEncoder":
    from ovseg3r_core.language.embedding_cache import CachedEncoder
    from ovseg3r_core.language.minilm import MiniLm

    return CachedEncoder(MiniLm())


def _config(settings: list[str] | None, *, steps: int, seed: int) -> "TrainConfig":
    """The default settings with some changed; raises ValueError for one that is not there, or out of its range."""
    import yaml

    from ovseg3r_core.config import with_settings
    from ovseg3r_train.training.config import TrainConfig

    values: dict[str, object] = {"steps": steps, "seed": seed}
    for text in settings or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set {text}: write NAME=VALUE")
        values[name.strip()] = yaml.safe_load(value)
    return with_settings(TrainConfig(), values)


def _examples(folder: Path, kind: "SuperpointKind", loaders: int) -> "list[Example]":
    from ovseg3r_train.scene_set import SceneSet
    from ovseg3r_train.training.prepare import load_examples

    scenes = SceneSet(folder)
    with progress_bar(err) as progress:
        task = progress.add_task(f"superpoints of {folder.name}", total=len(scenes))
        return load_examples(scenes, kind, loaders, on_scene=lambda: progress.advance(task))


def _rows(rows: list[str] | None, known, seeds: int) -> dict[str, int]:
    if not rows:
        return dict.fromkeys(known, seeds)
    chosen = {}
    for text in rows:
        name, _, count = text.partition("=")
        if count and not count.isdigit():
            raise ValueError(f"--row {text}: write ROW or ROW=SEEDS")
        chosen[name] = int(count or seeds)
    return chosen
