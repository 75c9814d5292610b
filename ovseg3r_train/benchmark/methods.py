"""The methods that are compared: each takes a labelled scene, reads nothing of its truth, and says what it found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ovseg3r_core.shipped import absent
from ovseg3r_train.baselines.mask_clustering import mask_clustering_style
from ovseg3r_train.baselines.ours import ours_offline
from ovseg3r_train.baselines.ovir3d import ovir3d_style
from ovseg3r_train.baselines.sam3d import sam3d_style
from ovseg3r_train.baselines.structure import without_structure
from ovseg3r_train.benchmark.online import ours_online
from ovseg3r_train.scene import FoundInstances, LabelledScene


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to find the instances of a scene from its masks."""

    name: str
    title: str
    join: Callable[[LabelledScene], FoundInstances]
    """Joins the masks of all views to instances."""
    weights: str = ""
    """Checksum of what it learned, where it learned anything: with other weights it is another method."""

    def find(self, scene: LabelledScene) -> FoundInstances:
        """What it joins, without walls, floor and ceiling: all methods leave those out by the rule of our map."""
        return without_structure(scene, self.join(scene))


SEGMENTER = ("segmenter", "fused")
"""The methods that need a checkpoint of the segmenter."""


def all_methods(checkpoint: Path | None = None) -> tuple[Method, ...]:
    """Ours first, with the segmenter where there is a checkpoint of it, then the neighbours.

    Raises:
        FileNotFoundError, BadCheckpoint: the checkpoint cannot be read.
    """
    return (
        Method(name="online", title="our map, online", join=ours_online),
        Method(name="offline", title="our map, all views", join=ours_offline),
        *(_learned(checkpoint) if checkpoint is not None else ()),
        Method(name="mask-clustering", title="view consensus (MaskClustering style)", join=mask_clustering_style),
        Method(name="ovir3d", title="sequential fusion (OVIR-3D style)", join=ovir3d_style),
        Method(name="sam3d", title="superpoints + pairwise merging (SAM3D style)", join=sam3d_style),
    )


def methods_named(names: Sequence[str], checkpoint: Path | None = None) -> tuple[Method, ...]:
    """Some of the methods, in the order given.

    Raises:
        ValueError: there is no such method, and the text names those there are; or it needs a checkpoint.
        FileNotFoundError, BadCheckpoint: the checkpoint cannot be read.
    """
    known = {method.name: method for method in all_methods(checkpoint)}
    if unknown := [name for name in names if name not in known]:
        if unknown[0] in SEGMENTER:
            raise ValueError(f"the method {unknown[0]!r} needs weights: {absent()}")
        raise ValueError(f"no method is called {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in names)


def _learned(checkpoint: Path) -> tuple[Method, Method]:
    from ovseg3r_core.segmenter.checkpoint import read_card  # these need torch, which the others can do without
    from ovseg3r_train.baselines.segmented import fused_with_map, segmenter_alone

    weights = read_card(checkpoint).sha256
    alone, fused = partial(segmenter_alone, checkpoint=checkpoint), partial(fused_with_map, checkpoint=checkpoint)
    return (
        Method(name="segmenter", title="segmenter alone", join=alone, weights=weights),
        Method(name="fused", title="our map and the segmenter", join=fused, weights=weights),
    )
