"""What is kept of each keyframe: enough to lift its masks again when the surface has moved, and no more."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy import ndarray

from ovseg3r_core.mask_ids import pack_ids, unpack_ids
from ovseg3r_core.types import Camera, Frame, Mask, MaskTag

_JPEG_QUALITY = 90
_MILLIMETRE_M = np.float32(0.001)


@dataclass(frozen=True, kw_only=True)
class OpenView:
    """A view with its images decoded, as lifting needs them."""

    index: int
    depth_m: Float32[ndarray, "height width"]
    camera: Camera
    T_map_camera: Float64[ndarray, "4 4"]
    ids: Int32[ndarray, "height width"]
    """The mask each pixel belongs to, as `clean_ids` gives it: an index into `tags`, -1, or -2 - index for its rim."""
    tags: tuple[MaskTag, ...]


@dataclass(frozen=True, kw_only=True)
class View:
    """A keyframe, its images compressed: about 250 kB at 640x480 in place of 3 MB.

    One that made room for others has no images left. What its masks were called still counts; they lie nowhere.
    """

    index: int
    stamp_s: float
    camera: Camera
    T_map_camera: Float64[ndarray, "4 4"]
    tags: tuple[MaskTag, ...]
    color_jpeg: bytes
    depth_png: bytes
    ids_png: bytes
    T_map_taken: Float64[ndarray, "4 4"] | None = None
    """The pose that it was taken with, where that was corrected since: a keyframe is saved once, with this one."""

    @classmethod
    def of(cls, index: int, frame: Frame, masks: list[Mask], ids: Int32[ndarray, "height width"]) -> "View":
        """Pack a keyframe.

        Args:
            ids: for each pixel the place in `masks` of the mask it belongs to, from `clean_ids`.
        """
        depth_mm = np.clip(np.rint(frame.depth_m / _MILLIMETRE_M), 0, 65535).astype(np.uint16)
        return cls(
            index=index,
            stamp_s=frame.stamp_s,
            camera=frame.camera,
            T_map_camera=frame.T_map_camera,
            tags=tuple(MaskTag(score=mask.score, label=mask.label, embedding=mask.embedding) for mask in masks),
            color_jpeg=_encode(".jpg", frame.color[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]),
            depth_png=_encode(".png", depth_mm, [cv2.IMWRITE_PNG_COMPRESSION, 1]),
            ids_png=_encode(".png", pack_ids(ids), [cv2.IMWRITE_PNG_COMPRESSION, 1]),
        )

    @property
    def kept(self) -> bool:
        """Whether it has its images."""
        return bool(self.depth_png)

    def retired(self) -> "View":
        """Without its images."""
        return replace(self, color_jpeg=b"", depth_png=b"", ids_png=b"")

    def moved_to(self, T_map_camera: Float64[ndarray, "4 4"]) -> "View":
        """The same keyframe, taken from elsewhere than was thought."""
        taken = self.T_map_camera if self.T_map_taken is None else self.T_map_taken
        return replace(self, T_map_camera=T_map_camera, T_map_taken=taken)

    def color(self) -> UInt8[ndarray, "height width 3"]:
        """The colour image."""
        return np.ascontiguousarray(_decode(self.color_jpeg, cv2.IMREAD_COLOR)[:, :, ::-1])

    def depth_m(self) -> Float32[ndarray, "height width"]:
        """The depth image, rounded to a millimetre."""
        return _decode(self.depth_png, cv2.IMREAD_UNCHANGED).astype(np.float32) * _MILLIMETRE_M

    def frame(self) -> Frame:
        """The keyframe it was made of, as far as it was kept."""
        return Frame(
            index=self.index,
            stamp_s=self.stamp_s,
            color=self.color(),
            depth_m=self.depth_m(),
            camera=self.camera,
            T_map_camera=self.T_map_camera,
        )

    def open(self) -> OpenView:
        """Decode what lifting needs; a view without images sees nothing."""
        size = (self.camera.height, self.camera.width)
        depth_m, ids = np.zeros(size, np.float32), np.full(size, -1, np.int32)
        if self.kept:
            depth_m, ids = self.depth_m(), unpack_ids(_decode(self.ids_png, cv2.IMREAD_UNCHANGED))
        return OpenView(
            index=self.index,
            depth_m=depth_m,
            camera=self.camera,
            T_map_camera=self.T_map_camera,
            ids=ids,
            tags=self.tags,
        )


def _encode(suffix: str, image: ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {image.shape} {image.dtype} image as {suffix}")
    return data.tobytes()


def _decode(data: bytes, flags: int) -> ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert image is not None, "a view holds only what _encode made"
    return image
