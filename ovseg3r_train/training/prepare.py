"""From folders of scenes to examples in memory, and the texts that their names become."""

import json
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.language.encoder import EncoderId, TextEncoder
from ovseg3r_train.learning.example import Example, SuperpointKind, example_of
from ovseg3r_train.scene_set import SceneSet
from ovseg3r_train.training.trainer import Texts
from ovseg3r_train.training.validate import CLASSES

TEXTS = "texts.safetensors"


def load_examples(
    scenes: SceneSet, kind: SuperpointKind, workers: int = 1, on_scene: Callable[[], object] = lambda: None
) -> list[Example]:
    """All scenes of a set, in the order of their names.

    Raises:
        FileNotFoundError, Rejected: a file is not there, or is not what was listed.
    """
    jobs: list[tuple[SceneSet, str, SuperpointKind]] = [(scenes, name, kind) for name in scenes.names]
    if workers == 1:
        return [_told(_load(job), on_scene) for job in jobs]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [_told(example, on_scene) for example in pool.map(_load, jobs, chunksize=4)]


def _load(job: tuple[SceneSet, str, SuperpointKind]) -> Example:
    torch.set_num_threads(1)
    scenes, name, kind = job
    return example_of(scenes.load(name, clean=False), kind)


def _told(example: Example, on_scene: Callable[[], object]) -> Example:
    on_scene()
    return example


def texts_of(examples: Iterable[Example], folder: Path, encoder: Callable[[], TextEncoder], source: str) -> Texts:
    """The vocabulary of a training: every name of its scenes, and the classes that it is validated on.

    It is kept in the training's folder, so that a training that goes on needs no encoder.

    Args:
        encoder: makes the encoder, where it is needed.
        source: where its weights come from.

    Raises:
        ValueError: the folder's texts lack a name: other scenes were learned there.
    """
    names = sorted(set(CLASSES).union(*(example.names for example in examples)))
    path = folder / TEXTS
    if not path.is_file():
        make_folder(folder)
        made = encoder()
        rows = torch.from_numpy(made.embed([name.lower() for name in names]))
        about = {"names": names, "encoder": made.name, "source": source}
        with atomic_write(path) as part:
            save_file({"texts": rows}, part, metadata={"about": json.dumps(about)})
    texts = read_texts(folder)
    if missing := sorted(set(names) - texts.places.keys()):
        raise ValueError(f"{path} lacks {', '.join(missing[:5])}: it is of other scenes; give another folder")
    return texts


def read_texts(folder: Path) -> Texts:
    """The vocabulary that lies in a training's folder."""
    with safe_open(folder / TEXTS, framework="pt") as file:
        about, rows = json.loads(file.metadata()["about"]), file.get_tensor("texts")
    places = {name: place for place, name in enumerate(about["names"])}
    return Texts(places=places, rows=rows, encoder=EncoderId(name=about["encoder"], source=about["source"]))


def class_rows(texts: Texts, names: Sequence[str] = CLASSES) -> torch.Tensor:
    """The embeddings of some names."""
    return texts.rows[[texts.places[name] for name in names]]
