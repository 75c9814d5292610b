"""`ovseg3r-launch` keeps the promises of `ros2 launch`: what it starts, what it watches, how everything ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness_process import Program
from launch_programs import OVSEG3R_LAUNCH, command, install, told, waits, write_launch_file

from ovseg3r_ros.launch_lite.context import LaunchError, Process
from ovseg3r_ros.launch_lite.stand_in import arguments_of, processes_of

DOMAIN = 50  # nothing here makes a node


def run(path: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Launch a file whose processes all end by themselves."""
    words = [*OVSEG3R_LAUNCH, str(path), *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment or dict(os.environ))


def start(path: Path) -> Program:
    return Program([*OVSEG3R_LAUNCH, path], domain=DOMAIN)


def until(holds: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
        time.sleep(0.02)  # between two looks at a condition


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one whose end nobody has asked for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def pid_of(folder: Path, name: str) -> int:
    until(lambda: told(folder, name), f"{name} is up")
    return int(told(folder, name)[0].removeprefix("pid "))


def names(processes: list[Process]) -> list[str]:
    return [process.name for process in processes]


def exits(code: int, **options: str) -> str:
    given = "".join(f", {name}={value}" for name, value in options.items())
    return f"ExecuteProcess({command('sh', '-c', f'exit {code}')}{given})"


def test_a_launch_ends_when_its_processes_have_ended(tmp_path: Path) -> None:
    assert run(write_launch_file(tmp_path, exits(0), exits(0))).returncode == 0


def test_the_exit_code_is_that_of_the_first_process_that_failed(tmp_path: Path) -> None:
    result = run(write_launch_file(tmp_path, exits(0), exits(7, name="'planner'")))
    assert result.returncode == 7
    assert "planner has died with code 7" in result.stderr


def test_a_process_that_a_signal_ended_is_told_as_a_shell_does(tmp_path: Path) -> None:
    path = write_launch_file(tmp_path, f"ExecuteProcess({command('sh', '-c', 'kill -SEGV $$')})")
    assert run(path).returncode == 128 + signal.SIGSEGV


def test_on_exit_shutdown_interrupts_all_others(tmp_path: Path) -> None:
    go = f"until test -s {tmp_path}/other; do sleep 0.05; done; exit 3"
    path = write_launch_file(
        tmp_path,
        waits(tmp_path, "other"),
        f"ExecuteProcess({command('sh', '-c', go)}, on_exit=[Shutdown(reason='the bag is over')])",
    )
    result = run(path)
    assert result.returncode == 3
    assert told(tmp_path, "other")[1:] == ["SIGINT"]
    assert "the bag is over" in result.stderr


def test_what_on_exit_raises_fails_the_launch(tmp_path: Path) -> None:
    path = write_launch_file(tmp_path, exits(0, on_exit="lambda event, context: 1 / event.returncode"))
    assert run(path).returncode == 1


def test_a_process_that_died_is_started_again_until_the_launch_ends(tmp_path: Path) -> None:
    with start(
        write_launch_file(tmp_path, waits(tmp_path, "node", options="respawn=True, respawn_delay=0.1"))
    ) as launch:
        first = pid_of(tmp_path, "node")
        os.kill(first, signal.SIGKILL)
        until(lambda: len(told(tmp_path, "node")) == 2, "a second start")
        second = int(told(tmp_path, "node")[1].removeprefix("pid "))
        assert launch.terminate(10) == 0
    assert first != second
    assert is_gone(second)
    assert told(tmp_path, "node")[2:] == ["SIGINT"]


def test_no_process_is_started_again_while_the_launch_ends(tmp_path: Path) -> None:
    again = waits(tmp_path, "node", options="respawn=True, respawn_delay=60.0")
    with start(write_launch_file(tmp_path, again)) as launch:
        os.kill(pid_of(tmp_path, "node"), signal.SIGKILL)
        launch.wait_for_line("starts again in 60 s")
        assert launch.terminate(5) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_launch_reach_its_processes(tmp_path: Path, number: signal.Signals) -> None:
    with start(write_launch_file(tmp_path, waits(tmp_path, "one"), waits(tmp_path, "two"))) as launch:
        pids = pid_of(tmp_path, "one"), pid_of(tmp_path, "two")
        launch.signal(number)
        assert launch.wait(10) == 0
    assert all(map(is_gone, pids))
    assert told(tmp_path, "one")[1:] == told(tmp_path, "two")[1:] == ["SIGINT"]


def test_a_process_deaf_to_requests_is_killed(tmp_path: Path) -> None:
    options = "sigterm_timeout='0.2', sigkill_timeout='0.2'"
    deaf = waits(tmp_path, "node", deaf_to=("SIGINT", "SIGTERM"), options=options)
    with start(write_launch_file(tmp_path, deaf)) as launch:
        pid = pid_of(tmp_path, "node")
        assert launch.terminate(10) == 128 + signal.SIGKILL
    assert is_gone(pid)
    assert told(tmp_path, "node")[1:] == ["SIGINT", "SIGTERM"]


def test_processes_end_when_the_launch_itself_is_killed(tmp_path: Path) -> None:
    with start(write_launch_file(tmp_path, waits(tmp_path, "node"))) as launch:
        pid = pid_of(tmp_path, "node")
        os.kill(launch.pid, signal.SIGKILL)
        until(lambda: is_gone(pid), "end of the process")
    assert told(tmp_path, "node")[1:] == ["SIGTERM"]


def test_what_a_process_started_does_not_outlive_it(tmp_path: Path) -> None:
    words = command("sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; exit 0")
    assert run(write_launch_file(tmp_path, f"ExecuteProcess({words})")).returncode == 0
    pid = int((tmp_path / "pid").read_text())
    until(lambda: is_gone(pid), "end of the grandchild")


def test_a_program_that_cannot_start_ends_the_launch(tmp_path: Path) -> None:
    path = write_launch_file(tmp_path, waits(tmp_path, "node"), f"ExecuteProcess({command('/no/such/program')})")
    result = run(path)
    assert result.returncode == 127
    assert "/no/such/program" in result.stderr


def test_an_unknown_argument_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    path = write_launch_file(tmp_path, "DeclareLaunchArgument('camera', default_value='none')")
    result = run(path, "kamera:=oak")
    assert result.returncode == 2
    assert "no argument kamera" in result.stderr
    assert "camera" in result.stderr
    assert run(path, "oak").returncode == 2


def test_arguments_have_defaults_and_choices(tmp_path: Path) -> None:
    echo = "ExecuteProcess(cmd=['echo', LaunchConfiguration('mode')])"
    path = write_launch_file(tmp_path, "DeclareLaunchArgument('mode', default_value='a', choices=['a', 'b'])", echo)
    assert processes_of(path, {})[0].command == ("echo", "a")
    assert processes_of(path, {"mode": "b"})[0].command == ("echo", "b")
    with pytest.raises(LaunchError, match="mode is 'c'; choose from a, b"):
        processes_of(path, {"mode": "c"})


def test_an_argument_without_default_must_be_given(tmp_path: Path) -> None:
    path = write_launch_file(tmp_path, "DeclareLaunchArgument('bag', description='The bag.')")
    with pytest.raises(LaunchError, match="give bag:=VALUE"):
        processes_of(path, {})
    assert processes_of(path, {"bag": "office"}) == []
    result = run(path, "--show-args")
    assert result.returncode == 0
    assert "bag" in result.stdout
    assert "The bag." in result.stdout
    assert "must be given" in result.stdout


def test_conditions_decide_what_is_started(tmp_path: Path) -> None:
    rviz = "DeclareLaunchArgument('rviz', default_value='false')"
    shown = "ExecuteProcess(cmd=['shown'], condition=IfCondition(LaunchConfiguration('rviz')))"
    hidden = "ExecuteProcess(cmd=['hidden'], condition=UnlessCondition(LaunchConfiguration('rviz')))"
    path = write_launch_file(tmp_path, rviz, shown, hidden)
    assert names(processes_of(path, {})) == ["hidden"]
    assert names(processes_of(path, {"rviz": "True"})) == ["shown"]
    with pytest.raises(LaunchError, match="'perhaps' is neither true nor false"):
        processes_of(path, {"rviz": "perhaps"})


def test_an_included_file_takes_arguments_and_may_be_given_those_of_its_own(tmp_path: Path) -> None:
    echo = "ExecuteProcess(cmd=[LaunchConfiguration('name'), LaunchConfiguration('rate')])"
    declared = ("DeclareLaunchArgument('name')", "DeclareLaunchArgument('rate', default_value='1')")
    inner = write_launch_file(tmp_path, *declared, echo, name="inner.launch.py")
    source = f"PythonLaunchDescriptionSource({str(inner)!r})"
    outer = write_launch_file(
        tmp_path, f"IncludeLaunchDescription({source}, launch_arguments={{'name': 'player'}}.items())"
    )
    assert processes_of(outer, {})[0].command == ("player", "1")
    assert processes_of(outer, {"rate": "2"})[0].command == ("player", "2")
    assert [argument.name for argument in arguments_of(outer)] == ["name", "rate"]


def test_the_environment_of_a_group_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLOUR", raising=False)
    colour = "SetEnvironmentVariable('COLOUR', EnvironmentVariable('COLOUR', default_value='red'))"
    path = write_launch_file(
        tmp_path, f"GroupAction([{colour}, ExecuteProcess(cmd=['inside'])])", "ExecuteProcess(cmd=['outside'])"
    )
    inside, outside = processes_of(path, {})
    assert inside.environment["COLOUR"] == "red"
    assert "COLOUR" not in outside.environment
    monkeypatch.setenv("COLOUR", "blue")
    assert processes_of(path, {})[0].environment["COLOUR"] == "blue"


def test_a_node_gets_its_parameters_in_order_and_texts_stay_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(install(tmp_path / "prefix")))
    (tmp_path / "mine.yaml").write_text("/**:\n  ros__parameters:\n    rate: 2\n")
    path = write_launch_file(
        tmp_path,
        "DeclareLaunchArgument('rate', default_value='5')",
        "Node(package='ovseg3r_ros', executable='perception', name='p', namespace='robot', remappings=[('a', '/b')], "
        "parameters=[{'text': '007', 'on': True, 'texts': ['a, b']}, "
        f"{str(tmp_path / 'mine.yaml')!r}, {{'rate': LaunchConfiguration('rate')}}])",
    )
    (node,) = processes_of(path, {})
    assert node.command[0] == sys.executable  # the script asks for python3, which may be another one
    words = list(node.command[2:])
    assert words[words.index("--ros-args") :] == [
        *("--ros-args", "-r", "__node:=p", "-r", "__ns:=/robot"),
        *("-p", 'text:="007"', "-p", "on:=true", "-p", 'texts:=["a, b"]'),
        *("--params-file", str(tmp_path / "mine.yaml"), "-p", "rate:=5", "-r", "a:=/b"),
    ]


@pytest.mark.parametrize(
    ("entity", "problem"),
    [
        ("Node(package='nav9', executable='x')", "no executable 'x' of package 'nav9'"),
        ("Node(package='ovseg3r_ros', executable='perception', parameters=['/no/file.yaml'])", "/no/file.yaml"),
        ("OpaqueFunction(function=lambda context: int('many'))", "many"),
        ("ExecuteProcess(cmd=[FindPackageShare('nav9')])", "no package 'nav9'"),
        ("ExecuteProcess(cmd=[LaunchConfiguration('undeclared')])", "'undeclared' is used before it is declared"),
        ("'perception'", "nothing that a launch file can list"),
    ],
)
def test_what_cannot_be_started_is_refused_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entity: str, problem: str
) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(install(tmp_path / "prefix")))
    with pytest.raises(LaunchError, match=problem):
        processes_of(write_launch_file(tmp_path, exits(0), entity), {})


def test_what_only_genuine_launch_knows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "test.launch.py"
    path.write_text("from launch.actions import TimerAction\n")
    with pytest.raises(LaunchError, match=r"launch\.actions\.TimerAction is more than"):
        processes_of(path, {})


def test_a_launch_file_of_the_package_is_found_by_its_name(tmp_path: Path) -> None:
    environment = os.environ | {"AMENT_PREFIX_PATH": str(install(tmp_path / "prefix"))}
    result = subprocess.run(
        [*OVSEG3R_LAUNCH, "perception.launch.py", "--show-args"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "camera" in result.stdout
    unknown = subprocess.run(
        [*OVSEG3R_LAUNCH, "reception.launch.py"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=tmp_path,
    )
    assert unknown.returncode == 2
    assert "perception.launch.py" in unknown.stderr


def test_the_modules_of_genuine_launch_are_left_as_they_were(tmp_path: Path) -> None:
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "launch"}
    processes_of(write_launch_file(tmp_path), {})
    assert {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "launch"} == before
