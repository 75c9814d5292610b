"""Which parameters the perception node has, and which of them can be changed while it runs."""

from dataclasses import dataclass
from typing import Generic

from ovseg3r_core.config import Config
from ovseg3r_core.live import LiveConfig
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_ros.config import InputConfig, NodeConfig, OutputConfig


@dataclass(frozen=True, kw_only=True)
class ParameterGroup(Generic[Config]):
    """A config whose settings are parameters of the node, under the names they have in the config."""

    title: str
    config: Config
    """Holds the defaults."""
    dynamic: tuple[str, ...] = ()
    """Settings, or configs inside the config, that can be changed while the node runs."""


NODE = ParameterGroup(title="The node", config=NodeConfig(), dynamic=("segmenter", "saved_in_map"))
INPUT = ParameterGroup(title="What comes in", config=InputConfig())
OUTPUT = ParameterGroup(
    title="What goes out", config=OutputConfig(), dynamic=("queries", "cloud_colors", "cloud_background")
)
WORKERS = ParameterGroup(title="The workers", config=LiveConfig())
METHOD = ParameterGroup(
    title="The method",
    config=PerceptionConfig(),
    dynamic=(  # not `tsdf`: a surface cannot change its resolution
        "incidence",
        "keyframes.translation_m",
        "keyframes.rotation_rad",
        "keyframes.sharpness_ratio",
        "keyframes.patience",
        "lifting",
        "mapping",
        "structure",
        "life",
        "explained_after_views",
        "explained_sureness",
        "refine_every",
        "refine_share",
        "max_views",
    ),
)
GROUPS = (NODE, INPUT, OUTPUT, WORKERS, METHOD)
