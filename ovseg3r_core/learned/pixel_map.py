"""Where the pixels of an image went when a network's loader resized it, then cropped or padded it; and back, exactly.

Resizing keeps the edges of the image, not the centres of its pixels: the centre of pixel u lies u + 1/2 from the left
edge, and pixel centres move by (u + 1/2) * scale - 1/2.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Shaped
from numpy import ndarray

from ovseg3r_core.types import Camera


@dataclass(frozen=True, kw_only=True)
class PixelMap:
    """From the pixels (u, v) of an original image to those of a network's, and back."""

    width: int
    height: int
    """Of the original."""
    network_width: int
    network_height: int
    scale: tuple[float, float]
    """Network pixels an original pixel, along u and v."""
    shift: tuple[float, float]
    """Pixels that were cut off at the left and at the top after resizing; negative where they were added."""

    def to_network(self, uv: Float64[ndarray, "pixels 2"]) -> Float64[ndarray, "pixels 2"]:
        """Pixels of the original in the network's image, where they may lie outside."""
        return (uv + 0.5) * self.scale - self.shift - 0.5

    def to_original(self, uv: Float64[ndarray, "pixels 2"]) -> Float64[ndarray, "pixels 2"]:
        """Pixels of the network's image in the original; what was added lies outside."""
        return (uv + 0.5 + self.shift) / self.scale - 0.5

    def camera_of_original(self, camera: Camera) -> Camera:
        """The original camera, by the network's."""
        ((cx, cy),) = self.to_original(np.array([[camera.cx, camera.cy]]))
        fx, fy = camera.fx / self.scale[0], camera.fy / self.scale[1]
        return Camera(fx=fx, fy=fy, cx=float(cx), cy=float(cy), width=self.width, height=self.height)

    def onto_original(self, image: Shaped[ndarray, "height width"]) -> Shaped[ndarray, "_ _"]:
        """What the network says of each pixel of the original: of the pixel it fell into; 0 where it was cut off."""
        columns, has_column = _fell_into(self.width, self.scale[0], self.shift[0], self.network_width)
        rows, has_row = _fell_into(self.height, self.scale[1], self.shift[1], self.network_height)
        return np.where(has_row[:, None] & has_column, image[rows[:, None], columns], image.dtype.type(0))

    def padded(self, width: int, height: int) -> "PixelMap":
        """The same with borders added until the network's image has that size, half of them at the left and the top."""
        left, top = (width - self.network_width) // 2, (height - self.network_height) // 2
        shift = (self.shift[0] - left, self.shift[1] - top)
        return replace(self, network_width=width, network_height=height, shift=shift)


def vggt_maps(width: int, height: int, side: int = 518, patch: int = 14) -> dict[str, PixelMap]:
    """The three ways in which VGGT's loaders bring an image of that size to the network, by their names.

    crop (`load_and_preprocess_images`) makes it `side` wide, its height a multiple of `patch`, and cuts what is higher
    than `side`. pad makes the longer side `side`, the other a multiple, and adds borders to a square. square
    (`load_and_preprocess_images_square`, then resized) adds the borders first.
    """
    tall = _multiple(height * side / width, patch)
    crop = _resized(width, height, side, tall)
    if tall > side:
        crop = replace(crop, network_height=side, shift=(0.0, float((tall - side) // 2)))
    wide = (side, tall) if width >= height else (_multiple(width * side / height, patch), side)
    longer = max(width, height)
    scale = side / longer
    square = PixelMap(
        width=width,
        height=height,
        network_width=side,
        network_height=side,
        scale=(scale, scale),
        shift=(-((longer - width) // 2) * scale, -((longer - height) // 2) * scale),
    )
    return {"crop": crop, "pad": _resized(width, height, *wide).padded(side, side), "square": square}


def mast3r_map(width: int, height: int, side: int = 512) -> PixelMap:
    """How MASt3R's loader brings an image to the network: the longer side `side`, then cut to multiples of 16.

    A square image is cut to 4:3, as its `square_ok=False` has it.
    """
    longer = max(width, height)
    resized = _resized(width, height, round(width * side / longer), round(height * side / longer))
    full_width, full_height = resized.network_width, resized.network_height
    middle_u, middle_v = full_width // 2, full_height // 2
    half_width, half_height = 2 * middle_u // 16 * 8, 2 * middle_v // 16 * 8
    if full_width == full_height:
        half_height = 3 * half_width // 4
    return replace(
        resized,
        network_width=2 * half_width,
        network_height=2 * half_height,
        shift=(float(middle_u - half_width), float(middle_v - half_height)),
    )


def _multiple(length: float, patch: int) -> int:
    return max(1, round(length / patch)) * patch


def _resized(width: int, height: int, network_width: int, network_height: int) -> PixelMap:
    return PixelMap(
        width=width,
        height=height,
        network_width=network_width,
        network_height=network_height,
        scale=(network_width / width, network_height / height),
        shift=(0.0, 0.0),
    )


def _fell_into(length: int, scale: float, shift: float, network: int) -> tuple[ndarray, ndarray]:
    """For each original pixel along an axis the network's pixel that its centre fell into, and whether there is one."""
    place = np.floor((np.arange(length) + 0.5) * scale - shift).astype(np.int64)
    return place.clip(0, network - 1), (place >= 0) & (place < network)
