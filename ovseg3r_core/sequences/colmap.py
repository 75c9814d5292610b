"""What COLMAP exports: images with a sparse model of where they were taken from, in a unit of its own.

The folder is a project's: `images/` and `sparse/0/{cameras,images,points3D}.bin`; or `.txt`, or without the `0/`. As a
recording it is colour alone: the model's poses are in no metres. Reconstructing it begins with the model instead of
looking for one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.color_alone import ColorAlone
from ovseg3r_core.sequences.folder import FolderSequence, FrameFiles, nominal_stamp_s
from ovseg3r_core.sequences.image_folder import natural
from ovseg3r_core.types import ColorFrame

NEEDS = "images/ and sparse/0/ with cameras, images and points3D (.bin or .txt) of one camera, as COLMAP exports them"
CORNER_PX = 0.5
"""COLMAP counts pixels from the corner of the first one, we from its centre."""
_MODELS, _IMAGES = ("sparse/0", "sparse"), "images"  # the mapper numbers its models, the undistorter has one


@dataclass(frozen=True, kw_only=True)
class ColmapRecording(ColorAlone):
    """The images of an export, in the order of their names; its model has poses in no metres, and no depth images."""

    images: FolderSequence
    model: Path
    """Folder of the sparse model."""
    numbers: dict[str, int]
    """Frame index by an image's name in the model."""

    @property
    def name(self) -> str:
        """The folder's."""
        return self.images.name

    def read_stamps(self) -> dict[int, float]:
        """Times are made up, thirty images a second."""
        return self.images.read_stamps()

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The images in order, without the lens distortion that the model tells."""
        return self.images.read_color()


def recognises(path: Path) -> bool:
    """Whether a sparse model lies where COLMAP puts it."""
    return _model_in(path) is not None


def open_colmap(path: Path, frames: slice) -> ColmapRecording:
    """Open an export; images that the model does not place are not part of it.

    Raises:
        FileNotFoundError: there is no model.
        ImportError: pycolmap, which reads the model, is missing.
        Rejected: `bad_file` where the model cannot be read; `bad_intrinsics` where it is of several cameras, or of one
            whose lens is not known here.
    """
    folder = _model_in(path)
    if folder is None:
        raise FileNotFoundError(f"{path} holds no model of COLMAP: {NEEDS}")
    model = read_model(folder)
    names = sorted((image.name for image in model.images.values() if image.has_pose), key=natural)
    used = {repr(calibration_of(camera)): camera for camera in model.cameras.values()}
    if len(used) != 1:
        raise Rejected(
            "bad_intrinsics",
            f"{folder} has {len(used)} cameras, and one is needed: give images of one camera, matched with "
            "COLMAP's option single_camera",
        )
    (camera,) = used.values()
    numbers = {name: index for index, name in enumerate(names)}
    files = [
        FrameFiles(index=index, stamp_s=nominal_stamp_s(index), color=path / _IMAGES / name, depth=None, pose=None)
        for name, index in numbers.items()
    ]
    images = FolderSequence(name=path.resolve().name, files=tuple(files[frames]), calibration=calibration_of(camera))
    return ColmapRecording(images=images, model=folder, numbers=numbers)


def _model_in(path: Path) -> Path | None:
    """The folder of the first sparse model."""
    for inside in _MODELS:
        if any((path / inside / f"cameras{ending}").is_file() for ending in (".bin", ".txt")):
            return path / inside
    return None


def load_pycolmap() -> ModuleType:
    """The package; raises ImportError that says how to get it."""
    try:
        import pycolmap
    except ImportError as error:
        raise ImportError("a recording without depth needs pycolmap: pip install 'pycolmap>=4.2,<5'") from error
    return pycolmap


def read_model(folder: Path) -> Any:
    """The model of a folder, as pycolmap has it; raises `Rejected` (`bad_file`) where it is damaged."""
    colmap = load_pycolmap()
    try:
        return colmap.Reconstruction(folder)
    except (ValueError, RuntimeError) as error:
        raise Rejected("bad_file", f"{folder} is no model of COLMAP that can be read: {error}") from error


def calibration_of(camera: Any) -> Calibration:
    """COLMAP's camera as ours: its radial and tangential terms are OpenCV's."""
    numbers, known = list(map(float, camera.params)), _LENSES.get(camera.model.name)
    if known is None:
        raise Rejected(
            "bad_intrinsics",
            f"COLMAP's camera model {camera.model.name} is not known here: undistort with `colmap image_undistorter`",
        )
    focals, model = known
    fx, fy = numbers[0], numbers[focals - 1]
    cx, cy, *lens = numbers[focals:]
    distortion = tuple(lens + [0.0] * (4 - len(lens))) if lens else ()
    return Calibration(fx=fx, fy=fy, cx=cx - CORNER_PX, cy=cy - CORNER_PX, distortion=distortion, model=model)


_LENSES = {  # how many focal lengths its numbers begin with; what its other terms are called here
    "SIMPLE_PINHOLE": (1, "plumb_bob"),
    "PINHOLE": (2, "plumb_bob"),
    "SIMPLE_RADIAL": (1, "plumb_bob"),
    "RADIAL": (1, "plumb_bob"),
    "OPENCV": (2, "plumb_bob"),
    "FULL_OPENCV": (2, "rational_polynomial"),
    "OPENCV_FISHEYE": (2, "equidistant"),
}
