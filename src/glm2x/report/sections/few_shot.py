"""The few-shot curve of an evaluation: its figure and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glm2x.report.figures.few_shot import Line, few_shot_curve
from glm2x.report.format import clean, count, interval, is_number, join_words, number, percent
from glm2x.report.numbers import few_shot_data
from glm2x.report.parts import Cell, Column, Plate, Table, TableRow, without_empty
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row, words
from glm2x.report.section import Subject

Point = Mapping[str, Any]

_COLUMNS = (
    Column("model"),
    Column("people learnt from"),
    Column("draws"),
    Column("seeds and draws"),
    Column("mean\N{NO-BREAK SPACE}r", help="Pearson r across people, mean over genes, then over draws"),
    Column("SD over draws"),
    Column("lowest draw"),
    Column("highest draw"),
    Column("95 % CI", help="two-way: genes by block, people by family"),
    Column("r > 0.1, signif.", help="share of genes with r > 0.1 at 5 % FDR (Benjamini-Hochberg)"),
    Column("null", help="share of genes whose prediction is the same for everybody"),
)


def context(subject: Subject) -> dict[str, Any] | None:
    """Return the curve and its tables; None where the evaluation has no curve."""
    plate = few_shot_plate(subject.results, subject.follow)
    if plate is None:
        return None
    main, others = few_shot_tables(subject.results)
    return {"curve": plate, "points": main, "more_points": others}


def few_shot_plate(results: Results, follow: Row | None) -> Plate | None:
    """Return the curve of the main cell, or None when the evaluation has none."""
    found = _models(results, results.main_cell)
    models = [row.model for _, row, _ in found]
    lines = [
        Line(
            # the strategy only where it tells two lines apart: there is little room
            label=name if models.count(row.model) > 1 else _model_words(row),
            look=row.look,
            people=[int(p["train_individuals"]) for p in points],
            mean=[float(p["mean_pearson"]) for p in points],
            sd=[float(p["sd_draws"]) if is_number(p.get("sd_draws")) else None for p in points],
        )
        for name, row, points in found
    ]
    if not lines:
        return None
    followed = follow is not None and (follow.model, follow.strategy)
    lead = next(
        (
            line
            for line, (_, row, _) in zip(lines, found, strict=True)
            if (row.model, row.strategy) == followed
        ),
        lines[0],
    )
    alt = "Mean r against people learnt from: " + "; ".join(
        f"{clean(line.label)} "
        + ", ".join(f"{number(r)} with {count(n)}" for n, r in zip(line.people, line.mean, strict=True))
        for line in lines
    )
    return Plate(
        few_shot_curve(lines, name="few-shot", alt=alt),
        "Mean r against the number of people learnt from",
        _caption(results, lead),
        few_shot_data(results),
    )


def _caption(results: Results, lead: Line) -> str:
    points = results.few_shot_points(results.main_cell)
    sizes = {p["train_individuals"] for p in points}
    see = (
        "whether a line still rises at its right end, where more people would help, and which one is highest "
        "where people are few"
        if len(sizes) > 1
        else "which mark is highest, and by how much more than its bar"
    )
    text = (
        f"One line a model: mean of per-gene Pearson r, {cell_words(results.main_cell)}. A bar is one SD "
        f"over draws of people to each side ({_draws(points)}); of one draw there is none. Bars hold neither "
        "the chance of genes nor that of test people. Marks are moved sideways a little, so that no bar lies "
        f"on another. What to see: {see}. "
    )
    ends = [f"{number(lead.mean[i])} with {count(lead.people[i])}" for i in sorted({0, len(lead.people) - 1})]
    return text + f"Mean r of {lead.label}: {join_words(ends)}."


def _draws(points: Sequence[Point]) -> str:
    """Return how many draws there are of each number of people: `10 people: 3 draws, 50: 3`."""
    said: list[str] = []
    for size in sorted({int(p["train_individuals"]) for p in points}):
        found = sorted({int(p["draws"]) for p in points if p["train_individuals"] == size})
        some = str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
        unit = "" if said else (" draw" if found[-1] == 1 else " draws")
        said.append(f"{count(size)}{'' if said else ' people'}: {some}{unit}")
    return ", ".join(said)


def few_shot_tables(results: Results) -> tuple[Table | None, Table | None]:
    """Return the points of the main cell, and those of the other cells, each cell under a heading."""
    main = _rows(results, results.main_cell)
    others: list[TableRow] = []
    for cell in results.cells:
        found = _rows(results, cell) if cell != results.main_cell else []
        others += [TableRow(cell_words(cell).capitalize(), group=True), *found] if found else []
    data = few_shot_data(results)
    caption = f"Few-shot curve: {cell_words(results.main_cell)}"
    return (
        without_empty(Table(caption, _COLUMNS, tuple(main), data=data)) if main else None,
        without_empty(Table("Few-shot curve in the other cells", _COLUMNS, tuple(others), data=data))
        if others
        else None,
    )


def _rows(results: Results, cell: str) -> list[TableRow]:
    return [
        TableRow(name, _cells(p), row.look) for name, row, points in _models(results, cell) for p in points
    ]


def _cells(point: Point) -> tuple[Cell, ...]:
    def value(key: str) -> float | None:
        found = point.get(key)
        return float(found) if is_number(found) else None

    several = value("seeds") != value("draws")
    return (
        Cell(count(value("train_individuals"))),
        Cell(count(value("draws"))),
        Cell(count(value("seeds") if several else None)),
        Cell(number(value("mean_pearson"))),
        Cell(number(value("sd_draws"))),
        Cell(number(value("lowest"))),
        Cell(number(value("highest"))),
        Cell(interval((value("ci95_low"), value("ci95_high")))),
        Cell(percent(value("share_significant"))),
        Cell(percent(value("null_share"))),
    )


def _models(results: Results, cell: str) -> list[tuple[str, Row, list[Point]]]:
    """Return name, row and points (by number of people) of each model that has any, in the rows' order."""
    points = results.few_shot_points(cell)
    found: dict[tuple[str, str | None], tuple[str, Row, list[Point]]] = {}
    for row in results.rows:
        key = row.model, row.strategy
        own = [p for p in points if (p.get("model"), p.get("strategy")) == key]
        if own and key not in found:
            model = _model_words(row)
            name = f"{model} {clean(row.strategy)}" if row.strategy else model
            found[key] = name, row, sorted(own, key=lambda p: int(p["train_individuals"]))
    return list(found.values())


def _model_words(row: Row) -> str:
    return words(row.model) if row.role == "baseline" else clean(row.model)
