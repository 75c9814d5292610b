"""A command line called in this process, as a person would call it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """One program, ready to be called with arguments."""

    main: Callable[[], None]
    words: tuple[str, ...]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Said:
        self.monkeypatch.setattr(sys, "argv", [*self.words, *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            self.main()
        printed = self.capsys.readouterr()
        return Said(int(end.value.code or 0), printed.out, printed.err)
