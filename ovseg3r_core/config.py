"""Settings: config dataclasses that check themselves, and that can be listed and changed by dotted names.

A config is a frozen dataclass. A field says its range in its type, its choices as a `Literal`, and what it
means in the docstring under it:

    voxel_size_m: Annotated[float, Within(0.002, 0.2)] = 0.02
    \"\"\"Edge of a voxel.\"\"\"

`check_ranges` in `__post_init__` holds the values to that. `settings_of` flattens nested configs to names
such as `tsdf.voxel_size_m`, from which ROS parameters and their documentation are made; `with_settings` is
the way back.
"""

import ast
import inspect
import itertools
import math
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Literal, TypeVar, get_args, get_origin

Value = bool | int | float | str | tuple[str, ...] | tuple[float, ...]
Kind = Literal["bool", "int", "float", "str", "tuple[str, ...]", "tuple[float, ...]"]
Config = TypeVar("Config")

_KINDS: Mapping[object, Kind] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    tuple[str, ...]: "tuple[str, ...]",
    tuple[float, ...]: "tuple[float, ...]",
}


@dataclass(frozen=True)
class Within:
    """The range of a number, both ends included; of an array, the range of each number in it."""

    low: int | float
    high: int | float

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of a config, under its dotted name."""

    name: str
    default: Value
    kind: Kind
    description: str
    within: Within | None
    choices: tuple[str, ...]

    def is_among(self, names: Iterable[str]) -> bool:
        """Whether it is one of these settings, or lies inside one of these configs."""
        return any(self.name == name or self.name.startswith(name + ".") for name in names)


def check_ranges(config: object) -> None:
    """Refuse a config with a number that is not finite or out of its range, or a text that is not a choice.

    Raises:
        ValueError: naming the field, its value and what it may be.
    """
    for name, domain in _domains(type(config)).items():
        if domain is not None:
            domain.check(name, getattr(config, name))


def settings_of(config: object) -> list[Setting]:
    """Every setting of a config and of the configs inside it, in the order of the fields."""
    return list(_settings(config, ""))


def with_settings(config: Config, values: Mapping[str, object]) -> Config:
    """The config with other values for some of its settings, all of them changed at once.

    An int will do for a float, and a list for a tuple.

    Raises:
        ValueError: for an unknown name, a value of another kind, out of its range or not a choice, each under its
            dotted name; or values that do not go together.
    """
    unknown = sorted(values.keys() - {setting.name for setting in settings_of(config)})
    if unknown:
        raise ValueError(f"there is no setting {', '.join(unknown)}")
    return _replaced(config, "", values)


@dataclass(frozen=True)
class _Domain:
    """What one field may hold."""

    kind: Kind
    within: Within | None
    choices: tuple[str, ...]

    def check(self, name: str, value: Value) -> None:
        if self.choices and value not in self.choices:
            raise ValueError(f"{name} is {value!r}; choose from {', '.join(self.choices)}")
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{name} is {number}; it must be finite{self._range(', in ')}")
            if self.within and not isinstance(number, str) and not self.within.low <= number <= self.within.high:
                raise ValueError(f"{name} is {number}; it must lie in{self._range(' ')}")

    def convert(self, name: str, value: object) -> Value:
        """The value as a config holds it; ValueError where it is of another kind."""
        converted = _as_kind(value, self.kind)
        if converted is None:
            raise ValueError(f"{name} is {value!r}, {type(value).__name__}; it must be {self.kind}")
        return converted

    def _range(self, before: str) -> str:
        return f"{before}{self.within}" if self.within else ""


def _as_kind(value: object, kind: Kind) -> Value | None:
    """The value as this kind; None where it is of another."""
    if isinstance(value, bool):  # before int, which it is too
        return value if kind == "bool" else None
    if isinstance(value, str):
        return value if kind == "str" else None
    if isinstance(value, int) and kind == "int":
        return value
    if isinstance(value, int | float):
        return float(value) if kind == "float" else None
    if not isinstance(value, Iterable):
        return None
    items = list(value)
    if kind == "tuple[str, ...]":
        texts = tuple(item for item in items if isinstance(item, str))
        return texts if len(texts) == len(items) else None
    numbers = tuple(float(item) for item in items if isinstance(item, int | float) and not isinstance(item, bool))
    return numbers if kind == "tuple[float, ...]" and len(numbers) == len(items) else None


def _settings(config: object, prefix: str) -> Iterator[Setting]:
    descriptions = _descriptions(type(config))
    for name, domain in _domains(type(config)).items():
        value = getattr(config, name)
        if domain is None:
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield Setting(
                name=prefix + name,
                default=value,
                kind=domain.kind,
                description=descriptions.get(name, ""),
                within=domain.within,
                choices=domain.choices,
            )


def _replaced(config: Config, prefix: str, values: Mapping[str, object]) -> Config:
    changes = {}
    for name, domain in _domains(type(config)).items():
        dotted = prefix + name
        if domain is None:
            changes[name] = _replaced(getattr(config, name), dotted + ".", values)
        elif dotted in values:
            changes[name] = domain.convert(dotted, values[dotted])
            domain.check(dotted, changes[name])
    try:
        return replace(config, **changes)  # pyright: ignore[reportArgumentType]: a dataclass, as its domains show
    except ValueError as error:  # each value is in its range: they do not go together
        raise ValueError(f"{prefix[:-1]}: {error}" if prefix else str(error)) from None


@cache
def _domains(config_class: type) -> Mapping[str, _Domain | None]:
    """What each field may hold; None for a config of its own."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    return {field.name: _domain(config_class, field.name, hints[field.name]) for field in fields(config_class)}


def _domain(config_class: type, field: str, hint: object) -> _Domain | None:
    within = None
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        within = next((note for note in notes if isinstance(note, Within)), None)
    if is_dataclass(hint):
        return None
    if get_origin(hint) is Literal:
        return _Domain("str", None, get_args(hint))
    if hint not in _KINDS:
        raise TypeError(f"{config_class.__name__}.{field} is {hint}; a setting is {', '.join(_KINDS.values())}")
    return _Domain(_KINDS[hint], within, ())


@cache
def _descriptions(config_class: type) -> Mapping[str, str]:
    """The docstring under each field, in one line; Python itself does not keep these."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(config_class))).body
    assert isinstance(source, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in itertools.pairwise(source.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
