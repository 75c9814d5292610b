"""Hours of driving round the same place, loops closed all the while: `python test/ros/bench_soak.py --minutes 60`.

The camera of the tests goes to and fro along its arc. On the way its poses drift, by 0.3 m and 5 degrees; at the end of
each lap a SLAM system says where all of its keyframes really were, and poses are right again. The node is the real one,
over DDS, with the masks of the things' paint. Then the robot rests for three seconds, and it is noted what the node
uses, how old frames are when they are mapped, how soon questions are answered, and whether each thing is there once,
under its id. Each line is written as it is measured, so that a soak that is cut still counts.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from harness_camera import THINGS, ScriptedCamera, Shot, walk
from harness_messages import path_message
from harness_perception import Perception, values_of
from harness_robot import Robot
from jaxtyping import Float64
from nav_msgs.msg import Path as PosePath
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scipy.spatial.transform import Rotation

from ovseg3r_ros.latched import latched

DRIFT_M, DRIFT_RAD = 0.3, np.radians(5.0)
SLAM_EVERY = 5  # frames: a SLAM system keeps fewer of them than the camera sends
REMEMBERED = 400  # keyframes of SLAM, whose working memory has an end too
REST_S = 3.0  # enough for the corrected surface to be made anew
QUESTIONS = 10
PARAMETERS = {"settle_s": 1.0, "min_interval_s": 0.5, "keyframes.translation_m": 0.4, "keyframes.rotation_rad": 0.2}
"""One keyframe in four frames or so; the rest is as in all tests."""
console = Console(width=150)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the node was like at one moment."""

    minutes: float
    resident_mb: float
    cpu_s: float
    threads: int
    files: int
    fused: int
    looked: int
    dropped: int
    corrections: int
    objects: int
    missing: str
    """Things that have no object now."""
    strangers: int
    """Objects beyond one of each thing, or under another id than after the first lap."""
    fused_age_p99_ms: float
    question_p50_ms: float
    question_worst_ms: float


class DriftingRobot:
    """Sends frames, each posed a little worse than the one before, and sets all right at the end of a lap."""

    def __init__(self, robot: Robot, camera: ScriptedCamera) -> None:
        self._camera, self._lap = camera, walk()
        self._slam = robot.client.node.create_publisher(PosePath, "/keyframe_poses", latched())
        self._true: dict[int, Float64[ndarray, "4 4"]] = {}
        self._said: dict[int, Float64[ndarray, "4 4"]] = {}

    def drive_a_lap(self, hz: float) -> None:
        """Send the frames of a lap, then the poses of all keyframes as they were thought to be, and as they are."""
        for place, shot in enumerate(self._lap):
            start = time.monotonic()
            T_said_true = drift(place / len(self._lap))
            self._shoot(shot, T_said_true @ shot.T_map_camera, keyframe=place % SLAM_EVERY == 0)
            time.sleep(max(0.0, start + 1 / hz - time.monotonic()))
        self._slam.publish(path_message(self._said))
        self._slam.publish(path_message(self._true))
        self._said = dict(self._true)

    def _shoot(self, shot: Shot, T_map_camera: Float64[ndarray, "4 4"], *, keyframe: bool) -> None:
        self._camera.show([replace(shot, T_map_camera=T_map_camera)])
        stamp_ns = self._camera.shoot()
        if keyframe:
            self._true[stamp_ns], self._said[stamp_ns] = shot.T_map_camera, T_map_camera
            for known in (self._true, self._said):
                while len(known) > REMEMBERED:
                    known.pop(next(iter(known)))


def drift(share: float) -> Float64[ndarray, "4 4"]:
    """How wrong poses are after some share of a lap."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", DRIFT_RAD * share).as_matrix()
    T[0, 3] = DRIFT_M * share
    return T


def measure(node: Perception, ids: dict[str, int], started_s: float, question: Iterator[int]) -> Sample:
    """Look at the node; costs ten questions and two pages of diagnostics."""
    taken = []
    for _ in range(QUESTIONS):
        start = time.perf_counter()
        node.query(f"something red, number {next(question)}", top_k=3)
        taken.append(1000 * (time.perf_counter() - start))
    found = node.list_objects(page_size=1000).objects
    known = {it.label: it.id for it in found}
    strangers = len(found) - len(known) + sum(ids.setdefault(label, id_) != id_ for label, id_ in known.items())
    message = node.diagnostics.wait_for("diagnostics", after=len(node.diagnostics.messages))
    values = {key: value for status in message.status for key, value in values_of(status).items()}
    use = node.program.usage()
    node.diagnostics.messages.clear()
    node.instances.messages.clear()
    return Sample(
        minutes=(time.monotonic() - started_s) / 60,
        resident_mb=use.resident_mb,
        cpu_s=use.cpu_s,
        threads=use.threads,
        files=use.files,
        fused=int(values["count: fused"]),
        looked=int(values["count: looked"]),
        dropped=sum(node.drops().values()),
        corrections=int(values["corrections of poses"]),
        objects=len(found),
        missing=" ".join(sorted(set(THINGS) - set(known))),
        strangers=strangers,
        fused_age_p99_ms=1000 * float(values["fused: age p99 [s]"]),
        question_p50_ms=float(np.median(taken)),
        question_worst_ms=max(taken),
    )


def summary(samples: list[Sample], parts: int = 6) -> Table:
    """Means over equal parts of the time."""
    names = [name for name in Sample.__dataclass_fields__ if name != "missing"]
    table = Table(*names, "samples that lack a thing")
    for part in np.array_split(np.array(samples, object), parts):
        if len(part):
            means = (np.mean([getattr(sample, name) for sample in part]) for name in names)
            table.add_row(*(f"{mean:.1f}" for mean in means), str(sum(bool(sample.missing) for sample in part)))
    return table


def slope_mb_an_hour(samples: list[Sample], after_share: float) -> float:
    """Of the memory, by least squares, without the first share of the time."""
    late = samples[int(after_share * len(samples)) :]
    return 60 * float(np.polyfit([it.minutes for it in late], [it.resident_mb for it in late], 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--hz", type=float, default=5.0)
    parser.add_argument("--max-views", type=int, default=100, help="keyframes kept: the budget is met early")
    parser.add_argument("--out", type=Path, default=Path("soak.csv"))
    options = parser.parse_args()
    samples, ids, question = list[Sample](), dict[str, int](), count()
    with Robot() as robot, options.out.open("w", newline="") as file:
        node = robot.perception(PARAMETERS | {"max_views": options.max_views}, arguments=["--painted"])
        camera = robot.camera()
        camera.wait_until_heard()
        drifting, started_s = DriftingRobot(robot, camera), time.monotonic()
        writer = csv.DictWriter(file, list(Sample.__dataclass_fields__))
        writer.writeheader()
        while time.monotonic() - started_s < 60 * options.minutes:
            drifting.drive_a_lap(options.hz)
            time.sleep(REST_S)
            samples.append(measure(node, ids, started_s, question))
            writer.writerow(asdict(samples[-1]))
            file.flush()
        assert set(THINGS) <= set(ids), ids
    console.print(summary(samples))
    for share in (0.25, 0.5):
        console.print(f"memory, without the first {share:.0%}: {slope_mb_an_hour(samples, share):+.1f} MB an hour")


if __name__ == "__main__":
    main()
