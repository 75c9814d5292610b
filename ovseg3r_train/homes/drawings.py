"""Pictures, cloth and signs that are drawn from a random generator, not loaded: textures of the made things."""

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_train.homes.solids import drawn_color

Texture = UInt8[ndarray, "_ _ 4"]
Color = tuple[int, int, int]

_INKS: tuple[Color, ...] = ((30, 30, 40), (180, 30, 30), (20, 60, 170), (20, 110, 50))


def with_alpha(rgb: ndarray) -> Texture:
    """An opaque texture of an RGB image."""
    image = np.full((*rgb.shape[:2], 4), 255, dtype=np.uint8)
    image[:, :, :3] = np.clip(rgb, 0, 255)
    return image


def blank(rows: int, columns: int, color: Color, rng: np.random.Generator, grain: float = 3.0) -> ndarray:
    """An RGB canvas with faint grain."""
    noise = rng.normal(0, grain, (rows, columns, 1)).astype(np.float32)
    return np.ascontiguousarray(np.clip(np.array(color, dtype=np.float32) + noise, 0, 255).astype(np.uint8))


def cloth(rng: np.random.Generator, saturation: float = 0.7) -> Texture:
    """Fabric: plain, striped, checked or dotted."""
    base, second = drawn_color(rng, saturation, 70, 240), drawn_color(rng, saturation, 50, 240)
    canvas = blank(128, 128, base, rng, 6.0)
    pattern, step = rng.integers(5), int(rng.choice([8, 16, 32]))
    v, u = np.indices((128, 128))
    if pattern == 1:
        canvas[u // step % 2 == 0] = second
    elif pattern == 2:
        canvas[(u // step % 2 == 0) ^ (v // step % 2 == 0)] = second
    elif pattern == 3:
        canvas[(u % step - step // 2) ** 2 + (v % step - step // 2) ** 2 < (step // 3) ** 2] = second
    elif pattern == 4:
        canvas[(u % (2 * step) < 3) | (v % (2 * step) < 3)] = second
    return with_alpha(canvas)


def painting(rng: np.random.Generator) -> Texture:
    """What hangs in a frame: a landscape, a still life of shapes, or stripes of paint; the frame included."""
    canvas = blank(160, 160, drawn_color(rng, 0.5, 120, 240), rng, 5.0)
    style = rng.integers(3)
    if style == 0:
        _landscape(canvas, rng)
    elif style == 1:
        _shapes(canvas, rng, int(rng.integers(5, 14)))
    else:
        for _ in range(int(rng.integers(6, 20))):
            a, b = rng.integers(0, 160, 2), rng.integers(0, 160, 2)
            cv2.line(canvas, _xy(a), _xy(b), drawn_color(rng, 0.9), int(rng.integers(2, 14)), cv2.LINE_AA)
    return _framed(canvas, drawn_color(rng, 0.3, 20, 220), int(rng.integers(5, 12)))


def poster(rng: np.random.Generator) -> Texture:
    """A headline, a large shape and lines of text on a bright ground."""
    canvas = blank(192, 136, drawn_color(rng, 0.9, 100, 250), rng, 2.0)
    _shapes(canvas[40:150], rng, int(rng.integers(2, 6)))
    ink = drawn_color(rng, 0.6, 0, 110)
    cv2.rectangle(canvas, (10, 10), (int(rng.integers(70, 126)), 28), ink, -1)
    _text_lines(canvas, rng, 156, 184, ink)
    return with_alpha(canvas)


def page(rng: np.random.Generator) -> Texture:
    """A printed sheet of paper."""
    canvas = blank(160, 112, (242, 242, 238), rng, 1.0)
    if rng.random() < 0.4:
        _shapes(canvas[20:70, 12:100], rng, 3)
        _text_lines(canvas, rng, 80, 148, (60, 60, 60))
    else:
        _text_lines(canvas, rng, 14, 148, (60, 60, 60))
    return with_alpha(canvas)


def pinned(rng: np.random.Generator) -> Texture:
    """A cork board with sheets of paper."""
    canvas = blank(192, 256, (186, 140, 92), rng, 12.0)
    for _ in range(int(rng.integers(5, 12))):
        height, width = rng.integers(28, 60, 2)
        row, column = rng.integers(8, 184 - height), rng.integers(8, 248 - width)
        sheet = canvas[row : row + height, column : column + width]
        sheet[:] = drawn_color(rng, 0.4, 200, 250)
        _text_lines(sheet, rng, 6, int(height) - 6, (70, 70, 70))
    return _framed(canvas, (120, 84, 50), 6)


def written_board(rng: np.random.Generator, ground: Color, inks: tuple[Color, ...] = _INKS) -> Texture:
    """A board that people have written on."""
    canvas = blank(192, 288, ground, rng, 2.0)
    for _ in range(int(rng.integers(2, 7))):
        row, column = rng.integers(10, 150), rng.integers(10, 200)
        _scribble(canvas, rng, int(row), int(column), inks[rng.integers(len(inks))])
    return _framed(canvas, (150, 152, 156), 5)


def rug(rng: np.random.Generator) -> Texture:
    """A carpet: border, field and a pattern that is the same on both sides."""
    colors = [drawn_color(rng, 0.7, 50, 220) for _ in range(4)]
    canvas = blank(192, 192, colors[0], rng, 8.0)
    for inset, color in ((10, colors[1]), (20, colors[2]), (26, colors[0])):
        if rng.random() < 0.8:
            cv2.rectangle(canvas, (inset, inset), (191 - inset, 191 - inset), color, -1)
    quarter = canvas[:96, :96]
    for _ in range(int(rng.integers(0, 10))):
        centre = _xy(rng.integers(30, 96, 2))
        cv2.circle(quarter, centre, int(rng.integers(4, 22)), colors[rng.integers(4)], -1, cv2.LINE_AA)
    half = np.concatenate([quarter, quarter[:, ::-1]], axis=1)
    return with_alpha(np.concatenate([half, half[::-1]], axis=0))


def cover(rng: np.random.Generator) -> Texture:
    """The cover of a book or a case."""
    canvas = blank(96, 64, drawn_color(rng, 0.8, 40, 240), rng, 3.0)
    if rng.random() < 0.6:
        _shapes(canvas[30:80, 8:56], rng, int(rng.integers(1, 4)))
    cv2.rectangle(canvas, (8, 8), (56, 20), drawn_color(rng, 0.4, 180, 250), -1)
    return with_alpha(canvas)


def cardboard(rng: np.random.Generator) -> Texture:
    """Brown board with tape and perhaps a print."""
    canvas = blank(96, 128, (178 + int(rng.integers(-15, 15)), 138, 92), rng, 5.0)
    cv2.line(canvas, (0, 48), (127, 48), (206, 180, 130), 9)
    if rng.random() < 0.5:
        _shapes(canvas[60:90, 70:120], rng, 2)
    return with_alpha(canvas)


def wood(rng: np.random.Generator) -> Texture:
    """A board of one piece, its grain along the width."""
    tones: tuple[Color, ...] = ((176, 138, 96), (120, 82, 52), (208, 182, 142), (226, 224, 218), (72, 52, 40))
    grain = cv2.resize(rng.normal(0, 9, (96, 6)).astype(np.float32), (96, 96), interpolation=cv2.INTER_LINEAR)
    return with_alpha(np.array(tones[rng.integers(len(tones))], dtype=np.float32) + grain[:, :, None])


def fronted(ground: Color, rows: int, columns: int, handle: Color = (120, 122, 126)) -> Texture:
    """The front of a cabinet: doors or drawers with handles."""
    canvas = np.full((96 * rows, 96 * columns, 3), ground, dtype=np.uint8)
    edge = tuple(max(value - 45, 0) for value in ground)
    for row in range(rows):
        for column in range(columns):
            u, v = 96 * column, 96 * row
            cv2.rectangle(canvas, (u + 3, v + 3), (u + 92, v + 92), edge, 2)
            cv2.line(canvas, (u + 36, v + 18), (u + 60, v + 18), handle, 4)
    return with_alpha(canvas)


def machine_front(rng: np.random.Generator, ground: Color) -> Texture:
    """The front of an appliance: a panel with a few lights, a door line below."""
    canvas = blank(128, 96, ground, rng, 1.5)
    dark = (50, 52, 56)
    cv2.rectangle(canvas, (4, 4), (91, 24), tuple(int(value * 0.8) for value in ground), -1)
    cv2.rectangle(canvas, (36, 8), (60, 20), dark, -1)
    for u in (68, 76, 84):
        cv2.circle(canvas, (u, 14), 2, drawn_color(rng, 0.9), -1)
    cv2.line(canvas, (10, 32), (86, 32), dark, 3)
    cv2.rectangle(canvas, (3, 27), (92, 124), tuple(int(value * 0.7) for value in ground), 1)
    return with_alpha(canvas)


def keys(rng: np.random.Generator) -> Texture:
    """The top of a computer keyboard."""
    dark = rng.random() < 0.7
    canvas = blank(48, 144, (36, 36, 40) if dark else (216, 216, 212), rng, 1.0)
    for row in range(5):
        for column in range(15):
            u, v = 5 + 9 * column, 4 + 9 * row
            cv2.rectangle(canvas, (u, v), (u + 6, v + 6), (70, 70, 76) if dark else (245, 245, 242), -1)
    return with_alpha(canvas)


def screen(rng: np.random.Generator) -> Texture:
    """A monitor seen from the front: off, or showing windows."""
    canvas = blank(96, 144, (24, 26, 30), rng, 1.0)
    if rng.random() < 0.6:
        inside = canvas[6:84, 6:138]
        inside[:] = drawn_color(rng, 0.6, 60, 200)
        for _ in range(int(rng.integers(1, 4))):
            u, v = int(rng.integers(0, 80)), int(rng.integers(0, 40))
            window = inside[v : v + 36, u : u + 50]
            window[:] = (236, 238, 240)
            _text_lines(window, rng, 5, window.shape[0] - 3, (90, 90, 110))
    return with_alpha(canvas)


def clock_face(rng: np.random.Generator) -> Texture:
    """A round clock on nothing: outside the dial it is clear."""
    rim = drawn_color(rng, 0.6, 20, 200)
    canvas = np.zeros((96, 96, 4), dtype=np.uint8)
    cv2.circle(canvas, (48, 48), 46, (*rim, 255), -1, cv2.LINE_8)
    cv2.circle(canvas, (48, 48), 40, (240, 240, 236, 255), -1, cv2.LINE_8)
    for hour in range(12):
        a = hour * np.pi / 6
        cv2.circle(canvas, _xy(48 + 34 * np.array([np.sin(a), np.cos(a)])), 2, (40, 40, 40, 255), -1)
    for length, width in ((20, 4), (30, 2)):
        a = rng.uniform(0, 2 * np.pi)
        cv2.line(canvas, (48, 48), _xy(48 + length * np.array([np.sin(a), np.cos(a)])), (30, 30, 30, 255), width)
    return canvas


def month(rng: np.random.Generator) -> Texture:
    """A calendar page: a picture over a table of days."""
    canvas = blank(144, 96, (244, 244, 240), rng, 1.0)
    _landscape(canvas[4:68, 4:92], rng)
    for row in range(5):
        for column in range(7):
            u, v = 6 + 12 * column, 78 + 12 * row
            cv2.rectangle(canvas, (u, v), (u + 9, v + 9), (150, 150, 156), 1)
    return with_alpha(canvas)


def slats(rng: np.random.Generator, ground: Color, count: int = 8) -> Texture:
    """A vent: dark slots in a frame."""
    canvas = blank(64, 96, ground, rng, 1.0)
    for v in np.linspace(8, 54, count).astype(int):
        cv2.line(canvas, (8, int(v)), (88, int(v)), (60, 60, 62), 3)
    return with_alpha(canvas)


def _landscape(canvas: ndarray, rng: np.random.Generator) -> None:
    rows, columns = canvas.shape[:2]
    canvas[: rows // 2] = drawn_color(rng, 0.5, 150, 240)
    cv2.circle(canvas, (int(rng.integers(columns)), rows // 4), rows // 10, drawn_color(rng, 0.8, 200, 255), -1)
    for level in (0.45, 0.6, 0.78):
        waves = np.sin(np.arange(columns) / columns * rng.uniform(4, 14) + rng.uniform(0, 6)) * rows * 0.06
        below = np.arange(rows)[:, None] > level * rows + waves
        canvas[below] = drawn_color(rng, 0.7, 40, 190)


def _shapes(canvas: ndarray, rng: np.random.Generator, count: int) -> None:
    rows, columns = canvas.shape[:2]
    for _ in range(count):
        centre = int(rng.integers(columns)), int(rng.integers(rows))
        reach = int(rng.integers(max(rows // 10, 2), max(rows // 3, 4)))
        color = drawn_color(rng, 0.9, 40, 250)
        if rng.random() < 0.5:
            cv2.circle(canvas, centre, reach, color, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(canvas, centre, (centre[0] + reach, centre[1] + reach), color, -1)


def _text_lines(canvas: ndarray, rng: np.random.Generator, top: int, bottom: int, ink: Color) -> None:
    columns = canvas.shape[1]
    for row in range(top, bottom, 6):
        canvas[row : row + 2, columns // 9 : int(columns * rng.uniform(0.5, 0.9))] = ink


def _scribble(canvas: ndarray, rng: np.random.Generator, row: int, column: int, ink: Color) -> None:
    if rng.random() < 0.4:
        cv2.rectangle(canvas, (int(column), int(row)), (int(column) + 60, int(row) + 30), ink, 2)
    for line in range(int(rng.integers(1, 4))):
        x = column + np.arange(0, int(rng.integers(30, 80)), 3)
        y = row + 10 * line + rng.normal(0, 2.2, len(x))
        cv2.polylines(canvas, [np.stack([x, y], axis=-1).astype(np.int32)], False, ink, 1, cv2.LINE_AA)


def _framed(canvas: ndarray, color: Color, width: int) -> Texture:
    canvas[:width] = canvas[-width:] = color
    canvas[:, :width] = canvas[:, -width:] = color
    return with_alpha(canvas)


def _xy(point: ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])
