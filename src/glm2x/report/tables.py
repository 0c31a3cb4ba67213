"""The tables of rows: the main cell, the other cells, and the differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glm2x.report.comparison import Comparison
from glm2x.report.format import clean, count, interval, is_number, number, p_value, percent
from glm2x.report.numbers import comparisons_data, rows_data
from glm2x.report.parts import Cell, Column, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row

_COLUMNS = (
    Column("row"),
    Column("genes"),
    Column("people"),
    Column(
        "mean\N{NO-BREAK SPACE}r",
        help="Pearson r across people, mean over genes; a null prediction counts as 0",
    ),
    Column("95 % CI", help="two-way: genes by block, people by family"),
    Column("median\N{NO-BREAK SPACE}r"),
    Column("mean\N{NO-BREAK SPACE}ρ", help="Spearman"),
    Column("median\N{NO-BREAK SPACE}R²", help="against the gene's mean over training people"),
    Column("r > 0.1, signif.", help="share of genes with r > 0.1 at 5 % FDR (Benjamini-Hochberg)"),
    Column("r < 0, signif.", help="share of genes predicted in the wrong direction at 5 % FDR"),
    Column("null", help="share of genes whose prediction is the same for everybody"),
    Column("mean r, non-null", help="over the genes with a prediction that is not null"),
)


_DIFFERENCES = (
    Column("row"),
    Column("difference of mean r"),
    Column("95 % CI"),
    Column("p"),
    Column("verdict", css="text"),
    Column("smallest that would show", help="80 % power at a two-sided 5 %"),
    Column("genes better", help="Williams test, 5 % FDR"),
    Column("genes worse", help="Williams test, 5 % FDR"),
    Column("genes"),
)


def _values(metrics: Mapping[str, Any]) -> tuple[Cell, ...]:
    def value(key: str) -> float | None:
        return _number(metrics, key)

    return (
        Cell(count(value("genes"))),
        Cell(count(value("individuals"))),
        Cell(number(value("mean_pearson"))),
        Cell(interval(metrics.get("ci95_mean_pearson"))),
        Cell(number(value("median_pearson"))),
        Cell(number(value("mean_spearman"))),
        Cell(number(value("median_r2"))),
        Cell(percent(value("share_significant"))),
        Cell(percent(value("share_negative_significant"))),
        Cell(percent(value("null_share"))),
        Cell(number(value("mean_pearson_nonnull"))),
    )


def main_table(results: Results, follow: Row | None) -> Table | None:
    """Return the rows of the main cell, or None when it has none."""
    cell = results.cells.get(results.main_cell, {})
    rows = [
        TableRow(
            clean(row.label),
            _values(cell[row.label]),
            look=row.look,
            css="focus" if follow is not None and row.label == follow.label else "",
        )
        for row in results.rows
        if row.label in cell
    ]
    caption = f"{cell_words(results.main_cell).capitalize()}: per-gene r across people, summarised over genes"
    caption += " (transductive target)" if results.transductive else ""
    return Table(caption, _COLUMNS, tuple(rows), data=rows_data(results)) if rows else None


def other_table(results: Results) -> Table | None:
    """Return the rows of the other cells, each under a heading, or None when there are none."""
    rows: list[TableRow] = []
    for name, cell in results.cells.items():
        found = [row for row in results.rows if row.label in cell]
        if name == results.main_cell or not found:
            continue
        rows.append(TableRow(cell_words(name).capitalize(), group=True))
        rows += [TableRow(clean(row.label), _values(cell[row.label]), look=row.look) for row in found]
    caption = "The same summary in the other cells"
    return Table(caption, _COLUMNS, tuple(rows), data=rows_data(results)) if rows else None


def _number(values: Mapping[str, Any], key: str) -> float | None:
    found = values.get(key)
    return float(found) if is_number(found) else None


def comparison_tables(results: Results, follow: Row | None) -> tuple[Table | None, Table | None]:
    """Return the paired differences of the followed row in the main cell, and those of the other rows."""
    order = {row.label: i for i, row in enumerate(results.rows)}
    looks = {row.label: row.look for row in results.rows}
    found = sorted(
        (c for c in results.comparisons if c.cell == results.main_cell),
        key=lambda c: (order.get(c.a, len(order)), order.get(c.b, len(order))),
    )
    chosen = {True: [c for c in found if follow and c.a == follow.label]}
    chosen[False] = [c for c in found if c not in chosen[True]]
    data = comparisons_data(results)
    tables: list[Table | None] = []
    for main in (True, False):
        rows: list[TableRow] = []
        for a in dict.fromkeys(c.a for c in chosen[main]):
            rows.append(TableRow(f"{clean(a)} minus", group=True))
            rows += [
                TableRow(clean(c.b), _difference(c), look=looks.get(c.b)) for c in chosen[main] if c.a == a
            ]
        caption = "Paired differences of mean r, on the same genes and people"
        tables.append(Table(caption, _DIFFERENCES, tuple(rows), data=data) if rows else None)
    return tables[0], tables[1]


def _difference(c: Comparison) -> tuple[Cell, ...]:
    verdict = {"better": "better", "worse": "worse", "untold": "cannot tell"}[c.kind]
    return (
        Cell(number(c.difference, signed=True)),
        Cell(interval((c.low, c.high))),
        Cell(p_value(c.p)),
        Cell(verdict),
        Cell(number(c.smallest)),
        Cell(percent(c.share_a_better)),
        Cell(percent(c.share_b_better)),
        Cell(count(c.genes)),
    )
