"""The segmenter's weights: they ship inside this package, as no registry has them, and another file may be chosen.

Which file it is, from the first of these that says one: an option of the command line, the environment variable
`OVSEG3R_SEGMENTER`, the package. What the package holds carries its own checksum, in its card.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

from ovseg3r_core.model_errors import DamagedModel, MissingModel

NAME = "segmenter-small"
ABOUT = "learned 3D instance segmenter, small (names in MiniLM's space)"
LICENCE = "Apache-2.0"
VARIABLE = "OVSEG3R_SEGMENTER"


def path() -> Path:
    """Where the package has the weights, if it has them."""
    return Path(__file__).parent / "segmenter" / "weights" / f"{NAME}.safetensors"


def absent() -> str:
    """What is to be said where the package has none."""
    return (
        f"{NAME} is not part of this installation ({path()} is not there): train it with ovseg3r-train, and give the "
        f"checkpoint with --segmenter FILE or {VARIABLE}=FILE"
    )


def find() -> Path:
    """The weights inside the package.

    Raises:
        MissingModel: this installation has none.
    """
    if not path().is_file():
        raise MissingModel(absent())
    return path()


def verify() -> None:
    """Read every byte of the weights inside the package, and the copy of their card beside them.

    Raises:
        MissingModel, DamagedModel: the text says what to do.
    """
    from ovseg3r_core.segmenter.checkpoint import BadCheckpoint, read_card  # needs torch; a look at the cache does not

    weights = find()
    beside = weights.with_suffix(".json")
    try:
        card, copy = read_card(weights), json.loads(beside.read_text("utf-8"))
    except (BadCheckpoint, OSError, ValueError) as error:
        raise DamagedModel(f"{NAME} is damaged ({error}): install ovseg3r_ros again") from error
    said = json.loads(json.dumps(asdict(card)))
    if not isinstance(copy, dict) or any(copy.get(key) != value for key, value in said.items()):
        raise DamagedModel(f"{beside} is the card of other weights than {weights}: install ovseg3r_ros again")


def chosen_checkpoint(option: Path | None = None) -> Path | None:
    """The checkpoint to use, None where there is none; one that is asked for and is not there is refused when read."""
    if option is not None:
        return option
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return path() if path().is_file() else None
