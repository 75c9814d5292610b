"""A world, walked through with a noisy camera, as labelled scenes with the masks of several sources."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt16
from numpy import ndarray

from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.masks.remembered import RememberedMasks
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.sequences.sequence import Sequence as FrameSequence
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame, Mask
from ovseg3r_train.make_scenes import masks_folder
from ovseg3r_train.reconstruct import KnownTruth, clean_truth, fuse, label, truth_at
from ovseg3r_train.scene import LabelledScene

OWN_MASKS = ("perfect", "simulated", "open-vocabulary", "none")
_NETWORKS = ("default", "everything", "sam:", "hf:")


@dataclass(frozen=True, kw_only=True)
class World:
    """What is there, and what a camera that was carried through it delivered."""

    frames: FrameSequence
    """As the camera delivers them: noisy, with the poses that are believed."""
    exact: FrameSequence
    """The same frames without noise, at the true poses."""
    instances: Callable[[int], UInt16[ndarray, "height width"]]
    """What each pixel of the frame with an index truly shows; 0 for walls, floor and ceiling."""
    surface: TruthSurface
    names: Mapping[int, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    renders: Path | None = None
    """The folder of the exact frames, where masks of networks are kept too; None keeps none."""


class NoMasks:
    """A `MaskProposer` that finds nothing."""

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """No mask."""
        return []


def scenes_of(
    world: World, sources: Sequence[str], *, seed: int, device: str = "cpu", config: PerceptionConfig | None = None
) -> Iterator[tuple[str, LabelledScene]]:
    """A scene for each source of masks, all of one fusion.

    Args:
        seed: of simulated masks.
        device: where networks run, "cpu" or "cuda".
    """
    if not sources:
        return
    reconstruction = fuse(world.frames, config)
    poses: dict[int, Float64[ndarray, "4 4"]] = {}
    clean = clean_truth(_noting_poses(world.exact, poses), world.surface, world.names)
    drifts = any(not np.allclose(poses[f.index], f.T_map_camera, rtol=0, atol=1e-9) for f in reconstruction.keyframes)
    truth = truth_at(reconstruction, world.surface, world.names, poses if drifts else None)
    known = KnownTruth(truth=truth, clean=clean, facts=world.facts)
    for source in sources:
        proposer = proposer_of(source, world.instances, world.names, seed=seed, device=device)
        if world.renders is not None and source not in OWN_MASKS:
            proposer = RememberedMasks(masks_folder(world.renders, source), proposer)
        yield source, label(reconstruction, proposer, known, facts={"masks": source})


def check_masks(text: str, *, networks: bool = True) -> tuple[str, ...]:
    """The sources of masks in a list with commas; raises ValueError for one that there is not.

    Args:
        networks: whether there are images that networks could look at.
    """
    sources = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for source in sources:
        if source.startswith(_NETWORKS) and not networks:
            raise ValueError(f"--masks: {source!r} needs images; with --sampled, choose from {', '.join(OWN_MASKS)}")
        if source not in OWN_MASKS and not source.startswith(_NETWORKS):
            known = ", ".join((*OWN_MASKS, *_NETWORKS))
            raise ValueError(f"--masks: there is no source {source!r}; choose from {known} (a path follows a colon)")
    if not sources:
        raise ValueError("--masks is empty; give none for scenes without masks")
    return sources


def proposer_of(
    source: str,
    instances: Callable[[int], UInt16[ndarray, "height width"]],
    names: Mapping[int, str],
    *,
    seed: int,
    device: str = "cpu",
) -> MaskProposer:
    """The source of masks of that name, for a world whose truth is known."""
    if source == "none":
        return NoMasks()
    if source == "perfect":
        return PerfectMasks(instances, names)
    if source in ("simulated", "open-vocabulary"):
        from ovseg3r_train.teacher.noise_model import default_masks, open_vocabulary
        from ovseg3r_train.teacher.simulated_masks import SimulatedMasks

        noise = default_masks() if source == "simulated" else open_vocabulary()
        return SimulatedMasks(instances, names, noise, seed)
    return _network(source, device)


@cache
def _network(source: str, device: str) -> MaskProposer:
    """A proposer with networks, loaded once a process."""
    return build_proposer(source, device=device)


def _noting_poses(exact: FrameSequence, poses: dict[int, Float64[ndarray, "4 4"]]) -> Iterator[Frame]:
    """The frames, read once: their poses are kept on the way."""
    for item in exact.read():
        if isinstance(item, Frame):
            poses[item.index] = item.T_map_camera
            yield item
