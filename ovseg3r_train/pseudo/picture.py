"""One picture a scene, for a person to judge its labels by: as seen, the masks on the cloud, how often they cover."""

import heapq
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float64, Int32, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.mapping.structure import up_of
from ovseg3r_core.visual.colors import object_color
from ovseg3r_core.visual.labels import Label, draw_labels
from ovseg3r_core.visual.preview import outline, paint, tint
from ovseg3r_core.visual.splats import Splats, draw_points, point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, choose_viewpoint
from ovseg3r_train.scene import LabelledScene

NO_MASK, UNSEEN = -1, -2
_PANEL = (760, 640)  # width, height of each of the three
_STRIP_PX = 34  # above them, for what they show
_OVERSAMPLING = 2
_FONT_PX = 14
_LEAST_PIXELS = 150  # of a mask must show before its name does
_UNSEEN_COLOR = (70, 70, 78)


def render_labels(scene: LabelledScene, path: Path) -> None:
    """Writes the picture: the cloud's own colours, the masks of few views, the share of views that mask a point.

    In the middle each point is as one view has it: the view that shows most, then the one that shows most of what is
    left, and so on. Masks of two views that agree where both see go on in one colour.
    """
    canvas = Image.new("RGB", (3 * _PANEL[0], _PANEL[1] + _STRIP_PX), (255, 255, 255))
    (patch, thing), share = patches(scene), masked_share(scene)
    if len(scene.cloud):
        camera = camera_of_size(_PANEL[0] * _OVERSAMPLING, _PANEL[1] * _OVERSAMPLING)
        up = up_of(scene.cloud, [view.T_map_camera for view in scene.views])
        T_map_camera = choose_viewpoint(scene.cloud, np.maximum(patch, NO_MASK), camera, up)
        splats = draw_points(scene.cloud, camera, T_map_camera, 0.9 * point_spacing_m(scene.cloud.xyz))
        panels = (paint(splats, scene.cloud.color), _masks(scene, patch, thing, splats), paint(splats, _heat(share)))
        for place, panel in enumerate(panels):
            canvas.paste(panel.resize(_PANEL, Image.Resampling.BOX), (place * _PANEL[0], _STRIP_PX))
    draw, covered = ImageDraw.Draw(canvas), float((share > 0).mean()) if len(share) else 0.0
    titles = (
        f"{scene.name}: {len(scene.cloud)} points, {len(scene.views)} views",
        "masks, each as one view has it; grey: seen, no mask; dark: not seen",
        f"share of the views of a point that mask it: blue few, yellow all; {covered:.0%} by some view",
    )
    for place, title in enumerate(titles):
        at = (place * _PANEL[0] + 10, 9)
        draw.text(at, title, fill=(60, 60, 60), font=ImageFont.load_default(_FONT_PX))
    with atomic_write(path) as temporary:
        canvas.save(temporary)


def patches(scene: LabelledScene) -> tuple[Int32[ndarray, " points"], Int32[ndarray, " masks"]]:
    """Which of the lifted masks each point lies in, in the view that speaks for it; and which masks are one thing.

    Views speak in the order of how much they show that none before them showed.

    Returns:
        patch: for each point a place in `scene.lifted`, `NO_MASK` or `UNSEEN`.
        thing: for each lifted mask a number that it shares with the masks of other views that it goes on with.
    """
    masks_of: dict[int, list[int]] = {}
    for place, mask in enumerate(scene.lifted):
        masks_of.setdefault(mask.view, []).append(place)
    patch = np.full(len(scene.cloud), UNSEEN, np.int32)
    thing = np.arange(len(scene.lifted), dtype=np.int32)
    # What a view shows anew only ever shrinks: the largest old count is looked at again, and mostly stays the largest.
    waiting = [(-len(scene.seen.view(view).points), view) for view in range(len(scene.views))]
    heapq.heapify(waiting)
    while waiting:
        _, view = heapq.heappop(waiting)
        points = scene.seen.view(view).points
        fresh = patch == UNSEEN
        shows = int(fresh[points].sum())
        if waiting and shows < -waiting[0][0]:
            heapq.heappush(waiting, (-shows, view))
            continue
        before = np.where(patch >= 0, np.append(thing, np.int32(NO_MASK))[patch.clip(NO_MASK)], patch)
        patch[points[fresh[points]]] = NO_MASK
        for place in masks_of.get(view, []):
            members = scene.lifted[place].points
            patch[members[fresh[members]]] = place
            thing[place] = _goes_on_with(before[members], before[points], place)
    return patch, thing


def _goes_on_with(inside: Int32[ndarray, " members"], shown: Int32[ndarray, " pairs"], own: int) -> int:
    """The thing that most of a mask was before, if the mask has most of what the view shows of that thing."""
    things, counts = np.unique(inside[inside != UNSEEN], return_counts=True)
    if not len(things) or things[np.argmax(counts)] == NO_MASK:
        return own
    most, count = int(things[np.argmax(counts)]), int(counts.max())
    return most if 2 * count > max(counts.sum(), np.count_nonzero(shown == most)) else own


def masked_share(scene: LabelledScene) -> Float64[ndarray, " points"]:
    """The share of the views that see a point which have it in a mask; `NO_MASK` where none sees it."""
    views = scene.seen.looks(len(scene.cloud))
    masks = np.zeros(len(scene.cloud))
    for mask in scene.lifted:
        masks[mask.points] += 1
    return np.where(views > 0, masks / np.maximum(views, 1), NO_MASK)


def _masks(
    scene: LabelledScene, patch: Int32[ndarray, " points"], thing: Int32[ndarray, " masks"], splats: Splats
) -> Image.Image:
    """Masks in the colours of their things, with the names of those that have one."""
    color = tint(scene.cloud.color, np.append(thing, [UNSEEN, NO_MASK])[patch])
    color[patch == UNSEEN] = _UNSEEN_COLOR
    shown = np.where(splats.point >= 0, patch[splats.point], NO_MASK).astype(np.int32)
    image = paint(splats, color, outline(shown))
    places, pixels = np.unique(shown[shown >= 0], return_counts=True)
    large = places[pixels >= _LEAST_PIXELS * _OVERSAMPLING**2].tolist()
    named = [place for place in large if scene.lifted[place].label is not None]
    labels = [
        _label(scene.lifted[place].label or "", shown == place, object_color(int(thing[place]))) for place in named
    ]
    draw_labels(ImageDraw.Draw(image), labels, image.size, _FONT_PX * _OVERSAMPLING)
    return image


def _label(name: str, pixels: ndarray, color: tuple[int, int, int]) -> Label:
    rows, columns = np.nonzero(pixels)
    middle = int(np.argmin((columns - np.median(columns)) ** 2 + (rows - np.median(rows)) ** 2))
    room_px = float(min(np.ptp(columns), 2 * np.ptp(rows)))
    return Label(text=name, anchor=(float(columns[middle]), float(rows[middle])), color=color, room_px=room_px)


def _heat(share: Float64[ndarray, " points"]) -> UInt8[ndarray, "points 3"]:
    heat = np.rint(255 * matplotlib.colormaps["viridis"](share)[:, :3]).astype(np.uint8)
    heat[share == 0] = (205, 205, 205)
    heat[share == NO_MASK] = _UNSEEN_COLOR
    return heat
