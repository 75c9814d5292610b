"""The 2D teachers that a recording can be labelled by: what `ovseg3r segment --masks` takes."""

from functools import cache
from pathlib import Path

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.open_clip_model import split_source
from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.clip_embedding import ClipEmbedded, ClipImages
from ovseg3r_core.masks.files import FileMasks
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.masks.remembered import RememberedMasks
from ovseg3r_train.make_scenes import file_name

_WHOLE = ("default", "everything")
_WITH_PATH = ("sam:", "hf:", "files:")


def check_teachers(text: str) -> tuple[str, ...]:
    """The sources of masks in a list with commas; raises ValueError for one that there is not."""
    sources = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for source in sources:
        base, plus, clip = source.partition("+clip:")
        if base not in _WHOLE and not any(base.startswith(kind) and base != kind for kind in _WITH_PATH):
            known = ", ".join((*_WHOLE, *(f"{kind}PATH" for kind in _WITH_PATH)))
            raise ValueError(f"--masks: there is no source {base!r}; choose from {known}")
        if plus:
            split_source(clip)
    if not sources:
        raise ValueError("--masks is empty: choose a source of masks, such as default")
    return sources


def teacher(source: str, title: str, kept: Path, *, alone: bool = True, device: str = "cpu") -> MaskProposer:
    """The source of masks of that name for one recording.

    What networks find is kept in files and not asked for again. Embeddings are not kept: they are made of the kept
    masks anew.

    Args:
        title: of the recording: `files:FOLDER` means FOLDER/TITLE where there is such a folder.
        kept: the folder of the recording's masks.
        alone: whether FOLDER itself can be meant, as there is no other recording.

    Raises:
        Rejected: `no_masks`; there are no files for this recording.
        ValueError, FileNotFoundError: as `build_proposer`.
    """
    base, _, clip = source.partition("+clip:")
    if base.startswith("files:"):
        masks: MaskProposer = FileMasks(_folder_of(Path(base.removeprefix("files:")), title, alone))
    else:
        masks = RememberedMasks(kept_masks(kept, base), _network(base, device))
    return ClipEmbedded(masks, _clip(clip, device)) if clip else masks


def kept_masks(kept: Path, source: str) -> Path:
    """Where the masks of a source are kept in the folder of a recording's masks, with embeddings or without."""
    return kept / file_name(source.partition("+clip:")[0])


def _folder_of(folder: Path, title: str, alone: bool) -> Path:
    if (folder / title).is_dir():
        return folder / title
    if not alone:  # frames are told by their numbers alone: masks of another recording would seem to fit
        raise Rejected("no_masks", f"{folder / title} is missing: of several recordings each needs a folder of its own")
    return folder


@cache
def _network(source: str, device: str) -> MaskProposer:
    """A proposer with networks, loaded once a process."""
    return build_proposer(source, device=device)


@cache
def _clip(source: str, device: str) -> ClipImages:
    return ClipImages(*split_source(source), device=device)
