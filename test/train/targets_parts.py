"""Small random truth and predictions for the tests of matching and losses."""

import torch
from torch import Tensor

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_train.learning.targets import SceneTargets, Targets, collate_targets

TEXTS = 4


def some_targets(*, empty: bool = False) -> Targets:
    """A scene of 6 superpoints and 3 instances, and one of 4 superpoints with 1 instance, or none."""
    torch.manual_seed(0)
    one = torch.tensor([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]], dtype=torch.bool)
    two = torch.tensor([[0, 1, 1, 0]], dtype=torch.bool)
    return collate_targets([_scene(one, [0, 3, 1]), _scene(two[:0] if empty else two, [] if empty else [2])])


def _scene(masks: Tensor, names: list[int]) -> SceneTargets:
    semantic = torch.full((masks.shape[1],), TEXTS)
    for mask, name in zip(masks, names, strict=True):
        semantic[mask] = name
    boxes = Boxes(torch.rand(len(names), 3), torch.rand(len(names), 3))
    nothing = torch.ones(masks.shape[1], dtype=torch.bool)
    return SceneTargets(
        masks=masks, name=torch.tensor(names, dtype=torch.int64), boxes=boxes, semantic=semantic, nothing=nothing
    )


def predictions(targets: Targets, seeds: Tensor, seed: int = 1) -> Prediction:
    """Anything."""
    generator = torch.Generator().manual_seed(seed)
    problems, queries = seeds.shape
    names = torch.randn(problems, queries, TEXTS + 1, generator=generator)
    return Prediction(
        mask_logits=torch.randn(problems, queries, targets.masks.shape[2], generator=generator),
        name_logits=names,
        boxes=Boxes(
            torch.rand(problems, queries, 3, generator=generator), torch.rand(problems, queries, 3, generator=generator)
        ),
        real=seeds >= 0,
        semantic_logits=names.flip(-1),
    )


def perfect(targets: Targets, seeds: Tensor, sure: float = 20.0) -> Prediction:
    """The first query of each instance says it; all others say "nothing", and a mask of their seeds."""
    problem = torch.arange(len(seeds))[:, None]
    place = seeds.clamp(min=0)
    owned = targets.masks.transpose(1, 2)[problem, place]
    owner = owned.float().argmax(-1)
    some = owned.any(-1) & (owned.cumsum(1) == 1).gather(2, owner[..., None]).squeeze(2)
    masks = targets.masks[problem, owner] & some[..., None]
    masks |= torch.nn.functional.one_hot(place, masks.shape[-1]).bool() & ~some[..., None]
    name = torch.where(some, targets.name[problem, owner], TEXTS)
    return Prediction(
        mask_logits=torch.where(masks, sure, -sure),
        name_logits=torch.nn.functional.one_hot(name, TEXTS + 1) * sure,
        boxes=Boxes(targets.boxes.centre[problem, owner], targets.boxes.size[problem, owner]),
        real=seeds >= 0,
        semantic_logits=torch.nn.functional.one_hot(targets.semantic[problem, place].clamp(min=0), TEXTS + 1) * sure,
    )
