"""The processes of a launch file: programs, and nodes as programs with the arguments of ROS."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovseg3r_ros.launch_lite.actions import Entity
from ovseg3r_ros.launch_lite.context import LaunchContext, LaunchError, Process, ProcessExited, find_executable
from ovseg3r_ros.launch_lite.substitutions import SomeText, Substitution, text_of, truth_of

ParameterValue = bool | int | float | str | Substitution | Sequence[bool] | Sequence[int | float] | Sequence[str]


class Shutdown(Entity):
    """Ends the launch; known as `on_exit` of a process only."""

    def __init__(self, *, reason: SomeText = "") -> None:
        super().__init__()
        self.reason = reason

    def execute(self, context: LaunchContext) -> None:
        """Refuse: nothing has been started yet."""
        raise LaunchError("Shutdown is known as on_exit of a process only: ros2 launch knows the rest")


OnExit = Shutdown | Sequence[Shutdown] | Callable[[ProcessExited, LaunchContext], Shutdown | Sequence[Shutdown] | None]


@dataclass(kw_only=True, eq=False)
class ProcessAction(Entity):
    """One process; its output goes where the launch's own goes, whatever `output` says."""

    name: SomeText | None = None
    respawn: bool | SomeText = False
    respawn_delay: float | None = None
    sigterm_timeout: SomeText = "5"
    sigkill_timeout: SomeText = "5"
    on_exit: OnExit = ()
    output: SomeText = "screen"

    def program(self, context: LaunchContext) -> str:
        """What the process is called where it has no name."""
        raise NotImplementedError

    def command(self, context: LaunchContext) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def execute(self, context: LaunchContext) -> None:
        """Add it to what will be started."""
        context.processes.append(
            Process(
                name=text_of(self.name, context) if self.name else self.program(context),
                command=tuple(self.command(context)),
                environment=dict(context.environment),
                respawn=truth_of(self.respawn, context),
                respawn_delay_s=self.respawn_delay or 0.0,
                interrupt_grace_s=float(text_of(self.sigterm_timeout, context)),
                terminate_grace_s=float(text_of(self.sigkill_timeout, context)),
                ends_launch=lambda event: self._reason_to_end(event, context),
            )
        )

    def _reason_to_end(self, event: ProcessExited, context: LaunchContext) -> str:
        asked = self.on_exit(event, context) if callable(self.on_exit) else self.on_exit
        actions = [asked] if isinstance(asked, Shutdown) else list(asked or ())
        if not all(isinstance(action, Shutdown) for action in actions):
            raise LaunchError(f"on_exit of {event.process_name} may shut down, and nothing else")
        return "; ".join(text_of(action.reason, context) or f"{event.process_name} ended" for action in actions)


@dataclass(kw_only=True, eq=False)
class ExecuteProcess(ProcessAction):
    """Any program, by the words of its command."""

    cmd: Sequence[SomeText]

    def program(self, context: LaunchContext) -> str:
        """The file of the program."""
        return Path(text_of(self.cmd[0], context)).name

    def command(self, context: LaunchContext) -> list[str]:
        """The words as they are."""
        return [text_of(word, context) for word in self.cmd]


@dataclass(kw_only=True, eq=False)
class Node(ProcessAction):
    """A node of a package, with its name, parameters and remappings."""

    package: SomeText
    executable: SomeText
    namespace: SomeText = ""
    parameters: Sequence[SomeText | Mapping[str, ParameterValue]] = ()
    remappings: Sequence[tuple[SomeText, SomeText]] = ()
    arguments: Sequence[SomeText] = ()
    ros_arguments: Sequence[SomeText] = ()

    def program(self, context: LaunchContext) -> str:
        """The executable."""
        return text_of(self.executable, context)

    def command(self, context: LaunchContext) -> list[str]:
        """The executable, its own arguments, and behind `--ros-args` those of ROS."""
        path = find_executable(text_of(self.package, context), self.program(context), context.environment)
        words = [*_program(path), *(text_of(word, context) for word in self.arguments), "--ros-args"]
        words += [text_of(word, context) for word in self.ros_arguments]
        if self.name is not None:
            words += ["-r", f"__node:={text_of(self.name, context)}"]
        namespace = text_of(self.namespace, context).strip("/")
        if namespace:
            words += ["-r", f"__ns:=/{namespace}"]
        for parameters in self.parameters:
            words += _parameter_words(parameters, context)
        for old, new in self.remappings:
            words += ["-r", f"{text_of(old, context)}:={text_of(new, context)}"]
        return words


def _program(path: Path) -> list[str]:
    """How to start an executable: scripts in Python with this very Python, as `env` may find another one."""
    with path.open("rb") as file:
        first = file.readline(200)
    return [sys.executable, str(path)] if first.startswith(b"#!") and b"python" in first else [str(path)]


def _parameter_words(parameters: SomeText | Mapping[str, ParameterValue], context: LaunchContext) -> list[str]:
    if isinstance(parameters, Mapping):
        return [
            word for name, value in parameters.items() for word in ("-p", f"{name}:={_parameter_text(value, context)}")
        ]
    path = Path(text_of(parameters, context))
    if not path.is_file():
        raise LaunchError(f"there is no parameters file {path}")
    return ["--params-file", str(path)]


def _parameter_text(value: ParameterValue, context: LaunchContext) -> str:
    """YAML of a value: that of a substitution is read as YAML, as launch does; a plain text stays a text."""
    return text_of(value, context) if isinstance(value, Substitution) else json.dumps(value)
