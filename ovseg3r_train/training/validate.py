"""What a segmenter finds in labelled scenes, by the rules of ScanNet200: all, base and novel classes, and any name."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from ovseg3r_core.evaluation.average_precision import ANY_CLASS, Verdicts, judge_scene, precision_of
from ovseg3r_core.evaluation.scene_pair import ScenePair, TrueInstances
from ovseg3r_core.language.vocabulary import STRUCTURE, scannet200, scannet200_split
from ovseg3r_core.segmenter.inference import find_in_ways
from ovseg3r_core.segmenter.postprocess import FoundOnSuperpoints, PostprocessConfig
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_core.types import Instances
from ovseg3r_train.learning.example import Example

CLASSES = tuple(name for name in scannet200().names if name not in STRUCTURE)
"""What is asked for: the things of ScanNet200."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Average precision in percent; named ones are means over the classes that the scenes hold."""

    ap: float
    ap50: float
    ap25: float
    base_ap: float
    base_ap50: float
    novel_ap: float
    novel_ap50: float
    any_ap: float
    """Class-agnostic: each query once, under its best name (top-1)."""
    any_ap50: float
    any_ap25: float

    def as_numbers(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def validate(
    segmenter: Segmenter, scenes: Iterable[Example], texts: Float32[Tensor, "texts text_channels"]
) -> Precision:
    """Judge a segmenter on the clouds that it is given.

    Args:
        scenes: with all of their truth.
        texts: the embeddings of `CLASSES`, on the segmenter's device.
    """
    training = segmenter.training
    segmenter.eval()
    named, any_name = [], []
    for scene in scenes:
        one, other = judged(segmenter, scene, texts)
        named.append(one)
        any_name.append(other)
    segmenter.train(training)
    return precision(named, any_name)


def judged(
    segmenter: Segmenter, scene: Example, texts: Float32[Tensor, "texts text_channels"]
) -> tuple[Verdicts, Verdicts]:
    """What is right and wrong in one scene: with names (top-k), and whatever the name (top-1)."""
    ways = [PostprocessConfig(mode="top-k"), PostprocessConfig(mode="top-1")]
    named, any_name = (_pair(scene, found) for found in find_in_ways(segmenter, scene.given(), texts, ways))
    return judge_scene(named, _IDS), judge_scene(any_name.class_agnostic(), [ANY_CLASS])


def precision(named: Sequence[Verdicts], any_name: Sequence[Verdicts]) -> Precision:
    """The precision over all scenes together."""
    all_, any_ = precision_of(named, _IDS), precision_of(any_name, [ANY_CLASS])
    base, novel = (all_.among(_ids_of(scannet200_split(split))) for split in ("base", "novel"))
    shares = {
        "ap": all_.ap,
        "ap50": all_.ap50,
        "ap25": all_.ap25,
        "base_ap": base.ap,
        "base_ap50": base.ap50,
        "novel_ap": novel.ap,
        "novel_ap50": novel.ap50,
        "any_ap": any_.ap,
        "any_ap50": any_.ap50,
        "any_ap25": any_.ap25,
    }
    return Precision(**{name: 100 * share for name, share in shares.items()})


_IDS = tuple(range(1, len(CLASSES) + 1))


def _ids_of(names: frozenset[str]) -> list[int]:
    return [1 + place for place, name in enumerate(CLASSES) if name in names]


def _pair(scene: Example, found: FoundOnSuperpoints) -> ScenePair:
    assert scene.truth is not None, f"{scene.name} has no truth to be judged by"
    superpoint = torch.from_numpy(scene.superpoint.astype(np.int64)).to(found.masks.device)
    return ScenePair(
        predicted=Instances(
            masks=found.on_points(superpoint)[found.kept].cpu().numpy(),
            labels=1 + found.text[found.kept].cpu().numpy(),
            scores=found.score[found.kept].double().cpu().numpy(),
        ),
        truth=TrueInstances(
            instance=scene.truth.instance.astype(np.int64),
            labels={id_: 1 + CLASSES.index(name) for id_, name in scene.truth.names.items() if name in CLASSES},
        ),
    )
