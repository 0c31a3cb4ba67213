"""What the terminal shows: plain sentences, tables, and progress as a bar on a terminal or lines elsewhere.

Sentences and progress go to standard error. Results that other programs read, tables and JSON, go to
standard output.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from glm2x.errors import Glm2xError, printable

if TYPE_CHECKING:
    from rich.progress import Progress

Columns: TypeAlias = Mapping[str, Literal["left", "right"]]
"""Headings of a table in their order, and the side on which their cells stand: numbers to the right."""

_QUIET = 1.0  # seconds of work about which nothing is shown
_LINE_EVERY = 10.0  # seconds between progress lines where there is no terminal
_WINDOW = 30.0  # seconds over which a rate is measured
_MARK_EVERY = 0.1
_NARROW = 80  # columns of a terminal that says nothing of its own width


def say(text: str) -> None:
    """Print a line for the person at the terminal; results that other programs read go to standard output."""
    print(text, file=sys.stderr, flush=True)


def say_error(error: Glm2xError) -> None:
    """Print the one message of an error."""
    say(f"glm2x: {error}")


def print_json(value: Any) -> None:
    """Print one JSON document on standard output. NaN is refused: JSON has none."""
    print(json.dumps(value, indent=2, allow_nan=False))


def show_table(columns: Columns, rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output.

    On a terminal it keeps to the width: the cells of columns to the left are folded, numbers never. Elsewhere
    it is as wide as it has to be, so that each row is a line. Text is printed as it stands: nothing in
    it is markup, and control characters do nothing to the terminal.

    Parameters
    ----------
    columns
        See `Columns`.
    rows
        A text for each column.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    box = SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=box, show_edge=False, pad_edge=False, header_style="", border_style="")
    for heading, side in columns.items():
        table.add_column(Text(heading), justify=side, overflow="fold", no_wrap=side == "right")
    for row in rows:
        table.add_row(*(Text(printable(cell).replace("\n", " ")) for cell in row))
    console = Console(markup=False, emoji=False, highlight=False, color_system=None)
    if not console.is_terminal:
        console.width = max(
            _NARROW, table.__rich_measure__(console, console.options.update(width=10**5)).maximum
        )
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


class _Pace:
    """How much is done, and how fast it went of late.

    Parameters
    ----------
    total
        Units in all.
    unit
        Their plural, such as genes; may be empty.
    """

    def __init__(self, total: int, unit: str) -> None:
        self.total, self.unit, self.done = total, unit, 0
        self._marks = deque([(time.monotonic(), 0)])

    def advance(self, n: int) -> None:
        """Count n more units."""
        self.done += n
        now = time.monotonic()
        if now - self._marks[-1][0] >= _MARK_EVERY:
            self._marks.append((now, self.done))
        # one mark older than the window is kept: units that take longer than it have a rate, too
        while len(self._marks) > 2 and now - self._marks[1][0] >= _WINDOW:
            self._marks.popleft()

    @property
    def rate(self) -> float:
        """Units a second; 0 before the first."""
        (began, before), (ended, after) = self._marks[0], self._marks[-1]
        return (after - before) / (ended - began) if ended > began else 0.0

    def __str__(self) -> str:
        """Return it in words, such as `910/2,340 genes, 44/s, 33 s left`."""
        parts = [f"{self.done:,}/{self.total:,} {self.unit}".rstrip()]
        if self.rate > 0:
            parts.append(rate_words(self.rate))
            if self.done < self.total:
                parts.append(f"{duration_words((self.total - self.done) / self.rate)} left")
        return ", ".join(parts)


def bytes_words(count: float) -> str:
    """Return bytes for people to read, in decimal units."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} PB"


def rate_words(rate: float) -> str:
    """Return units a second so that the number is 1 or more: `44/s`, `3.2/min` or `1.5/h`."""
    for factor, unit in ((1, "s"), (60, "min")):
        if rate * factor >= 1:
            return f"{_short(rate * factor)}/{unit}"
    return f"{_short(rate * 3_600)}/h"


def _short(number: float) -> str:
    return f"{number:,.0f}" if round(number, 1) >= 10 else f"{number:.1f}"


def duration_words(seconds: float) -> str:
    """Return a time in its two largest units: `33 s`, `2 min 5 s`, `3 h 10 min` or `2 d 4 h`."""
    whole = round(seconds)
    for name, length, small, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


class _Lines:
    """Says how far it is every few seconds."""

    def __init__(self, label: str, pace: _Pace) -> None:
        self._label, self._pace = label, pace
        self._said_at = time.monotonic()

    def advance(self, n: int = 1, message: str = "") -> None:
        self._pace.advance(n)
        now = time.monotonic()
        if now - self._said_at >= _LINE_EVERY and self._pace.done < self._pace.total:
            self._said_at = now
            say(f"{self._label}: {self._pace}" + (f"  {printable(message)}" if message else ""))


class _Bar:
    """Shows how far it is in a bar."""

    def __init__(self, label: str, pace: _Pace, bar: Progress) -> None:
        self._bar, self._pace = bar, pace
        self._task = bar.add_task(label, total=pace.total, standing=str(pace), message="")

    def advance(self, n: int = 1, message: str = "") -> None:
        self._pace.advance(n)
        self._bar.update(self._task, advance=n, standing=str(self._pace))
        if message:
            self._bar.update(self._task, message=printable(message))


@contextmanager
def progress(label: str, total: int, unit: str = "") -> Iterator[_Lines | _Bar]:
    """Count `total` units of work: a bar on a terminal, a line every ten seconds elsewhere.

    Of work that takes less than a second nothing is shown.

    Parameters
    ----------
    label
        What is done.
    total
        How many units there are.
    unit
        What they are, in the plural: genes, windows, samples.
    """
    started, pace = time.monotonic(), _Pace(total, unit)
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        with _bar(label, pace) as bar:
            yield bar
    else:
        yield _Lines(label, pace)
    seconds = time.monotonic() - started
    if seconds >= _QUIET:
        many = f"{pace.done:,} {unit} " if unit and pace.done else ""
        say(f"{label}: {many}done in {duration_words(seconds)}")


@contextmanager
def _bar(label: str, pace: _Pace) -> Iterator[_Bar]:
    """Show a bar once the work has taken a second, also while its first unit lasts; remove it at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(min_width=8, ratio=1)),
        TextColumn("{task.fields[standing]}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[message]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
    )
    shown = Progress(
        *columns,
        console=Console(stderr=True, markup=False, highlight=False),
        transient=True,
        expand=True,
        redirect_stdout=False,  # what is piped elsewhere must not end up on the terminal
    )
    timer = threading.Timer(_QUIET, shown.start)
    timer.daemon = True
    timer.start()
    try:
        yield _Bar(label, pace, shown)
    finally:
        timer.cancel()
        timer.join()
        shown.stop()
