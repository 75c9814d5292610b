"""Fit the teacher's noise to what real masks do on rendered frames, and hold the simulation against them.

    python -m ovseg3r_train.teacher.fit RENDERS_FOLDER... --out FILE

Each folder is one that `ovseg3r-train scenes --keep-renders` leaves; masks are made of the frames as the sensor
gives them. They take about two seconds a frame, and are kept in `masks/` of the folder, where `scenes` keeps them too.
"""

import argparse
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.masks.remembered import RememberedMasks
from ovseg3r_train.make_scenes import masks_folder
from ovseg3r_train.sensor.rendered import NoisySequence, load_facts
from ovseg3r_train.teacher.estimates import Estimate, corrected, estimate, noise_from
from ovseg3r_train.teacher.measure import FrameMeasure, measure_frame
from ovseg3r_train.teacher.noise_model import SIZES, TeacherNoise, noise_as_json
from ovseg3r_train.teacher.simulated_masks import SimulatedMasks

_CONFUSIONS = 20
_SEEDS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class RenderedPlace:
    """The frames of one home with their truth."""

    name: str
    folder: Path
    frames: NoisySequence

    @classmethod
    def open(cls, folder: Path) -> "RenderedPlace":
        """Open a folder; raises FileNotFoundError or ValueError where no home was rendered into it to the end."""
        frames = NoisySequence(folder, seed=int(load_facts(folder)["facts"].get("seed", 0)))
        return cls(name=folder.name, folder=folder, frames=frames)

    @property
    def names(self) -> dict[int, str]:
        """Class name by instance id."""
        return self.frames.names

    def instances(self, index: int) -> UInt16[ndarray, "height width"]:
        """The true instance ids of a frame."""
        return self.frames.instances(index)


Propose = Callable[[RenderedPlace], MaskProposer]
Tell = Callable[[str], object]


def measure_places(
    places: Sequence[RenderedPlace], propose: Propose, every: int = 1, tell: Tell = lambda text: None
) -> list[FrameMeasure]:
    """Measure the masks of a proposer on every so-many-th frame of each place; bad frames are told and skipped."""
    measures = []
    for place in places:
        proposer = propose(place)
        for number, frame in enumerate(place.frames.read()):
            if number % every:
                continue
            if isinstance(frame, Rejected):
                tell(f"{place.name}: left out: {frame}\n")
                continue
            masks = proposer.propose(frame, np.zeros(frame.depth_m.shape, bool))
            truth = place.instances(frame.index)
            measures.append(measure_frame(place.name, frame, masks, truth, place.names))
            tell(f"\r{place.name}: frame {number + 1} of {len(place.frames)}, {len(measures)} measured in all ")
        tell("\n")
    return measures


def measure_simulation(
    places: Sequence[RenderedPlace], noise: TeacherNoise, every: int = 1, tell: Tell = lambda text: None
) -> list[FrameMeasure]:
    """Measure simulated masks on the same frames, several times over: as if there were as many sets of places."""
    measures = []
    for seed in _SEEDS:
        found = measure_places(places, partial(_simulated, noise, seed), every, tell)
        measures += [replace(measure, place=f"{measure.place}/{seed}") for measure in found]
    return measures


def _simulated(noise: TeacherNoise, seed: int, place: RenderedPlace) -> MaskProposer:
    return SimulatedMasks(place.instances, place.names, noise, zlib.crc32(f"{place.name}/{seed}".encode()))


def report_table(real: dict[str, Estimate], again: dict[str, Estimate]) -> str:
    """Every parameter as measured on the real masks and on the simulated ones, with the number of cases."""
    lines = [f"{'parameter':24} {'real':>32} {'n':>6}   {'simulated':>32} {'n':>6}"]
    for name, (value, cases) in real.items():
        other, other_cases = again[name]
        lines.append(f"{name:24} {_text(value):>32} {cases:6d}   {_text(other):>32} {other_cases:6d}")
    return "\n".join(lines) + "\n"


def write_fit(
    path: Path, noise: TeacherNoise, real: dict[str, Estimate], again: dict[str, Estimate], facts: dict[str, object]
) -> None:
    """Write the noise with what it was fitted on, and how the simulation measures."""
    content = {
        "parameters": noise_as_json(noise),
        "sizes": SIZES,
        "fitted_on": facts,
        "cases": {name: cases for name, (_, cases) in real.items()},
        "simulated_measures": {name: value for name, (value, _) in again.items()},
    }
    make_folder(path.parent)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def facts_of(measures: Sequence[FrameMeasure], masks: str) -> dict[str, object]:
    """What a fit was made on."""
    frames = Counter(measure.place for measure in measures)
    things = Counter(thing.name for measure in measures for thing in measure.things)
    mistakes = Counter(
        f"{thing.name} -> {thing.label}"
        for measure in measures
        for thing in measure.things
        if thing.label is not None and not same_name(thing.label, thing.name)
    )
    return {
        "masks": masks,
        "frames": dict(frames),
        "visible_things": dict(things.most_common()),
        "wrong_names": dict(mistakes.most_common(_CONFUSIONS)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, check, print the table and write the file."""
    parser = argparse.ArgumentParser(prog="python -m ovseg3r_train.teacher.fit", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of rendered frames")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--masks", default="default", help="what masks to fit to, as ovseg3r takes them")
    parser.add_argument("--every", type=int, default=1, help="take every so-many-th frame")
    given = parser.parse_args(arguments)
    fit_folders(given.folders, given.out, given.masks, given.every)


def fit_folders(folders: Sequence[Path], out: Path, masks: str, every: int) -> None:
    """Fit to the masks of that name on these folders, and write the result."""
    places, proposer = [RenderedPlace.open(folder) for folder in folders], build_proposer(masks)
    tell = sys.stderr.write
    kept = measure_places(
        places, lambda place: RememberedMasks(masks_folder(place.folder, masks), proposer), every, tell
    )
    real = estimate(kept)
    noise = noise_from(real)
    first = estimate(measure_simulation(places, noise, every, tell))
    noise = corrected(noise, real, first)
    again = estimate(measure_simulation(places, noise, every, tell))
    sys.stdout.write(report_table(real, again))
    write_fit(out, noise, real, again, facts_of(kept, masks))


def _text(value: float | tuple[float, ...]) -> str:
    return " ".join(f"{number:.3g}" for number in value) if isinstance(value, tuple) else f"{value:.4f}"


if __name__ == "__main__":
    main()
