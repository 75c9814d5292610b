"""What becomes of a method as the sensor gets worse: the rows of a table, by what its sensors are called, as curves."""

from collections.abc import Sequence
from dataclasses import dataclass

from ovseg3r_train.benchmark.table import Row


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of a sensor, as `ovseg3r-train scenes` names it in its options and in the names of scenes."""

    prefix: str
    title: str
    usual: float
    unit: float
    suffix: str

    def label(self, value: float) -> str:
        """A level as a person reads it."""
        return f"{value * self.unit:g}{self.suffix}"


FAULTS = (
    Fault(prefix="noise", title="depth noise", usual=1.0, unit=1.0, suffix="x"),
    Fault(prefix="drift", title="poses drift, r.m.s.", usual=0.0, unit=100.0, suffix=" cm"),
    Fault(prefix="jitter", title="poses jitter, r.m.s.", usual=0.0, unit=100.0, suffix=" cm"),
    Fault(prefix="drop", title="frames dropped", usual=0.0, unit=100.0, suffix=" %"),
)


def curves(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Fault -> level -> row, for the faults that some row has alone; the usual sensor begins each curve.

    Args:
        rows: of one method, one source of masks and one kind of points.
    """
    usual = [row for row in rows if not row.sensor]
    result = {}
    for fault in FAULTS:
        worse = {value: row for row in rows if (value := _level(row.sensor, fault)) is not None}
        if worse and usual:
            found = {fault.usual: usual[0]} | worse
            result[fault.title] = {fault.label(value): found[value] for value in sorted(found)}
    return result


def _level(sensor: str, fault: Fault) -> float | None:
    text = sensor.removeprefix(fault.prefix)
    try:
        return float(text) if text != sensor else None
    except ValueError:  # several faults at once are on no curve
        return None
