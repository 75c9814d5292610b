"""Plain furniture, containers and fittings made by code, where the libraries have none or too few."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, plain
from ovseg3r_train.homes import drawings
from ovseg3r_train.homes.made_flat import Maker, Rng
from ovseg3r_train.homes.solids import (
    Size,
    Texture,
    bin_body,
    block,
    color_of,
    drawn_color,
    grounded,
    legs,
    lying,
    turned,
)

_STEEL, _DARK = plain((176, 178, 182)), plain((40, 40, 44))


def nightstand(rng: Rng) -> list[Part]:
    """A bedside cabinet with drawers."""
    ground = drawn_color(rng, 0.4, 70, 235)
    size = (rng.uniform(0.4, 0.55), rng.uniform(0.35, 0.45), rng.uniform(0.45, 0.6))
    return block(size, plain(ground), front=drawings.fronted(ground, int(rng.integers(2, 4)), 1))


def end_table(rng: Rng) -> list[Part]:
    """A small square or round table."""
    width, height, top = rng.uniform(0.38, 0.55), rng.uniform(0.45, 0.6), drawings.wood(rng)
    if rng.random() < 0.4:
        foot = turned([(width * 0.3, 0.0), (width * 0.3, 0.015), (0.02, 0.02), (0.02, height - 0.02)], _DARK)
        return foot + turned(
            [(0.0, height - 0.025), (width / 2, height - 0.025), (width / 2, height), (0.0, height)], top
        )
    return _table((width, width, height), top)


def stand(rng: Rng) -> list[Part]:
    """A narrow table for a plant or a telephone, with a board below."""
    size, top = (rng.uniform(0.3, 0.4), rng.uniform(0.3, 0.4), rng.uniform(0.6, 0.85)), drawings.wood(rng)
    return _table(size, top) + block((size[0] - 0.05, size[1] - 0.05, 0.02), top, at=(0.0, 0.0, 0.15))


def shelf(rng: Rng) -> list[Part]:
    """An open shelf: two sides, a back and boards."""
    return _boards((rng.uniform(0.6, 1.1), rng.uniform(0.28, 0.38), rng.uniform(1.1, 2.0)), rng)


def bookshelf(rng: Rng) -> list[Part]:
    """A high, wide shelf."""
    return _boards((rng.uniform(0.8, 1.4), rng.uniform(0.28, 0.34), rng.uniform(1.7, 2.1)), rng)


def storage_organizer(rng: Rng) -> list[Part]:
    """A low case of open compartments."""
    return _boards((rng.uniform(0.5, 0.9), 0.3, rng.uniform(0.5, 0.8)), rng, columns=int(rng.integers(2, 4)))


def shelf_on_wall(rng: Rng) -> list[Part]:
    """One board on a wall."""
    return block((rng.uniform(0.5, 1.0), rng.uniform(0.18, 0.24), 0.03), drawings.wood(rng))


def cabinet(rng: Rng) -> list[Part]:
    """A low cabinet with doors."""
    ground = drawn_color(rng, 0.4, 60, 235)
    size = (rng.uniform(0.8, 1.4), rng.uniform(0.38, 0.48), rng.uniform(0.7, 1.1))
    return block(size, plain(ground), front=drawings.fronted(ground, 1, int(rng.integers(2, 4))))


def kitchen_cabinet(rng: Rng) -> list[Part]:
    """A base unit with a worktop."""
    ground, width = drawn_color(rng, 0.4, 90, 240), rng.uniform(0.45, 0.9)
    body = block((width, 0.58, 0.84), plain(ground), front=drawings.fronted(ground, int(rng.integers(1, 4)), 1))
    return grounded(body + block((width, 0.61, 0.04), drawings.wood(rng), at=(0.0, -0.015, 0.84)))


def file_cabinet(rng: Rng) -> list[Part]:
    """An office cabinet of drawers."""
    ground, drawers = drawn_color(rng, 0.25, 60, 210), int(rng.integers(2, 5))
    return block((0.42, 0.55, 0.3 * drawers + 0.05), plain(ground), front=drawings.fronted(ground, drawers, 1))


def dresser(rng: Rng) -> list[Part]:
    """A chest of drawers."""
    ground = drawn_color(rng, 0.4, 60, 235)
    size = (rng.uniform(0.8, 1.3), rng.uniform(0.4, 0.5), rng.uniform(0.75, 1.1))
    return block(size, plain(ground), front=drawings.fronted(ground, int(rng.integers(3, 5)), int(rng.integers(1, 3))))


def bathroom_cabinet(rng: Rng) -> list[Part]:
    """A flat cabinet that hangs over a sink."""
    ground = drawn_color(rng, 0.2, 170, 245)
    return block(
        (rng.uniform(0.4, 0.7), 0.15, rng.uniform(0.5, 0.7)), plain(ground), front=drawings.fronted(ground, 1, 2)
    )


def counter(rng: Rng) -> list[Part]:
    """A high counter with a closed front."""
    size = (rng.uniform(1.2, 1.9), rng.uniform(0.5, 0.65), rng.uniform(0.9, 1.08))
    body = block((size[0] - 0.06, size[1] - 0.06, size[2] - 0.04), drawings.wood(rng))
    return body + block((size[0], size[1], 0.04), color_of(rng, 0.2, 60, 230), at=(0.0, 0.0, size[2] - 0.04))


def cart(rng: Rng) -> list[Part]:
    """A trolley: two trays on four posts."""
    size, texture = (rng.uniform(0.5, 0.7), rng.uniform(0.38, 0.45), 0.8), color_of(rng, 0.4)
    parts = legs(size, _STEEL, 0.03)
    for z in (0.15, 0.6):
        parts += [part.moved(_up(z)) for part in bin_body((size[0] - 0.02, size[1] - 0.02, 0.06), texture)]
    return parts


def dishwasher(rng: Rng) -> list[Part]:
    """A front-loading dishwasher."""
    return _machine(rng, (0.6, 0.6, 0.86))


def copier(rng: Rng) -> list[Part]:
    """An office copier: body with trays, and the scanner on it."""
    ground = drawn_color(rng, 0.1, 190, 235)
    body = block((0.6, 0.6, 0.75), plain(ground), front=drawings.fronted(ground, 4, 1))
    return grounded(
        body
        + block((0.62, 0.55, 0.2), _DARK, at=(0.0, 0.0, 0.78), front=drawings.machine_front(rng, ground))
        + block((0.5, 0.5, 0.04), _DARK, at=(0.0, 0.03, 0.745))
    )


def printer(rng: Rng) -> list[Part]:
    """A desktop printer."""
    ground = drawn_color(rng, 0.1, 40, 230)
    body = block(
        (rng.uniform(0.38, 0.48), 0.36, rng.uniform(0.18, 0.28)),
        plain(ground),
        front=drawings.machine_front(rng, ground),
    )
    return grounded(body + block((0.22, 0.14, 0.01), _DARK, at=(0.0, -0.25, 0.04)))


def microwave(rng: Rng) -> list[Part]:
    """A microwave oven."""
    return _machine(rng, (rng.uniform(0.44, 0.54), 0.36, rng.uniform(0.26, 0.31)))


def computer_tower(rng: Rng) -> list[Part]:
    """The case of a desktop computer."""
    ground = drawn_color(rng, 0.15, 25, 215)
    size = (rng.uniform(0.17, 0.22), rng.uniform(0.4, 0.48), rng.uniform(0.36, 0.46))
    return block(size, plain(ground), front=drawings.machine_front(rng, ground))


def mini_fridge(rng: Rng) -> list[Part]:
    """A small refrigerator."""
    return _machine(rng, (rng.uniform(0.45, 0.55), 0.5, rng.uniform(0.7, 0.9)))


def bin_(rng: Rng) -> list[Part]:
    """A waste bin, round and open."""
    return _round_bin(rng, rng.uniform(0.11, 0.16), rng.uniform(0.26, 0.4))


def trash_bin(rng: Rng) -> list[Part]:
    """A tall bin with a lid."""
    size, color = (rng.uniform(0.28, 0.4), rng.uniform(0.25, 0.32), rng.uniform(0.5, 0.7)), color_of(rng, 0.6)
    return grounded(block(size, color) + block((size[0] + 0.02, size[1] + 0.02, 0.05), _DARK, at=(0.0, 0.0, size[2])))


def recycling_bin(rng: Rng) -> list[Part]:
    """A blue or green bin, open."""
    color = plain((30, 80, 170)) if rng.random() < 0.6 else plain((40, 130, 70))
    return bin_body((rng.uniform(0.3, 0.42), 0.28, rng.uniform(0.35, 0.55)), color)


def bucket(rng: Rng) -> list[Part]:
    """A pail."""
    return _round_bin(rng, 0.14, 0.28)


def laundry_basket(rng: Rng) -> list[Part]:
    """A wide, low, open basket."""
    return bin_body(
        (rng.uniform(0.5, 0.6), rng.uniform(0.35, 0.42), rng.uniform(0.25, 0.32)), drawings.cloth(rng, 0.4), 0.012
    )


def laundry_hamper(rng: Rng) -> list[Part]:
    """A tall basket with cloth sides."""
    return bin_body(
        (rng.uniform(0.36, 0.45), rng.uniform(0.3, 0.4), rng.uniform(0.55, 0.65)), drawings.cloth(rng, 0.4), 0.012
    )


def basket(rng: Rng) -> list[Part]:
    """A basket for a shelf."""
    return bin_body(
        (rng.uniform(0.24, 0.34), rng.uniform(0.2, 0.26), rng.uniform(0.13, 0.2)), drawings.wood(rng), 0.012
    )


def storage_bin(rng: Rng) -> list[Part]:
    """A plastic box without a lid."""
    return bin_body((rng.uniform(0.35, 0.55), rng.uniform(0.25, 0.38), rng.uniform(0.18, 0.3)), color_of(rng, 0.8))


def storage_container(rng: Rng) -> list[Part]:
    """A plastic box with a lid of another colour."""
    size = (rng.uniform(0.35, 0.55), rng.uniform(0.25, 0.38), rng.uniform(0.15, 0.3))
    body = block(size, color_of(rng, 0.4, 150, 240))
    return grounded(body + block((size[0] + 0.02, size[1] + 0.02, 0.025), color_of(rng, 0.9), at=(0.0, 0.0, size[2])))


def container(rng: Rng) -> list[Part]:
    """A jar with a lid."""
    r, h = rng.uniform(0.04, 0.07), rng.uniform(0.09, 0.2)
    parts = turned([(0.0, 0.0), (r, 0.0), (r, h * 0.85), (0.0, h * 0.85)], color_of(rng, 0.5, 80, 240))
    return parts + turned([(r * 1.04, h * 0.83), (r * 1.04, h), (0.0, h)], color_of(rng, 0.5, 40, 240))


def water_case(rng: Rng) -> list[Part]:
    """Six bottles of water in film."""
    color, cap = plain((196, 216, 232)), color_of(rng, 0.9)
    profile = [(0.0, 0.0), (0.036, 0.0), (0.036, 0.2), (0.014, 0.27), (0.0, 0.27)]
    parts: list[Part] = []
    for x in (-0.076, 0.0, 0.076):
        for y in (-0.038, 0.038):
            T = _up(0.0)
            T[:2, 3] = x, y
            parts += [
                part.moved(T)
                for part in (*turned(profile, color, 12), *turned([(0.016, 0.26), (0.016, 0.29), (0.0, 0.29)], cap, 10))
            ]
    return parts


def dish_rack(rng: Rng) -> list[Part]:
    """A drainer with plates in it."""
    parts = bin_body((0.42, 0.3, 0.06), color_of(rng, 0.2, 60, 220), 0.01)
    plate = lying(turned([(0.0, 0.0), (0.11, 0.008), (0.0, 0.012)], plain((236, 236, 232)), 16))
    for x in (-0.12, -0.05, 0.02, 0.09):
        T = _up(0.02)
        T[:3, :3] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
        T[0, 3] = x
        parts += [part.moved(T) for part in plate]
    return parts


def ironing_board(rng: Rng) -> list[Part]:
    """An ironing board on its legs."""
    parts = block((1.2, 0.34, 0.03), drawings.cloth(rng, 0.7), at=(0.0, 0.0, 0.84))
    for x in (-0.4, 0.4):
        parts += block((0.03, 0.3, 0.84), _STEEL, at=(x, 0.0, 0.0))
    return parts


def shoe_rack(rng: Rng) -> list[Part]:
    """A shoe rack: boards on two sides."""
    return _boards((rng.uniform(0.6, 0.9), 0.28, rng.uniform(0.4, 0.55)), rng, back=False)


def pipe(rng: Rng) -> list[Part]:
    """A heating pipe from the floor upwards."""
    return turned([(0.025, 0.0), (0.025, 2.4)], color_of(rng, 0.2, 120, 235), 12)


def column(rng: Rng) -> list[Part]:
    """A square column up to near the ceiling."""
    width = rng.uniform(0.22, 0.34)
    return block((width, width, 2.38), color_of(rng, 0.15, 190, 238))


def pillar(rng: Rng) -> list[Part]:
    """A round column with a foot."""
    r = rng.uniform(0.1, 0.15)
    return turned([(r * 1.4, 0.0), (r * 1.4, 0.08), (r, 0.12), (r, 2.38)], color_of(rng, 0.15, 190, 238), 24)


def handicap_bar(rng: Rng) -> list[Part]:
    """A bar to hold on to, on two brackets."""
    width = rng.uniform(0.5, 0.8)
    brackets = block((0.03, 0.06, 0.03), _STEEL, at=(-width / 2, 0.0, 0.0)) + block(
        (0.03, 0.06, 0.03), _STEEL, at=(width / 2, 0.0, 0.0)
    )
    return brackets + block((width, 0.03, 0.03), _STEEL, at=(0.0, -0.03, 0.0))


def ledge(rng: Rng) -> list[Part]:
    """A narrow board along a wall."""
    return block((rng.uniform(0.8, 1.6), 0.1, 0.04), plain((236, 234, 228)))


def paper_towel_dispenser(rng: Rng) -> list[Part]:
    """A box on the wall that gives paper towels."""
    ground = drawn_color(rng, 0.1, 170, 235)
    return block((0.28, 0.12, rng.uniform(0.3, 0.4)), plain(ground), front=drawings.slats(rng, ground, 2))


def _machine(rng: Rng, size: Size) -> list[Part]:
    ground = drawn_color(rng, 0.1, 60, 240)
    return block(size, plain(ground), front=drawings.machine_front(rng, ground))


def _table(size: Size, top: Texture) -> list[Part]:
    board = block((size[0], size[1], 0.025), top, at=(0.0, 0.0, size[2] - 0.025))
    return legs((size[0], size[1], size[2] - 0.025), top) + board


def _boards(size: Size, rng: Rng, columns: int = 1, back: bool = True) -> list[Part]:
    width, depth, height = size
    texture, thick = drawings.wood(rng), 0.02
    parts: list[Part] = []
    for i in range(columns + 1):
        parts += block((thick, depth, height), texture, at=((width - thick) * (i / columns - 0.5), 0.0, 0.0))
    levels = max(int(height / rng.uniform(0.28, 0.4)), 1)
    for i in range(levels + 1):
        parts += block((width, depth, thick), texture, at=(0.0, 0.0, (height - thick) * i / levels))
    if back:
        parts += block((width, 0.008, height), texture, at=(0.0, depth / 2 - 0.004, 0.0))
    return parts


def _round_bin(rng: Rng, radius: float, height: float) -> list[Part]:
    outline = [
        (0.0, 0.0),
        (radius * 0.8, 0.0),
        (radius, height),
        (radius - 0.006, height),
        (radius * 0.78, 0.01),
        (0.0, 0.01),
    ]
    return turned(outline, color_of(rng, 0.7))


def _up(z: float) -> Float64[ndarray, "4 4"]:
    T = np.eye(4)
    T[2, 3] = z
    return T


LARGE_THINGS: Mapping[str, Maker] = {
    "nightstand": nightstand,
    "end table": end_table,
    "stand": stand,
    "shelf": shelf,
    "bookshelf": bookshelf,
    "storage organizer": storage_organizer,
    "shelf/wall": shelf_on_wall,
    "cabinet": cabinet,
    "kitchen cabinet": kitchen_cabinet,
    "file cabinet": file_cabinet,
    "dresser": dresser,
    "bathroom cabinet": bathroom_cabinet,
    "counter": counter,
    "cart": cart,
    "dishwasher": dishwasher,
    "copier": copier,
    "printer": printer,
    "microwave": microwave,
    "computer tower": computer_tower,
    "mini fridge": mini_fridge,
    "bin": bin_,
    "trash bin": trash_bin,
    "recycling bin": recycling_bin,
    "bucket": bucket,
    "laundry basket": laundry_basket,
    "laundry hamper": laundry_hamper,
    "basket": basket,
    "storage bin": storage_bin,
    "storage container": storage_container,
    "container": container,
    "case of water bottles": water_case,
    "dish rack": dish_rack,
    "ironing board": ironing_board,
    "rack/shoes": shoe_rack,
    "pipe": pipe,
    "column": column,
    "pillar": pillar,
    "handicap bar": handicap_bar,
    "ledge": ledge,
    "paper towel dispenser": paper_towel_dispenser,
}
"""Kind -> maker."""
