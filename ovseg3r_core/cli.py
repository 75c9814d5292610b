"""The command `ovseg3r`: its verbs in the order of the help, each with examples. What they do is in `commands/`."""

import typer

from ovseg3r_core.commands.app import add_verb, command_line, run
from ovseg3r_core.commands.demo import demo
from ovseg3r_core.commands.evaluate import evaluate
from ovseg3r_core.commands.files import bag, report, view
from ovseg3r_core.commands.models import fetch_models, list_models, verify_models
from ovseg3r_core.commands.query import query
from ovseg3r_core.commands.reconstruct import reconstruct
from ovseg3r_core.commands.segment import segment
from ovseg3r_core.commands.superpoints import superpoints

app = command_line("Open-vocabulary 3D objects from RGB-D video: map them, name them, ask for them by free text.")


def main() -> None:
    """The command `ovseg3r`."""
    run(app)


add_verb(
    app,
    segment,
    "ovseg3r segment recordings/office --out office",
    "ovseg3r segment office_bag --out office --frames ::2 --mode online",
    "ovseg3r segment scans/scene0011_00 --out s11 --vocabulary scannet200 --on-points scene0011_00_vh_clean_2.ply",
)
add_verb(
    app,
    query,
    "ovseg3r query office 'somewhere to sit'",
    "ovseg3r query office monitor --top-k 3 --json",
    "ovseg3r query office 'the cup on the desk'",
)
add_verb(
    app,
    evaluate,
    "ovseg3r evaluate predictions scannet200_val",
    "ovseg3r evaluate office truth/office.txt --vocabulary truth/vocabulary.txt",
    "ovseg3r evaluate office truth/office.txt --protocol class-agnostic --json",
)
add_verb(
    app,
    superpoints,
    "ovseg3r superpoints office/scene.ply --masks office --out superpoints.npy --picture superpoints.png",
    "ovseg3r superpoints scene0011_00_vh_clean_2.ply --out superpoints.npy",
    "ovseg3r superpoints cloud.ply --masks ids.npy --out superpoints.npy --k 0.003",
)
add_verb(app, demo, "ovseg3r demo", "ovseg3r demo --out demo_out")
add_verb(
    app,
    reconstruct,
    "ovseg3r reconstruct recordings/office --out office_map",
    "ovseg3r reconstruct walk.mp4 --out walk --camera-height 1.5",
    "ovseg3r segment walk.mp4 --out objects --poses walk",
)
add_verb(app, bag, "ovseg3r bag recordings/office office_bag")
add_verb(app, view, "ovseg3r view office")
add_verb(app, report, "ovseg3r report office", "ovseg3r report office --out office.html")

models = typer.Typer(help="The weights: what they are, where they come from, whether they are whole.")
app.add_typer(models, name="models", no_args_is_help=True)
add_verb(models, list_models, "ovseg3r models list", name="list")
add_verb(models, fetch_models, "ovseg3r models fetch", "ovseg3r models fetch yolox-nano", name="fetch")
add_verb(models, verify_models, "ovseg3r models verify", name="verify")
