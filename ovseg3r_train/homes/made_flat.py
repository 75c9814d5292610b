"""Flat things made by code: what hangs on walls and lies on floors; one function a kind, each with its own variety."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from ovseg3r_core.synthetic.mesh import Part, plain
from ovseg3r_train.homes import drawings
from ovseg3r_train.homes.solids import Size, Texture, block, color_of, drawn_color, hanging_cloth

Rng = np.random.Generator
Maker = Callable[[Rng], list[Part]]

_STEEL = plain((176, 178, 182))
_SIDES = ("front", "right", "left", "top", "bottom")


def picture(rng: Rng) -> list[Part]:
    """A framed picture, upright or wide."""
    long, short = rng.uniform(0.35, 1.0), rng.uniform(0.3, 0.6)
    size = (long, short) if rng.random() < 0.5 else (short, long)
    return _board(size, 0.03, drawings.painting(rng), color_of(rng, 0.3, 20, 200))


def poster(rng: Rng) -> list[Part]:
    """A poster without a frame."""
    height = rng.uniform(0.55, 0.95)
    return _board((height * 0.71, height), 0.008, drawings.poster(rng), plain((240, 240, 240)))


def mirror(rng: Rng) -> list[Part]:
    """A mirror: a pale sheet in a frame (our light does not reflect)."""
    width, height = rng.uniform(0.4, 0.8), rng.uniform(0.5, 1.1)
    glass = np.linspace(205, 232, 64)[:, None, None] + np.array([-6, 0, 4])
    canvas = np.ascontiguousarray(np.broadcast_to(glass, (64, 64, 3))).astype(np.uint8)
    frame = drawn_color(rng, 0.4, 20, 190)
    cv2.rectangle(canvas, (0, 0), (63, 63), frame, 3)
    return _board((width, height), 0.025, drawings.with_alpha(canvas), plain(frame))


def whiteboard(rng: Rng) -> list[Part]:
    """A whiteboard with a tray below."""
    return _written(rng, drawings.written_board(rng, (246, 247, 248)))


def blackboard(rng: Rng) -> list[Part]:
    """A green or black board written on with chalk."""
    ground = (40, 74, 60) if rng.random() < 0.6 else (44, 46, 48)
    chalk = ((232, 232, 226), (240, 220, 140), (240, 180, 180))
    return _written(rng, drawings.written_board(rng, ground, chalk))


def bulletin_board(rng: Rng) -> list[Part]:
    """A cork board full of notes."""
    return _board((rng.uniform(0.7, 1.5), rng.uniform(0.5, 1.0)), 0.02, drawings.pinned(rng), plain((120, 84, 50)))


def board(rng: Rng) -> list[Part]:
    """A plain board, such as a memo board of felt or a panel of wood."""
    texture = drawings.cloth(rng, 0.6) if rng.random() < 0.5 else drawings.wood(rng)
    return _board((rng.uniform(0.6, 1.2), rng.uniform(0.5, 0.9)), 0.02, texture, _STEEL)


def projector_screen(rng: Rng) -> list[Part]:
    """A white cloth hanging out of a case."""
    width = rng.uniform(1.4, 2.0)
    cloth = block((width, 0.006, width * 0.6), plain((244, 244, 242)), at=(0.0, 0.03, 0.0))
    return cloth + block((width + 0.1, 0.08, 0.08), plain((222, 222, 222)), at=(0.0, 0.0, width * 0.6))


def tv_on_wall(rng: Rng) -> list[Part]:
    """A flat television."""
    width = rng.uniform(0.8, 1.4)
    return _board((width, width * 0.58), 0.05, drawings.screen(rng), plain((24, 24, 26)))


def clock(rng: Rng) -> list[Part]:
    """A round wall clock: the corners of its square are clear."""
    width = rng.uniform(0.22, 0.38)
    face = drawings.clock_face(rng)
    return block((width, 0.035, width), face, only=("front",)) + block(
        (width * 0.7, 0.03, width * 0.7), face[48:50, 48:50]
    )


def calendar(rng: Rng) -> list[Part]:
    """A calendar that hangs on the wall."""
    return _board((0.3, 0.44), 0.008, drawings.month(rng), plain((240, 240, 240)))


def sign(rng: Rng) -> list[Part]:
    """A small coloured plate with a shape on it."""
    canvas = drawings.blank(64, 96, drawn_color(rng, 0.9, 80, 220), rng, 1.0)
    cv2.circle(canvas, (26, 32), 16, (245, 245, 245), -1)
    cv2.line(canvas, (52, 32), (86, 32), (245, 245, 245), 7)
    return _board((rng.uniform(0.22, 0.4), rng.uniform(0.14, 0.24)), 0.01, drawings.with_alpha(canvas), _STEEL)


def vent(rng: Rng) -> list[Part]:
    """The grille of an air duct."""
    ground = drawn_color(rng, 0.1, 190, 240)
    return _board((rng.uniform(0.3, 0.6), rng.uniform(0.15, 0.3)), 0.02, drawings.slats(rng, ground), plain(ground))


def paper_on_wall(rng: Rng) -> list[Part]:
    """A sheet of paper pinned to a wall."""
    return _board((0.21, 0.297), 0.004, drawings.page(rng), plain((240, 240, 240)))


def curtain(rng: Rng) -> list[Part]:
    """One half of a pair of curtains."""
    size = (rng.uniform(0.35, 0.6), 0.09, 2.25)
    return hanging_cloth(size, drawings.cloth(rng, 0.6), folds=float(rng.integers(4, 7)))


def shower_curtain(rng: Rng) -> list[Part]:
    """A curtain for a bathtub."""
    return hanging_cloth((rng.uniform(0.8, 1.3), 0.1, 1.85), drawings.cloth(rng, 0.5), folds=7.0)


def towel_on_hook(rng: Rng) -> list[Part]:
    """A towel over a short bar."""
    size = (rng.uniform(0.35, 0.55), 0.07, rng.uniform(0.5, 0.8))
    bar = block((size[0] + 0.08, 0.02, 0.02), _STEEL, at=(0.0, 0.02, size[2] - 0.02))
    return hanging_cloth(size, drawings.cloth(rng, 0.6), folds=1.5) + bar


def rug(rng: Rng) -> list[Part]:
    """A carpet; ScanNet200 calls it a mat."""
    return _lying((rng.uniform(1.4, 2.3), rng.uniform(1.0, 1.6)), 0.01, drawings.rug(rng))


def small_mat(rng: Rng) -> list[Part]:
    """A doormat or bathmat."""
    texture = drawings.rug(rng) if rng.random() < 0.5 else drawings.cloth(rng, 0.5)
    return _lying((rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.55)), 0.012, texture)


def _lying(size_m: tuple[float, float], thick_m: float, texture: Texture) -> list[Part]:
    return block((*size_m, thick_m), texture, only=("top", "front", "right", "back", "left"))


def _written(rng: Rng, texture: Texture) -> list[Part]:
    width = rng.uniform(1.0, 2.2)
    tray = block((width * 0.5, 0.07, 0.02), _STEEL, at=(0.0, -0.03, 0.0))
    return tray + _board((width, rng.uniform(0.8, 1.1)), 0.025, texture, _STEEL)


def _board(size_m: tuple[float, float], thick_m: float, front: Texture, rest: Texture) -> list[Part]:
    size: Size = (size_m[0], thick_m, size_m[1])
    return block(size, rest, only=_SIDES, front=front)


FLAT_THINGS: Mapping[str, Maker] = {
    "picture": picture,
    "poster": poster,
    "mirror": mirror,
    "whiteboard": whiteboard,
    "blackboard": blackboard,
    "bulletin board": bulletin_board,
    "board": board,
    "projector screen": projector_screen,
    "tv/wall": tv_on_wall,
    "clock": clock,
    "calendar/wall": calendar,
    "sign": sign,
    "vent": vent,
    "paper/wall": paper_on_wall,
    "curtain": curtain,
    "shower curtain": shower_curtain,
    "towel/hung": towel_on_hook,
    "mat": rug,
    "mat/small": small_mat,
}
"""Kind -> maker."""
