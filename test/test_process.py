"""The load of a process is what it uses."""

import subprocess
import sys

_MEASURE = """
import numpy as np
from ovseg3r_core.process import ProcessMeter

meter = ProcessMeter()
before = meter.read()
held = np.ones(60_000_000, np.uint8)
for _ in range(10):
    held += 1
after = meter.read()
print(after.memory_mb - before.memory_mb, after.cpu_percent)
"""


def test_memory_grows_with_what_is_held_and_work_takes_processor_time():
    """In a process of its own: one that ran other tests may hold freed memory that is given out again."""
    done = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    grown_mb, cpu_percent = map(float, done.stdout.split())
    assert 50 < grown_mb < 200
    assert cpu_percent > 0
