"""Samples of models in one file: what is kept of a model, and scenes composed of it."""

from collections.abc import Sequence

import numpy as np
import pytest
from safetensors.numpy import save_file

from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_train.sampled.bench import box, main
from ovseg3r_train.sampled.model_library import (
    ModelLibrary,
    Placement,
    build_library,
    compose,
    load_library,
    save_library,
)
from ovseg3r_train.sampled.surface_samples import sample_parts

RED, GREEN = (200, 20, 20), (20, 200, 20)


def crate(size_m: float, color: tuple[int, int, int] = RED) -> list[Part]:
    half = size_m / 2
    return box(floats([-half, -half, 0]), floats([half, half, size_m]), color)


def floats(values: Sequence[Sequence[float]] | Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@pytest.fixture(scope="module")
def library() -> ModelLibrary:
    hidden = box(floats([-0.1, -0.1, 0.2]), floats([0.1, 0.1, 0.4]), GREEN)
    return build_library({"crate": [*crate(0.6), *hidden], "cup": crate(0.08)}, budget_bytes=120_000)


def test_what_is_inside_a_model_is_left_out(library):
    assert (library.model("crate").color == RED).all()


def test_a_library_keeps_its_budget_and_gives_small_models_finer_samples(library):
    assert 100_000 < 12 * len(library.xyz) <= 120_000
    assert len(library.model("cup")) > 500
    assert library.model("cup").spacing_m[0] < library.model("crate").spacing_m[0]


def test_quantised_samples_lie_on_the_model(library):
    samples = library.model("crate")
    off = np.abs(np.stack([samples.xyz[:, 0] + 0.3, samples.xyz[:, 0] - 0.3, samples.xyz[:, 1] + 0.3]))
    ends = np.abs(np.stack([samples.xyz[:, 1] - 0.3, samples.xyz[:, 2], samples.xyz[:, 2] - 0.6]))
    assert np.minimum(off.min(axis=0), ends.min(axis=0)).max() < 1e-4
    np.testing.assert_allclose(np.linalg.norm(samples.normal, axis=1), 1, atol=1e-5)


def test_models_are_moved_rigidly_to_their_places(library):
    T = np.array([[0.0, -1, 0, 2], [1, 0, 0, 3], [0, 0, 1, 0.5], [0, 0, 0, 1]])
    shell = sample_parts([(0, part) for part in crate(4.0)], 0.1)
    scene = compose([Placement(model="cup", instance=7, T_map_model=T)], library, [shell])
    cup = scene.at(scene.instance == 7)
    assert len(scene) == len(shell) + len(library.model("cup"))
    np.testing.assert_allclose(cup.xyz.min(axis=0), (1.96, 2.96, 0.5), atol=2e-3)
    top = library.model("cup").normal[:, 0] > 0.99
    np.testing.assert_allclose(cup.normal[top], [(0, 1, 0)] * top.sum(), atol=0.02)


def test_a_library_comes_back_as_it_was_saved(library, tmp_path):
    save_library(library, tmp_path / "models.safetensors")
    again = load_library(tmp_path / "models.safetensors")
    assert again.names == library.names
    np.testing.assert_array_equal(again.model("crate").xyz, library.model("crate").xyz)


def test_another_file_is_refused(tmp_path):
    save_file({"xyz": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other.safetensors is no library of models"):
        load_library(tmp_path / "other.safetensors")


def test_unknown_models_and_small_budgets_are_refused(library):
    with pytest.raises(KeyError, match="no model 'sofa' among the 2"):
        library.model("sofa")
    with pytest.raises(ValueError, match="too few for 1 models of 800: raise budget_bytes"):
        build_library({"crate": crate(0.6)}, budget_bytes=1000)


def test_the_bench_runs_without_furniture(library, tmp_path, capsys):
    save_library(library, tmp_path / "models.safetensors")
    few = ["--device", "cpu", "--views", "2", "--repeats", "1", "--spacing", "0.05", "--shrink", "8"]
    main(["--library", str(tmp_path / "models.safetensors"), *few])
    out = capsys.readouterr().out
    assert "cpu: " in out and all(stage in out for stage in ("draw", "fuse", "extract", "masks", "a scene"))
