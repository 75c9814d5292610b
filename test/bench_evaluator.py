"""How long the evaluator takes: `pytest -m benchmark test/bench_evaluator.py -s`, or `python test/bench_evaluator.py`.

One scene of 200,000 vertices with 60 true instances of 20 classes, and 600 predictions, nine in ten of the right class.
"""

import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ovseg3r_core.evaluation.average_precision import average_precision
from ovseg3r_core.evaluation.benchmark_files import SceneFiles, read_pair
from ovseg3r_core.evaluation.report import score_scene
from ovseg3r_core.evaluation.scannet200 import scannet200_classes
from ovseg3r_core.evaluation.scene_pair import ScenePair, TrueInstances
from ovseg3r_core.scene_files import write_scannet_submission
from ovseg3r_core.types import Instances

POINTS, TRUE_INSTANCES, PREDICTIONS, CLASSES = 200_000, 60, 600, 20
REPEATS = 5


def large_scene(seed: int = 0) -> tuple[np.ndarray, Instances]:
    """The truth as `1000 * label + instance`, and noisy copies of its instances as predictions."""
    rng = np.random.default_rng([seed, 5])
    class_ids = list(scannet200_classes().names)[:CLASSES]
    values, size = np.zeros(POINTS, np.int64), POINTS // (TRUE_INSTANCES + 20)
    for number in range(TRUE_INSTANCES):  # the last quarter of the vertices is void
        values[number * size : (number + 1) * size] = 1000 * class_ids[number % CLASSES] + number + 1
    masks, labels = np.zeros((PREDICTIONS, POINTS), bool), np.zeros(PREDICTIONS, np.int64)
    for row in range(PREDICTIONS):
        number = int(rng.integers(TRUE_INSTANCES))
        start = number * size + int(rng.integers(-size // 3, size // 3 + 1))
        masks[row, max(start, 0) : start + size] = True
        right = rng.random() < 0.9
        labels[row] = class_ids[number % CLASSES] if right else class_ids[int(rng.integers(CLASSES))]
    return values, Instances(masks=masks, labels=labels, scores=rng.random(PREDICTIONS))


def best_of(work) -> float:
    """Seconds of the fastest of a few repeats."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@pytest.mark.benchmark
def test_measure_one_large_scene(tmp_path: Path) -> None:
    console, classes = Console(), scannet200_classes()
    values, predicted = large_scene()
    pair = ScenePair(predicted=predicted, truth=TrueInstances.of_values(values))
    ids = list(classes.names)
    console.print(f"AP {average_precision([pair], ids).ap:.4f}")
    console.print(f"average precision, in memory: {best_of(lambda: average_precision([pair], ids)):.3f} s")
    console.print(f"whole report, in memory: {best_of(lambda: score_scene(pair, classes)):.3f} s")
    write_scannet_submission(tmp_path, "scene", predicted)
    np.savetxt(tmp_path / "truth.txt", values, fmt="%d")
    files = SceneFiles(scene="scene", predicted=tmp_path / "scene.txt", truth=tmp_path / "truth.txt")
    console.print(f"reading the benchmark's files: {best_of(lambda: read_pair(files, classes)):.3f} s")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        test_measure_one_large_scene(Path(folder))
