"""A recording from its first frame to the files of the contract: what `ovseg3r segment` and `demo` do."""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float32
from numpy import ndarray
from rich.console import Console

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.instances import FindsInstances
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.masks.proposer import CountsPrompts, MaskProposer
from ovseg3r_core.outputs import named, write_json, write_on_points, write_outputs
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.progress import progress_bar
from ovseg3r_core.segmenter_choice import SegmenterChoice
from ovseg3r_core.sequences.sequence import Sequence


@dataclass(frozen=True, kw_only=True)
class OnPoints:
    """Vertices that the instances are carried onto, and the scene's name in the submission."""

    xyz: Float32[ndarray, "points 3"]
    scene: str


def perceive(
    source: Sequence,
    proposer: MaskProposer,
    config: PerceptionConfig,
    *,
    console: Console,
    segmenter: FindsInstances | None = None,
) -> Perception:
    """Feed a whole sequence to the method, with a progress bar, and look at all views together at the end.

    Args:
        segmenter: takes part whenever all views are looked at together.
    """
    perception = Perception(proposer, same_name, config, segmenter=segmenter)
    with progress_bar(console) as progress:
        task = progress.add_task(source.name, total=len(source))
        for item in source.read():
            perception.integrate(item)
            progress.advance(task)
        progress.update(task, description="all views together")
        perception.refine()
    return perception


def write_run(
    folder: Path,
    perception: Perception,
    snapshot: MapSnapshot,
    namer: Namer,
    start: float,
    choice: SegmenterChoice,
    on_points: OnPoints | None = None,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write every file of the contract.

    Args:
        snapshot: the map that `perception` ended with.
        start: when the run began, by `time.perf_counter`.
        choice: the segmenter that took part, or why none did.
        origin: what the report also says: whose poses they were, and whether the scale is known.

    Returns:
        The content of `report.json`.
    """
    with perception.clock("write"):
        write_outputs(folder, snapshot, namer, perception.memory())
        if on_points:
            write_on_points(folder, on_points.scene, snapshot, namer, on_points.xyz)
    report = report_of(perception, snapshot, namer, time.perf_counter() - start, choice) | dict(origin or {})
    write_json(folder / "report.json", report)
    return report


def report_of(
    perception: Perception, snapshot: MapSnapshot, namer: Namer, seconds: float, choice: SegmenterChoice
) -> dict[str, Any]:
    """Counts, seconds by stage, peak memory, drops by reason, and whether the segmenter took part."""
    clock = perception.clock
    by_stage = {stage: spent for stage, spent in clock.seconds.items() if stage != "segmenter"}  # a part of "refine"
    return {
        "frames": {"read": perception.frames, "fused": perception.volume.frames},
        "keyframes": len(perception.views),
        "masks": sum(len(view.tags) for view in perception.views),
        "prompts": dict(perception.proposer.stats) if isinstance(perception.proposer, CountsPrompts) else {},
        "points": len(snapshot.cloud),
        "objects": len(snapshot.objects),
        "named_objects": sum(named(record, namer).label != UNNAMED for record in snapshot.objects),
        "structure": len(snapshot.structure),
        "segmenter": choice.report(perception.segmented, clock.seconds.get("segmenter", 0.0)),
        "drops": dict(perception.drops),
        "seconds": {"total": seconds} | by_stage,
        "fused_frames_per_second": perception.volume.frames / max(clock.seconds["fuse"], 1e-9),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
