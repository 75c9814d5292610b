"""`ovseg3r demo`: the main job on two scenes whose truth is known, from nothing but what the set-up installed.

One real RGB-D frame (a robot's view into a bin of shop goods) and one furnished room that is generated and
rendered. Both go through the whole pipeline; what was found is held against what is there, and the room is asked.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ovseg3r_core.commands.tables import metres, report_text
from ovseg3r_core.evaluation.map_metrics import MapMetrics, compare_maps
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import default_vocabulary
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.masks.build import build_proposer
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.run import perceive, write_run
from ovseg3r_core.segmenter_choice import SegmenterChoice, choose_segmenter
from ovseg3r_core.sequences.sequence import Sequence
from ovseg3r_core.synthetic.furniture import furniture_folder
from ovseg3r_core.synthetic.real_frame import RealFrame
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame

QUESTIONS = ("sofa", "somewhere to sit", "something to drink from", "computer screen", "the cup on the desk", "giraffe")
ROOM = RoomConfig(seed=7)
WALK = WalkConfig(frames=60)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A sequence with its truth."""

    title: str
    source: Sequence
    names: Mapping[int, str]
    instance_at: Callable[[Float32[ndarray, "points 3"]], Int32[ndarray, " points"]]
    """True instance id of points of the map, -1 for none."""
    voxel_size_m: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What both scenes are shown with."""

    proposer: MaskProposer
    namer: Namer
    choice: SegmenterChoice
    out: Console
    err: Console

    def show(self, scene: Scene, folder: Path) -> MapSnapshot:
        """Map a scene, write its files, and print what was found against what is there."""
        start = time.perf_counter()
        config = config_of(online=False, voxel_size_m=scene.voxel_size_m)
        learned = self.choice.segmenter
        perception = perceive(scene.source, self.proposer, config, console=self.err, segmenter=learned)
        with self.err.status("writing the results"):
            snapshot = perception.snapshot()
            namer = self.namer.with_names_of(record.label for record in snapshot.objects)
            report = write_run(folder, perception, snapshot, namer, start, self.choice)
        names = {record.id: record.label for record in snapshot.objects}
        truth = scene.instance_at(snapshot.cloud.xyz)
        self.out.print(truth_table(scene.title, compare_maps(truth, scene.names, snapshot.instance(), names)))
        self.out.print(report_text(report, folder), soft_wrap=True, highlight=False)
        return snapshot


def run_demo(folder: Path, device: str, out: Console, err: Console) -> None:
    """Map both scenes into `folder/bin` and `folder/room`, and ask the room.

    Raises:
        MissingModel, MissingFurnitureError: something is not installed; the text says how to get it.
    """
    furniture_folder()  # missing furniture is said at once, not after the first scene
    with err.status("loading the networks"):
        encoder = MiniLm()
        namer = Namer(default_vocabulary(), encoder)
        proposer = build_proposer("default", device=device)
        choice = choose_segmenter(off=False, checkpoint=None, names=(), device=device)
        stage = Stage(proposer=proposer, namer=namer, choice=choice, out=out, err=err)
    stage.show(bin_scene(), folder / "bin")
    with err.status("furnishing a room"):
        room = room_scene()
    snapshot = stage.show(room, folder / "room")
    out.print(answers_table(snapshot, QueryEngine(encoder)))
    out.print(f"Turn it round: ovseg3r view {escape(str(folder / 'room'))}", soft_wrap=True, highlight=False)


def bin_scene() -> Scene:
    """The real frame; a point of the map belongs to the true mask of the pixel that sees it."""
    source = RealFrame()
    (frame,) = (item for item in source.read() if isinstance(item, Frame))

    def instance_at(xyz: Float32[ndarray, "points 3"]) -> Int32[ndarray, " points"]:
        seen = see_points(xyz, frame)
        column, row = seen.pixels.T
        truth = np.full(len(xyz), -1, np.int32)
        truth[seen.points] = source.instances(0)[row, column].astype(np.int32)
        return np.where(truth > 0, truth, np.int32(-1))

    return Scene(
        title="One real frame: a bin of shop goods",
        source=source,
        names=source.names,
        instance_at=instance_at,
        voxel_size_m=0.005,
    )


def room_scene() -> Scene:
    """The furnished room; a point of the map belongs to the thing whose exact surface is nearest."""
    room = build_room(ROOM)
    surface = TruthSurface(room)
    return Scene(
        title="A furnished room", source=RoomSequence(room, WALK), names=room.names, instance_at=surface.instance_at
    )


def truth_table(title: str, metrics: MapMetrics) -> Table:
    """What is there, a row a thing, and what was found of it."""
    table = Table("what is there", "found as", "overlap (IoU)", "again", title=title, title_justify="left")
    for thing in metrics.objects:
        found = "[red]not found[/]" if thing.predicted_id is None else f"{thing.predicted_name} #{thing.predicted_id}"
        color = "green" if thing.right_name else "yellow"
        overlap = f"{thing.iou:.2f}" if thing.predicted_id is not None else ""
        table.add_row(thing.truth_name, f"[{color}]{found}[/]", overlap, "x" * len(thing.duplicates))
    table.caption = (
        f"{metrics.found} of {metrics.there} found ({metrics.found_at(0.5)} with IoU over 0.5), {metrics.right_names} "
        f"with the right name, {metrics.duplicates} found again, {len(metrics.ghosts)} that are not there"
    )
    return table


def answers_table(snapshot: MapSnapshot, engine: QueryEngine) -> Table:
    """What the map says to a few texts."""
    table = Table("text", "verdict", "best answers", title="Asking the room", title_justify="left")
    for text in QUESTIONS:
        result = ask(engine, snapshot, text, top_k=3)
        best = ", ".join(f"{hit.object.label} #{hit.object.id} at {metres(hit.object.centre)}" for hit in result.hits)
        table.add_row(text, result.verdict, best)
    return table
