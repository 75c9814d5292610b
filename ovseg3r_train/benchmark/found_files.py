"""What a method found in a scene, on disk: a comparison that was cut goes on where it stopped."""

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ovseg3r_core.atomic import atomic_write
from ovseg3r_train.benchmark.cost import Cost
from ovseg3r_train.scene import FoundInstances


def save_found(path: Path, found: FoundInstances, cost: Cost) -> None:
    """Write what was found and what it cost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        "points": np.concatenate([np.zeros(0, np.int64), *found.points]).astype(np.int32),
        "sizes": np.array([len(points) for points in found.points], np.int64),
        "scores": np.asarray(found.scores, np.float64),
        "name_scores": np.asarray(found.name_scores, np.float64),
    }
    facts = {"names": list(found.names), "seconds": cost.seconds, "memory_mb": cost.memory_mb}
    with atomic_write(path) as temporary:
        save_file(tensors, str(temporary), metadata={"found": json.dumps(facts)})


def load_found(path: Path) -> tuple[FoundInstances, Cost]:
    """Read it again.

    Raises:
        ValueError: the file is damaged; delete it, and it is made anew.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["found"])
            points, sizes = file.get_tensor("points"), file.get_tensor("sizes")
            scores, name_scores = file.get_tensor("scores"), file.get_tensor("name_scores")
        parts = np.split(points.astype(np.int64), np.cumsum(sizes)[:-1]) if len(sizes) else []
        names = tuple(facts["names"])
        found = FoundInstances(points=tuple(parts), names=names, scores=scores, name_scores=name_scores)
        return found, Cost(seconds=float(facts["seconds"]), memory_mb=float(facts["memory_mb"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and it is made anew") from error
