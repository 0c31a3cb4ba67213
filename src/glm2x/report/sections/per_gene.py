"""Every gene: r of each row in one long table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from glm2x.report.format import clean, count, counted, is_number, number, shorten
from glm2x.report.parts import EVALUATE, Cell, Column, Missing, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row
from glm2x.report.section import Subject

MOST_GENES = 1000
"""The long table holds at most this many genes; what it leaves out it says."""


def context(subject: Subject) -> dict[str, Any]:
    """Return the table, its note and what is missing."""
    table, note, missing = gene_table(subject.results, subject.follow)
    return {"genes": table, "note": note, "missing_parts": missing}


def gene_table(results: Results, follow: Row | None) -> tuple[Table | None, str, list[Missing]]:
    """Return r of every gene in every row, the model's largest first, a note, and what is missing."""
    table = results.main_genes()
    if table is None:
        return None, "", [Missing("per_gene.parquet is missing. To write it:", EVALUATE)]
    rows = [row for row in results.shown_rows if row.label in set(table["label"])]
    if not rows:
        return None, "", [Missing("The evaluation holds no gene.", EVALUATE)]
    lead = follow if follow in rows and follow is not None else rows[0]
    values = {
        (gene, label): (r, null)
        for gene, label, r, null in table.select("gene", "label", "pearson", "null").iter_rows()
    }
    people: dict[str, int] = {}
    if "individuals" in table.columns:
        people = dict(table.group_by("gene").agg(pl.col("individuals").max()).iter_rows())

    def first(gene: str) -> tuple[float, str]:
        r = values.get((gene, lead.label), (None, None))[0]
        return (-r if is_number(r) else np.inf), gene

    genes = sorted({gene for gene, _ in values}, key=first)
    body = tuple(
        TableRow(
            clean(gene),
            (_plain(people.get(gene)), *(_r(*values.get((gene, row.label), (None, None))) for row in rows)),
        )
        for gene in genes[:MOST_GENES]
    )
    columns = (Column("gene"), Column("people"), *(Column(shorten(clean(row.label), 40)) for row in rows))
    note = f"Pearson r across people in {cell_words(results.main_cell)}, by r of {lead.words}. "
    note += "“null” is the same prediction for everybody (r = 0); a dash: r is not defined. "
    note += "A column's head sorts by it. "
    if len(results.shown_rows) < len(results.rows):
        note += "Of each model in the few-shot curve only that which learnt from most people is here. "
    if len(genes) > MOST_GENES:
        note += f"The first {count(MOST_GENES)} of {count(len(genes))} genes; per_gene.parquet holds all. "
    shown = Table(
        f"Pearson r of {counted(len(body), 'gene')} in {counted(len(rows), 'row')}",
        columns,
        body,
        sortable=True,
        css="genes",
        sorted_by=2 + rows.index(lead),
    )
    return shown, note + "Spearman, R², slope, p and FDR are in per_gene.parquet.", []


def _plain(value: int | None) -> Cell:
    return Cell(count(value), sort="" if value is None else str(value))


def _r(r: float | None, null: bool | None) -> Cell:
    if null:
        return Cell("null", sort="0", css="null")
    return Cell(number(r), sort="" if not is_number(r) else f"{r:.6g}")
