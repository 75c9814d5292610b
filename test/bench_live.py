"""How well mapping keeps up with a camera, without ROS: `test/bench_live.py RECORDING --rate 1`.

The frames of a recording arrive at their own pace, decoded beforehand, and go through the three workers of the node.
Printed: what was fused, looked at and left out; the age of a frame when it is in the map; seconds by stage; and, with
--where, what each worker was at, sampled a hundred times a second (a wait for a lock shows as the line that waits).
"""

import argparse
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.live import Arrival, LiveConfig, LivePerception
from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.segmenter_choice import choose_segmenter
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.stage import Stage
from ovseg3r_core.types import Frame

SAMPLED_EVERY_S = 0.01
console = Console(width=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--rate", type=float, default=1.0, help="1 is the pace of the recording")
    parser.add_argument("--masks", default="default")
    parser.add_argument("--no-segmenter", action="store_true")
    parser.add_argument("--where", type=int, default=0, help="lines of each worker that took most time")
    options = parser.parse_args()
    frames = [item for item in open_sequence(options.recording).read() if not isinstance(item, Rejected)]
    segmenter = choose_segmenter(off=options.no_segmenter, checkpoint=None, names=(), device="cpu").segmenter
    perception = Perception(build_proposer(options.masks), same_name, config_of(online=True), segmenter=segmenter)
    live = LivePerception(perception, LiveConfig(), lambda _: None, time.time)
    live.start()
    where = Where(live)
    arrive(live, frames, options.rate)
    console.print(f"while frames came: {dict(live.counts)}")
    started = time.perf_counter()
    while live.busy:
        time.sleep(0.1)
    where.stop()
    console.print(f"after {time.perf_counter() - started:.1f} s more: {dict(live.counts)}, left out {dict(live.drops)}")
    fused, looked = live.fused_age_s.summary(), live.looked_age_s.summary()
    console.print(
        f"age in s when fused p50 {fused.p50:.2f} p99 {fused.p99:.2f}, looked at {looked.p50:.2f} {looked.p99:.2f}"
    )
    console.print(f"seconds by stage: { {name: round(s, 1) for name, s in perception.clock.seconds.items()} }")
    console.print(f"{len(live.latest.snapshot.objects)} objects")
    where.tell(options.where)
    live.stop()


def arrive(live: LivePerception, frames: list[Frame], rate: float) -> None:
    """Hand over each frame when it is due, stamped then."""
    start, first_s = time.time(), frames[0].stamp_s
    for frame in frames:
        due = start + (frame.stamp_s - first_s) / rate
        time.sleep(max(due - time.time(), 0.0))
        live.submit(Arrival(sensor=frame.sensor, stamp_ns=0, load=partial(replace, frame, stamp_s=due)))


class Where:
    """Samples what the workers are at."""

    def __init__(self, live: LivePerception) -> None:
        self._stages: tuple[Stage, ...] = live._stages
        self.lines = {stage.name: Counter[str]() for stage in self._stages}
        self._going = True
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._going = False
        self._thread.join()

    def tell(self, most: int) -> None:
        for name, lines in self.lines.items():
            table = Table("share of its time, %", "at", title=name)
            total = sum(lines.values())
            for line, times in lines.most_common(most):
                table.add_row(f"{100 * times / total:.1f}", line)
            if most and total:
                console.print(table)

    def _sample(self) -> None:
        while self._going:
            time.sleep(SAMPLED_EVERY_S)
            stacks = sys._current_frames()
            for stage in self._stages:
                frame = stacks.get(stage._thread.ident) if stage._thread and stage._working else None
                names = []
                while frame is not None:
                    path = Path(frame.f_code.co_filename)
                    if "ovseg3r_core" in path.parts:
                        names.append(f"{path.stem}.{frame.f_code.co_name}:{frame.f_lineno}")
                    frame = frame.f_back
                if names:
                    self.lines[stage.name][" < ".join(names[:4])] += 1


if __name__ == "__main__":
    main()
