"""Small things made by code: what lies and stands about on tables, shelves, beds and floors."""

from collections.abc import Mapping

import numpy as np

from ovseg3r_core.synthetic.mesh import Part, plain
from ovseg3r_train.homes import drawings
from ovseg3r_train.homes.made_flat import Maker, Rng
from ovseg3r_train.homes.solids import (
    bin_body,
    block,
    color_of,
    cushion,
    draped,
    drawn_color,
    grounded,
    lying,
    smooth_profile,
    turned,
)

_DARK, _WHITE, _PAPER = plain((34, 34, 38)), plain((242, 242, 240)), plain((236, 230, 214))


def pillow(rng: Rng) -> list[Part]:
    """A bed pillow."""
    texture = drawings.cloth(rng, 0.3) if rng.random() < 0.5 else color_of(rng, 0.15, 190, 245)
    return cushion((rng.uniform(0.5, 0.7), rng.uniform(0.35, 0.45), rng.uniform(0.11, 0.17)), texture)


def sofa_cushion(rng: Rng) -> list[Part]:
    """A square cushion."""
    width = rng.uniform(0.36, 0.48)
    return cushion((width, width, rng.uniform(0.1, 0.16)), drawings.cloth(rng, 0.9))


def blanket(rng: Rng) -> list[Part]:
    """A blanket, folded or spread."""
    return draped((rng.uniform(0.7, 1.2), rng.uniform(0.45, 0.7), rng.uniform(0.05, 0.09)), drawings.cloth(rng), rng)


def folded_towel(rng: Rng) -> list[Part]:
    """A towel folded to a packet."""
    size = (rng.uniform(0.25, 0.38), rng.uniform(0.18, 0.28), rng.uniform(0.05, 0.1))
    return draped(size, drawings.cloth(rng, 0.6), rng, 0.008)


def folded_clothes(rng: Rng) -> list[Part]:
    """A shirt thrown or folded."""
    return draped(
        (rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.4), rng.uniform(0.05, 0.1)), drawings.cloth(rng), rng, 0.03
    )


def book(rng: Rng) -> list[Part]:
    """One book lying."""
    size = (rng.uniform(0.13, 0.22), rng.uniform(0.19, 0.3), rng.uniform(0.015, 0.05))
    return _volume(size, rng)


def book_row(rng: Rng) -> list[Part]:
    """Books side by side on a shelf, their spines to the front: one instance, as annotators take them."""
    parts: list[Part] = []
    x, width = 0.0, rng.uniform(0.15, 0.4)
    while x < width:
        thick, height, depth = rng.uniform(0.015, 0.045), rng.uniform(0.18, 0.26), rng.uniform(0.13, 0.18)
        spine = color_of(rng, 0.8)
        parts += block((thick, depth, height), spine, at=(x + thick / 2, -depth / 2, 0.0), top=_PAPER)
        x += thick + 0.001
    return grounded(parts)


def book_pile(rng: Rng) -> list[Part]:
    """A few books one on another, each turned a little."""
    parts: list[Part] = []
    z = 0.0
    for _ in range(int(rng.integers(2, 6))):
        size = (rng.uniform(0.14, 0.22), rng.uniform(0.2, 0.29), rng.uniform(0.015, 0.045))
        parts += [part.moved(_turn_at(float(rng.uniform(-0.2, 0.2)), z)) for part in _volume(size, rng)]
        z += size[2] + 0.0005
    return grounded(parts)


def box(rng: Rng) -> list[Part]:
    """A carton."""
    size = (rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.4), rng.uniform(0.15, 0.4))
    return block(size, drawings.cardboard(rng))


def small_box(rng: Rng) -> list[Part]:
    """A packet, as food and gifts come in."""
    size = (rng.uniform(0.1, 0.22), rng.uniform(0.06, 0.16), rng.uniform(0.05, 0.28))
    return block(size, color_of(rng, 0.8), front=drawings.cover(rng), top=drawings.cover(rng))


def cd_case(rng: Rng) -> list[Part]:
    """A pile of cases."""
    return block((0.14, 0.125, rng.uniform(0.02, 0.12)), _DARK, top=drawings.cover(rng), front=drawings.cloth(rng))


def paper(rng: Rng) -> list[Part]:
    """A sheet or a sheaf of paper."""
    return block((0.21, 0.297, rng.uniform(0.003, 0.02)), _WHITE, top=drawings.page(rng))


def paper_bag(rng: Rng) -> list[Part]:
    """A shopping bag of paper, open at the top."""
    size = (rng.uniform(0.24, 0.34), rng.uniform(0.12, 0.18), rng.uniform(0.3, 0.42))
    color = (188, 150, 104) if rng.random() < 0.6 else drawn_color(rng, 0.6, 120, 240)
    return bin_body(size, plain(color), 0.004)


def bag(rng: Rng) -> list[Part]:
    """A soft travelling or shopping bag with two loops."""
    width, depth, height = rng.uniform(0.35, 0.55), rng.uniform(0.18, 0.28), rng.uniform(0.25, 0.36)
    texture = drawings.cloth(rng, 0.7)
    body = lying(cushion((width, height, depth), texture, 0.22))
    loops = [
        part
        for y in (-0.05, 0.05)
        for x in (-0.08, 0.08)
        for part in block((0.02, 0.006, 0.1), _DARK, at=(x, y, height - 0.03))
    ]
    bars = block((0.18, 0.006, 0.02), _DARK, at=(0.0, -0.05, height + 0.06))
    return grounded(body + loops + bars + block((0.18, 0.006, 0.02), _DARK, at=(0.0, 0.05, height + 0.06)))


def toilet_paper(rng: Rng) -> list[Part]:
    """A roll standing on its end."""
    radius = rng.uniform(0.045, 0.06)
    return turned([(0.02, 0.002), (radius, 0.0), (radius, 0.1), (0.02, 0.1), (0.02, 0.03)], _WHITE)


def paper_towel_roll(rng: Rng) -> list[Part]:
    """Kitchen paper."""
    radius = rng.uniform(0.05, 0.07)
    return turned([(0.0, 0.0), (radius, 0.0), (radius, 0.24), (0.02, 0.24), (0.02, 0.1)], _WHITE)


def tissue_box(rng: Rng) -> list[Part]:
    """A box of paper handkerchiefs, one of them out."""
    parts = block((0.23, 0.12, 0.09), drawings.cloth(rng, 0.6))
    return parts + [
        part.moved(_turn_at(0.4, 0.088)) for part in turned([(0.03, 0.0), (0.015, 0.03), (0.035, 0.05)], _WHITE, 7)
    ]


def tray(rng: Rng) -> list[Part]:
    """A serving tray."""
    return bin_body((rng.uniform(0.35, 0.5), rng.uniform(0.25, 0.35), 0.045), drawings.wood(rng), 0.012)


def bowl(rng: Rng) -> list[Part]:
    """A bowl."""
    r = rng.uniform(0.07, 0.14)
    profile = [
        (0.0, 0.0),
        (r * 0.5, 0.0),
        (r * 0.85, r * 0.3),
        (r, r * 0.6),
        (r * 0.95, r * 0.6),
        (r * 0.5, 0.03),
        (0.0, 0.02),
    ]
    return turned(profile, color_of(rng, 0.7, 80, 245))


def plate(rng: Rng) -> list[Part]:
    """A plate."""
    r = rng.uniform(0.1, 0.14)
    return turned(
        [(0.0, 0.0), (r * 0.6, 0.0), (r, 0.02), (r, 0.023), (r * 0.6, 0.006), (0.0, 0.006)],
        color_of(rng, 0.4, 140, 245),
    )


def cup(rng: Rng) -> list[Part]:
    """A mug."""
    r, h = rng.uniform(0.035, 0.045), rng.uniform(0.08, 0.11)
    body = turned([(0.0, 0.0), (r, 0.0), (r, h), (r - 0.004, h), (r - 0.004, 0.01), (0.0, 0.008)], color_of(rng, 0.8))
    return grounded(body + block((0.03, 0.01, h * 0.5), color_of(rng, 0.8), at=(r + 0.012, 0.0, h * 0.25)))


def bottle(rng: Rng) -> list[Part]:
    """A bottle with a label."""
    r, h = rng.uniform(0.03, 0.045), rng.uniform(0.2, 0.32)
    color, label = color_of(rng, 0.8, 30, 220), drawings.cover(rng)
    parts = turned(
        smooth_profile((0.0, 0.0), (r, 0.0), (r, h * 0.62), (r * 0.35, h * 0.78), (r * 0.35, h), (0.0, h)), color
    )
    return parts + turned([(r + 0.001, h * 0.15), (r + 0.001, h * 0.5)], label)


def water_bottle(rng: Rng) -> list[Part]:
    """A drinking bottle of metal or plastic with a cap."""
    r, h = rng.uniform(0.032, 0.04), rng.uniform(0.2, 0.28)
    parts = turned([(0.0, 0.0), (r, 0.0), (r, h * 0.82), (r * 0.6, h * 0.88), (0.0, h * 0.88)], color_of(rng, 0.9))
    return parts + turned([(r * 0.62, h * 0.86), (r * 0.62, h), (0.0, h)], _DARK)


def water_pitcher(rng: Rng) -> list[Part]:
    """A jug with a handle."""
    r, h = rng.uniform(0.055, 0.075), rng.uniform(0.2, 0.26)
    color = color_of(rng, 0.6, 80, 240)
    body = turned(smooth_profile((0.0, 0.0), (r, 0.0), (r * 1.1, h * 0.4), (r * 0.75, h * 0.85), (r * 0.85, h)), color)
    handle = block((0.05, 0.015, 0.02), color, at=(r + 0.03, 0.0, h * 0.3)) + block(
        (0.05, 0.015, 0.02), color, at=(r + 0.03, 0.0, h * 0.75)
    )
    return grounded(body + handle + block((0.015, 0.015, h * 0.5), color, at=(r + 0.055, 0.0, h * 0.29)))


def detergent(rng: Rng) -> list[Part]:
    """A big bottle of laundry detergent."""
    color = color_of(rng, 0.9, 80, 230)
    parts = block((rng.uniform(0.14, 0.2), 0.09, 0.22), color, front=drawings.cover(rng))
    return parts + [
        part.moved(_turn_at(0.0, 0.22)) for part in turned([(0.03, 0.0), (0.03, 0.05), (0.0, 0.05)], _WHITE)
    ]


def soap_dish(rng: Rng) -> list[Part]:
    """A piece of soap in a dish."""
    dish = bin_body((0.13, 0.09, 0.02), color_of(rng, 0.3, 140, 240), 0.006)
    return dish + [
        part.moved(_turn_at(0.0, 0.006)) for part in cushion((0.08, 0.055, 0.025), color_of(rng, 0.5, 180, 245))
    ]


def candle(rng: Rng) -> list[Part]:
    """A thick candle."""
    r, h = rng.uniform(0.03, 0.05), rng.uniform(0.07, 0.18)
    return turned([(0.0, 0.0), (r, 0.0), (r, h), (0.0, h - 0.004)], color_of(rng, 0.6, 150, 245))


def mouse(rng: Rng) -> list[Part]:
    """A computer mouse."""
    return cushion((0.062, 0.105, 0.035), color_of(rng, 0.15, 30, 230), 0.3)


def keyboard(rng: Rng) -> list[Part]:
    """A computer keyboard."""
    return block((rng.uniform(0.36, 0.46), 0.145, 0.022), _DARK, top=drawings.keys(rng))


def monitor(rng: Rng) -> list[Part]:
    """A flat computer monitor on a foot."""
    width = rng.uniform(0.46, 0.66)
    foot = block((0.22, 0.18, 0.012), _DARK) + block((0.05, 0.03, 0.16), _DARK, at=(0.0, 0.03, 0.0))
    return grounded(foot + block((width, 0.03, width * 0.6), _DARK, at=(0.0, 0.0, 0.11), front=drawings.screen(rng)))


def telephone(rng: Rng) -> list[Part]:
    """A desk telephone."""
    body = block((0.18, 0.2, 0.05), color_of(rng, 0.1, 30, 220), top=drawings.keys(rng))
    return body + block((0.05, 0.2, 0.035), _DARK, at=(-0.055, 0.0, 0.05))


def headphones(rng: Rng) -> list[Part]:
    """Headphones lying on their cups."""
    angles = np.linspace(0, np.pi, 13)
    color = color_of(rng, 0.5, 30, 220)
    band = [
        part
        for a in angles
        for part in block((0.022, 0.022, 0.012), color, at=(0.085 * np.cos(a), 0.085 * np.sin(a), 0.012))
    ]
    cups = [part for x in (-0.085, 0.085) for part in block((0.035, 0.075, 0.06), _DARK, at=(x, -0.01, 0.0))]
    return grounded(band + cups)


def power_strip(rng: Rng) -> list[Part]:
    """A row of sockets lying on the floor."""
    return block((rng.uniform(0.25, 0.4), 0.055, 0.04), _WHITE, top=drawings.keys(rng))


def dumbbell(rng: Rng) -> list[Part]:
    """A weight to lift, lying."""
    r = rng.uniform(0.045, 0.075)
    disc = [(0.0, 0.0), (r, 0.0), (r, 0.05), (0.014, 0.05), (0.014, 0.17), (r, 0.17), (r, 0.22), (0.0, 0.22)]
    return lying(turned(disc, color_of(rng, 0.5, 30, 120), 12))


def tube(rng: Rng) -> list[Part]:
    """A cardboard tube, lying."""
    r = rng.uniform(0.03, 0.05)
    return lying(turned([(r, 0.0), (r, rng.uniform(0.5, 0.9))], drawings.cardboard(rng)))


def plunger(rng: Rng) -> list[Part]:
    """A rubber cup on a stick."""
    cup_part = turned([(0.07, 0.0), (0.065, 0.06), (0.02, 0.09)], plain((150, 50, 36)))
    return cup_part + turned([(0.012, 0.08), (0.012, 0.48), (0.0, 0.48)], drawings.wood(rng), 10)


def stuffed_animal(rng: Rng) -> list[Part]:
    """A sitting toy: body, head, ears, limbs."""
    fur, scale = drawings.cloth(rng, 0.7), rng.uniform(0.7, 1.2)

    def ball(r: float, x: float, y: float, z: float) -> list[Part]:
        angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
        T = np.eye(4)
        T[:3, 3] = np.array([x, y, z]) * scale
        return [
            part.moved(T) for part in turned([(r * scale * np.cos(a), r * scale * np.sin(a)) for a in angles], fur, 14)
        ]

    parts = ball(0.09, 0.0, 0.0, 0.09) + ball(0.065, 0.0, 0.0, 0.22)
    for side in (-1.0, 1.0):
        parts += (
            ball(0.022, side * 0.05, 0.0, 0.285)
            + ball(0.035, side * 0.06, -0.09, 0.035)
            + ball(0.03, side * 0.1, -0.03, 0.13)
        )
    return grounded(parts)


def _volume(size: tuple[float, float, float], rng: Rng) -> list[Part]:
    binding = color_of(rng, 0.8)
    return block(size, _PAPER, top=drawings.cover(rng), left=binding, bottom=binding)


def _turn_at(yaw: float, z: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, z], [0, 0, 0, 1]])


SMALL_THINGS: Mapping[str, Maker] = {
    "pillow": pillow,
    "cushion": sofa_cushion,
    "blanket": blanket,
    "towel": folded_towel,
    "clothes": folded_clothes,
    "book": book,
    "book/row": book_row,
    "book/pile": book_pile,
    "box": box,
    "box/small": small_box,
    "cd case": cd_case,
    "paper": paper,
    "paper bag": paper_bag,
    "bag": bag,
    "toilet paper": toilet_paper,
    "paper towel roll": paper_towel_roll,
    "tissue box": tissue_box,
    "tray": tray,
    "bowl": bowl,
    "plate": plate,
    "cup": cup,
    "bottle": bottle,
    "water bottle": water_bottle,
    "water pitcher": water_pitcher,
    "laundry detergent": detergent,
    "soap dish": soap_dish,
    "candle": candle,
    "mouse": mouse,
    "keyboard": keyboard,
    "monitor": monitor,
    "telephone": telephone,
    "headphones": headphones,
    "power strip": power_strip,
    "dumbbell": dumbbell,
    "tube": tube,
    "plunger": plunger,
    "stuffed animal": stuffed_animal,
}
"""Kind -> maker."""
