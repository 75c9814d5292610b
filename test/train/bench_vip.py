"""What VIP relies on, counted: `python test/train/bench_vip.py SCENES` with a set of scenes whose truth is known."""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from rich.console import Console

from ovseg3r_train.learning.association import associated, same_thing
from ovseg3r_train.learning.example import Example
from ovseg3r_train.learning.vip_statistics import mostly, owners, vip_counts
from ovseg3r_train.scene_set import SceneSet
from ovseg3r_train.training.prepare import load_examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--masks", help="only the scenes with masks of one source")
    parser.add_argument("--superpoints", choices=("ibsp", "geometry"), default="ibsp")
    options = parser.parse_args()
    scenes = SceneSet(options.scenes, masks=options.masks)
    examples = load_examples(scenes, options.superpoints)
    counts = vip_counts(examples)
    console = Console()
    console.print(f"{len(scenes)} scenes, {counts.seeds} seeds of views, {counts.masks} masks")

    def share(what: str, part: int, whole: int) -> None:
        console.print(f"{what:62} {100 * part / max(whole, 1):5.1f} %  ({part} of {whole})")

    share("masks on no thing", counts.ghosts, counts.masks)
    share("seeds in a mask of another thing", counts.of_another, counts.in_masks)
    seen_things = counts.in_masks + counts.missed
    share("seeds of things in no mask (teacher or outline missed)", counts.missed, seen_things)
    share('  of them taught "nothing" if every silence counts', counts.missed, counts.missed)
    share("  of them by our rule (seed seen by half or more)", counts.missed_well_seen, counts.missed)
    share('background seeds taught "nothing" by our rule', counts.background_well_seen, counts.background)
    told = sum((told_of_each_other(it) for it in examples if it.truth), np.zeros(7, np.int64)).tolist()
    share("pairs of masks with a name that are of one thing", *told[:2])
    share("points that such masks grow by, of their thing", *told[2:4])
    share("points of its thing that a mask tells of, alone", told[4], told[6])
    share("the same, told of what other views saw", told[5], told[6])


def told_of_each_other(example: Example) -> Int64[ndarray, "7"]:
    """Of masks with a name that are of things: right pairs, pairs, right points grown by, points grown by, points of
    the thing before, after, and in all."""
    assert example.truth
    owner, size = owners(example.truth, example.superpoint)
    masks, grown = example.masks, associated(example.masks, size)
    thing = np.array([mostly(owner[row], size[row]) for row in masks.inside], np.int64)
    named = np.array([name is not None for name in masks.names], bool) & (thing >= 0)
    same = same_thing(masks, size)[named]
    mine = owner == thing[named, None]
    before, after = masks.inside[named], grown.inside[named]
    new = after & ~before
    return np.array(
        [
            (same & (thing[named, None] == thing)).sum(),
            same.sum(),
            ((new & mine) * size).sum(),
            (new * size).sum(),
            ((before & mine) * size).sum(),
            ((after & mine) * size).sum(),
            (mine * size).sum(),
        ]
    )


if __name__ == "__main__":
    main()
