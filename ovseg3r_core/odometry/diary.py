"""What was decided of each frame so far, kept in a file, so that odometry that was cut goes on where it was.

A line a frame, each written when the frame is done; whoever was killed left half a line at most. Shapes and looks of
keyframes are not kept: they are made again from their frames, which costs a fraction of finding where those were.
"""

import json
from collections import deque
from pathlib import Path
from types import TracebackType

import numpy as np

from ovseg3r_core.odometry.tracker import Decision

FILE = "odometry.jsonl"


class Diary:
    """Decisions of an earlier run, in order, and a place for those to come; a context that closes its file.

    Args:
        key: of the recording and the settings; what was written under another one is begun anew.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / FILE
        header = json.dumps({"key": key}).encode() + b"\n"
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.is_file() else []
        self._earlier = deque[tuple[int, Decision]]()
        """With the place in the file where each begins."""
        whole, keyframes = header, 0
        for line in lines[1:] if lines and lines[0] == header else ():
            decision = _read(line, keyframes)
            if decision is None:
                break
            self._earlier.append((len(whole), decision))
            whole += line
            keyframes += decision.is_keyframe
        self._path.write_bytes(whole)
        self._file = self._path.open("ab", buffering=0)

    def __enter__(self) -> "Diary":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def earlier(self, index: int) -> Decision | None:
        """What was decided of the next frame, given its index; None from the first on that was not decided."""
        if not self._earlier:
            return None
        place, decision = self._earlier.popleft()
        if decision.index == index:
            return decision
        self._earlier.clear()  # the frames are others than they were
        self._file.truncate(place)
        return None

    def add(self, decision: Decision) -> None:
        """Keep one more."""
        T = None if decision.T_map_camera is None else decision.T_map_camera.ravel().tolist()
        content = [decision.index, T, decision.keyframe, decision.is_keyframe, decision.reason]
        self._file.write(json.dumps(content).encode() + b"\n")

    def forget(self) -> None:
        """It is not needed any more."""
        self._path.unlink(missing_ok=True)


def _read(line: bytes, keyframes: int) -> Decision | None:
    """A line of the file, after so many keyframes; None where it was cut or is damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        index, T, keyframe, is_keyframe, reason = json.loads(line)
        pose = None if T is None else np.array(T, np.float64).reshape(4, 4)
    except (ValueError, TypeError):
        return None
    if pose is None:
        return Decision(index=index, reason=str(reason))
    known = isinstance(keyframe, int) and 0 <= keyframe < keyframes + bool(is_keyframe)
    if not known or not np.isfinite(pose).all():
        return None
    return Decision(index=index, T_map_camera=pose, keyframe=keyframe, is_keyframe=bool(is_keyframe))
