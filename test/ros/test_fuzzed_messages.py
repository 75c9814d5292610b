"""Messages whose bytes were cut, flipped and overwritten: used, or counted under a reason; nothing else is raised."""

import numpy as np
from fuzzed import changed_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs_bench import START_MS, Bench, color_bytes, depth_bytes, info_bytes, proven

from ovseg3r_core.checks import Rejected
from ovseg3r_ros.faults import WORDS, read_fault

AT_MS = START_MS + 33


def taken_or_refused(bench: Bench) -> None:
    """Every frame that is delivered is sound, or refused when it is loaded."""
    assert bench.health.unexplained("color") == bench.health.unexplained("depth") == 0
    for _, _, load in bench.delivered:
        try:
            frame = load()
        except Rejected as refused:
            assert refused.reason
            continue
        assert np.isfinite(frame.depth_m).all()
        assert frame.color.shape[:2] == frame.depth_m.shape
        assert np.isfinite(frame.T_map_camera).all()


@settings(max_examples=150)
@given(color=changed_bytes(color_bytes(AT_MS)), depth=st.just(depth_bytes(AT_MS)) | changed_bytes(depth_bytes(AT_MS)))
def test_images_of_any_bytes(color: bytes, depth: bytes):
    bench = proven()
    bench.pipeline.take_image("depth", depth, compressed=False)
    bench.pipeline.take_image("color", color, compressed=False)
    taken_or_refused(bench)


@settings(max_examples=150)
@given(info=changed_bytes(info_bytes(AT_MS)))
def test_calibrations_of_any_bytes(info: bytes):
    bench = proven()
    bench.pipeline.take_info(info)
    bench.shoot(66, 99)
    taken_or_refused(bench)


@given(st.text(max_size=40) | st.lists(st.sampled_from(["off", "slow", "3", "from", "to", "nan", "-1"])).map(" ".join))
def test_any_fault_is_read_or_refused(text: str):
    try:
        spec = read_fault(text)
    except ValueError as refused:
        assert str(refused)
        return
    assert spec.word in WORDS
    assert 0 <= spec.from_s < spec.to_s
    assert callable(spec.make())
