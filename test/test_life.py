"""Which things may be one: name, look, size and colour, each enough to tell two apart."""

from dataclasses import replace

import numpy as np
import pytest

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.life import LifeConfig, Traits, are_alike

COUCH = Traits(name="couch", look=None, size=(1.56, 0.73, 0.69), color=np.array([149, 137, 110], np.float32))
LOOK, OTHER_LOOK = np.array([1, 0], np.float32), np.array([0.6, 0.8], np.float32)


@pytest.mark.parametrize(
    "other",
    [
        COUCH,
        replace(COUCH, name="sofa"),
        replace(COUCH, size=(0.7, 1.5, 0.75)),  # turned
        replace(COUCH, size=(1.46, 0.21, 0.70)),  # only its back was seen
        replace(COUCH, color=COUCH.color + np.float32(30)),  # in the shade
    ],
    ids=["itself", "by another name", "turned", "one side", "shaded"],
)
def test_a_thing_seen_from_elsewhere_is_like_itself(other: Traits):
    assert are_alike(COUCH, other, same_name, LifeConfig()) and are_alike(other, COUCH, same_name, LifeConfig())


@pytest.mark.parametrize(
    "other",
    [
        replace(COUCH, name="bed"),
        replace(COUCH, name=None),
        replace(COUCH, size=(0.9, 0.73, 0.69)),
        replace(COUCH, size=(1.56, 0.3, 0.25)),  # an edge of it, or a board
        replace(COUCH, color=COUCH.color - np.array([80, 0, 0], np.float32)),
    ],
    ids=["name", "no name", "length", "height", "colour"],
)
def test_any_difference_is_enough(other: Traits):
    assert not are_alike(COUCH, other, same_name, LifeConfig()) and not are_alike(other, COUCH, same_name, LifeConfig())


def test_things_without_names_are_told_by_their_looks():
    nameless = replace(COUCH, name=None, look=LOOK)
    assert are_alike(nameless, replace(nameless, look=LOOK), same_name, LifeConfig())
    assert not are_alike(nameless, replace(nameless, look=OTHER_LOOK), same_name, LifeConfig())
    assert not are_alike(replace(COUCH, look=LOOK), replace(COUCH, look=OTHER_LOOK), same_name, LifeConfig())
