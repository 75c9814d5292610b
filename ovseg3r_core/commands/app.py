"""What every command line of ours shares: how it is put together, how it ends, and the two consoles."""

import logging
import os
import sys
from collections.abc import Callable

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from ovseg3r_core.models import FetchFailed

out = Console(emoji=False)  # ":B:" in A:B:STEP is no emoji
err = Console(stderr=True, emoji=False)


def command_line(help: str) -> typer.Typer:
    """A command of several verbs, without any yet."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False)


def add_verb(app: typer.Typer, verb: Callable[..., None], *examples: str, name: str | None = None) -> None:
    """Give a command one more verb, called as its function if not by name; the help lists the verbs in this order."""
    app.command(name, epilog="Examples:" + "".join(f"\n\n  {example}" for example in examples))(verb)


def run(app: typer.Typer) -> None:
    """Run a command line; what the user can mend is one line on stderr and exit code 2, not a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # Idle OpenMP threads that spin make a busy machine five times slower; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (OSError, ValueError, ImportError, FetchFailed) as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


def say(text: str | Text) -> None:
    """Print a text as it is: nothing in it is taken for markup, and no line is wrapped."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def warn(line: str) -> None:
    """A warning, on stderr."""
    err.print(f"[bold yellow]warning:[/] {escape(line)}", highlight=False, soft_wrap=True)
