"""A checkpoint, an encoder and a vocabulary make instances on points; 2D features come through the incidence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segmenter_parts import TINY, a_scene, a_segmenter
from test_embedding_cache import Counting

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.segmenter.checkpoint import Card, save_segmenter
from ovseg3r_core.segmenter.image_features import object_features, point_features
from ovseg3r_core.segmenter.inference import InstanceSegmenter, encoder_of, load_instance_segmenter
from ovseg3r_core.segmenter.postprocess import PostprocessConfig
from ovseg3r_core.types import LiftedMask, SceneCloud, ViewIncidence

CONFIG = replace(TINY, text_channels=5)
CARD = Card(config=CONFIG, encoder=EncoderId(name="letters", source="nowhere"))
THINGS = Vocabulary(name="things", names=("Chair", "table", "lamp"), ids=(7, 11, 13))
POST = PostprocessConfig(min_points=5)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_segmenter(path, a_segmenter(CONFIG, seed=4), CARD)
    return path


def test_instances_cover_points_and_carry_ids_of_the_vocabulary(checkpoint: Path) -> None:
    scene = a_scene()
    found = load_instance_segmenter(checkpoint, THINGS, Counting(), post=POST).segment(scene)
    assert len(found.masks) > 0 and found.masks.shape[1] == len(scene.xyz)
    assert set(found.labels.tolist()) <= set(THINGS.ids)
    assert (np.diff(found.scores) <= 0).all() and (found.scores > 0).all() and (found.scores <= 1).all()
    assert (found.sizes > POST.min_points).all()


def test_the_vocabulary_may_change_at_any_time(checkpoint: Path) -> None:
    segmenter = load_instance_segmenter(checkpoint, THINGS, Counting(), post=POST)
    segmenter.set_vocabulary(Vocabulary(name="one", names=("sofa",), ids=(99,)))
    assert set(segmenter.segment(a_scene()).labels.tolist()) == {99}


def test_another_encoder_is_refused(checkpoint: Path) -> None:
    with pytest.raises(Rejected, match="the text encoder is runes"):
        load_instance_segmenter(checkpoint, THINGS, Counting("runes"))


def test_the_encoder_is_the_one_that_the_card_names() -> None:
    with pytest.raises(ValueError, match="names no checkpoint"):
        encoder_of(CARD)
    from ovseg3r_core import models
    from ovseg3r_core.language.minilm import MiniLm

    try:
        models.find(MiniLm.name)
    except models.MissingModel as missing:
        pytest.skip(str(missing))
    assert encoder_of(replace(CARD, encoder=EncoderId(name=MiniLm.name, source=MiniLm.name))).name == MiniLm.name


def test_the_flavour_in_use_is_told() -> None:
    assert InstanceSegmenter(a_segmenter(CONFIG), CARD, Counting(), THINGS).flavour == "cpu"


def incidence(*views: list[tuple[int, int, int]]) -> Incidence:
    """Views as lists of point, column, row."""
    return Incidence.build(
        [
            ViewIncidence(
                points=np.array([p for p, _, _ in view], np.int64),
                pixels=np.array([(u, v) for _, u, v in view], np.int32).reshape(-1, 2),
            )
            for view in views
        ]
    )


def test_points_take_the_mean_of_what_their_views_show_there() -> None:
    ramp = np.tile(np.arange(4, dtype=np.float32), (2, 1))[None]  # 4x2 map of an 8x4 image: each value twice as wide
    flat = np.full((1, 3, 3), 10.0, np.float32)
    seen = incidence([(0, 0, 0), (1, 3, 2), (2, 7, 3)], [(1, 5, 5)])
    features = point_features([ramp, flat], [(8, 4), (30, 30)], seen, points=4)
    # Pixel 3's centre is at 3.5 of 8 pixels, 1.75 of 4 cells, a quarter of a cell before the middle of cell 1 and 2.
    assert np.allclose(features[:, 0], [0.0, (1.25 + 10) / 2, 3.0, 0.0])


def test_there_is_a_map_for_each_view() -> None:
    with pytest.raises(ValueError, match="1 feature maps and 1 image sizes for 2 views"):
        point_features([np.zeros((1, 2, 2), np.float32)], [(2, 2)], incidence([], []), points=1)


def test_objects_stand_where_their_middle_point_is() -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 9, 9]], np.float32)
    cloud = SceneCloud(xyz=xyz, color=np.zeros((4, 3), np.uint8), normal=xyz)
    look = np.array([0.6, 0.8], np.float32)
    lifted = [
        LiftedMask(view=0, mask=0, points=np.array([0, 1, 2]), score=1.0, embedding=look),
        LiftedMask(view=0, mask=1, points=np.array([3]), score=1.0),
    ]
    features, centre = object_features(lifted, cloud)
    assert np.array_equal(features, [look]) and np.array_equal(centre, [[1, 0, 0]])
    assert object_features(lifted[1:], cloud)[1].shape == (0, 3)
    assert torch.is_tensor(a_scene(objects=features, object_centre=centre).objects)
