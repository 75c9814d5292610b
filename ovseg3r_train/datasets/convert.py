"""From a dataset's folder to a set of scene files, one scene after another."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_train.datasets.arkitscenes import list_arkitscenes, read_arkitscenes
from ovseg3r_train.datasets.assemble import ReadConfig
from ovseg3r_train.datasets.replica import list_replica, read_replica
from ovseg3r_train.datasets.s3dis import list_s3dis, read_s3dis
from ovseg3r_train.datasets.scannet import list_scannet, read_scannet
from ovseg3r_train.datasets.scannet_labels import LabelSet
from ovseg3r_train.datasets.scannetpp import list_scannetpp, read_scannetpp
from ovseg3r_train.datasets.threerscan import list_3rscan, read_3rscan
from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.scene_set import SceneSet

Kind = Literal["scannet", "scannet200", "scannet20", "scannetpp", "replica", "s3dis", "3rscan", "arkitscenes"]
"""The datasets; ScanNet with all of its labels, with the benchmark's 200 classes, or with its 20."""
Split = Literal["train", "val", "test"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SCANNET: dict[str, LabelSet] = {"scannet": "all", "scannet200": "scannet200", "scannet20": "scannet20"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What became of one scene."""

    scene: str
    done: bool
    """Whether its file is there now."""
    detail: str
    """How large it is, or why it was refused."""


def kind_named(name: str) -> Kind:
    """The dataset of a command line; raises `ValueError` with the choices for any other name."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise ValueError(f"there is no reader of {name!r}; give one of {', '.join(KINDS)}")


def list_scenes(kind: Kind, root: Path, split: Split | None = None) -> list[str]:
    """The scenes of a dataset's folder, those of its official split where one is named.

    Raises:
        Rejected: nothing is there, or the list of the split; the text says what is expected and where to get it.
        ValueError: the dataset has no such split.
    """
    if kind in _SCANNET:
        return list_scannet(root, split)
    if kind == "replica":
        if split is not None:
            raise ValueError("replica has no official splits: leave the split out")
        return list_replica(root)
    if split == "test":
        raise ValueError(f"the truth of {kind}'s test split is not public: choose train or val")
    listers = {"scannetpp": list_scannetpp, "s3dis": list_s3dis, "3rscan": list_3rscan, "arkitscenes": list_arkitscenes}
    return listers[kind](root, split)


def read_scene(
    kind: Kind, root: Path, scene: str, *, proposer: MaskProposer | None = None, config: ReadConfig | None = None
) -> LabelledScene:
    """One scene of a dataset; raises `Rejected` where a file is missing or damaged."""
    if kind in _SCANNET:
        return read_scannet(root, scene, labels=_SCANNET[kind], proposer=proposer, config=config)
    if kind == "s3dis":  # it has no frames to make masks of
        return read_s3dis(root, scene, config=config)
    readers = {
        "scannetpp": read_scannetpp,
        "replica": read_replica,
        "3rscan": read_3rscan,
        "arkitscenes": read_arkitscenes,
    }
    return readers[kind](root, scene, proposer=proposer, config=config)


def convert(
    kind: Kind,
    root: Path,
    out_folder: Path,
    scenes: Iterable[str],
    *,
    split: Split | None = None,
    masks: str = "none",
    proposer: MaskProposer | None = None,
    config: ReadConfig | None = None,
) -> Iterator[Converted]:
    """Read scenes and add them to the set of a folder, one a step; one that is refused does not stop the rest.

    What is there already and whole is not read again; if it was read in another way it is refused.

    Args:
        split: what the set calls their split; "all" where none is given.
        masks: what the set calls the source of their masks.
    """
    found, config = SceneSet.create(out_folder), config or ReadConfig()
    how = {"kind": kind, "frame_step": config.frame_step, "voxel_m": config.voxel_m, "masks": masks}
    for name in scenes:
        listed = name.replace("/", ".")
        if listed in found.names and found.is_whole(listed):
            yield _there_already(listed, found.load(listed).facts.get("converted"), how)
            continue
        try:
            scene = read_scene(kind, root, name, proposer=proposer, config=config)
            entry = found.add(replace(scene, facts={**scene.facts, "converted": how}), split or "all", masks)
        except ValueError as error:  # Rejected where a file is refused; else what no scene file can hold
            logger.warning("%s is left out: %s", name, error)
            yield Converted(scene=listed, done=False, detail=str(error))
            continue
        detail = f"{entry.points} points, {entry.views} views, {sum(entry.classes.values())} things"
        yield Converted(scene=entry.name, done=True, detail=f"{detail}, {entry.bytes / 1e6:.1f} MB")


def _there_already(scene: str, before: object, now: Mapping[str, object]) -> Converted:
    """Nothing is replaced: a scene of the same name that was read in another way may still be wanted."""
    if before == now:
        return Converted(scene=scene, done=True, detail="there already")
    return Converted(
        scene=scene, done=False, detail=f"there already, made as {before}, not {now}: choose another folder"
    )


def chosen(kind: Kind, root: Path, names: Sequence[str], split: Split | None) -> list[str]:
    """The scenes named on a command line, else those that the folder or its split has."""
    return list(names) or list_scenes(kind, root, split)
