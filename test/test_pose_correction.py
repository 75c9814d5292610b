"""How wrong poses were, over time, and when a SLAM system's word on its keyframes moves a map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.geometry import pose_distance
from ovseg3r_core.pose_correction import KeyframePoses, PoseCorrection

MIN_M, MIN_RAD = 0.02, 0.0175
numbers = st.floats(-3, 3)


@st.composite
def poses(draw: st.DrawFn) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(draw(st.tuples(numbers, numbers, numbers))).as_matrix()
    T[:3, 3] = draw(st.tuples(numbers, numbers, numbers))
    return T


def shifted(*xyz: float, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("z", yaw).as_matrix(), xyz
    return T


@given(st.lists(st.tuples(poses(), poses()), min_size=1, max_size=5))
def test_known_poses_are_corrected_exactly_and_all_others_stay_rigid(pairs):
    before, after = ({float(i): pair[which] for i, pair in enumerate(pairs)} for which in (0, 1))
    correction = PoseCorrection.between(before, after)
    for stamp_s, T in before.items():
        np.testing.assert_allclose(correction.corrected(stamp_s, T), after[stamp_s], atol=1e-9)
        check_pose(correction.corrected(stamp_s + 0.3, T))


@given(poses(), poses(), st.floats(-10, 10))
def test_one_correction_holds_at_all_times(T, moved, stamp_s):
    correction = PoseCorrection(stamps_s=np.array([0.0]), T_map_before=moved[None])
    np.testing.assert_allclose(correction.corrected(stamp_s, T), moved @ T, atol=1e-9)


def test_between_two_keyframes_a_correction_is_interpolated_about_the_camera():
    """Ten metres from the map's origin half of a turn must not swing the camera round the origin."""
    T = shifted(10.0, 0.0, 0.0)
    turned = shifted(10.0, 1.0, 0.0, yaw=0.4)
    correction = PoseCorrection.between({0.0: T, 1.0: T}, {0.0: T, 1.0: turned})
    np.testing.assert_allclose(correction.corrected(0.5, T), shifted(10.0, 0.5, 0.0, yaw=0.2), atol=1e-9)


@pytest.mark.parametrize("stamps", [[], [1.0, 1.0], [2.0, 1.0], [np.nan], [np.inf]])
def test_times_that_do_not_rise_are_refused(stamps):
    with pytest.raises(Rejected, match="rising") as refused:
        PoseCorrection(stamps_s=np.array(stamps, float), T_map_before=np.tile(np.eye(4), (len(stamps), 1, 1)))
    assert refused.value.reason == "bad_stamp"


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan), 2 * np.eye(4), np.diag([-1.0, 1, 1, 1])])
def test_poses_that_are_none_are_refused_and_nothing_is_remembered(bad):
    keyframes = KeyframePoses(min_m=MIN_M, min_rad=MIN_RAD)
    keyframes.take({0.0: np.eye(4)})
    for take in (
        lambda: keyframes.take({0.0: shifted(1.0, 0, 0), 1.0: bad}),
        lambda: PoseCorrection(stamps_s=np.array([0.0]), T_map_before=bad[None]),
    ):
        with pytest.raises(Rejected) as refused:
            take()
        assert refused.value.reason == "bad_pose"
    assert keyframes.take({0.0: np.eye(4), 1.0: np.eye(4)}) is None


def test_the_first_word_on_a_keyframe_corrects_nothing_and_a_later_one_does():
    keyframes = KeyframePoses(min_m=MIN_M, min_rad=MIN_RAD)
    assert keyframes.take({0.0: np.eye(4), 1.0: shifted(1, 0, 0)}) is None
    assert keyframes.take({0.0: np.eye(4), 1.0: shifted(1, 0, 0), 2.0: shifted(2, 0, 0)}) is None
    closed = {0.0: np.eye(4), 1.0: shifted(1, 0.25, 0), 2.0: shifted(2, 0.5, 0), 3.0: shifted(3, 0.5, 0)}
    correction = keyframes.take(closed)
    assert correction is not None
    assert correction.stamps_s.tolist() == [0.0, 1.0, 2.0]
    for stamp_s, T in ((0.0, np.eye(4)), (1.0, shifted(1, 0, 0)), (2.0, shifted(2, 0, 0))):
        np.testing.assert_allclose(correction.corrected(stamp_s, T), closed[stamp_s], atol=1e-12)
    assert keyframes.take(closed) is None


def test_small_changes_add_up_until_they_move_the_map():
    keyframes = KeyframePoses(min_m=MIN_M, min_rad=MIN_RAD)
    taken = [keyframes.take({0.0: shifted(0.006 * step, 0, 0)}) for step in range(6)]
    (correction,) = (it for it in taken if it is not None)
    assert taken.index(correction) == 4
    assert pose_distance(np.eye(4), correction.T_map_before[0])[0] == pytest.approx(0.024)


def test_a_turn_alone_moves_the_map():
    keyframes = KeyframePoses(min_m=MIN_M, min_rad=MIN_RAD)
    keyframes.take({0.0: np.eye(4)})
    assert keyframes.take({0.0: shifted(0, 0, 0, yaw=0.017)}) is None
    assert keyframes.take({0.0: shifted(0, 0, 0, yaw=0.018)}) is not None


def test_what_was_forgotten_corrects_nothing():
    keyframes = KeyframePoses(min_m=MIN_M, min_rad=MIN_RAD)
    keyframes.take({0.0: np.eye(4)})
    keyframes.reset()
    assert keyframes.take({0.0: shifted(1, 0, 0)}) is None
    assert keyframes.take({}) is None
