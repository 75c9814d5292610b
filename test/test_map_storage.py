"""A saved map comes back equal, or is refused whole."""

import json
import struct

import numpy as np
import pytest

from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import DamagedMap, load_map, save_map
from ovseg3r_core.types import Box, ObjectRecord, SceneCloud


def make_snapshot(points: int = 50, seed: int = 0) -> MapSnapshot:
    rng = np.random.default_rng(seed)
    normal = np.tile(np.float32([0, 0, 1]), (points, 1))
    cloud = SceneCloud(
        xyz=rng.normal(size=(points, 3)).astype(np.float32),
        color=rng.integers(0, 256, (points, 3), dtype=np.uint8),
        normal=normal,
    )
    record = ObjectRecord(
        id=7,
        label="couch",
        score=0.8,
        centre=(0.1, 0.2, 1 / 3),
        box=Box(centre=(0.0, 0.0, 0.0), size=(1.0, 2.0, 0.5), yaw=0.3),
        points=points,
        observations=4,
        first_seen=1.5,
        last_seen=2.5,
        state="present",
    )
    return MapSnapshot(
        map_frame="map",
        cloud=cloud,
        owner=np.full(points, 7, np.int32),
        objects=(record,),
        structure=(),
        up=(0.0, 0.0, 1.0),
        views=4,
    )


def assert_equal(a: MapSnapshot, b: MapSnapshot) -> None:
    assert (a.objects, a.structure, a.up, a.views, a.map_frame) == (b.objects, b.structure, b.up, b.views, b.map_frame)
    for name in ("xyz", "color", "normal"):
        np.testing.assert_array_equal(getattr(a.cloud, name), getattr(b.cloud, name))
    np.testing.assert_array_equal(a.owner, b.owner)


def test_a_map_comes_back_as_it_was_saved(tmp_path):
    snapshot = make_snapshot()
    save_map(snapshot, tmp_path / "map")
    assert_equal(load_map(tmp_path / "map"), snapshot)
    assert_equal(load_map(tmp_path), snapshot)  # the folder that `segment --out` wrote works too


def test_an_empty_map_can_be_saved(tmp_path):
    snapshot = make_snapshot(points=0)
    save_map(snapshot, tmp_path)
    assert len(load_map(tmp_path).cloud) == 0


def test_saving_again_replaces_the_map_and_leaves_no_old_cloud(tmp_path):
    save_map(make_snapshot(seed=0), tmp_path)
    newer = make_snapshot(points=60, seed=1)
    save_map(newer, tmp_path)
    assert_equal(load_map(tmp_path), newer)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_crash_while_saving_leaves_the_old_map(tmp_path, monkeypatch):
    old = make_snapshot(seed=0)
    save_map(old, tmp_path)
    monkeypatch.setattr("json.dumps", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_map(make_snapshot(points=60, seed=1), tmp_path)
    monkeypatch.undo()
    assert_equal(load_map(tmp_path), old)


@pytest.mark.parametrize("pattern", ["map.json", "cloud-*.safetensors"])
def test_a_file_cut_or_flipped_anywhere_is_refused_whole(tmp_path, pattern):
    save_map(make_snapshot(), tmp_path)
    (path,) = tmp_path.glob(pattern)
    good = path.read_bytes()
    for share in np.linspace(0, 0.99, 25):
        path.write_bytes(good[: int(share * len(good))])
        with pytest.raises(DamagedMap):
            load_map(tmp_path)
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(good), 60):
        flipped = bytearray(good)
        flipped[position] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(flipped))
        with pytest.raises(DamagedMap):
            load_map(tmp_path)
    path.write_bytes(good)
    load_map(tmp_path)


def _seal(tmp_path, cloud_bytes: bytes) -> None:
    """A map whose checksums are right, as an attacker would make it."""
    import hashlib

    save_map(make_snapshot(), tmp_path)
    (cloud,) = tmp_path.glob("cloud-*")
    cloud.write_bytes(cloud_bytes)
    content = json.loads((tmp_path / "map.json").read_text())["map"]
    content["cloud"]["sha256"] = hashlib.sha256(cloud_bytes).hexdigest()
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (tmp_path / "map.json").write_text(json.dumps({"sha256": digest, "map": content}))


def test_a_header_that_claims_100_gigabytes_is_refused(tmp_path):
    _seal(tmp_path, struct.pack("<Q", 100 << 30) + b"{}")
    with pytest.raises(DamagedMap):
        load_map(tmp_path)


def test_a_pickle_in_place_of_the_cloud_runs_nothing(tmp_path):
    import pickle

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    _seal(tmp_path, pickle.dumps(Payload()))
    with pytest.raises(DamagedMap):
        load_map(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_tensors_of_a_wrong_type_are_refused(tmp_path):
    from safetensors.numpy import save

    _seal(tmp_path, save({"xyz": np.zeros((5, 3), np.float64), "owner": np.zeros(5, np.int32)}))
    with pytest.raises(DamagedMap, match="xyz"):
        load_map(tmp_path)


def test_an_oversized_map_is_refused_before_it_is_read(tmp_path):
    save_map(make_snapshot(), tmp_path)
    with open(tmp_path / "map.json", "r+b") as file:
        file.truncate(1 << 30)  # sparse: no such file is ever written
    with pytest.raises(DamagedMap, match="at most"):
        load_map(tmp_path)


def test_a_name_that_points_out_of_the_folder_is_not_followed(tmp_path):
    outside = tmp_path / "outside.safetensors"
    save_map(make_snapshot(), tmp_path / "map")
    (cloud,) = (tmp_path / "map").glob("cloud-*")
    cloud.rename(outside)
    content = json.loads((tmp_path / "map" / "map.json").read_text())["map"]
    content["cloud"]["file"] = "../outside.safetensors"
    import hashlib

    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (tmp_path / "map" / "map.json").write_text(json.dumps({"sha256": digest, "map": content}))
    with pytest.raises(DamagedMap, match="missing"):
        load_map(tmp_path / "map")


def test_a_folder_without_a_map_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="ovseg3r segment"):
        load_map(tmp_path)
