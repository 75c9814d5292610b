"""Two tiny scenes, their texts, and settings that learn them in seconds."""

from dataclasses import replace

import torch
from tiny_scenes import tiny_scene

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_train.learning.example import Example, example_of
from ovseg3r_train.training.config import LessonConfig, TrainConfig
from ovseg3r_train.training.trainer import Texts
from ovseg3r_train.training.validate import CLASSES

TINY = TrainConfig(
    lessons=LessonConfig(scenes=2, pseudo_scenes=1, views=3), voxel_size_m=0.05, steps=4, warm_up=1, precision="32-true"
)


def examples() -> list[Example]:
    """Three boxes on a floor, seen eight times and five times."""
    return [example_of(replace(tiny_scene(views=views), name=f"tiny{views}")) for views in (8, 5)]


def texts() -> Texts:
    """Random directions for every class of ScanNet200."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(len(CLASSES), 16, generator=generator), dim=1)
    return Texts(
        places={name: i for i, name in enumerate(CLASSES)}, rows=rows, encoder=EncoderId(name="random", source="")
    )
