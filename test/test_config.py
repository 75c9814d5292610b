"""Settings: ranges that are kept, names that are listed, values that are changed."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pytest

from ovseg3r_core.config import Within, check_ranges, settings_of, with_settings
from ovseg3r_core.language.naming import NamingConfig
from ovseg3r_core.mapping.queries import QueryConfig
from ovseg3r_core.perception_config import PerceptionConfig, config_of


@dataclass(frozen=True, kw_only=True)
class Lens:
    """What a test lens is like."""

    near_m: Annotated[float, Within(0.0, 10.0)] = 0.2
    """Nearest
    that is sharp."""
    far_m: Annotated[float, Within(0.0, 10.0)] = 5.0
    blades: Annotated[int, Within(3, 12)] = 7
    """Blades of its iris."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.near_m >= self.far_m:
            raise ValueError(f"near_m is {self.near_m} and far_m {self.far_m}; the first must be less")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """What a test camera is like."""

    lens: Lens = field(default_factory=Lens)
    """The lens."""
    mode: Literal["colour", "grey"] = "colour"
    """Kind of film."""
    gain: float = 1.0
    flash: bool = False
    owners: tuple[str, ...] = ()
    offsets_m: Annotated[tuple[float, ...], Within(-1.0, 1.0)] = (0.0, 0.5)

    def __post_init__(self) -> None:
        check_ranges(self)


def test_settings_are_listed_by_dotted_names_in_the_order_of_the_fields() -> None:
    names = [setting.name for setting in settings_of(Photo())]
    assert names == ["lens.near_m", "lens.far_m", "lens.blades", "mode", "gain", "flash", "owners", "offsets_m"]


def test_a_setting_says_all_that_its_field_says() -> None:
    settings = {setting.name: setting for setting in settings_of(Photo(lens=Lens(blades=9)))}
    assert settings["lens.blades"].default == 9 and settings["lens.blades"].kind == "int"
    assert settings["lens.blades"].within == Within(3, 12)
    assert settings["lens.near_m"].description == "Nearest that is sharp."
    assert settings["lens.far_m"].description == ""
    assert settings["mode"].choices == ("colour", "grey") and settings["mode"].kind == "str"
    kinds = [settings[name].kind for name in ("gain", "flash", "owners", "offsets_m")]
    assert kinds == ["float", "bool", "tuple[str, ...]", "tuple[float, ...]"]


def test_a_setting_is_among_those_of_its_config_and_no_other() -> None:
    settings = {setting.name: setting for setting in settings_of(Photo())}
    assert settings["lens.blades"].is_among(["mode", "lens"]) and settings["mode"].is_among(["mode"])
    assert not settings["lens.blades"].is_among(["le", "blades", "lens.near_m"]) and not settings["mode"].is_among([])


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ({"gain": float("nan")}, "gain is nan"),
        ({"gain": float("inf")}, "gain is inf"),
        ({"gain": np.float64("-inf")}, "gain is -inf"),
        ({"mode": "sepia"}, "mode is 'sepia'; choose from colour, grey"),
        ({"offsets_m": (0.0, -1.5)}, r"offsets_m is -1.5; it must lie in -1\.\.1"),
        ({"offsets_m": (0.0, float("nan"))}, "offsets_m is nan"),
    ],
)
def test_a_config_refuses_what_is_out_of_range_by_name(bad: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Photo(**bad)


@pytest.mark.parametrize(("field_name", "ends"), [("blades", (3, 12)), ("far_m", (0.3, 10.0))])
def test_both_ends_of_a_range_are_inside(field_name: str, ends: tuple[float, float]) -> None:
    for end in ends:
        assert getattr(Lens(**{field_name: end}), field_name) == end


def test_settings_are_changed_by_dotted_name_and_the_rest_stays() -> None:
    photo = Photo(gain=2.0)
    changed = with_settings(photo, {"lens.blades": 5, "mode": "grey", "owners": ["ann", "bob"]})
    assert changed == Photo(gain=2.0, lens=Lens(blades=5), mode="grey", owners=("ann", "bob"))
    assert photo == Photo(gain=2.0)


def test_an_int_will_do_for_a_float() -> None:
    changed = with_settings(Photo(), {"gain": 3, "offsets_m": [0, 1]})
    assert isinstance(changed.gain, float) and changed.gain == 3.0
    assert changed.offsets_m == (0.0, 1.0) and all(isinstance(number, float) for number in changed.offsets_m)


def test_values_that_only_go_together_are_changed_together() -> None:
    changed = with_settings(Photo(), {"lens.far_m": 0.15, "lens.near_m": 0.1})
    assert changed.lens == Lens(near_m=0.1, far_m=0.15)


def test_the_settings_of_a_config_make_it_again() -> None:
    photo = Photo(lens=Lens(near_m=1.0, blades=4), flash=True, offsets_m=())
    assert with_settings(Photo(), {setting.name: setting.default for setting in settings_of(photo)}) == photo


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"lens.blade": 5, "blades": 5}, "no setting blades, lens.blade"),
        ({"lens": 5}, "no setting lens"),
        ({"lens.blades": 13}, r"lens\.blades is 13; it must lie in 3\.\.12"),
        ({"lens.blades": 5.0}, r"lens\.blades is 5\.0, float; it must be int"),
        ({"lens.blades": True}, r"lens\.blades is True, bool; it must be int"),
        ({"lens.near_m": "near"}, r"lens\.near_m is 'near', str; it must be float"),
        ({"lens.near_m": float("nan")}, r"lens\.near_m is nan; it must be finite, in 0\.\.10"),
        ({"lens.near_m": None}, r"lens\.near_m is None"),
        ({"flash": 1}, "flash is 1, int; it must be bool"),
        ({"owners": "ann"}, "owners is 'ann', str"),
        ({"owners": ["ann", 1]}, "owners is"),
        ({"offsets_m": ["a"]}, "offsets_m is"),
        ({"offsets_m": [[0.0]]}, "offsets_m is"),
        ({"gain": [1.0]}, "gain is"),
        ({"mode": "sepia"}, "mode is 'sepia'; choose from colour, grey"),
        ({"lens.near_m": 6.0}, r"lens: near_m is 6\.0 and far_m 5\.0"),
    ],
)
def test_a_change_that_cannot_be_is_refused_by_its_dotted_name(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        with_settings(Photo(), values)


def test_a_field_that_is_no_setting_is_a_mistake_of_the_programmer() -> None:
    @dataclass(frozen=True)
    class Odd:
        sizes: dict[str, int] = field(default_factory=dict)

    with pytest.raises(TypeError, match=r"Odd\.sizes"):
        settings_of(Odd())


@pytest.mark.parametrize("config", [PerceptionConfig(), QueryConfig(), NamingConfig()], ids=lambda c: type(c).__name__)
def test_every_setting_of_the_method_is_described_and_every_number_has_a_range(config: object) -> None:
    for setting in settings_of(config):
        assert setting.description.endswith("."), setting.name
        assert setting.within is not None or setting.kind not in ("int", "float"), setting.name


@pytest.mark.parametrize("voxel_size_m", [0.002, 0.005, 0.02, 0.05, 0.2])
def test_bins_and_halls_lie_within_the_ranges(voxel_size_m: float) -> None:
    assert config_of(online=False, voxel_size_m=voxel_size_m).tsdf.voxel_size_m == voxel_size_m
