"""The progress bar of long work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar(console: Console) -> Progress:
    """What is done, how much of how much, how long it took and will take; gone when the work is done."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)


@contextmanager
def telling(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for work of several steps: call it with the step, how much of it is done, and of how much (0: unknown).

    Where the console is a file, which has no use for a bar, each step is a line.
    """
    with progress_bar(console) as progress:
        task, begun = progress.add_task("", total=None), list[str]()

        def tell(step: str, done: int, total: int) -> None:
            if not console.is_terminal and step not in begun:
                begun.append(step)
                console.print(f"{step} ({total})" if total else step, highlight=False)
            progress.update(task, description=step, completed=done, total=total or None)

        yield tell
