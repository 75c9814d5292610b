"""What VIP relies on, counted: `python test/train/bench_vip.py SCENES` with a set of scenes whose truth is known."""

import argparse
from pathlib import Path

from rich.console import Console

from ovseg3r_train.learning.vip_statistics import vip_counts
from ovseg3r_train.scene_set import SceneSet
from ovseg3r_train.training.prepare import load_examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--masks", help="only the scenes with masks of one source")
    parser.add_argument("--superpoints", choices=("ibsp", "geometry"), default="ibsp")
    options = parser.parse_args()
    scenes = SceneSet(options.scenes, masks=options.masks)
    counts = vip_counts(load_examples(scenes, options.superpoints))
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


if __name__ == "__main__":
    main()
