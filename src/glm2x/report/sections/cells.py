"""The four cells: mean r of every row for seen and unseen genes, in new and in training people."""

from __future__ import annotations

from typing import Any

from glm2x.report.figures.forest import ForestRow, forest
from glm2x.report.figures.heat import full_colour, heat_map
from glm2x.report.format import clean, count, counted, interval, is_number, join_words, number
from glm2x.report.numbers import forest_data, rows_data
from glm2x.report.parts import Cell, Column, Missing, Plate, Table, TableRow
from glm2x.report.results import CELLS, Results, cell_words
from glm2x.report.roles import Row, figure_names
from glm2x.report.section import Subject

ABSENT = "not evaluated"


def context(subject: Subject) -> dict[str, Any]:
    """Return the table of all cells, its figures, and what is missing."""
    results = subject.results
    if not results.shown_rows or not results.cells:
        return {"cells": None, "plates": [], "missing_parts": [Missing("No cell was evaluated.")]}
    plates = [_heat(results, subject.follow), _forest(results)]
    return {
        "cells": cells_table(results, subject.follow),
        "note": _NOTE,
        "plates": [plate for plate in plates if plate],
        "missing_parts": [],
    }


_NOTE = (
    "Mean over genes of Pearson r across people, with its 95 % interval below it (genes by block, people by "
    "family). A new person was in no training set; an unseen gene was in none and its window overlaps none. "
    "r in training people is a check of the fit and no result. The last line is the difference of mean r of "
    "two rows that these data find with 80 % power at a two-sided 5 %, over the pairs that were compared."
)


def shown_cells(results: Results) -> list[str]:
    """Return the four cells where one of them was evaluated, and every other cell that was."""
    sided = [cell for cell in CELLS if cell in results.cells]
    return [*(CELLS if sided else ()), *(cell for cell in results.cells if cell not in CELLS)]


def cells_table(results: Results, follow: Row | None) -> Table:
    """Return mean r of every row in every cell, with the smallest difference that each would show."""
    cells = shown_cells(results)
    rows = [
        TableRow(
            clean(row.label),
            tuple(_cell(results, cell, row) for cell in cells),
            look=row.look,
            css="focus" if follow is not None and row.label == follow.label else "",
        )
        for row in results.shown_rows
    ]
    rows.append(TableRow("genes, people", tuple(Cell(_size(results, cell)) for cell in cells), css="foot"))
    rows.append(
        TableRow(
            "smallest difference that would show",
            tuple(Cell(_smallest(results, cell)) for cell in cells),
            css="foot",
        )
    )
    columns = (Column("row"), *(Column(cell_words(cell)) for cell in cells))
    return Table(
        "Mean r in every cell, with its 95 % interval", columns, tuple(rows), data=rows_data(results)
    )


def _cell(results: Results, cell: str, row: Row) -> Cell:
    metrics = results.cells.get(cell, {}).get(row.label)
    if metrics is None:
        return Cell(ABSENT, css="null")
    r = metrics.get("mean_pearson")
    return Cell(number(float(r) if is_number(r) else None), small=interval(metrics.get("ci95_mean_pearson")))


def _size(results: Results, cell: str) -> str:
    size = (results.data.get("cells") or {}).get(cell)
    return f"{count(size.get('genes'))}, {count(size.get('individuals'))}" if size else ABSENT


def _smallest(results: Results, cell: str) -> str:
    found = [c.smallest for c in results.comparisons if c.cell == cell and c.smallest is not None]
    if not found:
        return "nothing compared" if cell in results.cells else ABSENT
    low, high = number(min(found)), number(max(found))
    return low if low == high else f"{low} to {high}"


def _heat(results: Results, follow: Row | None) -> Plate:
    cells, rows = shown_cells(results), results.shown_rows

    def value(cell: str, row: Row) -> float | None:
        metrics = results.cells.get(cell, {}).get(row.label)
        if metrics is None:
            return None
        r = metrics.get("mean_pearson")
        return float(r) if is_number(r) else float("nan")

    values = [[value(cell, row) for cell in cells] for row in rows]
    absent = [cell_words(cell) for cell in cells if cell not in results.cells]
    limit = number(full_colour(values), 2)
    caption = (
        f"Mean r of {counted(len(rows), 'row')} in every cell; blue is above 0, orange below it, both full "
        f"at {limit} from 0. What to see: how much of the colour of training people and seen genes is left "
        "in new people and unseen genes."
    )
    if absent:
        caption += f" Hatched: {join_words(absent)} {'was' if len(absent) == 1 else 'were'} not evaluated."
    names = figure_names(rows)
    alt = "Mean r by cell: " + "; ".join(
        f"{clean(name)} "
        + ", ".join(
            f"{cell_words(cell)} {ABSENT if v is None else number(v)}"
            for cell, v in zip(cells, line, strict=True)
        )
        for name, line in zip(names, values, strict=True)
    )
    heads = [_head(cell) for cell in cells]
    picture = heat_map(values, names, heads, name="cells", alt=alt)
    return Plate(picture, "Mean r in every cell", caption, rows_data(results))


def _head(cell: str) -> str:
    """Return a cell's name in three short lines."""
    genes, people = cell_words(cell).replace(" of no stated side", "").split(", ")
    return f"{genes}\n" + people.replace(" ", "\n")


def _forest(results: Results) -> Plate | None:
    cell = results.cells.get(results.main_cell, {})
    rows = []
    known = [r for r in results.shown_rows if is_number(cell.get(r.label, {}).get("mean_pearson"))]
    for row, name in zip(known, figure_names(known), strict=True):
        metrics = cell[row.label]
        low, high = metrics.get("ci95_mean_pearson") or (None, None)
        rows.append(ForestRow(name, float(metrics["mean_pearson"]), low, high, row.look))
    if not rows:
        return None
    sizes = {cell[row.label].get("genes") for row in results.shown_rows if row.label in cell}
    size = sizes.pop() if len(sizes) == 1 else None
    genes = counted(int(size), "gene") if is_number(size) else "the genes of each row"
    caption = (
        f"Mean of per-gene Pearson r over {genes}, {cell_words(results.main_cell)}, with its 95 % interval. "
        "What to see: which intervals leave out 0. Those of two rows may overlap and the rows still differ, "
        "because they share genes and people: differences have intervals of their own."
    )
    if len(results.shown_rows) < len(results.rows):
        caption += " Of each model that which learnt from most people: for the others see the few-shot curve."
    alt = "Mean r by row: " + "; ".join(f"{clean(r.label)} {number(r.mean)}" for r in rows)
    picture = forest(rows, x_label="mean Pearson r over genes, with 95 % CI", name="forest", alt=alt)
    title = f"Mean r with its interval: {cell_words(results.main_cell)}"
    return Plate(picture, title, caption, forest_data(results, known))
