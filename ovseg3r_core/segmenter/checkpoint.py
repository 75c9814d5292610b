"""Checkpoints: weights as safetensors, with a card that says what they are.

The card (configuration, text encoder that names were learned in, data, metrics, checksum) stands in the header of
`NAME.safetensors`, so that one file is whole or not there, and may be copied alone. `NAME.json` beside it is a copy for
people and other tools.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import EncoderId, TextEncoder
from ovseg3r_core.segmenter.build import build_segmenter
from ovseg3r_core.segmenter.config import SegmenterConfig
from ovseg3r_core.segmenter.segmenter import Segmenter

MAX_BYTES = 2 << 30
_MAX_HEADER_BYTES = 16 << 20
_FORMAT, _VERSION = "ovseg3r-segmenter", 1
_TYPES = (torch.float32, torch.float16, torch.bfloat16)


class BadCheckpoint(ValueError):
    """The files are no checkpoint that can be used; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of some weights."""

    config: SegmenterConfig
    encoder: EncoderId
    """The text encoder that names were learned in: texts of any other mean nothing to these weights."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What they were trained on."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, and on what."""
    sha256: str = ""
    """Of the weights; filled in when they are saved."""


def save_segmenter(path: Path, segmenter: Segmenter, card: Card, *, dtype: torch.dtype = torch.float16) -> Card:
    """Save weights and card to `path` (`.safetensors`), and the card beside it; returns the card with the checksum.

    Args:
        dtype: of the matrices as they are stored. Vectors stay float32: a variance of 1e-8 is 0 in half precision.

    Raises:
        ValueError: the path has another suffix, or the card is of another configuration.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: a checkpoint is called NAME.safetensors")
    if card.config != segmenter.config:
        raise ValueError(f"the card is of {card.config}, the segmenter is {segmenter.config}")
    tensors = {name: _stored(name, value, dtype) for name, value in segmenter.state_dict().items()}
    card = replace(card, sha256=hashlib.sha256(_split(save(tensors))[1]).hexdigest())
    text = json.dumps({"format": _FORMAT, "version": _VERSION} | asdict(card), indent=1)
    data = save(tensors, metadata={"card": text, "card_sha256": _digest(text)})
    make_folder(path.parent)
    with atomic_write(path) as part:
        part.write_bytes(data)
    with atomic_write(path.with_suffix(".json")) as part:
        part.write_text(text, "utf-8")
    return card


def load_segmenter(path: Path, device: str | torch.device = "cpu") -> tuple[Segmenter, Card]:
    """The segmenter of a checkpoint in evaluation mode, float32, and its card.

    Raises:
        FileNotFoundError: the file is missing.
        BadCheckpoint: it is truncated, altered, oversized, of another format, or holds other tensors than its
            configuration asks for.
    """
    data, card = _sealed(path)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise BadCheckpoint(f"{path} is no safetensors file: {error}") from error
    segmenter = build_segmenter(card.config)
    _fill(segmenter, tensors, path)
    return segmenter.to(device).eval(), card


def read_card(path: Path) -> Card:
    """The card of a checkpoint whose bytes are whole; raises as `load_segmenter` does, and builds no network."""
    return _sealed(path)[1]


def check_encoder(card: Card, encoder: TextEncoder) -> None:
    """Raise `Rejected("other_encoder")` unless texts of the encoder are those that the weights were trained with."""
    if encoder.name != card.encoder.name:
        raise Rejected(
            "other_encoder",
            f"the segmenter learned its names in {card.encoder.name} (then {card.encoder.source}), the text encoder "
            f"is {encoder.name}: give the same architecture and weights",
        )


def _sealed(path: Path) -> tuple[bytes, Card]:
    """The bytes of a checkpoint, once they are what its card says, and the card."""
    data = _read(path)
    try:
        header, weights = _split(data)
        card = _card(header["__metadata__"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BadCheckpoint(f"{path} is no checkpoint of a segmenter: {error!r:.300}") from error
    if (found := hashlib.sha256(weights).hexdigest()) != card.sha256:
        raise BadCheckpoint(f"{path} is damaged: its weights have sha256 {found[:16]}..., not {card.sha256[:16]}...")
    return data, card


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}: give a NAME.safetensors that a training saved")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise BadCheckpoint(f"{path} has {size} bytes; at most {MAX_BYTES} are read")
    return path.read_bytes()


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and the numbers behind it."""
    end = 8 + int.from_bytes(data[:8], "little")
    if not 8 < end <= min(len(data), _MAX_HEADER_BYTES):
        raise ValueError(f"a header of {end - 8} bytes in a file of {len(data)}")
    return json.loads(data[8:end]), data[end:]


def _card(metadata: Mapping[str, str]) -> Card:
    text = metadata["card"]
    if _digest(text) != metadata["card_sha256"]:
        raise ValueError("its card was altered")
    content = json.loads(text)
    if (content["format"], content["version"]) != (_FORMAT, _VERSION):
        said = f"{content['format']!r} version {content['version']!r}"
        raise ValueError(f"it is {said}; this release reads {_FORMAT!r} version {_VERSION}")
    return Card(
        config=SegmenterConfig(**content["config"]),
        encoder=EncoderId(**content["encoder"]),
        data=content["data"],
        metrics=content["metrics"],
        sha256=content["sha256"],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fill(segmenter: Segmenter, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = segmenter.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise BadCheckpoint(f"{path} lacks {len(missing)} tensors, {missing[0]} first")
    if extra := sorted(tensors.keys() - expected.keys()):
        raise BadCheckpoint(f"{path} holds {len(extra)} tensors too many for its configuration, {extra[0]} first")
    for name, value in expected.items():
        given = tensors[name]
        if given.dtype not in _TYPES or given.shape != value.shape:
            raise BadCheckpoint(
                f"{path}: {name} is {given.dtype} {tuple(given.shape)}, not a float {tuple(value.shape)}"
            )
        if not given.isfinite().all():
            raise BadCheckpoint(f"{path}: {name} holds numbers that are not finite")
    # Not strict: torch would miss the counters of batches, which our batch norms do without.
    segmenter.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)


def _stored(name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    exact = value.ndim < 2 or ".running_" in name
    return value.detach().cpu().to(torch.float32 if exact else dtype).contiguous()
