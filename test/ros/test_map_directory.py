"""Names lead to maps inside the map directory and nowhere else; every refusal says what to do."""

import errno
import os
from pathlib import Path

import pytest
from maps import make_memory, make_snapshot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.mapping.storage import save_map
from ovseg3r_ros import map_directory
from ovseg3r_ros.map_directory import AUTOSAVE, MapDirectory, default_root

SNAPSHOT, MEMORY = make_snapshot(), make_memory()


@pytest.fixture
def maps(tmp_path: Path) -> MapDirectory:
    return MapDirectory(tmp_path / "maps")


def refusal(call, *arguments) -> tuple[str, str]:
    with pytest.raises(Rejected) as refused:
        call(*arguments)
    return refused.value.reason, str(refused.value)


def test_a_map_is_saved_and_loaded_by_its_name(maps):
    assert maps.save("kitchen-2.b", SNAPSHOT, MEMORY) == maps.root / "kitchen-2.b"
    snapshot, memory = maps.load("kitchen-2.b")
    assert snapshot.objects == SNAPSHOT.objects and memory.edits == MEMORY.edits


def test_no_name_means_the_autosaved_map(maps):
    assert maps.save("", SNAPSHOT, MEMORY).name == AUTOSAVE
    assert maps.load("")[0].objects == maps.load(AUTOSAVE)[0].objects == SNAPSHOT.objects


def test_maps_are_listed_by_name(maps):
    assert maps.names() == []
    for name in ("b", "a"):
        maps.save(name, SNAPSHOT, MEMORY)
    save_map(SNAPSHOT, maps.root / "run" / "map", MEMORY)  # what `ovseg3r segment --out` leaves
    (maps.root / "empty").mkdir()
    (maps.root / "file").write_text("")
    (maps.root / ".hidden").mkdir()
    (maps.root / "away").symlink_to("/")
    assert maps.names() == ["a", "b", "run"]
    assert maps.load("run")[0].objects == SNAPSHOT.objects


@pytest.mark.parametrize(
    "name",
    [
        *("..", ".", "../x", "/etc", "a/b", "a\\b", ".hidden", "a..b", "x" * 65, "x" * 10_000),
        *("a b", "a\n", "a\0", "\u00e9", "~", "~root", "$HOME", "a:b", "a*", "%2e%2e", "\u2024\u2024", " "),
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(maps, name):
    for call in (maps.folder, maps.load, lambda name: maps.save(name, SNAPSHOT, MEMORY)):
        reason, text = refusal(call, name)
        assert reason == "bad_name" and "letters, digits" in text and len(text) < 400
    assert not maps.root.exists()


def test_the_longest_name_works(maps):
    assert maps.save("x" * 64, SNAPSHOT, MEMORY).is_dir()


@pytest.mark.parametrize("link", ["office", "office/map.json", "office/map", "office/map/map.json"])
def test_links_that_lead_out_of_the_directory_are_not_followed(maps, tmp_path, link):
    save_map(SNAPSHOT, tmp_path / "outside", MEMORY)
    path = maps.root / link
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "outside" / "map.json" if path.suffix else tmp_path / "outside")
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "outside").iterdir()}
    for call in (maps.load, lambda name: maps.save(name, SNAPSHOT, MEMORY)):
        reason, text = refusal(call, "office")
        assert reason == "bad_name" and "leads out of" in text
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "outside").iterdir()} == before
    assert maps.names() == []


def test_links_within_the_directory_and_to_it_are_followed(maps, tmp_path):
    maps.save("monday", SNAPSHOT, MEMORY)
    (maps.root / "latest").symlink_to("monday")
    (tmp_path / "link").symlink_to(maps.root)
    assert MapDirectory(tmp_path / "link").load("latest")[0].objects == SNAPSHOT.objects


def test_a_circle_of_links_is_refused(maps):
    maps.root.mkdir()
    (maps.root / "a").symlink_to("b")
    (maps.root / "b").symlink_to("a")
    assert refusal(maps.save, "a", SNAPSHOT, MEMORY)[0] in ("bad_name", "not_saved")
    assert refusal(maps.load, "a")[0] in ("bad_name", "no_map")


def test_a_file_a_pipe_or_a_device_is_no_map(maps):
    maps.root.mkdir()
    (maps.root / "file").write_text("mine")
    os.mkfifo(maps.root / "pipe")
    (maps.root / "zero").symlink_to("/dev/zero")
    (maps.root / "folder").mkdir()
    os.mkfifo(maps.root / "folder" / "map.json")
    for name in ("file", "pipe", "zero"):
        assert refusal(maps.save, name, SNAPSHOT, MEMORY)[0] == "bad_name"
        assert refusal(maps.load, name)[0] == "bad_name"
    assert refusal(maps.load, "folder")[0] == "no_map"
    assert (maps.root / "file").read_text() == "mine"


def test_a_map_that_is_not_there_is_answered_with_those_that_are(maps):
    assert refusal(maps.load, "office") == ("no_map", f"no map named office in {maps.root}; there is: none")
    maps.save("kitchen", SNAPSHOT, MEMORY)
    assert refusal(maps.load, "office")[1].endswith("there is: kitchen")


def test_a_damaged_map_is_refused_with_the_file_that_is_damaged(maps):
    view = next(maps.save("office", SNAPSHOT, MEMORY).glob("view-*"))
    view.write_bytes(view.read_bytes()[:-1])
    reason, text = refusal(maps.load, "office")
    assert reason == "damaged_map" and view.name in text


def test_a_map_that_is_set_aside_is_not_overwritten(maps):
    for kept in ("autosave.1", "autosave.2"):
        maps.save("", SNAPSHOT, MEMORY)
        assert maps.set_aside("") == maps.root / kept
    assert maps.names() == ["autosave.1", "autosave.2"]
    assert maps.load("autosave.2")[0].objects == SNAPSHOT.objects
    assert refusal(maps.set_aside, "nothing")[0] == "not_saved"


def test_a_map_without_memory_says_that_mapping_cannot_go_on(maps):
    save_map(SNAPSHOT, maps.root / "office")
    reason, text = refusal(maps.load, "office")
    assert reason == "damaged_map" and "mapping cannot go on" in text


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EACCES, "make it writable"), (errno.EROFS, "make it writable")],
)
def test_a_failed_save_names_the_error_and_the_remedy(maps, monkeypatch, code, remedy):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(map_directory, "save_map", fail)
    reason, text = refusal(maps.save, "office", SNAPSHOT, MEMORY)
    assert reason == "not_saved"
    assert os.strerror(code) in text and remedy in text and "map_directory" in text and str(maps.root) in text


def test_a_root_that_is_a_file_is_named(tmp_path):
    (tmp_path / "maps").write_text("")
    reason, text = refusal(MapDirectory(tmp_path / "maps").save, "office", SNAPSHOT, MEMORY)
    assert reason == "not_saved" and str(tmp_path / "maps") in text


def test_a_map_that_does_not_fit_its_memory_is_not_saved(maps):
    maps.save("office", SNAPSHOT, MEMORY)
    reason, text = refusal(maps.save, "office", SNAPSHOT, make_memory(views=0))
    assert reason == "not_saved" and "one moment" in text
    assert len(maps.load("office")[1].views) == len(MEMORY.views)


def test_maps_are_kept_with_the_users_data_unless_somebody_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_root() == tmp_path / "ovseg3r" / "maps"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert MapDirectory(Path("~/maps")).root == tmp_path / "maps"
