"""The verbs that measure: `evaluate` compares methods, `calibrate` asks whether verdicts and scores are honest."""

from pathlib import Path
from typing import Annotated

import typer

from ovseg3r_core.commands.app import err, out, say
from ovseg3r_core.commands.options import SegmenterFile
from ovseg3r_core.progress import progress_bar
from ovseg3r_train.commands.options import Split


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A set of labelled scenes.")],
    methods: Annotated[
        str,
        typer.Option(
            help="Which, with commas: online, offline, mask-clustering, ovir3d, sam3d and, with weights, segmenter and "
            "fused; all without it."
        ),
    ] = "",
    split: Annotated[Split | None, typer.Option(help="Only the scenes of one split.")] = None,
    masks: Annotated[str | None, typer.Option(help="Only the scenes with masks of one source.")] = None,
    segmenter: SegmenterFile = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; seconds are truest with one.")] = 1,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; FOLDER/benchmark if none.")
    ] = None,
) -> None:
    """Compare our map with its neighbours on the same masks: one table, as JSON and as pictures too.

    Writes table.json, methods.png and, where scenes were made with several sensors, curves_*.png. What a method found
    in a scene is kept in --out, so that a comparison that was cut goes on.
    """
    from ovseg3r_core.shipped import chosen_checkpoint
    from ovseg3r_train.benchmark.compare import compare
    from ovseg3r_train.benchmark.methods import all_methods, methods_named
    from ovseg3r_train.benchmark.results import write_results
    from ovseg3r_train.benchmark.table import as_table
    from ovseg3r_train.scene_set import SceneSet

    weights = chosen_checkpoint(segmenter)
    chosen = methods_named([it.strip() for it in methods.split(",")], weights) if methods else all_methods(weights)
    scenes = SceneSet(folder, split=split.value if split else None, masks=masks)
    results = out_dir or folder / "benchmark"
    with progress_bar(err) as progress:
        task = progress.add_task("scenes", total=len(scenes))
        rows = compare(
            folder,
            scenes.entries,
            chosen,
            results / "found",
            workers=workers,
            checkpoint=weights,
            on_scene=lambda: progress.advance(task),
        )
    written = write_results(results, rows)
    out.print(as_table(rows, f"{len(scenes)} scenes"))
    say(f"written: {', '.join(str(path) for path in written)}")


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A set of labelled scenes.")],
    split: Annotated[Split | None, typer.Option(help="Only the scenes of one split.")] = None,
    masks: Annotated[str | None, typer.Option(help="Only the scenes with masks of one source.")] = None,
    absent: Annotated[int, typer.Option(min=1, max=200, help="Names each room is asked for that are not there.")] = 50,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; 1 GB of memory each.")] = 1,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; FOLDER/calibration if none.")
    ] = None,
) -> None:
    """Ask the map of every scene for what is there and for what is not: are verdicts and scores honest?

    Writes calibration.json and reliability.png. The last line has the numbers of QueryConfig that would fit these
    scenes best; docs/queries.md says what they mean.
    """
    from ovseg3r_core.mapping.queries import QueryConfig
    from ovseg3r_train.benchmark import calibrate as calibration
    from ovseg3r_train.benchmark.honesty import fit_trust
    from ovseg3r_train.scene_set import SceneSet

    scenes, lowest = SceneSet(folder, split=split.value if split else None, masks=masks), QueryConfig().none_below
    with progress_bar(err) as progress:
        task = progress.add_task("scenes", total=len(scenes))
        results = calibration.calibrate(
            folder, scenes.entries, absent=absent, workers=workers, on_scene=lambda: progress.advance(task)
        )
    written = calibration.write_calibration(out_dir or folder / "calibration", results, lowest)
    out.print(calibration.as_table(results, lowest))
    say(f"written: {', '.join(str(path) for path in written)}")
    fit = fit_trust([it.named for it in results])
    told = f"label_bias {fit[0]:.2f}, label_gain {fit[1]:.2f}" if fit else "nothing: no name is wrong, or none is right"
    say(f"fitted to these scenes: {told}")
