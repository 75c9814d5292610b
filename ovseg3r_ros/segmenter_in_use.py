"""Which learned segmenter takes part in the map: loaded aside, and exchanged while the robot runs."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.embedding_cache import CachedEncoder
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.perception import Perception
from ovseg3r_core.shipped import absent, chosen_checkpoint
from ovseg3r_core.stage import step_back

if TYPE_CHECKING:
    from ovseg3r_core.segmenter.checkpoint import Card
    from ovseg3r_core.segmenter.whole_scene import WholeSceneSegmenter

logger = logging.getLogger(__name__)

_NICENESS = 10  # that of the looks which it takes part in: libraries make their threads with the priority of the loader


class SegmenterInUse:
    """Gives a `Perception` its segmenter.

    Args:
        encoder: the one that runs already; checkpoints that learned their names in it need no other.
        names: what the user wants things to be called.
    """

    def __init__(self, perception: Perception, encoder: TextEncoder, names: Sequence[str], device: str) -> None:
        self._perception, self._encoder, self._names, self._device = perception, encoder, tuple(names), device
        self._loader = ThreadPoolExecutor(1, "segmenter", initializer=step_back, initargs=(_NICENESS,))
        self._wanted: Path | None = None
        self._state = "none"

    def use(self, weights: str) -> None:
        """Take other weights from now on: they are checked here and loaded aside, the old ones serve until then.

        Args:
            weights: `default`, `none`, or a checkpoint.

        Raises:
            ValueError: there is no such checkpoint, or it is damaged; the old weights stay in use.
        """
        asked_for = None if weights in ("default", "none") else Path(weights).expanduser()
        path = None if weights == "none" else chosen_checkpoint(asked_for)
        if path is None:
            if weights == "default":
                logger.warning("mapping from masks alone: %s", absent())
            self._wanted, self._perception.segmenter, self._state = None, None, "none"
            return
        from ovseg3r_core.segmenter.checkpoint import read_card

        try:
            card = read_card(path)
        except FileNotFoundError as error:
            raise ValueError(str(error)) from error
        self._wanted = path
        self._state = f"loading {path}"
        self._loader.submit(self._load, path, card)

    def told(self) -> str:
        """The weights in use and what came of the last look, or why there is no segmenter."""
        said = self._perception.segmented
        if self._perception.segmenter is None or said is None:
            return self._state
        last = f"refused ({said.reason})" if isinstance(said, Rejected) else f"{len(said.instances)} instances"
        return f"{self._state}; in the last look {last}"

    def close(self) -> None:
        """Load no more."""
        self._wanted = None
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _load(self, path: Path, card: "Card") -> None:
        from ovseg3r_core.segmenter.whole_scene import load_whole_scene_segmenter

        encoder = CachedEncoder(self._encoder) if card.encoder.name == self._encoder.name else None
        try:
            segmenter = load_whole_scene_segmenter(path, self._names, device=self._device, encoder=encoder)
        except Exception as error:  # whatever is wrong with it, the robot goes on
            logger.error("the segmenter %s cannot be used: %s", path, error)
            if self._wanted == path:
                self._state = f"cannot use {path}: {error}"
            return
        if self._wanted == path:  # nobody has asked for others meanwhile
            self._take(segmenter, path)

    def _take(self, segmenter: "WholeSceneSegmenter", path: Path) -> None:
        self._perception.segmenter = segmenter
        self._state = f"{path.name} ({segmenter.card.sha256[:12]})"
        logger.info("the segmenter is %s now", self._state)
