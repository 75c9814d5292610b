"""Which topics of a bag are the colour, the depth and the intrinsics of one camera.

The rule, in order. Colour: a topic with a colour encoding whose name speaks of rgb, color or image and not of
depth or infrared; those that say rgb or color first, raw before compressed, then by name. Depth: a topic with a
depth encoding whose name speaks of depth; those that share most of their name with the colour topic's namespaces
first, then those that say aligned or registered, raw before compressed, then by name; a bag in which no image topic
speaks of depth is one of colour alone. Intrinsics: the
`camera_info` beside the colour topic, else beside the depth topic, which is registered to colour. Where depth is in a
frame of its own, the `camera_info` beside it tells of the depth camera.
"""

from collections.abc import Collection
from dataclasses import dataclass

_COLOR_WORDS = ("rgb", "color", "colour")
_NOT_COLOR_WORDS = ("depth", "infra", "disparity", "confidence", "mask", "label")
_ALIGNED_WORDS = ("aligned", "registered")
_TRANSPORTS = ("compressed", "compressedDepth")


@dataclass(frozen=True, kw_only=True)
class ImageTopic:
    """An image topic of a bag, as its first message shows it."""

    name: str
    encoding: str
    frame_id: str
    is_color: bool
    is_depth: bool
    compressed: bool


@dataclass(frozen=True, kw_only=True)
class CameraTopics:
    """The topics of the camera that is read."""

    color: ImageTopic
    depth: ImageTopic | None
    """None where the bag has colour alone."""
    camera_info: str
    depth_camera_info: str | None = None
    """Of a depth camera of its own; None where there is none, and depth is registered to colour."""

    @property
    def rectified(self) -> bool:
        """Whether the driver removed the lens distortion already: CameraInfo's D then tells of another image."""
        return "image_rect" in self.color.name

    @property
    def depth_rectified(self) -> bool:
        """The same of the depth camera."""
        return self.depth is not None and "image_rect" in self.depth.name


def choose_topics(images: list[ImageTopic], camera_infos: Collection[str]) -> CameraTopics:
    """Apply the rule; raises ValueError with what is there where a part is missing."""
    colors = sorted((image for image in images if _may_be_color(image)), key=_color_rank)
    of_depth = [image for image in images if "depth" in image.name.lower() and not image.is_color]
    depths = [image for image in of_depth if image.is_depth]
    if not colors or (of_depth and not depths):  # depth that cannot be read is no reason to do without it unasked
        there = ", ".join(f"{image.name} ({image.encoding})" for image in images) or "none"
        missing = "depth" if colors else "colour"
        raise ValueError(f"no {missing} topic that can be read; image topics: {there}")
    color = colors[0]
    depth = min(depths, key=lambda image: _depth_rank(image, color), default=None)
    beside_color, beside_depth = (f"{_namespace(it.name)}/camera_info" if it else None for it in (color, depth))
    info = next((it for it in (beside_color, beside_depth) if it in camera_infos), None)
    if info is None:
        raise ValueError(f"no {beside_color}; CameraInfo topics: {sorted(camera_infos) or 'none'}")
    own = depth is not None and depth.frame_id != color.frame_id and info == beside_color != beside_depth
    depth_info = beside_depth if own and beside_depth in camera_infos else None
    return CameraTopics(color=color, depth=depth, camera_info=info, depth_camera_info=depth_info)


def _may_be_color(image: ImageTopic) -> bool:
    name = image.name.lower()
    named = any(word in name for word in (*_COLOR_WORDS, "image"))
    return image.is_color and named and not any(word in name for word in _NOT_COLOR_WORDS)


def _color_rank(image: ImageTopic) -> tuple[bool, bool, str]:
    return not any(word in image.name.lower() for word in _COLOR_WORDS), image.compressed, image.name


def _depth_rank(depth: ImageTopic, color: ImageTopic) -> tuple[int, bool, bool, str]:
    aligned = any(word in depth.name.lower() for word in _ALIGNED_WORDS)
    return -_shared(depth.name, color.name), not aligned, depth.compressed, depth.name


def _shared(a: str, b: str) -> int:
    """How many namespaces two topics share before they part."""
    pairs = list(zip(_namespace(a).split("/"), _namespace(b).split("/"), strict=False))
    return next((index for index, (one, other) in enumerate(pairs) if one != other), len(pairs))


def _namespace(topic: str) -> str:
    parts = topic.split("/")
    return "/".join(parts[:-2] if parts[-1] in _TRANSPORTS else parts[:-1])
