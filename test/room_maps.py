"""The map of a generated room with its true masks, so that poses and depth are all that it can lose by."""

import json
import subprocess
import sys
from pathlib import Path

OVSEG3R = (sys.executable, "-m", "ovseg3r_core")


def precision(folder: Path, poses: str, out: Path) -> str:
    """AP, AP50, AP25 of any name, percent, of the map that `segment --poses` makes of a saved room."""
    masks, truth = f"files:{folder}", folder / "truth.ply"
    segment = ["segment", folder, "--out", out, "--masks", masks, "--poses", poses, "--no-segmenter"]
    subprocess.run([*OVSEG3R, *map(str, segment), "--on-points", str(truth)], check=True, capture_output=True)
    evaluate = [*OVSEG3R, "evaluate", str(out), str(truth), "--protocol", "class-agnostic", "--json"]
    found = json.loads(subprocess.run(evaluate, check=True, capture_output=True, text=True).stdout)
    overall = found["top_k"]["overall"]
    return ", ".join(f"{100 * overall[name]:.1f}" for name in ("ap", "ap50", "ap25"))
