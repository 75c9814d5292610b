"""Text embeddings on disk: a vocabulary that was encoded once needs no encoder run in the next process.

One file an encoder, named by its checksum of the encoder's name; the texts stand in its header. A file that is damaged
or of another encoder is made anew, and where nothing can be written everything works, only slower.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ovseg3r_core.atomic import atomic_write, locked, make_folder
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.models import cache_dir

logger = logging.getLogger(__name__)

MAX_TEXTS = 20_000
"""Kept on disk; the oldest go first. 30 MB of 384 channels."""
_MAX_BYTES = 1 << 28
_UNIT_TOLERANCE = 1e-3

Rows = dict[str, Float32[ndarray, " channels"]]


class CachedEncoder:
    """A `TextEncoder` that remembers what another one said, across processes.

    Args:
        folder: where the files lie; `texts` in the cache folder of the weights without it.
    """

    def __init__(self, encoder: TextEncoder, folder: Path | None = None) -> None:
        self.name = encoder.name
        self._encoder = encoder
        digest = hashlib.sha256(encoder.name.encode()).hexdigest()[:16]
        self._path = (folder or cache_dir() / "texts") / f"{digest}.safetensors"
        self._rows = self._read()

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text; only those that nobody ever asked for are encoded."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new or not texts:
            rows = self._encoder.embed(new)
            if not texts:
                return rows
            self._rows |= zip(new, rows, strict=True)
            self._save()
        return np.stack([self._rows[text] for text in texts])

    def _read(self) -> Rows:
        if not self._path.is_file():
            return {}
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                raise ValueError(f"it has {self._path.stat().st_size} bytes")
            with safe_open(self._path, "numpy") as file:
                header, rows = file.metadata() or {}, file.get_tensor("rows")
            return self._checked(header, rows)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s is no cache of %s and is made anew: %s", self._path, self.name, error)
            return {}

    def _checked(self, header: dict[str, str], rows: ndarray) -> Rows:
        if header["encoder"] != self.name:
            raise ValueError(f"it holds texts of {header['encoder']}")
        texts = json.loads(header["texts"])
        if rows.dtype != np.float32 or rows.ndim != 2 or len(texts) != len(rows):
            raise ValueError(f"{len(texts)} texts and {rows.dtype} {rows.shape}")
        if not (np.abs(np.linalg.norm(rows, axis=1) - 1) < _UNIT_TOLERANCE).all():  # NaN compares false
            raise ValueError("its rows are not of unit length")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("its texts are no texts")
        return dict(zip(texts, rows, strict=True))

    def _save(self) -> None:
        with contextlib.suppress(OSError):  # a read-only cache works, texts are only encoded in each process
            make_folder(self._path.parent)
            with locked(self._path.parent):
                merged = self._read() | self._rows  # another process may have added some meanwhile
                kept = dict(list(merged.items())[-MAX_TEXTS:])
                header = {"encoder": self.name, "texts": json.dumps(list(kept))}
                with atomic_write(self._path) as part:
                    save_file({"rows": np.stack(list(kept.values()))}, part, metadata=header)
