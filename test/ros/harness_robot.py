"""A robot of one test: a DDS domain of its own, the test's client in it, and the programs that were started for it."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from harness_camera import THINGS, ScriptedCamera, Shot
from harness_client import Client
from harness_domain import reserved_domain
from harness_perception import Perception
from harness_process import Program

from ovseg3r_ros.msg import ObjectInstance

SCENE_NODE = Path(__file__).with_name("scene_node.py")
QUICK: dict[str, object] = {
    "autosave_period_s": 0.0,
    "load_autosave": False,
    "diagnostics_period_s": 0.2,
    "min_interval_s": 0.1,
    "settle_s": 0.3,
    "segmenter": "none",
    "device": "cpu",
}
"""Parameters of a node that leaves nothing behind and says soon what it does."""


class Robot:
    """A context; whatever it started ends with it."""

    opened: list["Robot"] = []  # noqa: RUF012  those whose logs belong to a failure of now
    domain: int
    client: Client

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self._stack = ExitStack()

    def __enter__(self) -> "Robot":
        self.domain = self._stack.enter_context(reserved_domain())
        self.client = self._stack.enter_context(Client(self.domain))
        Robot.opened.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        Robot.opened.remove(self)
        self._stack.close()

    def start(self, *command: str | Path, extra: dict[str, str] | None = None) -> Program:
        """Start a program in the domain."""
        program = self._stack.enter_context(Program(command, domain=self.domain, extra=extra))
        self.programs.append(program)
        return program

    def start_node(
        self,
        executable: Path,
        parameters: dict[str, object],
        *,
        remap: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> Program:
        """Start a node with parameters; JSON is how a command line spells them."""
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
        renames = [word for rule in remap for word in ("-r", rule)]
        return self.start(executable, *arguments, "--ros-args", *renames, *words)

    def perception(
        self, parameters: dict[str, object] | None = None, *, up: bool = True, arguments: Sequence[str] = ()
    ) -> Perception:
        """The perception node with the true masks of the test's scene; brought up, unless told otherwise."""
        program = self.start_node(SCENE_NODE, QUICK | (parameters or {}), arguments=arguments)
        return self.talk_to(program, up=up)

    def talk_to(self, program: Program, name: str = "perception", *, up: bool = False) -> Perception:
        """The node of a program; with a client of its own, which does not take a killed one before it for alive."""
        client = self._stack.enter_context(Client(self.domain, f"test_client_{len(self.programs)}"))
        node = Perception(client, program, name)
        if up:
            node.bring_up()
        return node

    def camera(self, shots: Sequence[Shot] = (), **options: object) -> ScriptedCamera:
        """A camera of the scene, not running yet."""
        return self._stack.enter_context(ScriptedCamera(self.client, shots, **options))


def map_scene(node: Perception, camera: ScriptedCamera) -> dict[str, ObjectInstance]:
    """Let the camera walk through the scene until everything is known well; the objects, when the node rests."""
    camera.wait_until_heard()
    with camera.run():
        node.wait_for_objects(THINGS)
        node.wait_for_more_keyframes(10)
    node.wait_until_settled()
    return node.objects()


def log_of_programs(robots: Sequence[Robot]) -> list[tuple[str, str]]:
    """(title, end of the log) of every program of some robots."""
    return [
        (f"{program.name} (domain {robot.domain}, {'alive' if program.alive else 'ended'})", program.log.tail())
        for robot in robots
        for program in robot.programs
    ]
