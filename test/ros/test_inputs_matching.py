"""Colour and depth are paired by stamp; whatever finds no partner is counted."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovseg3r_core.sequences.association import associate
from ovseg3r_ros.inputs.stamp_jumps import StampJumps
from ovseg3r_ros.inputs.stamp_matcher import Kind, Pair, StampMatcher

MS = 10**6
START = 1000 * 10**9

arrivals = st.lists(
    st.tuples(st.sampled_from(["color", "depth"]), st.integers(min_value=-1, max_value=400)), max_size=120
)


def matcher(slop_ms: int = 20, queue: int = 10) -> StampMatcher[int]:
    return StampMatcher(slop_s=slop_ms / 1000, queue=queue)


def feed(it: StampMatcher[int], *messages: tuple[Kind, int]) -> list[tuple[int, int]]:
    """Stamps in ms of all pairs that come of these messages."""
    pairs: list[Pair[int]] = []
    for kind, stamp_ms in messages:
        pairs += it.add(kind, stamp_ms * MS, stamp_ms)
    return [(pair.color, pair.depth) for pair in pairs]


@given(arrivals, st.integers(0, 40), st.integers(1, 6))
def test_every_image_is_paired_dropped_or_waiting(messages: list[tuple[Kind, int]], slop_ms: int, queue: int):
    it = matcher(slop_ms, queue)
    for count, message in enumerate(messages, 1):
        feed(it, message)
        added = Counter(kind for kind, _ in messages[:count])
        for kind in ("color", "depth"):
            assert added[kind] == it.paired + it.dropped[kind].total() + it.waiting(kind)
            assert it.waiting(kind) <= queue


@given(arrivals, st.integers(0, 40))
def test_pairs_lie_within_the_slop_leave_in_order_and_use_nothing_twice(messages: list[tuple[Kind, int]], slop_ms: int):
    pairs = feed(matcher(slop_ms), *messages)
    assert all(abs(color - depth) <= slop_ms for color, depth in pairs)
    for stamps in zip(*pairs, strict=True):
        assert list(stamps) == sorted(set(stamps))


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.booleans(), st.booleans()), min_size=3, max_size=60), st.integers(-8, 8)
)
def test_live_pairs_are_those_of_a_recording(frames: list[tuple[int, bool, bool]], skew_ms: int):
    """A jittering stream with losses is paired as `associate` pairs the whole recording, which sees the future."""
    messages: list[tuple[Kind, int]] = []
    for number, (jitter, color, depth) in enumerate(frames):
        base = 1000 + 33 * number
        parts: list[tuple[Kind, int]] = [("color", base)] * color + [("depth", base + skew_ms + jitter)] * depth
        messages += sorted(parts, key=lambda part: part[1])
    color_ns, depth_ns = (
        np.array([stamp * MS for which, stamp in messages if which == kind], dtype=np.int64)
        for kind in ("color", "depth")
    )
    partners = associate(color_ns, depth_ns, 0.015)
    offline = [
        (int(color_ns[i]) // MS, int(depth_ns[partner]) // MS) for i, partner in enumerate(partners) if partner >= 0
    ]
    live = feed(matcher(15), *messages)
    assert live == offline[: len(live)]
    assert len(live) >= len(offline) - 1  # the last may wait for what can still come


def test_a_nearer_image_that_is_still_to_come_is_waited_for():
    it = matcher()
    assert feed(it, ("color", 1000), ("depth", 1012)) == []
    assert feed(it, ("color", 1015)) == []  # and for a depth image nearer to that one
    assert feed(it, ("depth", 1046)) == [(1015, 1012)]
    assert it.dropped["color"] == {"no_depth": 1}


def test_no_wait_where_the_stream_is_too_slow_to_bring_a_nearer_one():
    it = matcher()
    feed(it, ("color", 900), ("depth", 900), ("color", 933), ("depth", 933), ("color", 966), ("depth", 966))
    assert feed(it, ("color", 1000), ("depth", 1012)) == [(1000, 1012)]


def test_equal_stamps_pair_at_once():
    assert feed(matcher(slop_ms=0), ("depth", 1000), ("color", 1000)) == [(1000, 1000)]


def test_images_out_of_order_still_find_their_partner():
    pairs = feed(matcher(), ("color", 1033), ("color", 1000), ("depth", 1000), ("depth", 1033))
    assert pairs == [(1000, 1000), (1033, 1033)]


def test_each_drop_has_its_reason():
    it = matcher(queue=2)
    feed(it, ("color", 0), ("color", 1000), ("color", 1000), ("depth", 1000), ("color", 1000), ("color", 900))
    assert it.dropped["color"] == {"zero_stamp": 1, "duplicate_stamp": 2, "late": 1}
    feed(it, ("depth", 1033), ("depth", 1066), ("depth", 1100))
    assert it.dropped["depth"] == {"no_color": 1}
    it.clear("time_jump")
    assert it.dropped["depth"] == {"no_color": 1, "time_jump": 2}
    assert feed(it, ("color", 10), ("depth", 10)) == [(10, 10)]


def test_one_stamp_from_the_future_costs_one_image():
    it = matcher(queue=3)
    feed(it, ("color", 10**6))
    stamps = range(1000, 2000, 33)
    pairs = feed(it, *(message for stamp in stamps for message in (("color", stamp), ("depth", stamp))))
    assert pairs == [(stamp, stamp) for stamp in stamps]


def jumps(*stamps_s: float) -> list[float]:
    it = StampJumps()
    return [it.back_by_s(START + round(stamp * 1e9)) for stamp in stamps_s]


def test_stamps_that_start_over_are_a_jump():
    assert jumps(0, 10, 10.1, 0, 0.1, 0.2) == [0, 0, 0, 0, pytest.approx(10.0), 0]


def test_a_stream_of_one_image_in_three_seconds_also_shows_its_jump():
    assert jumps(0, 3, 6, 9, 12, 0, 3, 6)[-2:] == [pytest.approx(9.0), 0]


def test_a_stray_stamp_is_no_jump_whichever_way_it_strays():
    assert not any(jumps(0, 0.1, 300, 0.2, 0.3, -300, 0.4, 0.5))


def test_a_pause_is_no_jump():
    assert not any(jumps(0, 0.1, 60, 60.1, 60.2, 60.0, 60.3))


def test_images_out_of_order_by_less_than_a_second_are_no_jump():
    assert not any(jumps(0, 1, 0.5, 0.6, 1.1))
