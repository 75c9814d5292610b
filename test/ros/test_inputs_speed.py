"""The callbacks of the inputs are cheap: they share a processor with all else that the robot runs."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from harness_messages import camera_info_message, image_message, time_of, transform_message
from inputs_bench import FRAME_ID, MS, START_MS, Bench
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from ovseg3r_core.sequences.bag_messages import read_transforms
from ovseg3r_core.sequences.tf_buffer import TfBuffer
from ovseg3r_core.types import Camera

VGA = Camera(fx=525.0, fy=525.0, cx=320.0, cy=240.0, width=640, height=480)
FRAMES = 300


def header(number: int, frame_id: str = FRAME_ID) -> Header:
    return Header(stamp=time_of((START_MS + 33 * number) * MS), frame_id=frame_id)


def micros(call: Callable[[int], object]) -> float:
    """Median of the time of one call, microseconds."""
    times = []
    for number in range(FRAMES):
        begin = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - begin)
    return float(np.median(times)) * 1e6


@pytest.mark.benchmark
def test_callbacks_take_less_than_a_twentieth_of_a_core(capsys: pytest.CaptureFixture[str]):
    bench = Bench(proving_frames=1)
    color, depth = np.zeros((480, 640, 3), np.uint8), np.full((480, 640), 1000, np.uint16)
    colors = [bytes(serialize_message(image_message(header(i), "rgb8", color))) for i in range(FRAMES)]
    depths = [bytes(serialize_message(image_message(header(i), "16UC1", depth))) for i in range(FRAMES)]
    infos = [bytes(serialize_message(camera_info_message(header(i), VGA))) for i in range(FRAMES)]
    moves = [bytes(serialize_message(transform_message(header(i, "map"), FRAME_ID, np.eye(4)))) for i in range(FRAMES)]
    tree = TfBuffer()

    def take_pair(number: int) -> None:
        bench.pipeline.take_image("color", colors[number], compressed=False)
        bench.pipeline.take_image("depth", depths[number], compressed=False)

    def take_transform(number: int) -> None:
        for parent, child, stamp_ns, T in read_transforms(moves[number]):
            tree.insert(parent, child, stamp_ns, T)

    cost = {
        "CameraInfo": micros(lambda number: bench.pipeline.take_info(infos[number])),
        "colour and depth, with pose and proof": micros(take_pair),
        "transform": micros(take_transform),
        "pose": micros(
            lambda number: tree.lookup("map", FRAME_ID, (START_MS + 33 * number + 1) * MS) if number < 299 else 0
        ),
        "no frame waits": micros(lambda number: bench.pipeline.advance()),
        "decode and check": micros(lambda number: bench.load(number % 50)),
        "health": micros(lambda number: bench.health),
    }
    with capsys.disabled():
        print("".join(f"\n{what}: {us:.0f} us" for what, us in cost.items()))  # noqa: T201
    assert len(bench.delivered) == FRAMES
    pairs, transforms = (
        cost["colour and depth, with pose and proof"] + cost["CameraInfo"] + cost["pose"],
        cost["transform"],
    )
    assert (30 * pairs + 200 * transforms) / 1e6 < 0.05
