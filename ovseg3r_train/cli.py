"""The command `ovseg3r-train`: its verbs in the order of the help, with examples. What they do is in `commands/`."""

from ovseg3r_core.commands.app import add_verb, command_line, run
from ovseg3r_train.commands.benchmark import calibrate, evaluate
from ovseg3r_train.commands.convert import convert
from ovseg3r_train.commands.pseudo_label import pseudo_label
from ovseg3r_train.commands.scenes import scenes
from ovseg3r_train.commands.show import sheet, show
from ovseg3r_train.commands.train import ablate, export, train

app = command_line("Labelled worlds: make them, look at them, and measure methods on them.")


def main() -> None:
    """The command `ovseg3r-train`."""
    run(app)


add_verb(
    app,
    train,
    "ovseg3r-train train rooms --out run --validation val_rooms --steps 20000",
    "ovseg3r-train train office_labels --out mine --start default --set lessons.pseudo_scenes=4 --steps 2000",
    "ovseg3r-train train rooms --out run --set lessons.views=8 --set size=base",
    "torchrun --nproc-per-node 2 -m ovseg3r_train.cli train rooms --out run",
)
add_verb(
    app,
    export,
    "ovseg3r-train export run --out weights.safetensors",
)
add_verb(
    app,
    ablate,
    "ovseg3r-train ablate rooms test_rooms --out ablation --seeds 3",
    'ovseg3r-train ablate rooms test_rooms --out ablation --row full=3 --row "without VIP=3" --side-by-side 6',
)
add_verb(
    app,
    scenes,
    "ovseg3r-train scenes rooms --count 50",
    "ovseg3r-train scenes rooms --count 50 --masks perfect,simulated,default --style both --workers 8",
    "ovseg3r-train scenes fast --split train --count 1000 --sampled --workers 8",
)
add_verb(
    app,
    sheet,
    "ovseg3r-train sheet homes.png",
    "ovseg3r-train sheet val.png --split val --count 4",
)
add_verb(
    app,
    show,
    "ovseg3r-train show rooms",
    "ovseg3r-train show rooms/test-00003-robot-perfect.safetensors",
)
add_verb(
    app,
    evaluate,
    "ovseg3r-train evaluate rooms",
    "ovseg3r-train evaluate rooms --masks default --methods offline,sam3d --workers 2",
)
add_verb(
    app,
    calibrate,
    "ovseg3r-train calibrate rooms",
    "ovseg3r-train calibrate rooms --split val --masks default --absent 100 --workers 2 --out figures",
)
add_verb(
    app,
    convert,
    "ovseg3r-train convert scannet200 data/scannet labelled --split val",
    "ovseg3r-train convert scannet200 data/scannet labelled scene0011_00 --masks default",
    "ovseg3r-train convert s3dis data/Stanford3dDataset_v1.2_Aligned_Version labelled --voxel-m 0.02",
)
add_verb(
    app,
    pseudo_label,
    "ovseg3r-train pseudo-label recordings --out labelled",
    "ovseg3r-train pseudo-label recordings --out labelled --poses odometry",
    "ovseg3r-train pseudo-label office_bag kitchen.mcap --out labelled --masks everything --workers 4",
    "ovseg3r-train pseudo-label /shared/recordings --out /shared/labelled --ray auto --device cuda",
)

if __name__ == "__main__":
    main()
