"""Config dataclasses as the parameters of a real node."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import rclpy
from harness_domain import CHECKOUT, reserved_domain
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import DescribeParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from ovseg3r_core.config import Config, Within, check_ranges, settings_of, with_settings
from ovseg3r_ros.parameter_groups import GROUPS
from ovseg3r_ros.parameter_table import parameter_table
from ovseg3r_ros.parameters import SettingsFollower, declare_settings


def read_settings(node: Node, prefix: str, config: Config) -> Config:
    """The config with the present values of its parameters."""
    start = f"{prefix}." if prefix else ""
    names = [setting.name for setting in settings_of(config)]
    return with_settings(config, {name: node.get_parameter(start + name).value for name in names})


@dataclass(frozen=True, kw_only=True)
class Range:
    """How far a test sensor sees."""

    near_m: Annotated[float, Within(0.0, 10.0)] = 0.2
    """Nearest reading."""
    far_m: Annotated[float, Within(0.0, 10.0)] = 5.0
    """Furthest reading."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.near_m >= self.far_m:
            raise ValueError(f"near_m is {self.near_m} and far_m {self.far_m}; the first must be less")


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """What a test sensor is like."""

    range: Range = field(default_factory=Range)
    """The range."""
    rays: Annotated[int, Within(1, 64)] = 16
    """Rays of a scan."""
    mode: Literal["fast", "fine"] = "fast"
    """Kind of scan."""
    frame: str = "laser"
    """The frame of a scan."""
    mirrored: bool = False
    """Whether it hangs upside down."""
    names: tuple[str, ...] = ()
    """Names of the echoes."""
    angles: Annotated[tuple[float, ...], Within(-3.2, 3.2)] = ()
    """Angles left out."""

    def __post_init__(self) -> None:
        check_ranges(self)


DYNAMIC = ("range", "mode", "names", "angles")


class Nodes:
    """The nodes of a test, in a DDS domain of their own."""

    def __init__(self, context: Context, parameter_file: Path) -> None:
        self.context, self.parameter_file = context, parameter_file
        self.running: list[Node] = []

    def start(self, yaml: str = "", name: str = "sensor") -> Node:
        """Start a node, with a parameter file of the given content."""
        arguments = []
        if yaml:
            self.parameter_file.write_text(f"/**:\n  ros__parameters: {yaml}\n")
            arguments = ["--ros-args", "--params-file", str(self.parameter_file)]
        node = Node(name, context=self.context, cli_args=arguments, use_global_arguments=False)
        self.running.append(node)
        return node

    def ask(self, service: type, name: str, request: object) -> Any:
        """Let another node ask the parameter service of the sensor."""
        asking = self.start(name="asking")
        executor = SingleThreadedExecutor(context=self.context)
        for node in self.running:
            executor.add_node(node)
        client = asking.create_client(service, f"/sensor/{name}")
        assert client.wait_for_service(timeout_sec=10)
        future = client.call_async(request)
        executor.spin_until_future_complete(future, timeout_sec=10)
        executor.shutdown()
        assert future.done()
        return future.result()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with reserved_domain() as domain:
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        nodes = Nodes(context, tmp_path / "parameters.yaml")
        yield nodes
        for node in nodes.running:
            node.destroy_node()
        rclpy.shutdown(context=context)


class Followed:
    """A node whose changes are followed, and the configs that were handed on."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.taken: list[Sensor] = []
        self.started = declare_settings(node, "sensor", Sensor(), DYNAMIC)
        SettingsFollower(node).follow("sensor", self.started, self.taken.append)

    def set(self, **values: object) -> SetParametersResult:
        return self.node.set_parameters_atomically(
            [Parameter(f"sensor.{name.replace('__', '.')}", value=value) for name, value in values.items()]
        )


# Declaring


def test_defaults_are_those_of_the_config(nodes: Nodes) -> None:
    node = nodes.start()
    assert declare_settings(node, "sensor", Sensor(rays=8)) == Sensor(rays=8)
    assert read_settings(node, "sensor", Sensor()) == Sensor(rays=8)
    assert node.get_parameter("sensor.rays").value == 8


def test_values_of_the_parameter_file_are_taken(nodes: Nodes) -> None:
    node = nodes.start("{range: {far_m: 7.5}, rays: 32, mode: fine, mirrored: true, names: [a, b], angles: [0.5, 1.0]}")
    expected = Sensor(range=Range(far_m=7.5), rays=32, mode="fine", mirrored=True, names=("a", "b"), angles=(0.5, 1.0))
    assert declare_settings(node, "", Sensor()) == expected == read_settings(node, "", Sensor())


def test_values_that_yaml_writes_in_another_type_become_their_own(nodes: Nodes) -> None:
    node = nodes.start("{range: {near_m: 1, far_m: 2}, names: [], angles: [0, 1]}")
    config = declare_settings(node, "", Sensor(names=("left", "right")))
    assert config == Sensor(range=Range(near_m=1.0, far_m=2.0), angles=(0.0, 1.0))
    types = [node.get_parameter(name).type_ for name in ("range.near_m", "names", "angles")]
    assert types == [Parameter.Type.DOUBLE, Parameter.Type.STRING_ARRAY, Parameter.Type.DOUBLE_ARRAY]


@pytest.mark.parametrize(
    ("yaml", "complaint"),
    [
        ("{sensor: {range: {far_m: 11.0}}}", r"sensor\.range\.far_m is 11\.0; it must lie in 0\.\.10"),
        ("{sensor: {range: {far_m: 11}}}", r"sensor\.range\.far_m is 11\.0; it must lie in 0\.\.10"),
        ("{sensor: {range: {far_m: .nan}}}", r"sensor\.range\.far_m is nan; it must be finite, in 0\.\.10"),
        ("{sensor: {range: {far_m: far}}}", r"sensor\.range\.far_m is 'far', str; it must be float"),
        ("{sensor: {range: {near_m: 6.0}}}", r"sensor\.range: near_m is 6\.0 and far_m 5\.0"),
        ("{sensor: {rays: 0}}", r"sensor\.rays is 0; it must lie in 1\.\.64"),
        ("{sensor: {rays: 2.0}}", r"sensor\.rays is 2\.0, float; it must be int"),
        ("{sensor: {mode: slow}}", r"sensor\.mode is 'slow'; choose from fast, fine"),
        ("{sensor: {frame: 7}}", r"sensor\.frame is 7, int; it must be str"),
        ("{sensor: {names: [1, 2]}}", r"sensor\.names is .*must be tuple\[str"),
        ("{sensor: {angles: [4.0]}}", r"sensor\.angles is 4\.0; it must lie in -3\.2\.\.3\.2"),
    ],
)
def test_a_bad_value_at_the_start_names_parameter_and_range(nodes: Nodes, yaml: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        declare_settings(nodes.start(yaml), "sensor", Sensor(), DYNAMIC)


def test_what_others_see_of_a_parameter_over_dds(nodes: Nodes) -> None:
    declare_settings(nodes.start(), "sensor", Sensor(), DYNAMIC)
    names = ["range.far_m", "rays", "mode", "angles", "frame"]
    request = DescribeParameters.Request(names=[f"sensor.{name}" for name in names])
    far, rays, mode, angles, frame = nodes.ask(DescribeParameters, "describe_parameters", request).descriptors
    assert far.description == "Furthest reading." and not far.read_only and far.type == Parameter.Type.DOUBLE.value
    assert (far.floating_point_range[0].from_value, far.floating_point_range[0].to_value) == (0.0, 10.0)
    assert (rays.integer_range[0].from_value, rays.integer_range[0].to_value) == (1, 64)
    assert rays.read_only and rays.type == Parameter.Type.INTEGER.value and not rays.dynamic_typing
    assert mode.additional_constraints == "one of fast, fine" and not mode.read_only
    assert angles.additional_constraints == "each within -3.2..3.2" and angles.type == Parameter.Type.DOUBLE_ARRAY.value
    assert frame.read_only and not frame.floating_point_range


def test_every_parameter_of_the_perception_node_is_declared_with_its_range(nodes: Nodes) -> None:
    node = nodes.start("{tsdf: {voxel_size_m: 0.005, depth_max_m: 2}, cameras: [front, rear], queries: []}")
    configs = [declare_settings(node, "", group.config, group.dynamic) for group in GROUPS]
    for group, config in zip(GROUPS, configs, strict=True):
        assert read_settings(node, "", group.config) == config
        for setting in settings_of(config):
            descriptor = node.describe_parameter(setting.name)
            assert descriptor.description == setting.description
            assert descriptor.read_only != setting.is_among(group.dynamic)
    assert node.get_parameter("cameras").value == ["front", "rear"]
    assert node.get_parameter("tsdf.depth_max_m").value == 2.0


def test_what_can_be_changed_is_there() -> None:
    for group in GROUPS:
        for name in group.dynamic:
            assert any(setting.is_among((name,)) for setting in settings_of(group.config)), name


def test_the_page_of_parameters_is_up_to_date() -> None:
    assert (CHECKOUT / "docs" / "parameters.md").read_text() == parameter_table(), (
        "python -m ovseg3r_ros.parameter_table > docs/parameters.md"
    )


# Changing


def test_a_change_hands_on_the_new_config(nodes: Nodes) -> None:
    sensor = Followed(nodes.start())
    assert sensor.set(range__far_m=6.0).successful
    assert sensor.set(mode="fine", names=["a"]).successful
    after_first = Sensor(range=Range(far_m=6.0))
    assert sensor.taken == [after_first, Sensor(range=after_first.range, mode="fine", names=("a",))]
    assert read_settings(sensor.node, "sensor", Sensor()) == sensor.taken[-1]


def test_values_that_change_nothing_hand_on_nothing(nodes: Nodes) -> None:
    sensor = Followed(nodes.start())
    assert sensor.set(range__far_m=5.0, mode="fast").successful
    assert sensor.node.declare_parameter("of_another", 3).value == 3
    assert sensor.taken == []


def test_an_int_and_an_empty_list_can_be_set_where_a_float_and_texts_are_meant(nodes: Nodes) -> None:
    sensor = Followed(nodes.start("{sensor: {names: [a]}}"))
    assert sensor.set(range__far_m=6, names=[], angles=[0, 1]).successful
    assert sensor.taken == [Sensor(range=Range(far_m=6.0), angles=(0.0, 1.0))]
    assert read_settings(sensor.node, "sensor", Sensor()) == sensor.taken[0]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"range__far_m": 11.0}, "sensor.range.far_m out of range"),  # this one is rclpy's own
        ({"range__far_m": 11}, "sensor.range.far_m is 11.0; it must lie in 0..10"),
        ({"range__far_m": float("nan")}, "sensor.range.far_m"),
        ({"range__far_m": "far"}, "sensor.range.far_m is 'far', str; it must be float"),
        ({"range__far_m": None}, "sensor.range.far_m is None"),
        ({"names": None}, "sensor.names is None"),
        ({"range__near_m": 6.0}, "sensor.range: near_m is 6.0 and far_m 5.0; the first must be less"),
        ({"mode": "slow"}, "sensor.mode is 'slow'; choose from fast, fine"),
        ({"angles": [4.0]}, "sensor.angles is 4.0; it must lie in -3.2..3.2"),
        ({"rays": 8}, "read-only parameter: sensor.rays"),
    ],
)
def test_a_bad_change_is_refused_by_name_and_changes_nothing(
    nodes: Nodes, values: dict[str, object], complaint: str
) -> None:
    sensor = Followed(nodes.start())
    result = sensor.set(names=["a"], **values) if "names" not in values else sensor.set(**values)
    assert not result.successful and complaint in result.reason
    assert sensor.taken == []
    assert read_settings(sensor.node, "sensor", Sensor()) == Sensor()


def test_values_that_only_go_together_can_be_set_together(nodes: Nodes) -> None:
    sensor = Followed(nodes.start())
    assert not sensor.set(range__near_m=6.0).successful
    assert sensor.set(range__near_m=6.0, range__far_m=7.0).successful
    assert sensor.taken == [Sensor(range=Range(near_m=6.0, far_m=7.0))]


def test_whoever_uses_the_config_may_refuse_it(nodes: Nodes) -> None:
    node, taken = nodes.start(), []
    follower = SettingsFollower(node)

    def busy(config: Sensor) -> None:
        raise ValueError(f"names is {config.names}; one of them is taken")

    follower.follow("a", declare_settings(node, "a", Sensor(), DYNAMIC), taken.append)
    follower.follow("b", declare_settings(node, "b", Sensor(), DYNAMIC), busy)
    both = [Parameter("a.mode", value="fine"), Parameter("b.names", value=["x"])]
    result = node.set_parameters_atomically(both)
    assert not result.successful and result.reason == "names is ('x',); one of them is taken"
    assert taken == [Sensor(mode="fine"), Sensor()]  # the first got its old config back
    assert node.get_parameter("a.mode").value == "fast"
    assert node.set_parameters_atomically(both[:1]).successful and taken[-1] == Sensor(mode="fine")


def test_a_client_over_dds_is_told_the_reason(nodes: Nodes) -> None:
    sensor = Followed(nodes.start())
    values = [Parameter("sensor.mode", value="fine"), Parameter("sensor.range.near_m", value=6.0)]
    request = SetParametersAtomically.Request(parameters=[value.to_parameter_msg() for value in values])
    result = nodes.ask(SetParametersAtomically, "set_parameters_atomically", request).result
    assert not result.successful and "sensor.range: near_m is 6.0" in result.reason
    assert sensor.taken == [] and sensor.node.get_parameter("sensor.mode").value == "fast"
