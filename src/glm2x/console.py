"""What the terminal shows: plain sentences, and progress as a bar on a terminal or lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from glm2x.errors import Glm2xError

_LINE_EVERY = 10.0  # seconds between progress lines where there is no terminal


def say(text: str) -> None:
    """Print a line for the person at the terminal; results that other programs read go to standard output."""
    print(text, file=sys.stderr, flush=True)


def say_error(error: Glm2xError) -> None:
    """Print the one message of an error."""
    say(f"glm2x: {error}")


class _Lines:
    """Counts, and says how far it is every few seconds."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done = label, total, 0
        self.said_at = time.monotonic()

    def advance(self, n: int = 1, message: str = "") -> None:
        self.done += n
        now = time.monotonic()
        if now - self.said_at >= _LINE_EVERY and self.done < self.total:
            self.said_at = now
            say(f"{self.label}: {self.done}/{self.total} {message}".rstrip())


class _Bar:
    """Counts in a bar."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, n: int = 1, message: str = "") -> None:
        self._bar.update(self._task, advance=n, message=message)


@contextmanager
def progress(label: str, total: int) -> Iterator[_Lines | _Bar]:
    """Count `total` units of work: a bar on a terminal, a line every ten seconds elsewhere."""
    started = time.monotonic()
    if not sys.stderr.isatty():
        yield _Lines(label, total)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Bar(bar, bar.add_task(label, total=total, message=""))
    say(f"{label}: done in {time.monotonic() - started:.0f} s")
