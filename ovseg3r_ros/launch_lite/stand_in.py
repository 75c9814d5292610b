"""The modules that stand in for `launch` and `launch_ros`, and launch files evaluated with them."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from ovseg3r_ros.launch_lite import actions, context, processes, substitutions
from ovseg3r_ros.launch_lite.actions import (
    DeclareLaunchArgument,
    Entity,
    GroupAction,
    IncludeLaunchDescription,
    LaunchDescription,
)
from ovseg3r_ros.launch_lite.context import LaunchContext, LaunchError, Process
from ovseg3r_ros.launch_lite.substitutions import text_of

_MODULES: Mapping[str, tuple[type, ...]] = {
    "launch": (actions.LaunchDescription, context.LaunchContext),
    "launch.actions": (
        actions.DeclareLaunchArgument,
        actions.GroupAction,
        actions.IncludeLaunchDescription,
        actions.OpaqueFunction,
        actions.SetEnvironmentVariable,
        actions.SetLaunchConfiguration,
        processes.ExecuteProcess,
        processes.Shutdown,
    ),
    "launch.conditions": (substitutions.IfCondition, substitutions.UnlessCondition),
    "launch.events": (),
    "launch.events.process": (context.ProcessExited,),
    "launch.launch_description_sources": (actions.PythonLaunchDescriptionSource,),
    "launch.substitutions": (
        substitutions.EnvironmentVariable,
        substitutions.LaunchConfiguration,
        substitutions.PathJoinSubstitution,
    ),
    "launch_ros": (),
    "launch_ros.actions": (processes.Node,),
    "launch_ros.substitutions": (substitutions.FindPackageShare,),
}


@contextmanager
def standing_in() -> Iterator[None]:
    """Lets `import launch` find the stand-ins; afterwards everything is as it was."""
    names = [name for name in sys.modules if name.partition(".")[0] in ("launch", "launch_ros")]
    genuine = {name: sys.modules.pop(name) for name in names}
    for name, classes in _MODULES.items():
        module = ModuleType(name, "A stand-in: see ovseg3r_ros.launch_lite.")
        vars(module).update({each.__name__: each for each in classes}, __path__=[], __getattr__=partial(_unknown, name))
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in _MODULES:
            del sys.modules[name]
        sys.modules.update(genuine)


def _unknown(module: str, name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise LaunchError(f"{module}.{name} is more than this stand-in knows; ROS's own launch has it")


def processes_of(path: Path, arguments: Mapping[str, str]) -> list[Process]:
    """The processes that a launch file starts with these arguments.

    Raises:
        LaunchError: an argument is unknown or wrong, or the file asks for what is not there.
    """
    with standing_in():
        description, context = actions.load(path), LaunchContext(launch_configurations=dict(arguments))
        known = _declared([description], context)
        unknown = sorted(arguments.keys() - known.keys())
        if unknown:
            raise LaunchError(f"{path.name} has no argument {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        actions.carry_out([description], context)
    return context.processes


@dataclass(frozen=True, kw_only=True)
class Argument:
    """An argument of a launch file."""

    name: str
    default: str | None
    """None where it must be given."""
    description: str
    choices: tuple[str, ...]


def arguments_of(path: Path) -> list[Argument]:
    """The arguments of a launch file and of those it includes; where both have one, the outer file's counts."""
    with standing_in():
        context = LaunchContext(launch_configurations={})
        return [
            Argument(
                name=declared.name,
                default=None if declared.default_value is None else text_of(declared.default_value, context),
                description=declared.description,
                choices=tuple(declared.choices or ()),
            )
            for declared in _declared([actions.load(path)], context).values()
        ]


def _declared(entities: Iterable[Entity], context: LaunchContext) -> dict[str, DeclareLaunchArgument]:
    """The first declaration of each argument; what functions return is not known before they are called."""
    found: dict[str, DeclareLaunchArgument] = {}
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument):
            found.setdefault(entity.name, entity)
            continue
        inner: Iterable[Entity] = ()
        if isinstance(entity, LaunchDescription | GroupAction):
            inner = entity.entities
        elif isinstance(entity, IncludeLaunchDescription):
            inner = [entity.source.description(context)]
        for name, argument in _declared(inner, context).items():
            found.setdefault(name, argument)
    return found
