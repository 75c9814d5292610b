"""Where ROS packages are installed."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def prefixes(environment: Mapping[str, str]) -> list[Path]:
    """What a sourced workspace says, then this Python's own prefix."""
    sourced = environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return [Path(prefix) for prefix in dict.fromkeys([*filter(None, sourced), sys.prefix])]
