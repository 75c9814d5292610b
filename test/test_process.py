"""The load of a process is what it uses."""

import numpy as np

from ovseg3r_core.process import ProcessMeter


def test_memory_grows_with_what_is_held_and_work_takes_processor_time():
    meter = ProcessMeter()
    before = meter.read()
    held = np.ones(60_000_000, np.uint8)
    for _ in range(10):
        held += 1
    after = meter.read()
    assert 50 < after.memory_mb - before.memory_mb < 200
    assert after.cpu_percent > 0
