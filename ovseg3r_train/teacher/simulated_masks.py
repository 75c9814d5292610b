"""Masks as a 2D teacher would give them: read off the truth, then spoilt by a measured noise model. A simulation.

ids of a frame ─► what becomes of each thing: whole, lumped, in parts, missed   (partly the same in all views)
               ─► a whole takes in its lumped neighbours ─► outline noise ─► pieces missing, parts, repeats
               ─► names and scores                                              (partly the same in all views)
depth          ─► false masks on walls, floor and ceiling
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt16
from numpy import ndarray
from scipy.stats import poisson

from ovseg3r_core.types import Frame, Mask
from ovseg3r_train.teacher.false_masks import false_masks
from ovseg3r_train.teacher.measure import MIN_SHARE, MUCH_SMALLER, State
from ovseg3r_train.teacher.noise_model import TeacherNoise
from ovseg3r_train.teacher.outlines import across_image, across_space, cut_piece, noisy_outline
from ovseg3r_train.teacher.teacher_names import TeacherNames, words_of

_EXPLAINED = 0.8  # share on mapped objects from which a nameless mask is left out, as `DetectorSam` does
_STATES: tuple[State, ...] = ("missed", "lumped", "parts", "whole")
_OWN = 1_000_003  # marks the draws of a thing itself, apart from those of a view
_PART_LIMITS = (0.03, 0.48)  # a larger piece would count as the whole thing


class SimulatedMasks:
    """A `MaskProposer` with the errors of a teacher; the same seed and frame give the same masks."""

    def __init__(
        self,
        instances: Callable[[int], UInt16[ndarray, "height width"]],
        names: Mapping[int, str],
        noise: TeacherNoise,
        seed: int,
        vocabulary: Sequence[str] | None = None,
    ) -> None:
        """Take the truth and the noise.

        Args:
            instances: instance ids of the frame with an index, such as `RoomSequence.instances`.
            names: true name by id; ids without one are structure.
            seed: another one for every scene, as things are known to it by their ids.
            vocabulary: the words that the teacher has; None stands for those of `noise.naming`. With open naming a
                thing that is not among them still gets its own name; they are what wrong names are taken from.
        """
        self._instances, self._names = instances, names
        self._noise, self._seed = noise, seed
        words = tuple(vocabulary or words_of(noise.naming))
        if noise.naming == "open":
            words = tuple(dict.fromkeys((*words, *sorted(set(names.values())))))
        self._teacher = TeacherNames(noise, words)

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The spoilt masks of a frame; nameless ones on what the map explains are left out, as the real ones are."""
        seen = self._look(self._instances(frame.index), frame.index)
        rng = np.random.default_rng([self._seed, frame.index])
        masks = [mask for thing in seen.things for mask in self._masks_of(thing, seen, frame)]
        masks += self._on_structure(seen, frame, rng)
        smallest = MIN_SHARE * explained.size / 2
        return [mask for mask in masks if _says_something(mask, explained, smallest)]

    def _look(self, instances: UInt16[ndarray, "height width"], index: int) -> "_Seen":
        """What becomes of each visible thing."""
        area = np.bincount(instances.ravel())
        large = np.flatnonzero(area >= MIN_SHARE * instances.size).tolist()
        things = []
        for id in large:
            if id == 0 or id not in self._names:
                continue
            share = float(area[id] / instances.size)
            fate = self._fate(id, index)
            rates = np.cumsum(self._noise.state_rates(share))
            state = _STATES[int(np.searchsorted(rates, fate.state, side="right"))]
            place = len(things) + 1
            things.append(_Thing(id=id, place=place, name=self._names[id], share=share, state=state, fate=fate))
        return _Seen(instances=instances, things=tuple(things))

    def _fate(self, id: int, index: int) -> "_Fate":
        """Where one thing stands among all things in one view, for each kind of error; 0 is worst.

        With the probability sqrt(c) the number is that of the thing itself, else one of the view: two views of it
        then share it with the probability c, which is the correlation of what happens.
        """
        noise, rng = self._noise, np.random.default_rng([self._seed, index, id])
        agreement = (noise.state_agreement, noise.nameless_agreement, noise.wrong_agreement, noise.parts_agreement)
        own = np.random.default_rng([self._seed, _OWN, id]).random(4)
        as_ever = rng.random(4) < np.sqrt(agreement)
        state, nameless, wrong, parts = np.where(as_ever, own, rng.random(4)).tolist()
        return _Fate(state=state, nameless=nameless, wrong=wrong, parts=parts, parts_as_ever=bool(as_ever[3]), rng=rng)

    def _masks_of(self, thing: "_Thing", seen: "_Seen", frame: Frame) -> Iterator[Mask]:
        """The masks that one thing causes."""
        noise, rng = self._noise, thing.fate.rng
        if thing.state in ("missed", "lumped"):
            return
        name = self._teacher.name(thing.name, thing.fate.nameless, thing.fate.wrong, rng)
        region = np.isin(seen.instances, [thing.id, *self._taken_in(thing, seen)])
        if thing.state == "parts":
            count = 1 + poisson.ppf(thing.fate.parts, max(noise.parts_of_split - 1, 0))
            yield from self._parts(noisy_outline(region, noise, rng), int(count), thing, frame)
            return
        pixels = noisy_outline(region, noise, rng)
        if rng.random() < noise.truncated:
            pixels = cut_piece(pixels, across_image(pixels.shape, rng), 1 - noise.truncated_share)
        yield Mask(pixels=pixels, score=self._teacher.score(name, thing.name, rng), label=name)
        for _ in range(rng.poisson(noise.repeats)):
            yield self._nameless(noisy_outline(region, noise, rng), rng)
        yield from self._parts(pixels, int(poisson.ppf(thing.fate.parts, noise.parts_of_whole)), thing, frame)

    def _taken_in(self, thing: "_Thing", seen: "_Seen") -> list[int]:
        """The ids of the neighbours that the mask of a thing covers as well."""
        if thing.state != "whole":
            return []
        absorbed = [
            other.id
            for other in seen.neighbours(thing)
            if other.state == "whole"
            and other.share < MUCH_SMALLER * thing.share
            and thing.fate.rng.random() < self._noise.absorbs
        ]
        return absorbed + [guest.id for guest, host in self._guests(seen) if host is thing]

    def _guests(self, seen: "_Seen") -> Iterator[tuple["_Thing", "_Thing | None"]]:
        """Each lumped thing with the neighbour whose mask covers it; None where it lies in a mask on structure."""
        for guest in seen.things:
            if guest.state == "lumped":
                hosts = [
                    t for t in seen.neighbours(guest) if t.state == "whole" and guest.share < MUCH_SMALLER * t.share
                ]
                elsewhere = guest.fate.place < self._noise.lumped_in_structure
                yield guest, None if elsewhere or not hosts else max(hosts, key=lambda host: host.share)

    def _parts(
        self, pixels: Bool[ndarray, "height width"], count: int, thing: "_Thing", frame: Frame
    ) -> Iterator[Mask]:
        """Pieces of a thing; where it is cut as ever, along the same planes of the map in every view."""
        noise, rng = self._noise, thing.fate.rng
        for number in range(count):
            place = np.random.default_rng([self._seed, _OWN, thing.id, number]) if thing.fate.parts_as_ever else rng
            share = np.clip(place.normal(noise.part_share, noise.part_share_spread), *_PART_LIMITS)
            piece = cut_piece(pixels, across_space(frame, place), float(share))
            if rng.random() < noise.named_parts:
                name = self._teacher.name(thing.name, 1.0, thing.fate.wrong, rng)
                yield Mask(pixels=piece, score=self._teacher.score(name, thing.name, rng), label=name)
            else:
                yield self._nameless(piece, rng)

    def _on_structure(self, seen: "_Seen", frame: Frame, rng: np.random.Generator) -> Iterator[Mask]:
        """False masks, with the things that they swallow."""
        structure = ~np.isin(seen.instances, list(self._names))
        pieces = false_masks(structure, frame, self._noise, rng)
        lumped = [guest for guest, host in self._guests(seen) if host is None]
        for piece in pieces:
            inside = seen.bordering(piece)
            whole = [t for t in inside if t.state == "whole" and rng.random() < self._noise.swallows]
            taken = [thing.id for thing in (*whole, *(thing for thing in lumped if thing in inside))]
            yield self._false_mask(piece | np.isin(seen.instances, taken) if taken else piece, rng)
            lumped = [thing for thing in lumped if thing not in inside]
        for thing in lumped:  # no false mask is near: one of its own, most of which is structure
            yield self._false_mask(_surroundings(seen.instances == thing.id), rng)

    def _false_mask(self, pixels: Bool[ndarray, "height width"], rng: np.random.Generator) -> Mask:
        if rng.random() >= self._noise.false_named:
            return self._nameless(pixels, rng)
        name = self._teacher.any_name(rng)
        return Mask(pixels=pixels, score=self._teacher.score(name, None, rng), label=name)

    def _nameless(self, pixels: Bool[ndarray, "height width"], rng: np.random.Generator) -> Mask:
        return Mask(pixels=pixels, score=self._teacher.score(None, None, rng))


@dataclass(frozen=True)
class _Fate:
    """The draws that decide over one thing in one view."""

    state: float
    nameless: float
    wrong: float
    parts: float
    parts_as_ever: bool
    """Whether it is cut where it is cut in other views."""
    rng: np.random.Generator
    place: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", float(self.rng.random()))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Thing:
    """A visible thing and what becomes of it."""

    id: int
    place: int
    """Its row among the visible things, from 1."""
    name: str
    share: float
    state: State
    fate: _Fate


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A frame's ids with its visible things."""

    instances: UInt16[ndarray, "height width"]
    things: tuple[_Thing, ...]

    def neighbours(self, thing: _Thing) -> list[_Thing]:
        """The visible things that touch one."""
        return [other for other in self.things if self._touching[thing.place, other.place]]

    def bordering(self, piece: Bool[ndarray, "height width"]) -> list[_Thing]:
        """The things that a slightly grown mask reaches."""
        step = self._step
        width = max(3, round(piece.shape[1] / step / 80)) | 1
        small = np.ascontiguousarray(piece[::step, ::step]).astype(np.uint8)
        grown = cv2.dilate(small, np.ones((width, width), np.uint8)) > 0
        reached = np.bincount(self._small[grown], minlength=len(self._area))
        return [thing for thing in self.things if reached[thing.place] >= 0.02 * max(self._area[thing.place], 1)]

    @cached_property
    def _step(self) -> int:
        return max(1, round(self.instances.shape[1] / 320))

    @cached_property
    def _small(self) -> Int64[ndarray, "rows columns"]:
        """The place of the thing that a pixel shows, on a smaller image; 0 for all else."""
        table = np.zeros(int(self.instances.max(initial=0)) + 1, np.int64)
        table[[thing.id for thing in self.things]] = [thing.place for thing in self.things]
        return table[self.instances[:: self._step, :: self._step]]

    @cached_property
    def _area(self) -> Int64[ndarray, " places"]:
        return np.bincount(self._small.ravel(), minlength=len(self.things) + 1)

    @cached_property
    def _touching(self) -> Bool[ndarray, "places places"]:
        places, side = self._small, len(self.things) + 1
        across = places[:, :-1] * side + places[:, 1:]
        down = places[:-1] * side + places[1:]
        border = np.bincount(np.concatenate([across.ravel(), down.ravel()]), minlength=side**2).reshape(side, side)
        touching = (border + border.T) > 1
        np.fill_diagonal(touching, False)
        return touching


def _says_something(mask: Mask, explained: Bool[ndarray, "height width"], smallest: float) -> bool:
    pixels = int(np.count_nonzero(mask.pixels))
    if pixels < smallest or mask.label is not None:
        return pixels >= smallest
    return int(np.count_nonzero(mask.pixels & explained)) < _EXPLAINED * pixels


def _surroundings(region: Bool[ndarray, "height width"]) -> Bool[ndarray, "height width"]:
    """A region with more than its own area round it."""
    radius = max(2, round(0.6 * float(np.sqrt(np.count_nonzero(region)))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(region.astype(np.uint8), disc) > 0
