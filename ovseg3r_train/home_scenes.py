"""The scenes of a furnished home: what a job of `make_scenes.py` does, rendered or sampled."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.synthetic.sequence import WalkConfig as CameraConfig
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_train.homes.home import Home, HomeConfig, build_home
from ovseg3r_train.make_scenes import SceneJob
from ovseg3r_train.novel import hide_novel
from ovseg3r_train.sampled.measured_depth import MeasuredDepthConfig
from ovseg3r_train.sampled.sampled_scene import SampledConfig, sampled_world
from ovseg3r_train.sampled.surface_samples import sample_parts
from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.sensor.pose_drift import with_drift
from ovseg3r_train.sensor.rendered import PERFECT_SENSOR, NoisySequence, render_home
from ovseg3r_train.sensor.walks import WalkConfig, walk
from ovseg3r_train.worlds import World, proposer_of, scenes_of

_CAMERA = CameraConfig().camera  # 640x480, as wide as a Kinect's
Poses = list[Float64[ndarray, "4 4"]]


def make(job: SceneJob, sources: Sequence[str]) -> Iterator[tuple[str, LabelledScene]]:
    """The scenes of one home with the masks of some sources, each under its name."""
    home = build_home(HomeConfig(seed=job.seed, split=job.split))
    poses = walk(home.floor_plan, WalkConfig(style=job.style, frames=job.frames), job.seed)
    made = _sampled(job, home, poses, sources) if job.sampled else _rendered(job, home, poses, sources)
    facts = home_facts(job, home)
    for source, scene in made:
        told = replace(scene, name=job.name(source), facts={**scene.facts, **facts, "masks": source})
        yield source, hide_novel(told) if job.hide_novel else told


def home_facts(job: SceneJob, home: Home) -> dict[str, Any]:
    """Where a scene comes from, and whom its models are owed to."""
    return {
        "generator": "ovseg3r-train scenes" + (" --sampled" if job.sampled else ""),
        "seed": job.seed,
        "split": job.split,
        "style": job.style,
        "home": home.name,
        "attribution": {thing.model: {"creator": thing.creator, "licence": thing.licence} for thing in home.objects},
    }


def _rendered(job: SceneJob, home: Home, poses: Poses, sources: Sequence[str]) -> Iterator[tuple[str, LabelledScene]]:
    """Frames rendered, spoilt by the sensor, fused."""
    facts = {"seed": job.seed, "split": job.split, "style": job.style}
    render_home(home, poses, _CAMERA, job.renders, facts=facts, nthreads=job.threads)
    frames = NoisySequence(job.renders, job.sensor, job.seed)
    world = World(
        frames=frames,
        exact=NoisySequence(job.renders, PERFECT_SENSOR),
        instances=frames.instances,
        surface=TruthSurface(home),
        names=home.names,
        renders=job.renders,
    )
    return scenes_of(world, sources, seed=job.seed, device=job.device)


def _sampled(job: SceneJob, home: Home, poses: Poses, sources: Sequence[str]) -> Iterator[tuple[str, LabelledScene]]:
    """Surfaces sampled once, seen by every pose of the walk."""
    if job.sensor.drop_share:
        raise ValueError("dropped frames are for rendered scenes: a sampled one has no frames beside its views")
    samples, noise = sample_parts(home.parts, seed=job.seed), MeasuredDepthConfig()
    scale = job.sensor.depth.scale
    noise = replace(noise, floor_m=noise.floor_m * scale, growth=noise.growth * scale)
    world = sampled_world(
        samples,
        poses,
        _CAMERA,
        home.names,
        believed=with_drift(poses, job.sensor.pose, job.seed),
        seed=job.seed,
        config=SampledConfig(depth=noise),
        device=job.device,
    )
    for source in sources:
        # The true outlines can be lifted where the views are drawn, without any image.
        yield source, world.labelled(None if source == "perfect" else partial(proposer_of, source, seed=job.seed))
