"""How well mapping keeps up with a camera, without ROS: `bench_live.py RECORDING`, or `--room 0`, a generated one.

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
from types import FrameType

from rich.console import Console
from rich.table import Table

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.live import SWITCH_INTERVAL_S, Arrival, LiveConfig, LivePerception
from ovseg3r_core.masks.aside import MasksAside
from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.proposer import CountsPrompts
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import PerceptionConfig, config_of
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.reconstruction.warm_up import compile_loops
from ovseg3r_core.segmenter_choice import choose_segmenter
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.stage import Stage
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.types import Frame

SAMPLED_EVERY_S = 0.01
ROOM_HZ = 30.0
console = Console(width=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path, nargs="?")
    parser.add_argument("--room", type=int, help="seed of a generated room, walked round twice in 640x480 at 30 Hz")
    parser.add_argument("--seconds", type=float, default=60.0, help="that this walk takes")
    parser.add_argument("--rate", type=float, default=1.0, help="1 is the pace of the recording")
    parser.add_argument("--masks", default="default")
    parser.add_argument("--no-segmenter", action="store_true")
    parser.add_argument("--device", default="cpu", help="of the networks; the surface is fused by the processor")
    parser.add_argument("--keyframe-m", type=float, default=KeyframeConfig().translation_m)
    parser.add_argument("--refine-every", type=int, default=PerceptionConfig().refine_every, help="keyframes")
    parser.add_argument("--where", type=int, default=0, help="lines of each worker that took most time")
    options = parser.parse_args()
    if (options.recording is None) == (options.room is None):
        parser.error("give a recording or a --room")
    frames = frames_of(options.recording, options.room, options.seconds)
    console.print(f"{len(frames)} frames of {frames[0].camera.width}x{frames[0].camera.height}")
    choice = choose_segmenter(off=options.no_segmenter, checkpoint=None, names=(), device=options.device)
    aside = options.device == "cuda"  # as the node has it
    proposer = (MasksAside if aside else build_proposer)(options.masks, device=options.device)
    keyframes = KeyframeConfig(translation_m=options.keyframe_m)
    config = replace(config_of(online=True), keyframes=keyframes, refine_every=options.refine_every)
    perception = Perception(proposer, same_name, config, segmenter=choice.segmenter)
    live = LivePerception(perception, LiveConfig(), lambda _: None, time.time)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    compile_loops()  # as the node does before it listens
    live.start()
    where = Where(live)
    arrive(live, frames, options.rate)
    console.print(f"while frames came: {dict(live.counts)}")
    took = f"{perception.clock.times['segmenter']} times the segmenter, {perception.clock.times['refine']} looks at all"
    prompts = dict(proposer.stats) if isinstance(proposer, CountsPrompts) else ""
    console.print(took, prompts)
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


def frames_of(recording: Path | None, seed: int | None, seconds: float) -> list[Frame]:
    """All frames, so that reading and rendering cost nothing while they arrive."""
    if recording is not None:
        return [item for item in open_sequence(recording).read() if not isinstance(item, Rejected)]
    room = build_room(RoomConfig(seed=seed or 0))
    return list(RoomSequence(room, WalkConfig(frames=round(seconds * ROOM_HZ), rate_hz=ROOM_HZ)).read())


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
                for thread in stage._threads if stage._working else ():
                    if names := _lines_of(stacks.get(thread.ident or 0)):
                        self.lines[stage.name][" < ".join(names[:4])] += 1


def _lines_of(frame: FrameType | None) -> list[str]:
    """What of this package a thread is at, innermost first."""
    names = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if "ovseg3r_core" in path.parts:
            names.append(f"{path.stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return names


if __name__ == "__main__":
    main()
