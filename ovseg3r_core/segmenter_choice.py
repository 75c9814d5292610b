"""Whether a run uses the learned segmenter, with which weights, and what the report says of it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ovseg3r_core.checks import Rejected
from ovseg3r_core.shipped import absent, chosen_checkpoint

if TYPE_CHECKING:
    from ovseg3r_core.mapping.fusion import Segmented
    from ovseg3r_core.segmenter.whole_scene import WholeSceneSegmenter

logger = logging.getLogger(__name__)

WhyNot = Literal["switched_off", "no_weights"]


@dataclass(frozen=True, kw_only=True)
class SegmenterChoice:
    """The segmenter of a run, or why there is none."""

    segmenter: "WholeSceneSegmenter | None" = None
    why_not: WhyNot = "no_weights"

    def report(self, said: "Segmented | Rejected | None", seconds: float) -> dict[str, Any]:
        """What `report.json` says: whether instances of the segmenter are in the map, of which weights, else why not.

        Args:
            said: what the segmenter answered in the last look at all views.
        """
        if self.segmenter is None or said is None:
            detail = "--no-segmenter was given" if self.why_not == "switched_off" else absent()
            return {"used": False, "reason": self.why_not, "detail": detail}
        weights = {
            "checkpoint": str(self.segmenter.path),
            "sha256": self.segmenter.card.sha256,
            "text_encoder": self.segmenter.card.encoder.name,
            "flavour": self.segmenter.flavour,
            "seconds": seconds,
        }
        if isinstance(said, Rejected):
            return {"used": False, "reason": said.reason, "detail": str(said)} | weights
        return {"used": True, "instances": len(said.instances)} | weights


def choose_segmenter(*, off: bool, checkpoint: Path | None, names: Sequence[str], device: str) -> SegmenterChoice:
    """Load the segmenter of a run, if there is one to load; where its weights are missing, that is logged.

    Args:
        checkpoint: what the user asks for; without it the environment says, or the package.
        names: what the user wants things to be called.

    Raises:
        ValueError: a checkpoint is asked for in a run that uses none, or it cannot be used.
        FileNotFoundError: it is not there.
    """
    if off and checkpoint is not None:
        raise ValueError(f"--segmenter {checkpoint} and --no-segmenter exclude each other: leave one out")
    if off:
        return SegmenterChoice(why_not="switched_off")
    path = chosen_checkpoint(checkpoint)
    if path is None:
        logger.warning("mapped from masks alone: %s; --no-segmenter says that this is meant", absent())
        return SegmenterChoice(why_not="no_weights")
    from ovseg3r_core.segmenter.whole_scene import load_whole_scene_segmenter

    return SegmenterChoice(segmenter=load_whole_scene_segmenter(path, names, device=device))
