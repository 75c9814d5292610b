"""Which colour things have wherever the node shows them.

An object keeps the colour of its id, as in the pictures of the command line; one without a name is greyer. While
texts stand, what answers one has the pure colour of the text, and all else steps back into grey.
"""

import colorsys

from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.types import ObjectRecord
from ovseg3r_core.visual.colors import UNASSIGNED, object_color

Rgb = tuple[int, int, int]
"""0..255 each."""

_GOLDEN_TURN = 0.6180339887498949  # successive multiples spread over the colour wheel and never repeat
_GREY_OF_UNNAMED = 0.5
_GREY_OF_NOT_ASKED_FOR = 0.7


def text_color(place: int) -> Rgb:
    """The colour of a standing text, by the place it keeps; no object has one as pure by itself."""
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_TURN % 1.0, 1.0, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def color_of_object(record: ObjectRecord, *, texts_stand: bool) -> Rgb:
    """The colour of an object that answers no standing text."""
    grey = _GREY_OF_NOT_ASKED_FOR if texts_stand else _GREY_OF_UNNAMED if record.label == UNNAMED else 0.0
    red, green, blue = (
        round(own + grey * (none - own)) for own, none in zip(object_color(record.id), UNASSIGNED, strict=True)
    )
    return red, green, blue
