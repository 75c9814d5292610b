"""Two sets of points brought together: exactly, against outliers, and refused where they leave it open."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ovseg3r_core.alignment import IDENTITY, Similarity, fit, fit_most, upright
from ovseg3r_core.evaluation.trajectory_error import trajectory_error

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=12, deadline=None)


@st.composite
def similarities(draw) -> Similarity:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", [draw(st.floats(-3, 3)) for _ in range(3)]).as_matrix()
    T[:3, 3] = [draw(st.floats(-20, 20)) for _ in range(3)]
    return Similarity(scale=draw(st.floats(0.05, 20)), T_b_a=T)


def cloud(seed: int, points: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(points, 3)) * (2.0, 1.0, 0.5)


def same(a: Similarity, b: Similarity, atol: float = 1e-7) -> bool:
    return bool(np.isclose(a.scale, b.scale, rtol=atol) and np.allclose(a.T_b_a, b.T_b_a, atol=20 * atol))


@given(similarities(), seeds)
def test_a_similarity_is_found_from_exact_pairs(it, seed):
    a = cloud(seed)
    assert same(fit(a, it.points(a), scaled=True), it)
    rigid = Similarity(scale=1.0, T_b_a=it.T_b_a)
    assert same(fit(a, rigid.points(a), scaled=False), rigid)


@given(similarities(), seeds)
def test_three_pairs_are_enough_and_a_mirror_image_is_never_made(it, seed):
    a = cloud(seed, 3)
    assert np.allclose(fit(a, it.points(a), scaled=True).points(a), it.points(a), atol=1e-6)
    mirrored = fit(cloud(seed), cloud(seed) * (1, 1, -1), scaled=False)
    assert np.linalg.det(mirrored.T_b_a[:3, :3]) == pytest.approx(1.0)


@few
@given(similarities(), seeds, st.booleans())
def test_four_wrong_pairs_of_ten_make_no_difference(it, seed, scaled):
    it = it if scaled else Similarity(scale=1.0, T_b_a=it.T_b_a)
    rng = np.random.default_rng([seed, 1])
    a = cloud(seed, 100)
    b = it.points(a)
    wrong = rng.permutation(100) < 40
    b[wrong] += it.scale * rng.normal(size=(40, 3)) * 5
    found = fit_most(a, b, scaled=scaled, within=it.scale * 1e-3)
    assert same(found.similarity, it)
    assert not (~found.agree & ~wrong).any() and found.rms < it.scale * 1e-3


@few
@given(similarities(), seeds)
def test_noise_is_averaged_and_outliers_are_left_out(it, seed):
    rng = np.random.default_rng([seed, 1])
    a = cloud(seed, 3000)  # more than are judged by
    b = it.points(a + rng.normal(size=a.shape) * 0.01)
    b[:1200] = it.points(rng.uniform(-6, 6, (1200, 3)))
    found = fit_most(a, b, scaled=True, within=0.04 * it.scale)
    assert found.agree[1200:].mean() > 0.97 and found.agree[:1200].mean() < 0.05
    assert found.similarity.scale == pytest.approx(it.scale, rel=2e-3)
    again = fit_most(a, b, scaled=True, within=0.04 * it.scale)
    assert again.similarity.scale == found.similarity.scale and (again.agree == found.agree).all()


@given(similarities(), similarities(), seeds)
def test_similarities_are_undone_chained_and_move_cameras_with_their_points(one, two, seed):
    a = cloud(seed)
    assert np.allclose(one.inverse().points(one.points(a)), a, atol=1e-6)
    assert np.allclose(two.after(one).points(a), two.points(one.points(a)), atol=1e-5)
    assert np.array_equal(IDENTITY.points(a), a)
    in_camera = np.array([0.1, 0.2, 1.0])
    in_a = two.T_b_a[:3, :3] @ in_camera + two.T_b_a[:3, 3]
    T = one.pose(two.T_b_a)
    assert np.allclose(T[:3, :3] @ (one.scale * in_camera) + T[:3, 3], one.points(in_a), atol=1e-6)
    assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)


LINE = np.outer(np.arange(10.0), [1.0, 2.0, -1.0])


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (cloud(0, 2), cloud(0, 2), "2 pairs"),
        (cloud(0, 0), cloud(0, 0), "0 pairs"),
        (LINE, cloud(0, 10), "first side lie in a line"),
        (cloud(0, 10), LINE + 3.0, "second side lie in a line"),
        (np.ones((10, 3)), cloud(0, 10), "first side lie at one place"),
        (cloud(0, 10), np.full((10, 3), 1e3), "second side lie at one place"),
        (np.full((4, 3), np.nan), cloud(0, 4), "not finite"),
    ],
)
def test_what_leaves_the_transform_open_is_refused_with_the_reason(a, b, says, scaled):
    for attempt in (fit, lambda *pair, scaled: fit_most(*pair, scaled=scaled, within=0.1)):
        with pytest.raises(ValueError, match=says):
            attempt(a, b, scaled=scaled)


def test_pairs_that_have_nothing_in_common_are_refused():
    with pytest.raises(ValueError, match="of 50 pairs agree"):
        fit_most(cloud(1, 50), cloud(2, 50), scaled=True, within=1e-3, fewest=10)
    line_and_noise = np.concatenate([LINE * 10, cloud(0, 4)])  # ten agree, in a line: no turn to be had from them
    moved = np.concatenate([LINE * 10 + 1.0, cloud(3, 4) * 50])
    with pytest.raises(ValueError, match=r"agree on a transform|in a line"):
        fit_most(line_and_noise, moved, scaled=False, within=1e-3, fewest=8)


def test_a_trajectory_without_metres_is_compared_at_the_scale_that_fits():
    rng = np.random.default_rng(0)
    true = {}
    for i, centre in enumerate(cloud(0, 20)):
        true[i] = np.eye(4)
        true[i][:3, :3], true[i][:3, 3] = Rotation.from_rotvec(rng.normal(size=3)).as_matrix(), centre
    other = Similarity(scale=0.3, T_b_a=true[3])
    estimated = {i: other.pose(T) for i, T in true.items()}
    error = trajectory_error(estimated, true, scaled=True)
    assert error and error.ate_m < 1e-9 and error.rpe_m < 1e-9 and error.scale == pytest.approx(1 / 0.3)
    rigid = trajectory_error(estimated, true)
    assert rigid and rigid.ate_m > 0.5 and rigid.scale == 1.0
    with pytest.raises(ValueError, match="no scale"):
        trajectory_error({i: np.eye(4) for i in true}, true, scaled=True)


def test_a_straight_drive_has_an_error_too():
    true, late = {}, {}
    for i in range(5):
        true[i], late[i] = np.eye(4), np.eye(4)
        true[i][0, 3], late[i][0, 3] = i, i + 0.1 * (i % 2)
    error = trajectory_error(late, true)
    assert error and error.ate_m == pytest.approx(np.std([0, 0.1, 0, 0.1, 0]), abs=0.005)


@given(similarities(), seeds)
def test_up_becomes_z_by_floors_and_table_tops(it, seed):
    rng = np.random.default_rng(seed)
    R = it.T_b_a[:3, :3]
    floor = np.array([0, 0, 1.0]) + rng.normal(size=(400, 3)) * 0.02
    walls = np.array([1.0, 0, 0]) + rng.normal(size=(900, 3)) * 0.02
    tilted = np.array([[0.3, 0.1, 1.0], [0.2, -0.1, 1.0]])  # of the cameras, which look down a little
    T = upright(np.concatenate([floor, walls]) @ R.T, tilted @ R.T)
    assert np.allclose(T[:3, :3] @ R @ [0, 0, 1], [0, 0, 1], atol=0.02)
