"""All textures of a scene in a few large images, with smaller copies (mip levels) that keep far ones from flickering.

Each level lies in a cell of its page, with its opposite rims copied round it, so that a texture repeats without a seam
and OpenCV's bilinear sampling can answer all points of a page in one call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8
from numpy import ndarray

_LEVELS = 12  # 2048 pixels down to one
_PAGE_WIDTH = 4096
_PAGE_HEIGHT = 16384  # cv2.remap takes images of less than 32768 pixels a side
_CALL_WIDTH = 1024


@dataclass(frozen=True, kw_only=True)
class TextureBank:
    """Pages of texture levels, and where in them each level of each texture lies."""

    pages: tuple[UInt8[ndarray, "_ _ 4"], ...]
    page: Int32[ndarray, " levels"]
    """Page of each level; the levels of texture t are the twelve from 12 t."""
    corner: Float32[ndarray, "2 levels"]
    """Column and row of the first pixel of each level."""
    size: Float32[ndarray, "2 levels"]
    """Columns and rows of each level."""

    @property
    def texels(self) -> Float32[ndarray, " textures"]:
        """Pixels of each texture in full size."""
        return self.size[:, ::_LEVELS].prod(axis=0)

    def look_up(
        self,
        texture: Int64[ndarray, " points"],
        uv: Float32[ndarray, "2 points"],
        texels_a_pixel: Float32[ndarray, " points"],
    ) -> UInt8[ndarray, "points 4"]:
        """RGBA, bilinear in the level whose texels are about as large as the image's pixels.

        Args:
            texels_a_pixel: how many texels of the full texture one image pixel covers, along one axis.
        """
        level = np.log2(np.maximum(texels_a_pixel, np.float32(1))) + np.float32(0.25)
        level = texture * _LEVELS + np.minimum(level, np.float32(_LEVELS - 1)).astype(np.int64)
        x, y = self._place(0, uv[0], level), self._place(1, -uv[1], level)
        if len(self.pages) == 1:
            return _sample(self.pages[0], x, y)
        rgba, page = np.empty((len(texture), 4), dtype=np.uint8), self.page[level]
        for number, image in enumerate(self.pages):
            here = np.flatnonzero(page == number)
            rgba[here] = _sample(image, x[here], y[here])
        return rgba

    def _place(self, axis: int, along: Float32[ndarray, " points"], level: ndarray) -> Float32[ndarray, " points"]:
        """Column or row in the page."""
        return (along - np.floor(along)) * self.size[axis].take(level) + (self.corner[axis].take(level) - 0.5)


def build_bank(textures: Sequence[UInt8[ndarray, "_ _ 4"]]) -> TextureBank:
    """The bank of some RGBA images; `texture` numbers of `look_up` are places in this sequence.

    An image that occurs several times, as that of four equal chairs does, is held once.
    """
    distinct = {id(texture): texture for texture in textures}
    cells = {key: _levels(texture) for key, texture in distinct.items()}
    flat = [level for levels in cells.values() for level in levels]
    page, corner = _lay_out([level.shape[:2] for level in flat])
    pages = _draw(flat, page, corner)
    first = dict(zip(cells, np.cumsum([0, *map(len, cells.values())]), strict=False))
    # Below one pixel there is nothing smaller: the last level stands for the rest of the twelve.
    index = np.array([first[id(t)] + min(n, len(cells[id(t)]) - 1) for t in textures for n in range(_LEVELS)])
    size = np.array([(level.shape[1], level.shape[0]) for level in flat], dtype=np.float32).T
    return TextureBank(
        pages=pages, page=page[index], corner=corner.T.astype(np.float32)[:, index].copy(), size=size[:, index].copy()
    )


def _levels(texture: UInt8[ndarray, "rows columns 4"]) -> list[UInt8[ndarray, "_ _ 4"]]:
    levels = [np.ascontiguousarray(texture)]
    while len(levels) < _LEVELS and max(levels[-1].shape[:2]) > 1:
        rows, columns = levels[-1].shape[:2]
        size = (max(columns // 2, 1), max(rows // 2, 1))
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return levels


def _lay_out(sizes: list[tuple[int, int]]) -> tuple[Int32[ndarray, " levels"], Int64[ndarray, "levels 2"]]:
    """Page, and (column, row) there, of the first pixel of each (rows, columns): highest first, on shelves."""
    page, corner = np.zeros(len(sizes), dtype=np.int32), np.zeros((len(sizes), 2), dtype=np.int64)
    number = x = y = shelf = 0
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index][0], index)):
        rows, columns = sizes[index][0] + 2, sizes[index][1] + 2  # with the copied rims
        if x + columns > _PAGE_WIDTH and x:
            x, y, shelf = 0, y + shelf, 0
        if y + rows > _PAGE_HEIGHT and y:
            number, x, y, shelf = number + 1, 0, 0, 0
        page[index], corner[index] = number, (x + 1, y + 1)
        x, shelf = x + columns, max(shelf, rows)
    return page, corner


def _draw(levels: list[ndarray], page: ndarray, corner: ndarray) -> tuple[UInt8[ndarray, "_ _ 4"], ...]:
    ends = corner + [(level.shape[1] + 1, level.shape[0] + 1) for level in levels]
    sizes = [ends[page == number].max(axis=0) for number in range(int(page.max()) + 1)]
    pages = tuple(np.zeros((rows, columns, 4), dtype=np.uint8) for columns, rows in sizes)
    for level, number, (x, y), (right, low) in zip(levels, page, corner, ends, strict=True):
        pages[number][y - 1 : low, x - 1 : right] = np.pad(level, ((1, 1), (1, 1), (0, 0)), mode="wrap")
    return pages


def _sample(
    image: UInt8[ndarray, "rows columns 4"], x: Float32[ndarray, " points"], y: Float32[ndarray, " points"]
) -> UInt8[ndarray, "points 4"]:
    """Bilinear; the points are folded into rows, as an image has less than 32768 columns."""
    fill = -len(x) % _CALL_WIDTH
    columns, rows = (np.pad(values, (0, fill)).reshape(-1, _CALL_WIDTH) for values in (x, y))
    return cv2.remap(image, columns, rows, cv2.INTER_LINEAR).reshape(-1, 4)[: len(x)]
