"""Classes that are never seen with 3D labels: what the truth says of them is hidden from whoever trains."""

from dataclasses import replace

import numpy as np

from ovseg3r_core.language.vocabulary import scannet200_split
from ovseg3r_train.scene import NO_INSTANCE, LabelledScene, Truth


def hide_novel(scene: LabelledScene) -> LabelledScene:
    """The scene without the truth of ScanNet200's novel classes (the split of Open3DIS); its masks stay as they are.

    What was hidden is told in the facts, `hidden`: the names, and how many instances.
    """
    novel = scannet200_split("novel")
    gone = {
        id_: name
        for truth in (scene.truth, scene.clean.truth if scene.clean else None)
        for id_, name in (truth.names.items() if truth else ())
        if name in novel
    }
    hidden = {"split": "novel", "names": sorted(set(gone.values())), "instances": len(gone)}
    return replace(
        scene,
        truth=_without(scene.truth, set(gone)) if scene.truth else None,
        clean=replace(scene.clean, truth=_without(scene.clean.truth, set(gone))) if scene.clean else None,
        facts={**scene.facts, "hidden": hidden},
    )


def without_novel(truth: Truth) -> Truth:
    """The truth without ScanNet200's novel classes."""
    novel = scannet200_split("novel")
    return _without(truth, {id_ for id_, name in truth.names.items() if name in novel})


def _without(truth: Truth, gone: set[int]) -> Truth:
    hidden = np.isin(truth.instance, sorted(gone))
    return Truth(
        instance=np.where(hidden, np.int32(NO_INSTANCE), truth.instance),
        names={id_: name for id_, name in truth.names.items() if id_ not in gone},
    )
