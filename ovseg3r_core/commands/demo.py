"""The verb `demo`: the main job on two scenes whose truth is known."""

from pathlib import Path

from ovseg3r_core.commands.app import err, out
from ovseg3r_core.commands.options import OutPath
from ovseg3r_core.devices import Device, pick_device


def demo(out_dir: OutPath = Path("demo_out"), device: Device = Device.auto) -> None:
    """See the main job at work: a real RGB-D frame and a furnished room with known truth, mapped and queried."""
    from ovseg3r_core.demo import run_demo

    run_demo(out_dir, pick_device(device.value, "--device"), out, err)
