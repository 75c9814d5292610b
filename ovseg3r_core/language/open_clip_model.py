"""OpenCLIP models from files that are on this machine: the file, a name for its weights, the loaded model.

open_clip fetches what it lacks (weights of a tag, tokenizers of some architectures). Here it gets files only, and the
Hugging Face Hub is switched off while it loads, so that what is absent is an error and never a download.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ovseg3r_core.language.encoder import EncoderId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ClipModel:
    """Both towers of a loaded model; its encoders scale to unit length with `normalize=True`."""

    id: EncoderId
    encode_image: "Callable[..., Tensor]"
    encode_text: "Callable[..., Tensor]"
    prepare: "Callable[[Image], Tensor]"
    tokenize: "Callable[[list[str]], Tensor]"


def split_source(source: str) -> tuple[str, str]:
    """ARCHITECTURE:CHECKPOINT in two; raises ValueError where one of them is missing."""
    architecture, _, checkpoint = source.partition(":")
    if not architecture or not checkpoint:
        raise ValueError(f"{source!r} names no checkpoint: write ARCHITECTURE:CHECKPOINT, ViT-B-32:weights.safetensors")
    return architecture, checkpoint


def load_open_clip(architecture: str, checkpoint: str | Path, device: str = "cpu") -> ClipModel:
    """The model of an architecture with the weights of a checkpoint.

    Args:
        architecture: a model name of open_clip, such as "ViT-B-32".
        checkpoint: a local file with its weights (safetensors, or a torch file that holds tensors only), or a
            pretrained tag such as "laion2b_s34b_b79k" whose file the Hugging Face cache of this machine already holds.

    Raises:
        ImportError: open_clip is not installed.
        ValueError: open_clip does not know the architecture, or the file is missing or does not fit it.
    """
    try:
        import open_clip
    except ImportError as error:
        raise ImportError("OpenCLIP is not installed: pip install ovseg3r_ros[openclip]") from error
    weights = local_clip_weights(architecture, checkpoint)
    if architecture not in open_clip.list_models():
        raise ValueError(f"open_clip cannot load {architecture} from {weights}: it knows no such architecture")
    # What belongs to a tag and not to the architecture; the file alone does not tell it.
    tag = open_clip.get_pretrained_cfg(architecture, str(checkpoint)) or {}
    try:
        with _no_hub():
            model, _, prepare = open_clip.create_model_and_transforms(
                architecture,
                pretrained=str(weights),  # torch files are read with weights_only=True
                device=device,
                force_quick_gelu=tag.get("quick_gelu", False),
                image_mean=tag.get("mean"),
                image_std=tag.get("std"),
                image_interpolation=tag.get("interpolation"),
                image_resize_mode=tag.get("resize_mode"),
            )
            tokenize = open_clip.get_tokenizer(architecture)
    except Exception as error:  # open_clip lets through whatever torch, safetensors and transformers raise
        raise ValueError(f"open_clip cannot load {architecture} from {weights}: {error}") from error
    model.eval()
    return ClipModel(
        id=_id_of(architecture, checkpoint, weights),
        encode_image=cast("Callable[..., Tensor]", model.encode_image),
        encode_text=cast("Callable[..., Tensor]", model.encode_text),
        prepare=cast("Callable[[Image], Tensor]", prepare),
        tokenize=cast("Callable[[list[str]], Tensor]", tokenize),
    )


def local_clip_weights(architecture: str, checkpoint: str | Path) -> Path:
    """The file behind a path, or behind a pretrained tag that was downloaded earlier.

    Raises:
        ValueError: there is no such file on this machine.
    """
    path = Path(checkpoint)
    if path.is_file():
        return path.absolute()
    import open_clip
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    known = open_clip.get_pretrained_cfg(architecture, str(checkpoint)) or {}
    repository, _, file = known.get("hf_hub", "").rpartition("/")
    for name in (file, HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME) if repository else ():
        cached = try_to_load_from_cache(repository, name) if name else None
        if isinstance(cached, str):
            return Path(cached)
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none, the architecture is unknown"
    raise ValueError(
        f"{checkpoint} is no file, and no weights of {architecture} of that tag are on this machine "
        f"(open_clip knows the tags {tags}): download the weights yourself and give the file"
    )


def _id_of(architecture: str, checkpoint: str | Path, weights: Path) -> EncoderId:
    """Named by content: the same weights may lie elsewhere on the machine that asks, and others under this name."""
    digest = hashlib.sha256()
    with weights.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    source = weights if Path(checkpoint).is_file() else checkpoint
    return EncoderId(name=f"{architecture} {digest.hexdigest()[:16]}", source=f"{architecture}:{source}")


@contextmanager
def _no_hub() -> Iterator[None]:
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
