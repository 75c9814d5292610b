"""The pass marks of a replay: `--min NAME=VALUE` and `--max NAME=VALUE`, for any number of the metrics JSON."""

import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal

from ovseg3r_ros.replay.metrics import ReplayMetrics

Kind = Literal["min", "max"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """One pass mark."""

    path: str
    """Of the number in the JSON, as in `latency.query_s.p99`."""
    kind: Kind
    value: float

    @property
    def needs_truth(self) -> bool:
        """Whether the number is measured against ground truth only."""
        return self.path.startswith("truth.") or self.path == "identity.id_switches"

    def failure(self, metrics: Mapping[str, object]) -> str | None:
        """How the metrics miss it, in one line; None where they pass."""
        number = _number_at(metrics, self.path)
        if number is None:
            return f"{self.path} was not measured (--{self.kind} {self.value:g})"
        if number >= self.value if self.kind == "min" else number <= self.value:
            return None
        return f"{self.path} is {number:.6g}, {self.kind} {self.value:g}"


def parse_thresholds(kind: Kind, texts: Iterable[str]) -> list[Threshold]:
    """The pass marks of an option: NAME=VALUE, several with commas between them.

    Raises:
        ValueError: a text is something else, or its name that of no number or of several.
    """
    parts = [part.strip() for text in texts for part in text.split(",")]
    return [_parse(kind, part) for part in parts if part]


def number_paths() -> list[str]:
    """The paths of all numbers that can have a pass mark."""
    return list(_paths(ReplayMetrics, ""))


def _parse(kind: Kind, text: str) -> Threshold:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not name or math.isnan(number):
        raise ValueError(f"--{kind} {text!r}: give NAME=VALUE, such as --{kind} ap50=0.3")
    return Threshold(path=_path_of(name), kind=kind, value=number)


def _path_of(name: str) -> str:
    """The path that a name is the end of; of several the shortest, so that `ap50` is not that of a part."""
    paths = [path for path in number_paths() if f".{path}".endswith(f".{name}")]
    paths = [path for path in paths if path.count(".") == min(path.count(".") for path in paths)]
    if len(paths) == 1:
        return paths[0]
    if paths:
        raise ValueError(f"{name!r} may be {' or '.join(paths)}: say which")
    raise ValueError(f"the metrics have no number {name!r}; they have {', '.join(number_paths())}")


def _paths(kind: type, prefix: str) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        path, hint = f"{prefix}{field.name}", _without_none(hints[field.name])
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _paths(hint, f"{path}.")
        elif hint in (int, float) and not prefix.startswith("inputs") and path != "schema":
            yield path


def _without_none(hint: object) -> object:
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    left = [one for one in typing.get_args(hint) if one is not type(None)]
    return left[0] if len(left) == 1 else hint


def _number_at(metrics: Mapping[str, object], path: str) -> float | None:
    value: object = metrics
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
