"""A labelled scene from sampled surfaces and camera poses: what rendering, `TsdfVolume` and lifting give, in a fraction
of the time.

    samples, poses ─► z-buffer ─► noise ─► fusion ─► cloud ─► incidence ─► truth, colours, lifted masks
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int32, Int64, UInt8, UInt16
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import voxel_keys
from ovseg3r_core.lifting import LiftingConfig
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.reconstruction.incidence import IncidenceConfig
from ovseg3r_core.reconstruction.surface import extract_cloud
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import Camera
from ovseg3r_train.sampled.fusion import FusionConfig, Readings, fuse
from ovseg3r_train.sampled.incidence import SeenPairs, see_all
from ovseg3r_train.sampled.lifted import FullImages, instances_of, lift_proposed, lift_true
from ovseg3r_train.sampled.measured_depth import MeasuredDepthConfig, measured_depth
from ovseg3r_train.sampled.point_truth import nearest_samples
from ovseg3r_train.sampled.surface_samples import SurfaceSamples
from ovseg3r_train.sampled.zbuffer import DeviceSamples, DrawnViews, draw, smaller_camera
from ovseg3r_train.scene import NO_INSTANCE, CleanTruth, LabelledScene, SceneView, Truth

MakeProposer = Callable[[Callable[[int], UInt16[ndarray, "height width"]], Mapping[int, str]], MaskProposer]
"""Makes a proposer of the true instance images and names, as the class `PerfectMasks` does."""

_SUN = np.array([-0.45, -0.5, 0.74], dtype=np.float32)  # that of `ovseg3r_core.synthetic.render`


@dataclass(frozen=True, kw_only=True)
class SampledConfig:
    """How a sampled scene is made."""

    shrink: Annotated[int, Within(1, 16)] = 4
    """How many pixels of the camera one drawn pixel stands for, along one axis; 4 draws 160x120 for 640x480."""
    depth: MeasuredDepthConfig = field(default_factory=MeasuredDepthConfig)
    """What the depth camera adds."""
    fusion: FusionConfig = field(default_factory=FusionConfig)
    """How depth is fused."""
    incidence: IncidenceConfig = field(default_factory=IncidenceConfig)
    """When a view counts as seeing a point; in pixels of the camera."""
    lifting: LiftingConfig = field(default_factory=LiftingConfig)
    """How masks are cleaned and carried; in pixels of the camera."""
    openness: Annotated[float, Within(0.0, 1.0)] = 0.88
    """How far the light of the sky reaches, the mean over a furnished room."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class SampledWorld:
    """All of a scene but its masks, which are lifted for as many sources as there are."""

    views: DrawnViews
    measured_m: Float32[Tensor, "views height width"]
    camera: Camera
    """That the scene's pixels are meant in."""
    T_map_camera: Float64[ndarray, "views 4 4"]
    """As they are believed."""
    seen: SeenPairs
    scene: LabelledScene
    """Without masks."""
    names: Mapping[int, str]
    lifting: LiftingConfig

    def labelled(self, masks: MakeProposer | None = None) -> LabelledScene:
        """The scene with the masks of one source.

        Args:
            masks: makes the source of the masks; None lifts the true outlines, on the device.
        """
        if masks is None:
            return replace(self.scene, lifted=lift_true(self.views, self.seen, self.names, self.lifting))
        images = FullImages(
            views=self.views, measured_m=self.measured_m, camera=self.camera, T_map_camera=self.T_map_camera
        )
        proposer = masks(images.instances, self.names)
        return replace(
            self.scene, lifted=lift_proposed(images, proposer, self.scene.seen, self.scene.cloud, self.lifting)
        )


def sampled_scene(
    samples: SurfaceSamples | DeviceSamples,
    T_map_camera: Sequence[Float64[ndarray, "4 4"]],
    camera: Camera,
    names: Mapping[int, str],
    *,
    masks: MakeProposer | None = None,
    believed: Sequence[Float64[ndarray, "4 4"]] | None = None,
    seed: int = 0,
    config: SampledConfig | None = None,
    device: str = "cpu",
    clock: Stopwatch | None = None,
) -> LabelledScene:
    """Both halves at once, for one source of masks; arguments and errors are those of `sampled_world` and
    `labelled`."""
    clock = clock or Stopwatch()
    world = sampled_world(
        samples, T_map_camera, camera, names, believed=believed, seed=seed, config=config, device=device, clock=clock
    )
    with _timer(clock, device)("masks"):
        return world.labelled(masks)


def sampled_world(
    samples: SurfaceSamples | DeviceSamples,
    T_map_camera: Sequence[Float64[ndarray, "4 4"]],
    camera: Camera,
    names: Mapping[int, str],
    *,
    believed: Sequence[Float64[ndarray, "4 4"]] | None = None,
    seed: int = 0,
    config: SampledConfig | None = None,
    device: str = "cpu",
    clock: Stopwatch | None = None,
) -> SampledWorld:
    """See the surfaces from all poses and fuse what is seen; the same arguments give the same world.

    Args:
        T_map_camera: true pose of each view.
        camera: intrinsics that the scene's pixels are meant in.
        names: class name by instance id.
        believed: the poses as a drifting robot believes them; None for the true ones.
        clock: takes the seconds of each stage.

    Raises:
        ValueError: there is no view, the camera's image cannot be shrunk by whole pixels, or no depth is in range.
    """
    config, timed = config or SampledConfig(), _timer(clock or Stopwatch(), device)
    with timed("draw"):
        on_device = samples if isinstance(samples, DeviceSamples) else DeviceSamples.of(samples, device)
        views = draw(on_device, T_map_camera, smaller_camera(camera, config.shrink))
        measured_m = measured_depth(views, seed, config.depth)
    poses = views.T_map_camera if believed is None else np.stack(believed)
    with timed("fuse"):
        readings = Readings(exact_m=views.depth_m, measured_m=measured_m, camera=views.camera, T_map_camera=poses)
        fusion = replace(config.fusion, full_width_px=camera.width, frames_a_view=config.depth.frames_a_view)
        volume = fuse(readings, fusion)
    with timed("extract"):
        cloud = extract_cloud(volume)
        xyz = torch.as_tensor(cloud.xyz, device=device)
    with timed("incidence"):
        seen = see_all(xyz, measured_m, poses, camera, config.incidence)
        incidence = seen.incidence()
    with timed("truth"):
        sample = nearest_samples(xyz, seen, views, poses)
        cloud = replace(cloud, color=_lit(_albedo(views, sample), cloud.normal, config.openness))
        truth = _truth(instances_of(views, sample), names)
        clean = _clean(views, names, config.fusion.voxel_size_m)
    scene = LabelledScene(
        name="sampled",
        cloud=cloud,
        views=tuple(SceneView(camera=camera, T_map_camera=pose) for pose in poses),
        seen=incidence,
        lifted=(),
        truth=truth,
        clean=clean,
        facts={"generator": "sampled", "seed": seed, "shrink": config.shrink},
    )
    return SampledWorld(
        views=views,
        measured_m=measured_m,
        camera=camera,
        T_map_camera=poses,
        seen=seen,
        scene=scene,
        names=names,
        lifting=config.lifting,
    )


def _timer(clock: Stopwatch, device: str) -> Callable[[str], AbstractContextManager[None]]:
    """A stopwatch that waits for the GPU at the end of a stage."""

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        with clock(stage):
            yield
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize(device)

    return timed


def _albedo(views: DrawnViews, sample: Int64[Tensor, " points"]) -> UInt8[ndarray, "points 3"]:
    """Colour of the sample of each point; grey where it has none."""
    color = views.samples.color[sample.clamp(min=0)]
    return torch.where((sample >= 0)[:, None], color, 128).to(torch.uint8).cpu().numpy()


def _lit(
    albedo: UInt8[ndarray, "points 3"], normal: Float32[ndarray, "points 3"], openness: float
) -> UInt8[ndarray, "points 3"]:
    """Colours in the light that the renderer has, without the shade of things near by."""
    sky, sun = openness * (0.56 + 0.22 * normal[:, 2]), np.clip(normal @ _SUN, 0, 1) * (0.4 + 0.6 * openness)
    light = (0.22 + sky + 0.34 * sun) ** (1 / 2.2)
    return np.clip(albedo * light[:, None], 0, 255).astype(np.uint8)


def _truth(instance: Int32[ndarray, " points"], names: Mapping[int, str]) -> Truth:
    """Ids that have no name are nothing."""
    ids = np.unique(instance).tolist()
    named = {id: names[id] for id in ids if id in names}
    return Truth(instance=np.where(np.isin(instance, list(named)), instance, np.int32(NO_INSTANCE)), names=named)


def _clean(views: DrawnViews, names: Mapping[int, str], voxel_m: float) -> CleanTruth:
    """The samples that some view shows, one a voxel, where they truly are."""
    shown = torch.zeros(len(views.samples), dtype=torch.bool, device=views.sample.device)
    shown[views.sample[views.sample >= 0].long()] = True
    sample = shown.nonzero().squeeze(1)
    _, first = np.unique(voxel_keys(views.samples.xyz[sample].cpu().numpy(), voxel_m), return_index=True)
    sample = sample[torch.as_tensor(first, device=sample.device)]
    return CleanTruth(xyz=views.samples.xyz[sample].cpu().numpy(), truth=_truth(instances_of(views, sample), names))
