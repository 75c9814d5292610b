"""Which topics of a camera driver are which of ours: a YAML file a driver, turned into remappings.

    color/image: /camera/camera/color/image_raw
    color/camera_info: /camera/camera/color/camera_info
    depth/image: /camera/camera/aligned_depth_to_color/image_raw

ROS remaps whole names only, and a compressed image comes under a name of its own; so each image is remapped with all
the names that image_transport gives it.
"""

from pathlib import Path

import yaml

_TRANSPORTS = {
    "color/image": ("compressed",),
    "depth/image": ("compressed", "compressedDepth"),
    "color/camera_info": (),
    "depth/camera_info": (),
}


def camera_file(camera: str, cameras: Path) -> Path:
    """The file of a camera: one of the folder `cameras` by its name, or any by its path.

    Raises:
        ValueError: there is no such file.
    """
    path = Path(camera) if camera.endswith((".yaml", ".yml")) else cameras / f"{camera}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in cameras.glob("*.yaml")))
        raise ValueError(f"camera is {camera!r}, and there is no file {path}; give none, {known} or the path of a file")
    return path


def read_remappings(path: Path) -> list[tuple[str, str]]:
    """(our name, the driver's name) of every topic in a camera file, compressed images with them.

    With several cameras our names begin with that of the camera, such as `front/depth/image`.

    Raises:
        ValueError: the file maps a name that is none of ours, or not to a topic.
    """
    topics = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(topics, dict) or not topics:
        raise ValueError(f"{path} is no table of topics; write lines such as color/image: /camera/color/image_raw")
    return [pair for ours, theirs in topics.items() for pair in _pairs(str(ours), theirs, path)]


def _pairs(ours: str, theirs: object, path: Path) -> list[tuple[str, str]]:
    kind = "/".join(ours.split("/")[-2:])
    if kind not in _TRANSPORTS:
        raise ValueError(f"{path}: {ours!r} is no topic of ours; they end in {', '.join(_TRANSPORTS)}")
    if not isinstance(theirs, str) or not theirs:
        raise ValueError(f"{path}: {ours} is {theirs!r}; give the name of the driver's topic")
    return [(ours, theirs), *((f"{ours}/{each}", f"{theirs}/{each}") for each in _TRANSPORTS[kind])]
