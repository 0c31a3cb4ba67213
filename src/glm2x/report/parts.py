"""The pieces that the template knows how to draw: tables, plates (a figure with its words), notices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from glm2x.report.data import Data
from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import Picture
from glm2x.report.format import MISSING

EVALUATE = "glm2x evaluate PREDICTIONS... --out DIR --force"
WITH_COHORT = "glm2x evaluate PREDICTIONS... --cohort COHORT --split split.json --out DIR --force"
"""The commands that make what an evaluation lacks."""


@dataclass(frozen=True)
class Cell:
    """One cell: its text, a value to sort by (empty sorts last), CSS classes, and small print below it."""

    text: str
    sort: str = ""
    css: str = ""
    small: str = ""


@dataclass(frozen=True)
class Column:
    """One column's head; `help` appears on hover and must not be needed to read the table."""

    title: str
    css: str = ""
    help: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row headed by a name; `look` draws the model's mark before it. `group` makes a heading row."""

    head: str
    cells: tuple[Cell, ...] = ()
    look: Look | None = None
    css: str = ""
    group: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first of `columns` is the head of the rows, and `data` what is written beside the page."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    sortable: bool = False
    css: str = ""
    sorted_by: int | None = None
    id: str = ""
    data: Data | None = None


def without_empty(table: Table) -> Table:
    """Return the table without the columns in which no row has a value."""
    keep = [0]
    for i in range(1, len(table.columns)):
        if any(row.cells[i - 1].text != MISSING for row in table.rows if row.cells):
            keep.append(i)
    rows = tuple(
        replace(row, cells=tuple(row.cells[i - 1] for i in keep[1:])) if row.cells else row
        for row in table.rows
    )
    return replace(table, columns=tuple(table.columns[i] for i in keep), rows=rows)


@dataclass(frozen=True)
class Missing:
    """A notice in place of what could not be drawn: what is missing, and the command that makes it."""

    what: str
    command: str = ""


@dataclass(frozen=True)
class Plate:
    """A figure, its title above it, its caption below it, and what it draws, written beside the page."""

    picture: Picture
    title: str
    caption: str
    data: Data | None = None


@dataclass(frozen=True)
class Fact:
    """A number worth a large type, with what it is and an addition in small."""

    label: str
    value: str
    small: str = ""


@dataclass(frozen=True)
class Verdict:
    """How the model stands against one row: better, worse, or not to be told from the data."""

    kind: Literal["better", "worse", "untold"]
    sentence: str

    @property
    def word(self) -> str:
        """The verdict in words, so that it does not rest on a colour."""
        return {"better": "better", "worse": "worse", "untold": "cannot tell"}[self.kind]
