"""The verb `query`: free text in, a verdict and ranked objects out."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ovseg3r_core.commands.app import out, warn
from ovseg3r_core.commands.options import AsJson, MapPath
from ovseg3r_core.commands.tables import answer_table

if TYPE_CHECKING:
    from ovseg3r_core.language.encoder import TextEncoder
    from ovseg3r_core.mapping.snapshot import MapSnapshot


def query(
    map_dir: MapPath,
    text: Annotated[str, typer.Argument(help="What you are looking for, in your own words.")],
    top_k: Annotated[int, typer.Option(help="List at most this many objects.")] = 10,
    clip: Annotated[
        str | None,
        typer.Option(metavar="ARCHITECTURE:CHECKPOINT", help="The OpenCLIP weights of the map, if they were moved."),
    ] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Also ask what is gone, with its last place.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a map for objects by free text, by name and place; the answer is found, ambiguous, none or blind."""
    from ovseg3r_core.language.minilm import MiniLm
    from ovseg3r_core.mapping.queries import QueryEngine
    from ovseg3r_core.mapping.questions import ask
    from ovseg3r_core.mapping.storage import load_map
    from ovseg3r_core.outputs import answer_json

    snapshot = load_map(map_dir)
    engine = QueryEngine(MiniLm(), visual=encoder_of(snapshot, clip))
    result = ask(engine, snapshot, text, top_k=top_k, removed_too=removed)
    if as_json:
        out.print_json(json.dumps(answer_json(result) | {"scale_known": snapshot.scale_known}))
    else:
        reason = [escape(result.explanation)] if result.explanation else []
        hits = [answer_table(result, scale_known=snapshot.scale_known)] if result.hits else []
        out.print(f"[bold]{result.verdict}[/]", *reason, *hits, sep="\n")


def encoder_of(snapshot: "MapSnapshot", clip: str | None) -> "TextEncoder | None":
    """The text side of what embedded a map's objects; None, with a warning where there should be one, without it."""
    looks = snapshot.embeddings
    if looks is None:
        if clip:
            raise ValueError("--clip: the map holds no embeddings: make it with --masks default+clip:...")
        return None
    from ovseg3r_core.language.open_clip_text import open_clip_text
    from ovseg3r_core.mapping.visual_queries import check_encoder

    try:
        encoder = open_clip_text(clip or looks.encoder.source)
        check_encoder(looks, encoder)
        return encoder
    except (ImportError, ValueError) as error:
        if clip:
            raise
        reason = str(error).partition("\n")[0]
        warn(
            f"answered by names alone, for want of {looks.encoder.name} ({reason}): give its weights with --clip "
            "ARCHITECTURE:CHECKPOINT"
        )
        return None
