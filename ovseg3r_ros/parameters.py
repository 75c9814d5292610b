"""Config dataclasses as ROS parameters: declared with range and description, read back, followed while they change.

What YAML is vague about is taken as it was meant: `1` will do for 1.0, and `[]` is an empty list of any kind. All else
that does not fit is refused, with a reason that names the parameter and what it may be.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Generic

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ovseg3r_core.config import Config, Kind, Setting, Value, settings_of, with_settings

_TYPES: dict[Kind, Parameter.Type] = {
    "bool": Parameter.Type.BOOL,
    "int": Parameter.Type.INTEGER,
    "float": Parameter.Type.DOUBLE,
    "str": Parameter.Type.STRING,
    "tuple[str, ...]": Parameter.Type.STRING_ARRAY,
    "tuple[float, ...]": Parameter.Type.DOUBLE_ARRAY,
}


def declare_settings(node: Node, prefix: str, config: Config, dynamic: Sequence[str] = ()) -> Config:
    """Declare every setting of a config as a parameter, and return the config that the node was started with.

    Args:
        prefix: comes before the names of the settings, with a dot; empty for none.
        config: its values are the defaults.
        dynamic: the settings, or the configs inside the config, that may be changed later; all others are read-only.

    Raises:
        ValueError: naming the parameter, where the node was started with a value that it cannot have.
    """
    declared = []
    for setting in settings_of(config):  # of any type at first: what YAML made of the value may still be converted
        anything = ParameterDescriptor(dynamic_typing=True)
        parameter = node.declare_parameter(_name(prefix, setting), _plain(setting.default), anything)
        is_empty_list = parameter.value is None and setting.kind.startswith("tuple")  # YAML's [] has no type
        declared.append(Parameter(parameter.name, value=[]) if is_empty_list else parameter)
    config = _changed(config, prefix, declared)
    settings = settings_of(config)
    result = node.set_parameters_atomically(
        [Parameter(_name(prefix, one), _TYPES[one.kind], _plain(one.default)) for one in settings]
    )
    if not result.successful:
        raise ValueError(result.reason)
    for setting in settings:
        node.set_descriptor(_name(prefix, setting), describe(setting, setting.is_among(dynamic)))
    return config


class SettingsFollower:
    """Checks every change of a node's parameters against the configs made from them, and hands on the new configs.

    Parameters that are set atomically are judged together, over all configs: all of them are taken, or none.
    """

    def __init__(self, node: Node) -> None:
        self._followed: list[_Followed] = []
        self._lock = RLock()
        node.add_on_set_parameters_callback(self._judge)

    def follow(self, prefix: str, config: Config, on_change: Callable[[Config], None]) -> None:
        """Call `on_change` with each new config, in the thread that sets the parameters.

        Args:
            prefix: as it was declared with.
            config: as `declare_settings` returned it.
            on_change: may refuse a config that is in range by raising ValueError; it is then given the old one again if
                it had taken the new one already.
        """
        self._followed.append(_Followed(prefix, config, on_change))

    def _judge(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        with self._lock:
            taken: list[_Followed] = []
            try:
                changes = [(one, _changed(one.config, one.prefix, parameters)) for one in self._followed]
                changes = [(one, config) for one, config in changes if config != one.config]
                for one, config in changes:
                    one.on_change(config)
                    taken.append(one)
            except ValueError as error:
                for one in reversed(taken):
                    one.on_change(one.config)
                return SetParametersResult(successful=False, reason=str(error))
            for one, config in changes:
                one.config = config
            return SetParametersResult(successful=True)


@dataclass
class _Followed(Generic[Config]):
    prefix: str
    config: Config
    on_change: Callable[[Config], None]


def describe(setting: Setting, dynamic: bool) -> ParameterDescriptor:
    """What `ros2 param describe` tells of a setting."""
    descriptor = ParameterDescriptor(
        type=_TYPES[setting.kind].value,
        description=setting.description,
        read_only=not dynamic,
        dynamic_typing=dynamic,  # so that 1 can be set where 1.0 is meant, and that our reason is told, with the name
    )
    if setting.choices:
        descriptor.additional_constraints = f"one of {', '.join(setting.choices)}"
    if setting.within and setting.kind == "int":
        ends = {"from_value": int(setting.within.low), "to_value": int(setting.within.high)}
        descriptor.integer_range = [IntegerRange(**ends)]
    elif setting.within and setting.kind == "float":
        ends = {"from_value": float(setting.within.low), "to_value": float(setting.within.high)}
        descriptor.floating_point_range = [FloatingPointRange(**ends)]
    elif setting.within:
        descriptor.additional_constraints = f"each within {setting.within}"
    return descriptor


def _changed(config: Config, prefix: str, parameters: Sequence[Parameter]) -> Config:
    """The config with the values of those parameters that are its own."""
    own = {_name(prefix, setting): setting.name for setting in settings_of(config)}
    values = {own[parameter.name]: parameter.value for parameter in parameters if parameter.name in own}
    try:
        return with_settings(config, values)
    except ValueError as error:
        raise ValueError(f"{prefix}.{error}" if prefix else str(error)) from None


def _name(prefix: str, setting: Setting) -> str:
    return f"{prefix}.{setting.name}" if prefix else setting.name


def _plain(value: Value) -> bool | int | float | str | list[str | float]:
    return list(value) if isinstance(value, tuple) else value
