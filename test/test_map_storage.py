"""A saved map comes back equal, with the memory that mapping goes on from, or is refused whole."""

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from maps import COUCH, assert_same_map, assert_same_memory, make_memory, make_snapshot, make_view, seal
from safetensors.numpy import load, save

from ovseg3r_core.mapping import storage
from ovseg3r_core.mapping.edits import Edits
from ovseg3r_core.mapping.map_folder import MAX_BYTES
from ovseg3r_core.mapping.storage import DamagedMap, load_both, load_map, load_memory, save_map


def test_a_map_comes_back_as_it_was_saved(tmp_path):
    snapshot = make_snapshot()
    save_map(snapshot, tmp_path / "map")
    assert_same_map(load_map(tmp_path / "map"), snapshot)
    assert_same_map(load_map(tmp_path), snapshot)  # the folder that `segment --out` wrote works too


def test_a_map_without_metres_comes_back_as_such(tmp_path):
    save_map(replace(make_snapshot(), scale_known=False), tmp_path)
    assert not load_map(tmp_path).scale_known


def test_a_memory_comes_back_as_it_was_saved(tmp_path):
    snapshot, memory = make_snapshot(), make_memory()
    save_map(snapshot, tmp_path, memory)
    assert_same_memory(load_memory(tmp_path), memory)
    assert_same_map(load_map(tmp_path), snapshot)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    back, remembered = load_both(tmp_path)
    save_map(back, tmp_path / "again", remembered)
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == before


def test_an_empty_map_can_be_saved(tmp_path):
    nothing = replace(make_snapshot(points=0), objects=())
    save_map(nothing, tmp_path, replace(make_memory(views=0), edits=Edits()))
    snapshot, memory = load_both(tmp_path)
    assert (len(snapshot.cloud), memory.views, memory.members.shape) == (0, (), (0, 3))


def test_deleted_objects_keep_their_points_and_have_no_record(tmp_path):
    snapshot = make_snapshot()
    owner = np.where(np.arange(50) < 20, 8, COUCH).astype(np.int32)  # 8 is hidden
    save_map(replace(snapshot, owner=owner), tmp_path, make_memory())
    back, memory = load_both(tmp_path)
    np.testing.assert_array_equal(back.owner, owner)
    assert memory.edits.hidden == {8} and set(back.instance().tolist()) == {-1, COUCH}


def test_saving_again_replaces_the_map_and_leaves_no_old_file(tmp_path):
    save_map(make_snapshot(seed=0), tmp_path, make_memory())
    newer = make_snapshot(points=60, seed=1)
    save_map(newer, tmp_path)
    assert_same_map(load_map(tmp_path), newer)
    assert len(list(tmp_path.iterdir())) == 2


def test_saving_again_writes_only_the_new_keyframes(tmp_path):
    save_map(make_snapshot(), tmp_path, make_memory(views=3))
    old = {path.name: path.stat() for path in tmp_path.glob("view-*")}
    save_map(make_snapshot(seed=1), tmp_path, make_memory(views=5))
    new = {path.name: path.stat() for path in tmp_path.glob("view-*")}
    assert (len(old), len(new)) == (3, 5)
    assert all((new[name].st_ino, new[name].st_mtime_ns) == (old[name].st_ino, old[name].st_mtime_ns) for name in old)
    assert_same_memory(load_memory(tmp_path), make_memory(views=5))


def test_a_keyframe_whose_file_was_cut_is_written_again(tmp_path):
    save_map(make_snapshot(), tmp_path, make_memory())
    cut = next(tmp_path.glob("view-*"))
    cut.write_bytes(cut.read_bytes()[:-1])
    save_map(make_snapshot(), tmp_path, make_memory())
    assert_same_memory(load_memory(tmp_path), make_memory())


def test_files_that_are_none_of_ours_stay(tmp_path):
    for name in ("view-of-the-office.safetensors", "notes.txt", ".hidden", "cloud-1.safetensors"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".view-0123456789abcdef.01234567.safetensors").write_text("left over from a crash")
    (tmp_path / "view-0123456789abcdef.safetensors").write_text("left over from a crash")
    save_map(make_snapshot(), tmp_path)
    assert sum(path.read_bytes() == b"mine" for path in tmp_path.iterdir()) == 4
    assert len(list(tmp_path.iterdir())) == 6


def test_a_map_without_memory_says_what_it_is_good_for(tmp_path):
    save_map(make_snapshot(), tmp_path)
    with pytest.raises(DamagedMap, match="answers queries, but mapping cannot go on"):
        load_memory(tmp_path)


def test_queries_need_no_keyframe(tmp_path):
    save_map(make_snapshot(), tmp_path, make_memory())
    for path in tmp_path.glob("view-*"):
        path.unlink()
    assert_same_map(load_map(tmp_path), make_snapshot())
    with pytest.raises(DamagedMap, match="missing"):
        load_memory(tmp_path)


@pytest.mark.parametrize("encoder", [{"encoder": None}, {}])  # the first maps did not say that they had none
def test_a_map_of_version_1_can_be_asked_but_not_mapped_on(tmp_path, encoder):
    snapshot = make_snapshot()
    cloud = snapshot.cloud
    data = save({"xyz": cloud.xyz, "color": cloud.color, "normal": cloud.normal, "owner": snapshot.owner})
    digest = hashlib.sha256(data).hexdigest()
    name = f"cloud-{digest[:16]}.safetensors"
    (tmp_path / name).write_bytes(data)
    content = {
        "version": 1,
        "map_frame": "map",
        "up": [0.0, 0.0, 1.0],
        "views": 4,
        "cloud": {"file": name, "sha256": digest},
        "objects": [asdict(record) for record in snapshot.objects],
        "structure": [],
    }
    seal(tmp_path, content | encoder)
    assert_same_map(load_map(tmp_path), snapshot)
    with pytest.raises(DamagedMap, match="mapping cannot go on"):
        load_memory(tmp_path)
    save_map(snapshot, tmp_path, make_memory())
    assert_same_memory(load_memory(tmp_path), make_memory())


def test_a_map_of_the_future_is_refused_by_its_number(tmp_path):
    change_index(tmp_path, lambda content: content.update(version=3))
    with pytest.raises(DamagedMap, match="version 3"):
        load_map(tmp_path)


# What does not belong together is not saved


def with_member(row: tuple[int, int, int]):
    members = make_memory().members.copy()
    members[0] = row
    return replace(make_memory(), members=members)


@pytest.mark.parametrize(
    ("memory", "why"),
    [
        (with_member((3, 0, COUCH)), "views"),
        (with_member((-1, 0, COUCH)), "views"),
        (with_member((0, 2, COUCH)), "masks"),
        (with_member((0, -1, COUCH)), "masks"),
        (with_member((0, 0, 10)), "never given"),
        (with_member((0, 0, 0)), "never given"),
        (replace(make_memory(), next_id=7), "7, 8, 9 were never given"),
        (replace(make_memory(), next_id=2**31 - 1), "next id"),
        (replace(make_memory(), views=make_memory().views[::-1]), "numbered"),
        (replace(make_memory(), members=make_memory().members[:0]), "7, which own points: are map and memory of one"),
        (make_memory(edits=Edits(labels={12: "cup"})), "12 were never given"),
        (make_memory(edits=Edits(redirects={3: 4, 4: 5, 5: 3})), "circle"),
        (make_memory(edits=Edits(redirects={3: 3})), "circle"),
    ],
)
def test_a_memory_that_does_not_fit_is_not_saved(tmp_path, memory, why):
    save_map(make_snapshot(), tmp_path, make_memory())
    with pytest.raises(ValueError, match=why):
        save_map(make_snapshot(), tmp_path, memory)
    assert_same_memory(load_memory(tmp_path), make_memory())


@pytest.mark.parametrize("kind", ["map", "cloud", "view"])
def test_what_could_not_be_loaded_again_is_not_saved(tmp_path, monkeypatch, kind):
    save_map(make_snapshot(), tmp_path, make_memory())
    largest = max(path.stat().st_size for path in tmp_path.glob(f"{kind}*"))
    larger = replace(make_memory(), views=(*make_memory().views, replace(make_view(3), stamp_s=1 / 3 + 1e9)))
    with monkeypatch.context() as patch:
        patch.setitem(MAX_BYTES, kind, largest)
        with pytest.raises(ValueError, match=f"at most {largest}"):
            save_map(make_snapshot(points=60), tmp_path, larger)
    assert_same_memory(load_memory(tmp_path), make_memory())
    assert len(list(tmp_path.iterdir())) == 5  # what the failed save had written is gone


def test_points_that_are_nowhere_are_not_saved(tmp_path):
    snapshot = make_snapshot()
    lost = replace(snapshot.cloud, xyz=np.full_like(snapshot.cloud.xyz, np.nan))
    with pytest.raises(ValueError, match="xyz holds numbers that are not finite"):
        save_map(replace(snapshot, cloud=lost), tmp_path)


def test_a_failure_while_saving_leaves_the_old_map(tmp_path, monkeypatch):
    save_map(make_snapshot(), tmp_path, make_memory())
    monkeypatch.setattr("json.dumps", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_map(make_snapshot(points=60, seed=1), tmp_path)
    monkeypatch.undo()
    assert_same_map(load_map(tmp_path), make_snapshot())
    assert_same_memory(load_memory(tmp_path), make_memory())


# Several at once


def test_two_writers_of_one_folder_wait_for_each_other(tmp_path):
    def write(seed: int) -> None:
        for views in (2, 4, 1, 3):
            save_map(make_snapshot(seed=seed), tmp_path, make_memory(views))

    writers = [Thread(target=write, args=(seed,)) for seed in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=30)
    assert_same_memory(load_memory(tmp_path), make_memory(views=3))


def test_a_map_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    save_map(make_snapshot(), tmp_path, make_memory())
    newer = [(make_snapshot(seed=1), make_memory(views=1))]
    read_part = storage.read_part

    def slow(*arguments):
        if newer:
            snapshot, memory = newer.pop()
            save_map(snapshot, tmp_path, memory)
        return read_part(*arguments)

    monkeypatch.setattr(storage, "read_part", slow)
    snapshot, memory = load_both(tmp_path)
    assert_same_map(snapshot, make_snapshot(seed=1))
    assert_same_memory(memory, make_memory(views=1))


# Damage


def every_file(folder: Path) -> list[Path]:
    save_map(make_snapshot(), folder, make_memory(views=2))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("place", range(4))
def test_a_file_cut_anywhere_is_refused_whole(tmp_path, place):
    path = every_file(tmp_path)[place]
    good = path.read_bytes()
    for share in range(0, 100, 5):
        path.write_bytes(good[: share * len(good) // 100])
        with pytest.raises(DamagedMap):
            load_both(tmp_path)
    path.write_bytes(good + b"\0")
    with pytest.raises(DamagedMap):
        load_both(tmp_path)
    path.unlink()
    with pytest.raises((DamagedMap, FileNotFoundError)):
        load_both(tmp_path)


@pytest.mark.parametrize("place", range(4))
def test_a_file_with_a_flipped_bit_anywhere_is_refused_whole(tmp_path, place):
    path = every_file(tmp_path)[place]
    good = path.read_bytes()
    rng = np.random.default_rng(place)
    for position in rng.integers(0, len(good), 60):
        flipped = bytearray(good)
        flipped[position] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(flipped))
        with pytest.raises(DamagedMap):
            load_both(tmp_path)
    path.write_bytes(good)
    load_both(tmp_path)


def test_an_oversized_file_is_refused_before_it_is_read(tmp_path):
    for path in every_file(tmp_path):
        good = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(MAX_BYTES[path.name.split("-")[0].removesuffix(".json")] + 1)  # sparse: takes no space
        with pytest.raises(DamagedMap, match="at most"):
            load_both(tmp_path)
        path.write_bytes(good)


# Hostile maps, whose checksums are right


def change_index(folder: Path, change: Callable[[dict], object]) -> None:
    save_map(make_snapshot(), folder, make_memory())
    content = json.loads((folder / "map.json").read_text())["map"]
    change(content)
    seal(folder, content)


def change_part(folder: Path, kind: str, data: bytes) -> None:
    def change(content: dict) -> None:
        path = next(folder.glob(f"{kind}-*"))
        path.write_bytes(data)
        content["files"][path.name] = hashlib.sha256(data).hexdigest()

    change_index(folder, change)


def assert_refused(folder: Path) -> None:
    with pytest.raises(DamagedMap):
        load_both(folder)


@pytest.mark.parametrize("kind", ["cloud", "view"])
def test_a_header_that_claims_100_gigabytes_is_refused(tmp_path, kind):
    change_part(tmp_path, kind, struct.pack("<Q", 100 << 30) + b"{}")
    assert_refused(tmp_path)


@pytest.mark.parametrize("kind", ["cloud", "view"])
def test_tensors_that_overlap_are_refused(tmp_path, kind):
    entry = {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}
    header = json.dumps({"about": entry, "xyz": entry}).encode()
    change_part(tmp_path, kind, struct.pack("<Q", len(header)) + header + b"\0" * 8)
    assert_refused(tmp_path)


@pytest.mark.parametrize("kind", ["cloud", "view"])
def test_a_pickle_in_place_of_a_file_runs_nothing(tmp_path, kind):
    import pickle

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    change_part(tmp_path, kind, pickle.dumps(Payload()))
    assert_refused(tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("xyz", np.zeros((50, 3), np.float64)),
        ("xyz", np.full((50, 3), np.nan, np.float32)),
        ("normal", np.full((50, 3), np.inf, np.float32)),
        ("color", np.zeros((50, 4), np.uint8)),
        ("owner", np.full(50, -2, np.int32)),
        ("owner", np.full(50, 9, np.int32)),
        ("owner", np.full((50, 1), 7, np.int32)),
        ("owner", np.zeros((), np.int32)),
        ("members", np.zeros((0, 3), np.int32)),
        ("members", np.zeros((3, 2), np.int32)),
        ("members", make_memory().members.astype(np.int64)),
        ("members", make_memory().members + np.int32([1, 0, 0])),
    ],
)
def test_arrays_that_are_not_what_mapping_needs_are_refused(tmp_path, name, array):
    save_map(make_snapshot(), tmp_path, make_memory())
    tensors = load(next(tmp_path.glob("cloud-*")).read_bytes())
    change_part(tmp_path, "cloud", save(tensors | {name: array}))
    assert_refused(tmp_path)


def setting(*path: str | int, to: object) -> Callable[[dict], None]:
    def change(content):
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = to

    return change


EDITS = ("memory", "edits")


@pytest.mark.parametrize(
    "change",
    [
        setting("files", to={}),
        setting("files", to=[]),
        setting("cloud", to=None),
        setting("cloud", to="map.json"),
        setting("up", to=[1, 2]),
        setting("views", to="many"),
        setting("objects", to=None),
        setting("objects", 0, "box", to=None),
        setting("objects", 0, "id", to=[7]),
        setting("objects", 0, "id", to=5),
        setting("objects", 0, "score", to="high"),
        setting("objects", 0, "centre", to=[1, 2, 3, 4]),
        setting("memory", to=[]),
        setting("memory", "views", to=["map.json"]),
        setting("memory", "views", to=[]),
        setting("memory", "next_id", to=9),
        setting("memory", "next_id", to=True),
        setting("memory", "next_id", to=10.0),
        setting("memory", "next_id", to=2**40),
        setting("memory", "sightings", to=[[7, 1, 1]]),
        setting("memory", "sightings", to=[[7, 1, 1, 1.5]]),
        setting("memory", "sightings", to=[[7, -1, 1, 0.5]]),
        setting("memory", "sightings", to=[[7, 1, 1.0, 0.5]]),
        setting("memory", "sightings", to=[[7, 1, 1, "much"]]),
        setting("memory", "sightings", to=[[70, 1, 1, 0.5]]),
        setting("memory", "recognitions", to=[[7, "lamp", 1.5, 0.5, 0.0, 1.0]]),
        setting("memory", "recognitions", to=[[7, "", 0.5, 0.5, 0.0, 1.0]]),
        setting("memory", "recognitions", to=[[7, None, 0.5, 0.5, 1.0, 0.0]]),
        setting("memory", "recognitions", to=[[7, None, 0.5, 0.5]]),
        setting("memory", "recognitions", to=[[70, None, 0.5, 0.5, 0.0, 1.0]]),
        setting(*EDITS, to={}),
        setting(*EDITS, "labels", to=[[7, ""]]),
        setting(*EDITS, "labels", to=[[7, "x" * 101]]),
        setting(*EDITS, "labels", to=[[7, "a\nb"]]),
        setting(*EDITS, "labels", to=[["7", "cup"]]),
        setting(*EDITS, "labels", to=[[70, "cup"]]),
        setting(*EDITS, "hidden", to=[-1]),
        setting(*EDITS, "united", to=[1.5]),
        setting(*EDITS, "redirects", to=[[3, 4], [4, 3]]),
        setting(*EDITS, "redirects", to=[[3, 30]]),
        setting(*EDITS, "cuts", to=[{"ids": [7], "seeds": [[0, 0, 0]]}]),
        setting(*EDITS, "cuts", to=[{"ids": [7, 8], "seeds": [[0, 0, 0], [0, 0, 0]]}]),
        setting(*EDITS, "cuts", to=[{"ids": [7, 8], "seeds": [[0, 0, 0], [0, 0, 1e300]]}]),
        setting(*EDITS, "cuts", to=[{"ids": [7, 8], "seeds": [[0, 0, 0], [0, 0]]}]),
        setting(*EDITS, "cuts", to=[{"ids": [7, 80], "seeds": [[0, 0, 0], [0, 0, 1]]}]),
    ],
)
def test_an_index_that_cannot_be_true_is_refused(tmp_path, change):
    change_index(tmp_path, change)
    assert_refused(tmp_path)


def test_keyframes_of_different_encoders_are_refused(tmp_path):
    first, second = make_view(0), make_view(1)
    tag = replace(second.tags[0], embedding=np.float32([1, 0]))
    memory = replace(make_memory(views=2), views=(first, replace(second, tags=(tag, second.tags[1]))))
    with pytest.raises(ValueError, match="encoders"):
        save_map(make_snapshot(), tmp_path, memory)


@pytest.mark.parametrize("text", ["", "[]", "7", '{"map": {}}', '{"sha256": 1, "map": NaN}', "[" * 100_000, "\0"])
def test_text_that_is_no_index_is_refused(tmp_path, text):
    (tmp_path / "map.json").write_text(text)
    assert_refused(tmp_path)


def test_a_name_that_points_out_of_the_folder_is_not_followed(tmp_path):
    folder = tmp_path / "map"

    def change(content: dict) -> None:
        digest = content["files"].pop(content["cloud"])
        (folder / content["cloud"]).rename(tmp_path / "outside.safetensors")
        content["cloud"] = "../outside.safetensors"
        content["files"][content["cloud"]] = digest

    change_index(folder, change)
    with pytest.raises(DamagedMap, match="missing"):
        load_map(folder)


def test_a_folder_without_a_map_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="ovseg3r segment"):
        load_map(tmp_path)
