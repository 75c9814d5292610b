"""The embedded detector: YOLOX-nano on the 80 COCO classes (Ge et al. 2021, arXiv 2107.08430), run by ONNX Runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import onnxruntime
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from torchvision.ops import batched_nms

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.language.coco import COCO_CLASSES
from ovseg3r_core.masks.proposer import Detections

_SIDE = 416
_STRIDES = (8, 16, 32)
_GREY = 114  # what YOLOX was trained to see outside the picture


@dataclass(frozen=True, kw_only=True)
class YoloxConfig:
    """What counts as a detection."""

    min_score: Annotated[float, Within(0.001, 1.0)] = 0.3
    """Boxes with a lower score are not detections."""
    nms_iou: Annotated[float, Within(0.001, 1.0)] = 0.45
    """Overlap from which two boxes of one class are the same thing."""
    threads: Annotated[int, Within(1, 256)] = 2
    """CPU threads of the network."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class Yolox:
    """YOLOX-nano: named boxes in an RGB image."""

    def __init__(self, weights: Path, config: YoloxConfig | None = None) -> None:
        self._config = config or YoloxConfig()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._config.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads must not slow SAM's
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._cells, self._strides = _grid()

    def detect(self, color: UInt8[ndarray, "height width 3"]) -> Detections:
        """The detections in an RGB image, best first."""
        height, width = color.shape[:2]
        scale = _SIDE / max(height, width)
        raw = cast(ndarray, self._session.run(None, {self._input: _letterbox(color, scale)})[0])[0]
        boxes = self._decode(raw) / scale
        names, scores = _classify(raw)
        kept = self._select(boxes, scores, names)
        boxes = boxes[kept].clip(0, (width, height, width, height)).astype(np.float32)
        return Detections(boxes=boxes, scores=scores[kept], names=tuple(COCO_CLASSES[i] for i in names[kept]))

    def _decode(self, raw: Float32[ndarray, "cells 85"]) -> Float32[ndarray, "cells 4"]:
        """Corner boxes in pixels of the letterboxed image, from offsets to each cell and log sizes."""
        centre = (raw[:, :2] + self._cells) * self._strides
        half = np.exp(raw[:, 2:4]) * self._strides / 2
        return np.concatenate([centre - half, centre + half], axis=1)

    def _select(self, boxes: ndarray, scores: ndarray, classes: ndarray) -> ndarray:
        sure = np.flatnonzero(scores >= self._config.min_score)
        tensors = [torch.from_numpy(values[sure]) for values in (boxes, scores, classes)]
        return sure[batched_nms(tensors[0], tensors[1], tensors[2], self._config.nms_iou).numpy()]


def _letterbox(color: UInt8[ndarray, "height width 3"], scale: float) -> Float32[ndarray, "1 3 side side"]:
    height, width = color.shape[:2]
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    square = np.full((_SIDE, _SIDE, 3), _GREY, dtype=np.uint8)
    square[: size[1], : size[0]] = cv2.resize(color, size, interpolation=cv2.INTER_LINEAR)[:, :, ::-1]
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None], dtype=np.float32)


def _classify(raw: Float32[ndarray, "cells 85"]) -> tuple[ndarray, Float32[ndarray, " cells"]]:
    """The likeliest class of each cell, and objectness times its probability."""
    classes = raw[:, 5:].argmax(axis=1)
    return classes, raw[:, 4] * raw[:, 5:].max(axis=1)


def _grid() -> tuple[Float32[ndarray, "cells 2"], Float32[ndarray, "cells 1"]]:
    cells, strides = [], []
    for stride in _STRIDES:
        side = _SIDE // stride
        v, u = np.mgrid[:side, :side]
        cells.append(np.stack([u, v], axis=-1).reshape(-1, 2))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
