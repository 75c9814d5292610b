"""Names on a picture: each beside its thing, joined to it by a line, and none over another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

_Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text for the thing at an anchor pixel."""

    text: str
    anchor: tuple[float, float]
    color: tuple[int, int, int]
    room_px: float
    """The size of the thing: a name goes right onto a thing that it does not hide."""


def draw_labels(draw: ImageDraw.ImageDraw, labels: Sequence[Label], size: tuple[int, int], font_px: int) -> int:
    """Draws the labels that find a place, first come first served, and returns how many did."""
    font = ImageFont.load_default(font_px)
    taken: list[_Rectangle] = []
    placed: list[tuple[Label, _Rectangle]] = []
    dots = [_around(label.anchor, font_px / 2, font_px / 2) for label in labels]
    for label, own_dot in zip(labels, dots, strict=True):
        width, height = draw.textlength(label.text, font=font) + 1.3 * font_px, 1.4 * font_px
        others = [dot for dot in dots if dot is not own_dot]
        place = _find_place(label, width, height, size, taken + others)
        if place is not None:
            taken.append(place)
            placed.append((label, place))
    for label, place in placed:  # all lines first, so that none crosses a name
        _draw_leader(draw, label, place, font_px)
    for label, place in placed:
        _draw_plate(draw, label, place, font, font_px)
    return len(placed)


def _find_place(
    label: Label, width: float, height: float, size: tuple[int, int], taken: list[_Rectangle]
) -> _Rectangle | None:
    """The free place nearest to the anchor, above rather than below."""
    x, y = label.anchor
    rings = [0.0] if label.room_px > 2 * width else []
    rings += [height * (1.4 + 0.6 * step) for step in range(13)]
    for ring in rings:
        for turn in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6):
            angle = turn * math.pi / 6
            centre = (x + math.sin(angle) * (ring + width / 2 * (ring > 0)), y - math.cos(angle) * ring)
            place = _around(centre, width / 2, height / 2)
            if _inside(place, size) and not any(_overlap(place, other) for other in taken):
                return place
    return None


def _draw_leader(draw: ImageDraw.ImageDraw, label: Label, place: _Rectangle, font_px: int) -> None:
    left, top, right, bottom = place
    x, y = label.anchor
    if not (left <= x <= right and top <= y <= bottom):
        near = (min(max(x, left), right), min(max(y, top), bottom))
        draw.line([near, label.anchor], fill=(255, 255, 255), width=max(2, font_px // 5))
        draw.line([near, label.anchor], fill=(40, 40, 40), width=max(1, font_px // 11))
        radius = font_px / 5
        draw.ellipse(_around(label.anchor, radius, radius), fill=label.color, outline=(40, 40, 40), width=font_px // 12)


def _draw_plate(draw: ImageDraw.ImageDraw, label: Label, place: _Rectangle, font: _Font, font_px: int) -> None:
    left, top, _, bottom = place
    draw.rounded_rectangle(place, radius=font_px / 3, fill=(255, 255, 255), outline=(90, 90, 90), width=font_px // 14)
    middle = (top + bottom) / 2
    draw.ellipse(_around((left + 0.6 * font_px, middle), font_px / 4, font_px / 4), fill=label.color)
    draw.text((left + 1.05 * font_px, middle), label.text, fill=(20, 20, 20), font=font, anchor="lm")


def _around(centre: tuple[float, float], half_width: float, half_height: float) -> _Rectangle:
    x, y = centre
    return x - half_width, y - half_height, x + half_width, y + half_height


def _inside(place: _Rectangle, size: tuple[int, int]) -> bool:
    return place[0] >= 2 and place[1] >= 2 and place[2] <= size[0] - 2 and place[3] <= size[1] - 2


def _overlap(a: _Rectangle, b: _Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
