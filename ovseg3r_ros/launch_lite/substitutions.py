"""The texts of a launch file that are known only when it runs, and the conditions made of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from ovseg3r_ros.launch_lite.context import LaunchContext, LaunchError, find_share


@runtime_checkable
class Substitution(Protocol):
    """A text to be found out."""

    def perform(self, context: LaunchContext) -> str:
        """The text of now."""
        ...


SomeText = str | Path | Substitution | Sequence["str | Path | Substitution"]


def text_of(value: SomeText, context: LaunchContext) -> str:
    """A text, a substitution, or several of them joined."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Substitution):
        return value.perform(context)
    return "".join(text_of(part, context) for part in value)


def truth_of(value: "bool | SomeText", context: LaunchContext) -> bool:
    """Whether a text means yes; launch knows true, false, 1 and 0."""
    if isinstance(value, bool):
        return value
    text = text_of(value, context).strip().lower()
    if text not in ("true", "false", "1", "0"):
        raise LaunchError(f"{text!r} is neither true nor false")
    return text in ("true", "1")


class LaunchConfiguration:
    """The value of a launch argument."""

    def __init__(self, variable_name: str) -> None:
        self.variable_name = variable_name

    def perform(self, context: LaunchContext) -> str:
        """What was given, or the default of its declaration."""
        if self.variable_name not in context.launch_configurations:
            raise LaunchError(f"launch argument {self.variable_name!r} is used before it is declared")
        return context.launch_configurations[self.variable_name]


class EnvironmentVariable:
    """The value of an environment variable, as the processes will see it."""

    def __init__(self, name: SomeText, *, default_value: SomeText | None = None) -> None:
        self.name, self.default_value = name, default_value

    def perform(self, context: LaunchContext) -> str:
        """What is set, or the default."""
        name = text_of(self.name, context)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is None:
            raise LaunchError(f"the environment variable {name} is not set")
        return text_of(self.default_value, context)


class PathJoinSubstitution:
    """Parts of a path, joined."""

    def __init__(self, substitutions: Sequence[SomeText]) -> None:
        self.substitutions = substitutions

    def perform(self, context: LaunchContext) -> str:
        """The path."""
        return os.path.join(*(text_of(part, context) for part in self.substitutions))


class FindPackageShare:
    """The share folder of a package."""

    def __init__(self, package: SomeText) -> None:
        self.package = package

    def perform(self, context: LaunchContext) -> str:
        """Its path."""
        return str(find_share(text_of(self.package, context), context.environment))


class IfCondition:
    """Holds where a text says true."""

    def __init__(self, predicate_expression: SomeText) -> None:
        self.predicate_expression = predicate_expression

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether it holds now."""
        return truth_of(self.predicate_expression, context)


class UnlessCondition(IfCondition):
    """Holds where a text says false."""

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether it holds now."""
        return not super().evaluate(context)
