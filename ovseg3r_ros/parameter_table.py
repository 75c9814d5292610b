"""docs/parameters.md, written from the configs: `python -m ovseg3r_ros.parameter_table > docs/parameters.md`."""

import json
import sys

from ovseg3r_core.config import Setting, settings_of
from ovseg3r_ros.parameter_groups import GROUPS

_HEAD = """\
# Parameters of the perception node

<!-- Written by `python -m ovseg3r_ros.parameter_table > docs/parameters.md`; change the configs, not this page. -->

Set them in a parameter file:

```yaml
/**:
  ros__parameters:
    voxel_size_m: 0.005
    cameras: [front, rear]
    mapping:
      min_points: 40
```

or one by one, `--ros-args -p mapping.min_points:=40`. Those marked *live* can also be changed while the node runs:
`ros2 param set /perception mapping.min_points 40`. A value out of range, or one that does not go with the others, is
refused with the reason, at the start as well as later. Lengths of the method are given for `voxel_size_m` 0.02; another
voxel size brings other defaults.
"""


def parameter_table() -> str:
    """The whole page, in Markdown."""
    sections = [_HEAD]
    for group in GROUPS:
        rows = [_row(setting, live=setting.is_among(group.dynamic)) for setting in settings_of(group.config)]
        head = ["| Name | Default | Range | Live | What it is |", "|---|---|---|---|---|"]
        sections.append("\n".join([f"## {group.title}", "", *head, *rows, ""]))
    return "\n".join(sections)


def _row(setting: Setting, *, live: bool) -> str:
    default = json.dumps(setting.default)  # JSON is YAML, as a parameter file has it
    within = str(setting.within) if setting.within else ", ".join(setting.choices)
    cells = (f"`{setting.name}`", f"`{default}`", within, "live" if live else "", setting.description)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    sys.stdout.write(parameter_table())
