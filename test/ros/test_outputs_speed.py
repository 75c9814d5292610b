"""How long a publication takes and how large it is: pytest -m benchmark -s test/ros/test_outputs_speed.py."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from outputs_maps import answer, labelled, large
from rclpy.serialization import serialize_message

from ovseg3r_ros.outputs.clouds import instance_cloud
from ovseg3r_ros.outputs.detections import detection_array
from ovseg3r_ros.outputs.instances import instance_array
from ovseg3r_ros.outputs.markers import marker_array

T = TypeVar("T")


def timed(make: Callable[[], T], times: int = 5) -> tuple[T, float]:
    """What it makes, and the milliseconds of the fastest of a few times."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        made = make()
        took.append(1e3 * (time.perf_counter() - start))
    return made, min(took)


@pytest.mark.benchmark
@pytest.mark.parametrize("points", [100_000, 200_000])
def test_publication_of_a_large_map(points: int):
    map_ = large(objects=1000, points=points)
    hits = tuple((id_, 0.9) for id_ in range(1, 51))
    shown, label_ms = timed(lambda: labelled(map_, answer("seat", 0, *hits)))
    print(f"\n1000 objects, {points} points: labelled map {label_ms:.1f} ms")  # noqa: T201
    for make in (instance_array, instance_cloud, marker_array, detection_array):
        message, make_ms = timed(lambda make=make: make(shown))
        raw, serialise_ms = timed(lambda message=message: serialize_message(message))
        print(f"{make.__name__:16} made {make_ms:6.1f} ms, serialised {serialise_ms:6.1f} ms, {len(raw)} bytes")  # noqa: T201
    assert label_ms < 500


def test_the_cloud_is_28_bytes_a_point_and_little_more():
    raw = serialize_message(instance_cloud(labelled(large(objects=10, points=1000)), background=True))
    assert 28_000 < len(raw) < 28_000 + 512
