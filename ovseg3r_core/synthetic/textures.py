"""All textures of a scene in one flat bank, with the smaller copies (mip levels) that keep far ones from flickering."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8
from numpy import ndarray

_LEVELS = 12  # 2048 pixels down to one


@dataclass(frozen=True, kw_only=True)
class TextureBank:
    """The pixels of every level of every texture, one after the other."""

    pixels: UInt8[ndarray, "pixels 4"]
    offset: Int64[ndarray, "textures 12"]
    columns: Int32[ndarray, "textures 12"]
    rows: Int32[ndarray, "textures 12"]

    def look_up(
        self,
        texture: Int32[ndarray, " points"],
        uv: Float32[ndarray, "points 2"],
        texels_a_pixel: Float32[ndarray, " points"],
    ) -> Float32[ndarray, "points 4"]:
        """RGBA 0..255, bilinear in the level whose texels are about as large as the image's pixels.

        Args:
            texels_a_pixel: how many texels of the full texture one image pixel covers, along one axis.
        """
        level = np.clip(np.log2(np.maximum(texels_a_pixel, 1)) + 0.25, 0, _LEVELS - 1).astype(np.int32)
        columns, rows, offset = (table[texture, level] for table in (self.columns, self.rows, self.offset))
        x = np.mod(uv[:, 0], 1) * columns - np.float32(0.5)
        y = np.mod(-uv[:, 1], 1) * rows - np.float32(0.5)
        x0, y0 = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
        fx, fy = (x - x0)[:, None].astype(np.float32), (y - y0)[:, None].astype(np.float32)
        x1, y1 = np.where(x0 + 1 < columns, x0 + 1, 0), np.where(y0 + 1 < rows, y0 + 1, 0)
        x0, y0 = np.where(x0 < 0, columns - 1, x0), np.where(y0 < 0, rows - 1, y0)
        low = self.pixels[offset + y0 * columns + x0] * (1 - fx) + self.pixels[offset + y0 * columns + x1] * fx
        high = self.pixels[offset + y1 * columns + x0] * (1 - fx) + self.pixels[offset + y1 * columns + x1] * fx
        return low * (1 - fy) + high * fy


def build_bank(textures: Sequence[UInt8[ndarray, "_ _ 4"]]) -> TextureBank:
    """The bank of some RGBA images; `texture` numbers of `look_up` are places in this sequence."""
    levels = [level for texture in textures for level in _levels(texture)]
    sizes = np.array([level.shape[:2] for level in levels], dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))[:-1]])
    return TextureBank(
        pixels=np.concatenate([level.reshape(-1, 4) for level in levels]),
        offset=offset.reshape(-1, _LEVELS),
        rows=sizes[:, 0].astype(np.int32).reshape(-1, _LEVELS),
        columns=sizes[:, 1].astype(np.int32).reshape(-1, _LEVELS),
    )


def _levels(texture: UInt8[ndarray, "rows columns 4"]) -> list[UInt8[ndarray, "_ _ 4"]]:
    levels = [np.ascontiguousarray(texture)]
    while len(levels) < _LEVELS:
        rows, columns = levels[-1].shape[:2]
        size = (max(columns // 2, 1), max(rows // 2, 1))
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return levels
