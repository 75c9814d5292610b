"""What each view should have been told: its masks on the superpoints that it sees, as problems for matching and losses.

A superpoint that no mask holds may be background, or a thing that the teacher missed. A query there is taught "nothing"
only where the view sees its seed well; elsewhere it is left alone (method 6.4). Boxes of partial masks are cut off by
the image, so none are taught.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_train.learning.example import ViewMasks
from ovseg3r_train.learning.partition import Partition
from ovseg3r_train.learning.seeds import PADDING
from ovseg3r_train.learning.targets import NOT_ASKED, Targets

WELL_SEEN = 0.5
"""Share of a superpoint that a view must see before its silence counts."""


@dataclass(frozen=True, kw_only=True)
class ChosenView:
    """A view that a step learns from."""

    scene: int
    """Its place in the batch."""
    masks: ViewMasks
    """Of all views of that scene."""
    view: int
    """Which of them it is."""

    def inside(self) -> Bool[Tensor, "masks superpoints"]:
        """The view's own masks."""
        return torch.from_numpy(self.masks.inside[self.masks.view == self.view])

    def names(self, texts: Mapping[str, int]) -> Int64[Tensor, " masks"]:
        """The places of their names in the vocabulary; a mask without one is matched, but not taught a name."""
        rows = (self.masks.view == self.view).nonzero()[0].tolist()
        places = [texts.get(self.masks.names[row] or "", NOT_ASKED) for row in rows]
        return torch.tensor(places, dtype=torch.int64)

    def scores(self) -> Float[Tensor, " masks"]:
        """How sure the teacher was of them."""
        return torch.from_numpy(self.masks.score[self.masks.view == self.view])


def sees_of(views: Sequence[ChosenView]) -> Bool[Tensor, "views superpoints"]:
    """V^sp of the views: which superpoints each sees any point of; scenes padded to the same number."""
    return pad_sequence([torch.from_numpy(it.masks.share[it.view] > 0) for it in views], batch_first=True)


def view_targets(
    views: Sequence[ChosenView],
    part: Partition,
    texts: Mapping[str, int],
    *,
    nameless: bool = False,
    weigh: bool = False,
) -> Targets:
    """The masks of each view of a partition.

    Args:
        texts: the place of each name in the vocabulary.
        nameless: let masks without a name be things too; without it, nobody is judged where they lie.
        weigh: let a mask weigh as much as the teacher was sure of it.
    """
    inside = part.columns_of(_stacked([it.inside() for it in views]))
    name = _names([it.names(texts) for it in views], inside.shape[1])
    things = inside if nameless else inside & (name != NOT_ASKED)[..., None]
    shares = pad_sequence([torch.from_numpy(it.masks.share[it.view]) for it in views], batch_first=True)
    there = part.columns != PADDING
    well_seen = shares.gather(1, part.columns.clamp(min=0)) >= WELL_SEEN
    return _targets(
        things,
        name,
        there,
        nothing=there & (things.any(1) | (well_seen & ~inside.any(1))),
        weight=pad_sequence([it.scores() for it in views], batch_first=True) if weigh else None,
    )


def whole_scene_targets(
    views: Sequence[ChosenView], superpoints: Sequence[int], texts: Mapping[str, int], *, nameless: bool = False
) -> Targets:
    """The ablation without VIP: all masks of the chosen views as if each were a whole thing of its scene.

    Args:
        superpoints: how many each scene of the batch has; a scene without a chosen view has no things.
        nameless: as for `view_targets`.
    """
    mine = [[it for it in views if it.scene == scene] for scene in range(len(superpoints))]
    there = torch.arange(max(superpoints)) < torch.tensor(superpoints)[:, None]
    none, nobody = (torch.zeros(0, count, dtype=torch.bool) for count in superpoints), torch.zeros(0, dtype=torch.int64)
    inside = _stacked([torch.cat([no, *(it.inside() for it in chosen)]) for no, chosen in zip(none, mine, strict=True)])
    name = _names([torch.cat([nobody, *(it.names(texts) for it in chosen)]) for chosen in mine], inside.shape[1])
    things = inside if nameless else inside & (name != NOT_ASKED)[..., None]
    return _targets(things, name, there, nothing=there & (things.any(1) | ~inside.any(1)))


def _targets(
    masks: Bool[Tensor, "problems masks columns"],
    name: Int64[Tensor, "problems masks"],
    there: Bool[Tensor, "problems columns"],
    *,
    nothing: Bool[Tensor, "problems columns"],
    weight: Float[Tensor, "problems names"] | None = None,
) -> Targets:
    """Partial masks as the losses take them; what a superpoint is made of is the name of the first mask it lies in."""
    named = masks & (name != NOT_ASKED)[..., None]
    semantic = torch.where(named.any(1), name.gather(1, named.to(torch.uint8).argmax(1)), NOT_ASKED)
    return Targets(
        masks=masks,
        name=name,
        boxes=Boxes(torch.zeros(*name.shape, 3), torch.ones(*name.shape, 3)),
        semantic=semantic,
        real=masks.any(2),
        superpoint_real=there,
        nothing=nothing,
        weight=torch.ones(name.shape) if weight is None else pad(weight, (0, masks.shape[1] - weight.shape[1])),
    )


def _names(names: Sequence[Int64[Tensor, " _"]], most: int) -> Int64[Tensor, "problems masks"]:
    """The names of the masks of each problem, padded to so many."""
    return torch.stack([pad(it, (0, most - len(it)), value=NOT_ASKED) for it in names])


def _stacked(masks: Sequence[Bool[Tensor, "_ _"]]) -> Bool[Tensor, "problems masks superpoints"]:
    """Masks of different numbers on scenes of different sizes, padded; at least one a problem."""
    most, widest = max(1, *(len(it) for it in masks)), max(it.shape[1] for it in masks)
    return torch.stack([pad(it, (0, widest - it.shape[1], 0, most - len(it))) for it in masks])
