"""`ovseg3r view`: a map in the Rerun viewer, in a window or, on a machine without a screen, for its browser."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.visual.recording import write_recording


def view_map(snapshot: MapSnapshot) -> None:
    """Shows a map until the viewer is closed."""
    with TemporaryDirectory(prefix="ovseg3r-view-") as folder:
        recording = Path(folder) / "map.rrd"
        write_recording(recording, snapshot.cloud, snapshot.instance(), snapshot.objects, up=snapshot.up)
        show_recording(recording, Path(folder) / "config")


def show_recording(recording: Path, config: Path) -> None:
    """Runs the viewer on a recording.

    Args:
        config: an empty folder for the viewer's settings: in it, rather than in the user's own, its usage reports
            are switched off.
    """
    viewer = [sys.executable, "-m", "rerun"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(config)}
    subprocess.run([*viewer, "analytics", "disable"], env=environment, check=True, capture_output=True, timeout=60)
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    where = [] if screen else ["--serve-web", "--bind", "127.0.0.1"]  # prints the address to open
    subprocess.run([*viewer, str(recording), *where], env=environment, check=True)
