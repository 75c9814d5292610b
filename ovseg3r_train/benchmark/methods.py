"""The methods that are compared: each takes a labelled scene, reads nothing of its truth, and says what it found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

    def find(self, scene: LabelledScene) -> FoundInstances:
        """What it joins, without walls, floor and ceiling: all methods leave those out by the rule of our map."""
        return without_structure(scene, self.join(scene))


def all_methods() -> tuple[Method, ...]:
    """Ours first, then the neighbours."""
    return (
        Method(name="online", title="our map, online", join=ours_online),
        Method(name="offline", title="our map, all views", join=ours_offline),
        Method(name="mask-clustering", title="view consensus (MaskClustering style)", join=mask_clustering_style),
        Method(name="ovir3d", title="sequential fusion (OVIR-3D style)", join=ovir3d_style),
        Method(name="sam3d", title="superpoints + pairwise merging (SAM3D style)", join=sam3d_style),
    )


def methods_named(names: Sequence[str]) -> tuple[Method, ...]:
    """Some of the methods, in the order given.

    Raises:
        ValueError: there is no such method; the text names those there are.
    """
    known = {method.name: method for method in all_methods()}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no method is called {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in names)
