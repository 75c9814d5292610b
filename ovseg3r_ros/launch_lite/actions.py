"""What a launch file lists, save processes: arguments, environment, groups, includes, functions."""

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovseg3r_ros.launch_lite.context import LaunchContext, LaunchError
from ovseg3r_ros.launch_lite.substitutions import IfCondition, SomeText, text_of


@dataclass(kw_only=True, eq=False)
class Entity:
    """One entry of a launch file; with a condition it may be left out."""

    condition: IfCondition | None = None

    def execute(self, context: LaunchContext) -> "Iterable[Entity] | None":
        """Do what it says; what it returns is carried out next."""
        raise NotImplementedError


def carry_out(entities: "Iterable[Entity]", context: LaunchContext) -> None:
    """Execute entities in order, each with all that it brings."""
    for entity in entities:
        if not isinstance(entity, Entity):
            raise LaunchError(f"{entity!r} is nothing that a launch file can list")
        if entity.condition is None or entity.condition.evaluate(context):
            carry_out(entity.execute(context) or (), context)


class LaunchDescription(Entity):
    """The entities of a launch file."""

    def __init__(self, initial_entities: Iterable[Entity] = ()) -> None:
        super().__init__()
        self.entities = list(initial_entities)

    def execute(self, context: LaunchContext) -> Iterable[Entity]:
        """All of them."""
        return self.entities


class GroupAction(Entity):
    """Entities whose changes to arguments and environment end with the group."""

    def __init__(self, actions: Iterable[Entity], *, condition: IfCondition | None = None) -> None:
        super().__init__(condition=condition)
        self.entities = list(actions)

    def execute(self, context: LaunchContext) -> None:
        """Carry them out, and take back what they set."""
        before = dict(context.launch_configurations), dict(context.environment)
        carry_out(self.entities, context)
        context.launch_configurations, context.environment = before


class DeclareLaunchArgument(Entity):
    """An argument of the launch file."""

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeText | None = None,
        description: str = "",
        choices: Sequence[str] | None = None,
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name, self.default_value, self.description, self.choices = name, default_value, description, choices

    def execute(self, context: LaunchContext) -> None:
        """Take the default where nothing is given, and hold the value to the choices."""
        given = context.launch_configurations
        if self.name not in given:
            if self.default_value is None:
                raise LaunchError(f"launch argument {self.name} has no default: give {self.name}:=VALUE")
            given[self.name] = text_of(self.default_value, context)
        if self.choices is not None and given[self.name] not in self.choices:
            raise LaunchError(f"{self.name} is {given[self.name]!r}; choose from {', '.join(self.choices)}")


class SetLaunchConfiguration(Entity):
    """Another value for an argument, from here on."""

    def __init__(self, name: SomeText, value: SomeText, *, condition: IfCondition | None = None) -> None:
        super().__init__(condition=condition)
        self.name, self.value = name, value

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        context.launch_configurations[text_of(self.name, context)] = text_of(self.value, context)


class SetEnvironmentVariable(Entity):
    """A variable of the environment of all processes from here on."""

    def __init__(self, name: SomeText, value: SomeText, *, condition: IfCondition | None = None) -> None:
        super().__init__(condition=condition)
        self.name, self.value = name, value

    def execute(self, context: LaunchContext) -> None:
        """Set it."""
        context.environment[text_of(self.name, context)] = text_of(self.value, context)


class OpaqueFunction(Entity):
    """Plain Python in a launch file: what it returns is carried out."""

    def __init__(
        self,
        *,
        function: Callable[[LaunchContext], Iterable[Entity] | None],
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.function = function

    def execute(self, context: LaunchContext) -> Iterable[Entity] | None:
        """Call it; a ValueError of its own is about the arguments that it was given."""
        try:
            return self.function(context)
        except ValueError as error:
            raise LaunchError(str(error)) from error


class PythonLaunchDescriptionSource:
    """A launch file in Python, by path."""

    def __init__(self, launch_file_path: SomeText) -> None:
        self.launch_file_path = launch_file_path

    def description(self, context: LaunchContext) -> LaunchDescription:
        """What the file lists."""
        return load(Path(text_of(self.launch_file_path, context)))


class IncludeLaunchDescription(Entity):
    """Another launch file, with arguments of its own; what it sets stays set, as in launch."""

    def __init__(
        self,
        launch_description_source: PythonLaunchDescriptionSource | SomeText,
        *,
        launch_arguments: Iterable[tuple[SomeText, SomeText]] = (),
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        source = launch_description_source
        self.source = (
            source if isinstance(source, PythonLaunchDescriptionSource) else PythonLaunchDescriptionSource(source)
        )
        self.launch_arguments = list(launch_arguments)

    def execute(self, context: LaunchContext) -> Iterable[Entity]:
        """Its arguments, then all that the file lists."""
        arguments = [SetLaunchConfiguration(name, value) for name, value in self.launch_arguments]
        return [*arguments, self.source.description(context)]


def load(path: Path) -> LaunchDescription:
    """Run a launch file; the stand-ins are in place already.

    Raises:
        LaunchError: there is no such file, or it describes no launch.
    """
    if not path.is_file():
        raise LaunchError(f"there is no launch file {path}")
    spec = importlib.util.spec_from_file_location(path.name.partition(".")[0], path)
    if spec is None or spec.loader is None:
        raise LaunchError(f"{path} is no Python file; launch files in XML or YAML need ROS's own launch")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = getattr(module, "generate_launch_description", lambda: None)()
    if not isinstance(description, LaunchDescription):
        raise LaunchError(f"{path} has no generate_launch_description() that returns a LaunchDescription")
    return description
