"""Segment Anything on one image: encode once, then ask for masks at points and in boxes.

One implementation serves the embedded MobileSAM-architecture weights and the official checkpoints (Kirillov et
al. 2023, arXiv 2304.02643). Masks stay logits at a quarter of SAM's input size until someone has chosen
among them; enlarging is left to the end because most are never kept.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from numpy import ndarray
from segment_anything.modeling import Sam as SamModel
from torch import Tensor, nn

from ovseg3r_core.compiled import in_chunks
from ovseg3r_core.masks.sam_decoder import ImageTokens, predict_masks, read_image
from ovseg3r_core.masks.tiny_vit import TinyVitEncoder

_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
_STRIDE = 16  # SAM input pixels along each vector of the embedding
_PROMPTS_AT_ONCE = {"cpu": 2, "cuda": 64}  # on a CPU the intermediate results of two prompts still fit the cache
_ENLARGED_AT_LEAST = 4  # masks: fewer are not worth a thread


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """One encoded image, ready for prompts."""

    image: ImageTokens
    height: int
    width: int
    scale: float
    """SAM input pixels for each image pixel."""

    @property
    def mask_size(self) -> tuple[int, int]:
        """Rows and columns of the low-resolution logits that lie on the image and not on the padding."""
        return max(round(self.height * self.scale / 4), 1), max(round(self.width * self.scale / 4), 1)

    @property
    def pixel_area(self) -> float:
        """Image pixels for each low-resolution pixel."""
        return (4 / self.scale) ** 2


@dataclass(frozen=True, kw_only=True)
class PromptedMasks:
    """Four mask hypotheses a prompt: 0 for unambiguous prompts, 1..3 for whole, part and sub-part."""

    logits: Float[Tensor, "prompts 4 rows columns"]
    iou: Float[Tensor, "prompts 4"]
    """The IoU with the true mask that SAM expects."""


class Sam:
    """Segment Anything with its weights on one device."""

    def __init__(self, model: SamModel, device: str = "cpu") -> None:
        self.device = torch.device(device)
        model = model.to(self.device).eval()
        # Convolutions are a third faster with channels last; the decoder has almost none.
        self._encoder = model.image_encoder.to(memory_format=torch.channels_last)
        self._prompt_encoder, self._decoder = model.prompt_encoder, model.mask_decoder
        self._side = int(model.image_encoder.img_size)
        self._takes_any_size = isinstance(model.image_encoder, TinyVitEncoder)
        with torch.inference_mode():
            self._position = self._prompt_encoder.get_dense_pe()
            self._no_mask = self._prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)

    @torch.inference_mode()
    def encode(self, color: UInt8[ndarray, "height width 3"]) -> Embedding:
        """The embedding that all prompts on an RGB image share."""
        height, width = color.shape[:2]
        scale = self._side / max(height, width)
        pixels = torch.from_numpy(_resize(color, scale)).to(self.device).float()
        pixels = (pixels - pixels.new_tensor(_MEAN)) / pixels.new_tensor(_STD)
        rows, columns = self._padded(*pixels.shape[:2])
        padded = nn.functional.pad(pixels, (0, 0, 0, columns - pixels.shape[1], 0, rows - pixels.shape[0]))
        features = self._encoder(padded[None].permute(0, 3, 1, 2))  # a view: channels stay last in memory
        position = self._position[..., : rows // _STRIDE, : columns // _STRIDE]
        image = read_image(self._decoder, features + self._no_mask, position)
        return Embedding(image=image, height=height, width=width, scale=scale)

    @torch.inference_mode()
    def masks_at(self, embedding: Embedding, points: Float[ndarray, "prompts 2"]) -> PromptedMasks:
        """Masks of the things at each pixel (column u, row v)."""
        coordinates = self._to_input(embedding, points)[:, None]
        labels = coordinates.new_ones(coordinates.shape[:2])
        prompts, _ = self._prompt_encoder(points=(coordinates, labels), boxes=None, masks=None)
        return self._decode(embedding, prompts)

    @torch.inference_mode()
    def masks_in(self, embedding: Embedding, boxes: Float[ndarray, "prompts 4"]) -> PromptedMasks:
        """Masks of the things that fill each box (left, top, right, bottom), pixels."""
        corners = self._to_input(embedding, boxes.reshape(-1, 2)).reshape(-1, 4)
        prompts, _ = self._prompt_encoder(points=None, boxes=corners, masks=None)
        return self._decode(embedding, prompts)

    def _padded(self, rows: int, columns: int) -> tuple[int, int]:
        """The size that an image is padded to: a square where the encoder takes nothing else, as SAM was trained.

        TinyViT need not look at the padding, nor the decoder: a quarter less work for an image of 4 to 3, and masks as
        good, though not the same (docs/results.md).
        """
        if not self._takes_any_size:
            return self._side, self._side
        return -(-rows // _STRIDE) * _STRIDE, -(-columns // _STRIDE) * _STRIDE

    def _to_input(self, embedding: Embedding, pixels: Float[ndarray, "points 2"]) -> Float[Tensor, "points 2"]:
        return torch.from_numpy(pixels.astype(np.float32) * np.float32(embedding.scale)).to(self.device)

    def _decode(self, embedding: Embedding, prompts: Float[Tensor, "prompts tokens channels"]) -> PromptedMasks:
        rows, columns = embedding.mask_size
        logits = prompts.new_empty(len(prompts), self._decoder.num_mask_tokens, rows, columns)
        iou = prompts.new_empty(len(prompts), self._decoder.num_mask_tokens)
        step = _PROMPTS_AT_ONCE.get(self.device.type, 2)
        for start in range(0, len(prompts), step):
            chunk = slice(start, start + step)
            square, iou[chunk] = predict_masks(self._decoder, embedding.image, prompts[chunk])
            logits[chunk] = square[..., :rows, :columns]
        return PromptedMasks(logits=logits, iou=iou)


def enlarge(
    embedding: Embedding, logits: Float[Tensor, "masks rows columns"], smallest_px: int = 100
) -> Bool[ndarray, "masks height width"]:
    """Low-resolution logits as masks of the image's own size.

    Args:
        smallest_px: islands and holes of fewer image pixels are specks and go.
    """
    step = embedding.scale / 4  # low-resolution pixels for each image pixel; pixel centres are at +0.5 on both
    to_logits = np.array([[step, 0, step / 2 - 0.5], [0, step, step / 2 - 0.5]])
    size = (embedding.width, embedding.height)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    masks = np.empty((len(logits), embedding.height, embedding.width), dtype=bool)
    lows = logits.float().cpu().numpy()

    def enlarge_some(start: int, stop: int) -> None:
        for mask, low in zip(masks[start:stop], lows[start:stop], strict=True):
            low = _without_specks(low, smallest_px / embedding.pixel_area)
            mask[:] = cv2.warpAffine(low, to_logits, size, flags=flags, borderMode=cv2.BORDER_REPLICATE) > 0

    in_chunks(enlarge_some, len(masks), smallest=_ENLARGED_AT_LEAST)
    return masks


def _without_specks(logits: Float32[ndarray, "rows columns"], smallest: float) -> Float32[ndarray, "rows columns"]:
    """Logits whose small islands and holes have changed sides; the largest part of each side stays as it is."""
    for side in (logits > 0, logits <= 0):
        _, parts, sizes, _ = cv2.connectedComponentsWithStats(side.astype(np.uint8), connectivity=4)
        area = sizes[:, cv2.CC_STAT_AREA]
        area[0] = 0  # part 0 is the other side
        speck = (area < smallest) & (area < area.max())
        speck[0] = False
        logits = np.where(speck[parts], -logits, logits)
    return logits


def _resize(color: UInt8[ndarray, "height width 3"], scale: float) -> UInt8[ndarray, "rows columns 3"]:
    rows, columns = (int(side * scale + 0.5) for side in color.shape[:2])  # rounded as SAM was trained
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(color, (max(columns, 1), max(rows, 1)), interpolation=interpolation)
