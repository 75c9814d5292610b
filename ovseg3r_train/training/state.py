"""Where a training stands, on disk: one file, written whole or not at all, read without running anything in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ovseg3r_core.atomic import atomic_write

STATE = "state.pt"
_FORMAT, _VERSION = "ovseg3r-training", 1


def save_state(folder: Path, parts: Mapping[str, Any]) -> None:
    """Save the state of every part of a training; a crash leaves the state before or this one."""
    with atomic_write(folder / STATE) as part:
        torch.save({"format": _FORMAT, "version": _VERSION, **parts}, part)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The state that a training left in its folder; None where there is none.

    Raises:
        ValueError: the file is damaged, or not of this kind.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
        if (parts.pop("format"), parts.pop("version")) != (_FORMAT, _VERSION):
            raise ValueError("it is of another format or version")
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise ValueError(f"{path} holds no training that can be gone on with: {error}; move it away") from error
    return parts
