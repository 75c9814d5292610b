"""The default text encoder: all-MiniLM-L6-v2, a six-layer BERT, in numpy.

Sentences are encoded as in Sentence-BERT (Reimers and Gurevych, EMNLP 2019): mean of the token states, scaled
to unit length. The forward pass is written out here because a query from the command line has to start fast:
numpy and a tokenizer load in a fraction of the time that torch and a model library take (docs/queries.md).
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray
from safetensors.numpy import load_file
from scipy.special import erf, softmax
from threadpoolctl import ThreadpoolController
from tokenizers import Tokenizer

from ovseg3r_core import models
from ovseg3r_core.language.encoder import EmbeddingMemory

_MAX_TOKENS = 128  # the length the model was trained with; more text than that is cut off
_BATCH = 64


class MiniLm:
    """all-MiniLM-L6-v2 from the model cache, or from a folder with the same files.

    Args:
        folder: holds `config.json`, `model.safetensors` and `tokenizer.json`.

    Raises:
        MissingModel, DamagedModel: no folder is given and the cache lacks the model.
    """

    name = "minilm-l6-v2"

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or models.find(self.name)
        config = json.loads((folder / "config.json").read_text())
        self._heads, self._layers = config["num_attention_heads"], config["num_hidden_layers"]
        self._epsilon = np.float32(config["layer_norm_eps"])
        self._weights = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._threads, self._lock = ThreadpoolController(), threading.Lock()
        self._memory = EmbeddingMemory(self._encode, channels=config["hidden_size"])

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text, 384 channels."""
        return self._memory.embed(texts)

    def _encode(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        # Products this small gain nothing from threads, and beside a busy mapper, threads that wait for each other
        # make them six times slower. The limit is the process's, so that two must not set and restore it at once.
        with self._lock, self._threads.limit(limits=1, user_api="blas"):
            return self._encode_in_batches(texts)

    def _encode_in_batches(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """Texts of similar length go together: reading the weights costs more than the padding of a few tokens."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        rows = np.empty((len(texts), self._weights["embeddings.LayerNorm.bias"].shape[0]), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
        for batch in (order[start : start + _BATCH] for start in range(0, len(order), _BATCH)):
            ids = np.zeros((len(batch), len(tokens[batch[-1]])), np.int64)
            real = np.zeros(ids.shape, bool)
            for row, i in enumerate(batch):
                ids[row, : len(tokens[i])], real[row, : len(tokens[i])] = tokens[i], True
            states = np.where(real[:, :, None], self._forward(ids, real), np.float32(0))
            rows[batch] = states.sum(axis=1) / real.sum(axis=1, keepdims=True, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _forward(
        self, ids: Int64[ndarray, "texts tokens"], real: Bool[ndarray, "texts tokens"]
    ) -> Float32[ndarray, "texts tokens channels"]:
        """The states of the last layer (Devlin et al., BERT, NAACL 2019); nothing attends to padding."""
        unseen = np.where(real, np.float32(0), np.float32(-np.inf))[:, None, None, :]
        word, position, segment = (
            self._weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        x = self._normalise("embeddings.LayerNorm", word[ids] + position[: ids.shape[1]] + segment[0])
        for layer in range(self._layers):
            at = f"encoder.layer.{layer}"
            x = self._normalise(f"{at}.attention.output.LayerNorm", x + self._attend(f"{at}.attention", x, unseen))
            inner = _gelu(self._linear(f"{at}.intermediate.dense", x))
            x = self._normalise(f"{at}.output.LayerNorm", x + self._linear(f"{at}.output.dense", inner))
        return x

    def _attend(
        self, at: str, x: Float32[ndarray, "texts tokens channels"], unseen: Float32[ndarray, "texts 1 1 tokens"]
    ) -> Float32[ndarray, "texts tokens channels"]:
        texts, tokens, channels = x.shape
        split = (texts, tokens, self._heads, channels // self._heads)
        query, key, value = (
            self._linear(f"{at}.self.{part}", x).reshape(split).swapaxes(1, 2) for part in ("query", "key", "value")
        )
        scale = np.float32(1 / np.sqrt(split[3]))
        mixed = softmax(query @ key.swapaxes(2, 3) * scale + unseen, axis=-1) @ value
        return self._linear(f"{at}.output.dense", mixed.swapaxes(1, 2).reshape(texts, tokens, channels))

    def _linear(self, at: str, x: Float32[ndarray, "texts tokens inputs"]) -> Float32[ndarray, "texts tokens outputs"]:
        rows = x.reshape(-1, x.shape[-1])  # one large product; numpy would make one small product a text
        y = (self._weights[f"{at}.weight"] @ rows.T).T + self._weights[f"{at}.bias"]  # quicker for few rows this way
        return y.reshape(*x.shape[:-1], -1)

    def _normalise(
        self, at: str, x: Float32[ndarray, "texts tokens channels"]
    ) -> Float32[ndarray, "texts tokens channels"]:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._epsilon)
        return centred / spread * self._weights[f"{at}.weight"] + self._weights[f"{at}.bias"]


def _gelu(x: Float32[ndarray, "texts tokens channels"]) -> Float32[ndarray, "texts tokens channels"]:
    return x * np.float32(0.5) * (1 + erf(x * np.float32(np.sqrt(0.5))))
