"""Which frames are keyframes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import AnalyticScene, box_room, look_at

from ovseg3r_core.reconstruction.keyframes import KeyframeConfig, KeyframeSelector


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=8, width=320, height=240)


def test_first_frame_is_a_keyframe_and_standing_still_gives_no_more(room):
    selector = KeyframeSelector()
    assert [selector.accepts(room.frames[0]) for _ in range(5)] == [True] + [False] * 4


def test_frames_far_apart_are_all_keyframes(room):
    selector = KeyframeSelector()
    assert all(selector.accepts(frame) for frame in room.frames)  # 13 degrees and 0.5 m apart


def test_a_dense_sequence_keeps_keyframes_at_the_configured_distance():
    poses = [look_at((2.0, y, 1.2), (0, y, 0.3)) for y in np.arange(0, 1.0, 0.01)]
    selector = KeyframeSelector(KeyframeConfig(translation_m=0.2, sharpness_ratio=0.0))
    kept = [frame.index for frame in box_room(poses=poses).frames if selector.accepts(frame)]
    assert len(kept) == 5 and set(np.diff(kept)) <= {20, 21}


def test_a_blurred_frame_waits_for_a_sharp_one():
    frames = box_room(poses=[look_at((2.0, y, 1.2), (0, y, 0.3)) for y in np.arange(0, 0.5, 0.02)]).frames
    blurred = {i: replace(frames[i], color=cv2.blur(frames[i].color, (9, 9))) for i in (10, 11)}
    frames = [blurred.get(frame.index, frame) for frame in frames]
    selector = KeyframeSelector(KeyframeConfig(translation_m=0.199))
    kept = [frame.index for frame in frames if selector.accepts(frame)]
    assert kept[:2] == [0, 12]


def test_blur_that_does_not_end_is_accepted_before_the_view_is_lost():
    frames = box_room(poses=[look_at((2.0, y, 1.2), (0, y, 0.3)) for y in np.arange(0, 0.5, 0.02)]).frames
    frames = frames[:8] + [replace(frame, color=cv2.blur(frame.color, (9, 9))) for frame in frames[8:]]
    selector = KeyframeSelector(KeyframeConfig(translation_m=0.199, patience=1.5))
    kept = [frame.index for frame in frames if selector.accepts(frame)]
    assert kept[1] in (14, 15, 16)  # 1.5 times 0.2 m at most, sooner once blur has become usual


@pytest.mark.parametrize(
    "bad", [{"translation_m": 0.0}, {"rotation_rad": -1.0}, {"sharpness_ratio": 2.0}, {"patience": 0.5}]
)
def test_keyframe_config_names_the_value_it_refuses(bad):
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        KeyframeConfig(**bad)
