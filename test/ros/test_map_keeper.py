"""A saved map is taken up where it lies, moved where somebody says so, and refused where nobody can know."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from maps import make_memory, make_snapshot
from rclpy.node import Node

from ovseg3r_core.checks import Rejected
from ovseg3r_core.live import LivePerception
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_ros.map_directory import MapDirectory
from ovseg3r_ros.map_keeper import MapKeeper

ONE_METRE = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
Resumed = tuple[MapSnapshot, Memory]


@dataclass
class Live:
    """What a keeper asks of a `LivePerception`."""

    map_id: str
    map_frame: str = "map"
    encoder: None = None
    resumed: Resumed | None = None
    latest: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(revision=0))

    @property
    def perception(self) -> "Live":
        return self

    def resume(self, snapshot: MapSnapshot, memory: Memory) -> SimpleNamespace:
        self.resumed = snapshot, memory
        return SimpleNamespace(snapshot=snapshot)


def load(
    folder: Path, *, saved_in: str, now_in: str, saved_in_map: tuple[float, ...] = (), frame: str = "map"
) -> tuple[str, Resumed]:
    """What is said of a load, and what is gone on from."""
    directory = MapDirectory(folder)
    directory.save("floor", replace(make_snapshot(), map_id=saved_in, map_frame=frame), make_memory())
    live = Live(now_in)
    keeper = MapKeeper(cast(Node, None), cast(LivePerception, live), directory, 0.0, saved_in_map=saved_in_map)
    objects, where = keeper.load("floor")
    assert objects == 1
    assert live.resumed is not None
    return where, live.resumed


def test_a_map_of_the_same_id_lies_where_it_lay(tmp_path):
    said, (snapshot, memory) = load(tmp_path, saved_in="home", now_in="home", saved_in_map=ONE_METRE)
    assert said == ""
    np.testing.assert_array_equal(snapshot.cloud.xyz, make_snapshot().cloud.xyz)
    assert memory.edits == make_memory().edits


@pytest.mark.parametrize("saved_in", ["", "home"])
def test_where_nobody_names_the_map_of_now_that_is_said(tmp_path, saved_in):
    said, (snapshot, _) = load(tmp_path, saved_in=saved_in, now_in="")
    assert "map_id" in said
    np.testing.assert_array_equal(snapshot.cloud.xyz, make_snapshot().cloud.xyz)


@pytest.mark.parametrize("saved_in", ["", "office"])
def test_a_map_of_another_or_no_id_is_refused(tmp_path, saved_in):
    with pytest.raises(Rejected, match="saved_in_map") as refused:
        load(tmp_path, saved_in=saved_in, now_in="home")
    assert refused.value.reason == "other_map"


def test_a_map_in_another_frame_is_refused(tmp_path):
    with pytest.raises(Rejected) as refused:
        load(tmp_path, saved_in="home", now_in="home", frame="odom")
    assert refused.value.reason == "other_frame"


@pytest.mark.parametrize("frame", ["map", "odom"])
def test_a_map_of_another_id_is_moved_to_where_it_is_said_to_lie(tmp_path, frame):
    said, (snapshot, memory) = load(tmp_path, saved_in="office", now_in="home", saved_in_map=ONE_METRE, frame=frame)
    assert "1.00 m" in said and "'home'" in said
    before, old = make_snapshot(), make_memory()
    np.testing.assert_allclose(snapshot.cloud.xyz, before.cloud.xyz + np.array([1, 0, 0], np.float32), atol=1e-6)
    for view, was in zip(memory.views, old.views, strict=True):
        np.testing.assert_allclose(view.T_map_camera[:3, 3], was.T_map_camera[:3, 3] + [1, 0, 0])
    for cut, was in zip(memory.edits.cuts, old.edits.cuts, strict=True):
        np.testing.assert_allclose(cut.seeds, np.add(was.seeds, [1, 0, 0]))


def test_a_map_that_is_not_in_metres_is_refused(tmp_path):
    directory = MapDirectory(tmp_path)
    directory.save("walk", replace(make_snapshot(), scale_known=False), make_memory())
    keeper = MapKeeper(cast(Node, None), cast(LivePerception, Live("")), directory, 0.0)
    with pytest.raises(Rejected, match="not in metres") as refused:
        keeper.load("walk")
    assert refused.value.reason == "unknown_scale"
