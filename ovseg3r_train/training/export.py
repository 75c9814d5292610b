"""Weights out of a training that is over, stopped or still going on, as `segment` and the node take them."""

from collections.abc import Mapping
from pathlib import Path

from torch.optim.swa_utils import AveragedModel

from ovseg3r_core.segmenter.build import build_segmenter
from ovseg3r_core.segmenter.checkpoint import Card
from ovseg3r_core.segmenter.config import SegmenterConfig
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_train.training.history import read_history
from ovseg3r_train.training.prepare import read_texts
from ovseg3r_train.training.state import STATE, load_state


def exported(folder: Path) -> tuple[Segmenter, Card]:
    """The mean of the weights where a training was saved last, and what is known of them.

    Raises:
        FileNotFoundError: nothing was saved there yet.
        ValueError: what was saved is damaged, or older than what tells its network.
    """
    state = load_state(folder)
    if state is None:
        raise FileNotFoundError(
            f"no {STATE} in {folder}: give the --out folder of `ovseg3r-train train`, a minute after its start or later"
        )
    if "network" not in state:
        raise ValueError(f"{folder / STATE} does not tell its network: go on with the training for a step, then export")
    segmenter = build_segmenter(SegmenterConfig(**state["network"]))
    mean = AveragedModel(segmenter, use_buffers=True)
    mean.load_state_dict(state["mean"])
    best = mean.module
    assert isinstance(best, Segmenter)
    data = {"step": state["step"], "settings": state["config"]}
    card = Card(
        config=best.config,
        encoder=read_texts(folder).encoder,
        data=data,
        metrics=_measured(folder, state["step"]),
    )
    return best.eval(), card


def _measured(folder: Path, step: int) -> Mapping[str, float]:
    """What the last validation up to a step said, with that step; nothing where there was none."""
    for row in reversed(read_history(folder)):
        said = {name.removeprefix("val/"): value for name, value in row.items() if name.startswith("val/")}
        if said and row["step"] <= step:
            return said | {"validated_at_step": row["step"]}
    return {}
