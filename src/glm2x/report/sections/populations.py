"""Within populations: what of each row's r is left among people of one population."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glm2x.report.figures.forest import ForestRow, forest
from glm2x.report.figures.heat import full_colour, heat_map
from glm2x.report.format import clean, count, interval, is_number, number, shorten
from glm2x.report.numbers import populations_data, rows_data
from glm2x.report.parts import WITH_COHORT, Cell, Column, Missing, Plate, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row, figure_names
from glm2x.report.section import Subject

MOST = 12
"""The heat map shows so many populations, those of most people; the table holds all."""


def context(subject: Subject) -> dict[str, Any]:
    """Return the figures and the table of populations, and what is missing."""
    results = subject.results
    plates = [plate for plate in (_shift(results), _heat(results)) if plate]
    what = "No population of the people is known, so r within populations is not. To know it:"
    return {
        "plates": plates,
        "table_of_populations": population_table(results, subject.follow),
        "missing_parts": [] if plates else [Missing(what, WITH_COHORT)],
    }


def _value(metrics: Mapping[str, Any], key: str) -> float | None:
    found = metrics.get(key)
    return float(found) if is_number(found) else None


def _shift(results: Results) -> Plate | None:
    """Return mean r of every row with mean r after population means are taken off."""
    cell = results.cells.get(results.main_cell, {})
    shown = [row for row in results.shown_rows if row.label in cell]
    rows = []
    for row, name in zip(shown, figure_names(shown), strict=True):
        r = _value(cell[row.label], "mean_pearson")
        within = _value(cell[row.label], "mean_pearson_within_population")
        if r is not None and within is not None:
            rows.append(ForestRow(name, r, None, None, row.look, within))
    if not rows:
        return None
    caption = (
        f"Mean r over genes, {cell_words(results.main_cell)}: all people together, and as an open diamond "
        "after each population's mean is taken off predicted and observed. What to see: what a row loses to "
        "the left is difference between populations, which ancestry alone would tell."
    )
    alt = "Mean r and r within populations: " + "; ".join(
        f"{clean(r.label)} {number(r.mean)} and {number(r.second)}" for r in rows
    )
    picture = forest(rows, x_label="mean Pearson r over genes", name="within", alt=alt)
    return Plate(picture, "Over all people and within populations", caption, rows_data(results))


def populations(results: Results) -> dict[str, int]:
    """Return the populations that any row has an r in, with their people, those of most people first."""
    found: dict[str, int] = {}
    for row in results.cells.get(results.main_cell, {}).values():
        for name, block in (row.get("by_population") or {}).items():
            found[name] = max(found.get(name, 0), int(block.get("individuals") or 0))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _block(results: Results, row: Row, population: str) -> Mapping[str, Any]:
    metrics = results.cells.get(results.main_cell, {}).get(row.label, {})
    found: Mapping[str, Any] = (metrics.get("by_population") or {}).get(population) or {}
    return found


def _heat(results: Results) -> Plate | None:
    people = populations(results)
    shown = list(people)[:MOST]
    cell = results.cells.get(results.main_cell, {})
    rows = [row for row in results.shown_rows if row.label in cell]
    if not shown:
        return None

    def of(row: Row, population: str) -> float:
        r = _value(_block(results, row, population), "mean_pearson")
        return float("nan") if r is None else r

    values = [[of(row, population) for population in shown] for row in rows]
    caption = (
        f"Mean r over genes among the people of one population alone, {cell_words(results.main_cell)}; the "
        f"number of people stands under its name. Blue is above 0, orange below it, both full at "
        f"{number(full_colour(values), 2)} from 0. What to see: whether a row holds in every population or "
        "owes its r to one. Few people make r uncertain: the table has the intervals."
    )
    if len(people) > MOST:
        caption += f" Shown are {MOST} of {len(people)} populations, those of most people."
    names = figure_names(rows)
    alt = "Mean r by population: " + "; ".join(
        f"{clean(name)} " + ", ".join(f"{clean(p)} {number(v)}" for p, v in zip(shown, line, strict=True))
        for name, line in zip(names, values, strict=True)
    )
    heads = [f"{shorten(clean(p), 9)}\n{count(people[p])}" for p in shown]
    digits = 3 if len(shown) < 6 else 2
    picture = heat_map(values, names, heads, name="populations", alt=alt, digits=digits)
    return Plate(picture, "Within each population", caption, populations_data(results))


def population_table(results: Results, follow: Row | None) -> Table | None:
    """Return mean r of every row in every population with its interval; None without populations."""
    people = populations(results)
    cell = results.cells.get(results.main_cell, {})
    rows = [
        TableRow(
            clean(row.label),
            tuple(
                Cell(
                    number(_value(_block(results, row, p), "mean_pearson")),
                    small=interval(_block(results, row, p).get("ci95_mean_pearson")),
                )
                for p in people
            ),
            look=row.look,
            css="focus" if follow is not None and row.label == follow.label else "",
        )
        for row in results.shown_rows
        if row.label in cell
    ]
    columns = (Column("row"), *(Column(f"{clean(p)} ({count(n)} people)") for p, n in people.items()))
    caption = "Mean r within each population, with its 95 % interval"
    data = populations_data(results)
    return Table(caption, columns, tuple(rows), data=data) if people else None
