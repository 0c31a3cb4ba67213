"""The tables beside the main one: what stands behind a mean r, and how far seeds and draws move it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from glm2x.report.format import clean, count, is_number, number
from glm2x.report.numbers import rows_data, seeds_data
from glm2x.report.parts import Cell, Column, Table, TableRow, without_empty
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row

_BEHIND = (
    Column("row"),
    Column("mean\N{NO-BREAK SPACE}r"),
    Column("within popu\N{SOFT HYPHEN}lations", help="mean r after each population's mean is taken off both"),
    Column("given geno\N{SOFT HYPHEN}type PCs", help="mean r after genotype PCs are regressed out of both"),
    Column("slope, median", help="of observed on predicted; 1 is calibrated"),
    Column("r / √h², median", help="over the genes whose h2 is significant at 5 % FDR"),
    Column("genes with h²", help="whose h2 is significant at 5 % FDR"),
    Column("R² of differ\N{SOFT HYPHEN}ences, median", help="people's differences from their gene's mean"),
    Column("R² of gene means", help="means of genes over people, across genes"),
    Column("ρ across genes", help="Spearman across genes, mean over people"),
    Column("ρ of the training mean", help="the same of each gene's mean over training people"),
)

BEHIND_NOTE = (
    "What mean r loses within populations or given genotype PCs was difference between groups of people. "
    "Slope: of observed on predicted; 1 is calibrated, and below 1 the predicted differences between people "
    "are too large. r / √h²: over the genes whose heritability by the window's variants is "
    "significant (REML on training people, 5 % FDR). The R² of gene means and ρ across genes hold nothing "
    "personal: compare ρ with that of the training mean."
)

_SEEDS = (
    Column("row"),
    Column("seeds and draws"),
    Column("SD over all"),
    Column("SD between seeds of a draw"),
    Column("SD between draws"),
    Column("lowest mean\N{NO-BREAK SPACE}r"),
    Column("highest mean\N{NO-BREAK SPACE}r"),
)


def behind_tables(results: Results, follow: Row | None) -> tuple[Table | None, Table | None]:
    """Return what stands behind mean r in the main cell, and in the other cells under headings.

    The followed row is set off in the main cell.
    None where an evaluation holds nothing of it.
    """
    main = [
        replace(line, css="focus") if follow is not None and line.head == clean(follow.label) else line
        for line in _behind(results, results.main_cell)
    ]
    others: list[TableRow] = []
    for cell in results.cells:
        found = _behind(results, cell) if cell != results.main_cell else []
        others += [TableRow(cell_words(cell).capitalize(), group=True), *found] if found else []
    caption = f"{cell_words(results.main_cell).capitalize()}: what stands behind mean r"
    data = rows_data(results)
    tables = [
        without_empty(Table(title, _BEHIND, tuple(rows), data=data))
        for title, rows in ((caption, main), ("What stands behind mean r in the other cells", others))
    ]
    # The name and mean r alone would only repeat the main table.
    shown = [table if len(table.columns) > 2 else None for table in tables]
    return shown[0], shown[1]


def _behind(results: Results, name: str) -> list[TableRow]:
    cell = results.cells.get(name, {})
    return [
        TableRow(clean(row.label), _values(cell[row.label]), look=row.look)
        for row in results.rows
        if row.label in cell
    ]


def _values(metrics: Mapping[str, Any]) -> tuple[Cell, ...]:
    def at(*keys: str, digits: int = 3) -> Cell:
        return Cell(number(_inner(metrics, keys), digits))

    return (
        at("mean_pearson"),
        at("mean_pearson_within_population"),
        at("mean_partial_pearson"),
        at("median_slope", digits=2),
        at("heritable", "median_accuracy", digits=2),
        Cell(count(_inner(metrics, ("heritable", "genes")))),
        at("difference", "median_r2"),
        at("gene_mean", "r2"),
        at("across_genes", "mean_spearman"),
        at("across_genes", "training_mean_spearman"),
    )


def _inner(metrics: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    value: Any = metrics
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if is_number(value) else None


def seed_table(results: Results) -> Table | None:
    """Return how far mean r moves over seeds and draws in the main cell; None where no row has several."""
    cell = results.cells.get(results.main_cell, {})
    rows = []
    for row in results.rows:
        seeds = cell.get(row.label, {}).get("seeds") or {}
        runs = _inner(seeds, ("n",))
        if runs is None or runs < 2:
            continue
        means = [float(r) for r in (seeds.get("mean_pearson_by_seed") or {}).values() if is_number(r)]
        values = (
            Cell(count(runs)),
            *(Cell(number(_inner(seeds, (k,)))) for k in ("sd", "sd_between_seeds", "sd_between_draws")),
            Cell(number(min(means, default=None))),
            Cell(number(max(means, default=None))),
        )
        rows.append(TableRow(clean(row.label), values, look=row.look))
    caption = "Mean r over training seeds and draws of people; no interval holds this spread"
    table = Table(caption, _SEEDS, tuple(rows), css="compact", data=seeds_data(results))
    return without_empty(table) if rows else None
