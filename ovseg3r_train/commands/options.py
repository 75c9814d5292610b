"""What several verbs of `ovseg3r-train` take."""

from enum import Enum


class Split(str, Enum):
    """What scenes are for; the splits differ in models, homes and seeds."""

    train = "train"
    val = "val"
    test = "test"
