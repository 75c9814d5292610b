"""Two rooms learned by heart from random weights: `python test/train/bench_learning.py SCENES`.

SCENES is a folder of labelled scenes (`ovseg3r-train scenes rooms --count 2 --masks perfect`). That a small network can
learn two rooms shows that the whole loop is right: index maps, convolutions, pooling, decoder, matching, losses,
gradients, post-processing and evaluation. It says nothing of other rooms.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported: idle threads do not spin

import time
from pathlib import Path

import torch
from learning_parts import learn, lessons, precision
from rich.console import Console

from ovseg3r_core.devices import pick_device
from ovseg3r_core.language.embedding_cache import CachedEncoder
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.segmenter.build import build_segmenter, small_config
from ovseg3r_train.scene_set import SceneSet

console = Console(width=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--voxel-size", type=float, default=0.04)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=50, help="steps between two looks at the precision")
    options = parser.parse_args()
    pick_device("cpu", "--device")
    scenes = list(SceneSet(options.scenes, masks="perfect").read(clean=False))[: options.rooms]
    names = sorted({name for scene in scenes if scene.truth for name in scene.truth.names.values()})
    texts, places = torch.from_numpy(CachedEncoder(MiniLm()).embed(names)), {name: i for i, name in enumerate(names)}
    torch.manual_seed(0)
    segmenter = build_segmenter(small_config(voxel_size_m=options.voxel_size))
    learned = lessons(scenes, places, segmenter)
    for lesson in learned:
        things = len(lesson.targets.name[0])
        console.print(
            f"{lesson.scene.name}: {len(lesson.scene.cloud)} points, {lesson.pyramid.voxels[0]} voxels, "
            f"{lesson.given.superpoints} superpoints, {things} instances; {len(names)} names"
        )
    start = time.perf_counter()

    def look(step: int, losses) -> None:
        if (step + 1) % options.every:
            return
        spent = time.perf_counter() - start
        any_name = precision(segmenter, learned, texts, places, named=False)
        named = precision(segmenter, learned, texts, places, named=True)
        segmenter.train()
        console.print(
            f"step {step + 1:4d} after {spent:5.0f} s: loss {float(losses.total.detach()):6.3f}; "
            f"any name AP {100 * any_name[0]:.1f} AP50 {100 * any_name[1]:.1f}; "
            f"named AP {100 * named[0]:.1f} AP50 {100 * named[1]:.1f}"
        )

    learn(segmenter, learned, texts, options.steps, after=look)


if __name__ == "__main__":
    main()
