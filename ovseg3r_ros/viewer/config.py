"""The settings of the viewer node; all are ROS parameters under the names they have here."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ovseg3r_core.config import Within, check_ranges


@dataclass(frozen=True, kw_only=True)
class ViewerConfig:
    """What is shown, how often, and where."""

    mode: Literal["spawn", "serve", "save"] = "spawn"
    """A window on this machine, a page for a browser, or a file."""
    path: str = "recording.rrd"
    """The file of the mode save."""
    bind: str = "127.0.0.1"
    """Address that the mode serve listens on; 0.0.0.0 lets other machines look too."""
    port: Annotated[int, Within(1024, 65535)] = 9876
    """Port that the viewer gets its data on."""
    web_port: Annotated[int, Within(1024, 65535)] = 9090
    """Port of the page in the mode serve."""
    memory_mb: Annotated[int, Within(64, 65536)] = 1024
    """What the viewer keeps; the oldest makes room."""
    cameras: tuple[str, ...] = ()
    """As in the node perception: names of the cameras, or empty for one with color/image."""
    transport: Literal["raw", "compressed"] = "raw"
    """Which image topic is shown."""
    map_frame: str = "map"
    """The frame of the map."""
    image_rate_hz: Annotated[float, Within(0.1, 30.0)] = 2.0
    """Images and camera poses shown a second; all others are not even decoded."""
    cloud_period_s: Annotated[float, Within(0.0, 60.0)] = 2.0
    """Shortest time between two clouds that are shown."""
    background_height_m: Annotated[float, Within(0.0, 100.0)] = 1.2
    """Points of no object are shown up to here above the lowest ones: walls and ceilings would hide the objects."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
