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
    _ovseg3r(*map(str, segment), "--on-points", str(truth))
    found = json.loads(_ovseg3r("evaluate", str(out), str(truth), "--protocol", "class-agnostic", "--json"))
    overall = found["top_k"]["overall"]
    return ", ".join(f"{100 * overall[name]:.1f}" for name in ("ap", "ap50", "ap25"))


def _ovseg3r(*words: str) -> str:
    """What a command says on stdout; one that fails is told with what it said on stderr."""
    ran = subprocess.run([*OVSEG3R, *words], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"ovseg3r {' '.join(words)} ended with status {ran.returncode}:\n{ran.stderr}")
    return ran.stdout
