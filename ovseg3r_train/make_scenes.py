"""Many labelled scenes: one job a home or a recording, run in several processes or on the machines of a cluster.

A job that fails is told and counted; the others go on. What is in the index with the right checksum is not made again.
"""

import logging
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.scene_set import SceneEntry, SceneSet
from ovseg3r_train.sensor.rendered import SensorConfig

Split = Literal["train", "val", "test"]
Style = Literal["human", "robot"]
Attribution = Mapping[str, Mapping[str, str]]
"""Creator and licence of each model."""
RENDERS = "renders"


@runtime_checkable
class Job(Protocol):
    """What is known of any job: one world to be made into a scene for each of some sources of masks."""

    @property
    def folder(self) -> Path:
        """Of the set that the scenes are added to."""
        ...

    @property
    def split(self) -> Split:
        """What the scenes are for."""
        ...

    @property
    def masks(self) -> tuple[str, ...]:
        """The sources of masks, a scene each."""
        ...

    @property
    def tag(self) -> str:
        """What the sensor is called, where it is not the usual one."""
        ...

    @property
    def world(self) -> str:
        """What is told to a person of whom this is the job."""
        ...

    def name(self, masks: str) -> str:
        """The name of the scene with the masks of one source."""
        ...

    def tidy(self, done: bool) -> None:
        """Remove what was needed on the way; `done` where every scene was made."""
        ...


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, kw_only=True)
class SceneJob:
    """One home, one walk through it, and the sources of masks that scenes are made with."""

    folder: Path
    """Of the set that the scenes are added to."""
    split: Split
    seed: int
    style: Style = "human"
    frames: int = 100
    masks: tuple[str, ...] = ("perfect",)
    sensor: SensorConfig = field(default_factory=SensorConfig)
    """What stands between the exact frames and those that are fused."""
    tag: str = ""
    """What the sensor is called in the names of scenes, where it is not the usual one."""
    hide_novel: bool = False
    """Whether the truth of novel classes is left out, as whoever trains on the scene must not see it."""
    sampled: bool = False
    """Without rendering: sampled surfaces and a z-buffer."""
    keep_renders: bool = False
    device: str = "cpu"
    threads: int = 2
    """Threads that render."""

    @property
    def world(self) -> str:
        """What the home, the walk and the sensor are called."""
        kind = ("-sampled" if self.sampled else "") + (f"-{self.tag}" if self.tag else "")
        return f"{self.split}-{self.seed:05d}-{self.style}{self.frames}{kind}"

    @property
    def renders(self) -> Path:
        """Where the exact frames lie, for every sensor."""
        return self.folder / RENDERS / f"{self.split}-{self.seed:05d}-{self.style}{self.frames}"

    def name(self, masks: str) -> str:
        """The name of the scene with the masks of one source."""
        return f"{self.world}-{file_name(masks)}"

    def tidy(self, done: bool) -> None:
        """Remove the renders unless they are kept; they can be made again."""
        if not self.keep_renders:
            shutil.rmtree(self.renders, ignore_errors=True)


def file_name(masks: str) -> str:
    """A source of masks as part of the name of a file."""
    return re.sub("[^A-Za-z0-9]+", "_", masks)[-40:]


def masks_folder(folder: Path, masks: str) -> Path:
    """Where the masks of a network are kept, beside the frames that they were made of: they take seconds a frame."""
    return folder / "masks" / file_name(masks)


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[J]):
    """How a job ended."""

    job: J
    entries: tuple[SceneEntry, ...] = ()
    """The scenes that are whole on disk now."""
    error: str | None = None
    attribution: Attribution = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    """What a user must know of the scenes, a sentence each."""

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the scenes."""
        return tuple(entry.name for entry in self.entries)


Make = Callable[[J, Sequence[str]], Iterable[tuple[str, LabelledScene]]]
"""The scenes of a job, each with its source of masks, for some of those sources."""
MakeHome = Callable[[SceneJob, Sequence[str]], Iterable[tuple[str, LabelledScene]]]


def jobs_left(jobs: Sequence[J], scenes: SceneSet) -> list[J]:
    """The jobs of which a scene is missing or damaged."""
    return [job for job in jobs if missing(job, scenes)]


def missing(job: Job, scenes: SceneSet) -> tuple[str, ...]:
    """The sources of masks of a job whose scenes are not in the index, or are not what it lists."""
    return tuple(masks for masks in job.masks if not scenes.is_whole(job.name(masks)))


def run_jobs(jobs: Sequence[J], make: Make[J], workers: int = 1) -> Iterator[Outcome[J]]:
    """Run the jobs and tell of each as it ends, in no particular order.

    Args:
        make: a function of a module: it is sent to the other processes by its name.
        workers: how many processes; with one, everything happens in this one.
    """
    if workers == 1:
        yield from (run_job(job, make) for job in jobs)
        return
    threads = threads_each(workers)
    context = multiprocessing.get_context("spawn")  # a fork would take over the locks of Open3D's and torch's threads
    with ProcessPoolExecutor(workers, context, initializer=set_up_process, initargs=(threads,)) as pool:
        futures = {pool.submit(run_job, job, make): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield _outcome(future, futures[future])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_job(job: J, make: Make[J], *, lists: bool = True) -> Outcome[J]:
    """Make the scenes of a job that are missing and add them to the set; an error becomes the outcome.

    Args:
        lists: whether they are put into the index as well; without it, that is left to whoever gets the outcome.
    """
    entries: list[SceneEntry] = []
    done = False
    try:
        scenes = SceneSet.create(job.folder)
        attribution: Attribution = {}
        doubts = ()
        for masks, scene in make(job, missing(job, scenes)):
            entries.append((scenes.add if lists else scenes.save)(scene, job.split, masks, job.tag))
            attribution = scene.facts.get("attribution", {})
            doubts = tuple(scene.facts.get("doubts", ()))
        done = True
        return Outcome(job=job, entries=tuple(entries), attribution=attribution, doubts=doubts)
    except Exception as error:  # whatever it is: the other worlds can be made all the same
        logging.getLogger(__name__).debug("%s failed", job.world, exc_info=True)
        return Outcome(job=job, entries=tuple(entries), error=f"{type(error).__name__}: {error}")
    finally:
        job.tidy(done)


def threads_each(workers: int) -> int:
    """The share of each process in the cores."""
    return max(1, (os.cpu_count() or 1) // workers)


def _outcome(future: Future[Outcome[J]], job: J) -> Outcome[J]:
    try:
        return future.result()
    except BrokenProcessPool as error:  # killed, for want of memory most of the time
        return Outcome(job=job, error=f"a process died before it was done ({error}): give fewer --workers")


def set_up_process(threads: int) -> None:
    """A process of several: no more threads than its share of the cores, and no progress bars of libraries."""
    import cv2
    import torch

    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s")
    cv2.setNumThreads(threads)
    torch.set_num_threads(threads)
