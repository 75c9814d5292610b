"""View-wise Instance Partition, VIP (method 1.2, 6.4): scene-level predictions, cut into what each view can judge.

    superpoints of a view ─► columns          queries whose seed lies among them ─► rows
    predictions of the scene ─► [rows, columns] ─► compared with the view's own masks, as a problem of its own

A view's masks know part of the scene and nothing of each other's views. Cut to a view, a prediction that is right is
right by that view's masks too; compared whole, it would be wrong wherever the view did not look.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_train.learning.seeds import PADDING


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition:
    """Which part of which scene's predictions each view judges; -1 is padding."""

    scene: Int64[Tensor, " views"]
    queries: Int64[Tensor, "views view_queries"]
    """Rows of the scene's predictions: queries whose seed the view sees."""
    columns: Int64[Tensor, "views view_superpoints"]
    """Superpoints that the view sees."""
    seeds: Int64[Tensor, "views view_queries"]
    """The seed of each query, as a place in `columns`."""
    shape: tuple[int, int]
    """Scenes, and queries of each, of the predictions that are cut."""

    def to(self, device: torch.device | str) -> "Partition":
        """The same on a device."""
        return Partition(
            scene=self.scene.to(device),
            queries=self.queries.to(device),
            columns=self.columns.to(device),
            seeds=self.seeds.to(device),
            shape=self.shape,
        )

    def cut(self, said: Prediction) -> Prediction:
        """What the queries of each view say of the superpoints that it sees: one problem a view."""
        scene, rows = self.scene[:, None], self.queries.clamp(min=0)
        row = scene * said.mask_logits.shape[1] + rows
        place = row[..., None] * said.mask_logits.shape[2] + self.columns.clamp(min=0)[:, None]
        names, semantic = said.name_logits.flatten(0, 1), said.semantic_logits
        return Prediction(
            mask_logits=said.mask_logits.flatten().gather(0, place.flatten()).view(place.shape),
            name_logits=names.gather(0, row.flatten()[:, None].expand(-1, names.shape[1])).unflatten(0, row.shape),
            boxes=Boxes(said.boxes.centre[scene, rows], said.boxes.size[scene, rows]),
            real=self.queries != PADDING,
            semantic_logits=None if semantic is None else semantic[scene, rows],
        )

    def in_any_view(self, true: Bool[Tensor, "layers views view_queries"]) -> Bool[Tensor, "layers views view_queries"]:
        """Whether something is true of the query of each row in any view of the step; padding must be false."""
        number = (self.scene[:, None] * self.shape[1] + self.queries.clamp(min=0)).flatten().expand(len(true), -1)
        views = torch.zeros(len(true), self.shape[0] * self.shape[1], dtype=torch.int64, device=true.device)
        views = views.scatter_add(1, number, true.flatten(1).long())
        return (views.gather(1, number) > 0).view_as(true)

    def columns_of(self, of_scene: Bool[Tensor, "views rows superpoints"]) -> Bool[Tensor, "views rows columns"]:
        """What is known of each view's masks on all superpoints, on those that the view sees."""
        columns = self.columns[:, None].expand(-1, of_scene.shape[1], -1)
        return of_scene.gather(2, columns.clamp(min=0)) & (columns != PADDING)


def partition(
    sees: Bool[Tensor, "views superpoints"], scene: Int64[Tensor, " views"], seeds: Int64[Tensor, "scenes queries"]
) -> Partition:
    """The partition by views: V^sp is `sees`, and V^q the same at the seed of each query.

    Args:
        scene: the scene of the batch that each view belongs to.
        seeds: the superpoint that each query of a scene started from, -1 for padding.
    """
    mine = seeds[scene]
    asked = sees.gather(1, mine.clamp(min=0)) & (mine != PADDING)
    queries, columns = _places(asked), _places(sees)
    place = sees.cumsum(1) - 1  # of a superpoint among those that the view sees
    seed_of_row = mine.gather(1, queries.clamp(min=0)).clamp(min=0)
    return Partition(
        scene=scene,
        queries=queries,
        columns=columns,
        seeds=torch.where(queries == PADDING, PADDING, place.gather(1, seed_of_row)),
        shape=(seeds.shape[0], seeds.shape[1]),
    )


def _places(member: Bool[Tensor, "rows places"]) -> Int64[Tensor, "rows members"]:
    """The places of the members of each row, ascending, padded with -1 to the longest row."""
    count = member.sum(1)
    order = (~member).to(torch.uint8).argsort(dim=1, stable=True)[:, : max(1, int(count.max()))]
    behind = torch.arange(order.shape[1], device=member.device) >= count[:, None]
    return order.masked_fill(behind, PADDING)
