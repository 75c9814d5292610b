"""An open-vocabulary detector from a local Hugging Face folder: Grounding DINO, OWL-ViT, OWLv2 and their kind.

Its boxes prompt SAM as those of the embedded detector do. Nothing is downloaded: the folder must hold the
model as `save_pretrained` writes it, with safetensors weights and its processor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.masks.proposer import Detections


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """What counts as a detection."""

    min_score: Annotated[float, Within(0.001, 1.0)] = 0.2
    """Boxes with a lower score are not detections."""
    max_boxes: Annotated[int, Within(1, 10_000)] = 100
    """Boxes kept of one image at most, the best."""
    texts_at_once: Annotated[int, Within(1, 10_000)] = 60
    """Longer vocabularies are asked in parts: Grounding DINO reads at most 256 word pieces."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class ZeroShotDetector:
    """Named boxes for the texts of a vocabulary.

    Raises:
        ValueError: the folder holds no such model, or weights that are not safetensors; or no text was given.
    """

    def __init__(
        self, folder: Path, texts: Sequence[str], *, device: str = "cpu", config: ZeroShotConfig | None = None
    ) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        if not folder.is_dir() or not texts:
            raise ValueError(f"{folder} with {len(texts)} texts: give the folder of a detector and what to look for")
        try:
            self._processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model = AutoModelForZeroShotObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ValueError(
                f"{folder} is no zero-shot detector that transformers can read with safetensors: {error}"
            ) from error
        self._model = model.to(device).eval()
        self._texts, self._device, self._config = tuple(texts), device, config or ZeroShotConfig()

    def look_for(self, texts: Sequence[str]) -> None:
        """Ask for other texts from the next image on."""
        self._texts = tuple(texts)

    @torch.inference_mode()
    def detect(self, color: UInt8[ndarray, "height width 3"]) -> Detections:
        """The detections in an RGB image, best first."""
        found: list[tuple[float, str, list[float]]] = []
        step, texts = self._config.texts_at_once, self._texts
        for start in range(0, len(texts), step):
            found += self._ask(color, list(texts[start : start + step]))
        found = sorted(found, reverse=True)[: self._config.max_boxes]
        height, width = color.shape[:2]
        boxes = np.array([box for _, _, box in found], dtype=np.float32).reshape(-1, 4)
        everything = Detections(
            boxes=boxes.clip(0, np.array([width, height, width, height], dtype=np.float32)),
            scores=np.array([score for score, _, _ in found], dtype=np.float32),
            names=tuple(name for _, name, _ in found),
        )
        left, top, right, bottom = everything.boxes.T  # OWLv2 pads the picture and may find things beside it
        return everything.at(np.flatnonzero((right > left) & (bottom > top)).tolist())

    def _ask(self, color: ndarray, texts: list[str]) -> list[tuple[float, str, list[float]]]:
        inputs = self._processor(images=color, text=[texts], truncation=True, return_tensors="pt").to(self._device)
        outputs = self._model(**inputs)
        answer = self._processor.post_process_grounded_object_detection(
            outputs, threshold=self._config.min_score, target_sizes=[color.shape[:2]], text_labels=[texts]
        )[0]
        if not len(answer["scores"]):  # Grounding DINO's processor then gives one empty phrase
            return []
        names = [closest_text(phrase, texts) for phrase in answer["text_labels"]]
        rows = zip(answer["scores"].tolist(), names, answer["boxes"].tolist(), strict=True)
        return [(score, name, box) for score, name, box in rows if name is not None]


def closest_text(phrase: str, texts: Sequence[str]) -> str | None:
    """The text that a detector's phrase means: Grounding DINO answers with the words it saw, "chair" of "office chair".

    None where they share no word.
    """
    words = set(phrase.lower().split())

    def agreement(text: str) -> float:
        others = set(text.lower().split())
        return len(words & others) / max(len(words | others), 1)

    best = max(texts, key=agreement)
    return best if agreement(best) > 0 else None
