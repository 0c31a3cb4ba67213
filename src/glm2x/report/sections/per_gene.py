"""Every gene: r of each row in one long table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from glm2x.report.format import MISSING, clean, count, counted, is_number, number, shorten
from glm2x.report.numbers import genes_data, with_significance
from glm2x.report.parts import EVALUATE, Cell, Column, Missing, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row
from glm2x.report.section import Subject

_ABSENT = (None, None, None)
MOST_GENES = 1000
"""The long table holds at most this many genes; what it leaves out it says."""


@dataclass(frozen=True)
class Filter:
    """What the controls above the table offer; the script of the page acts on them.

    Attributes
    ----------
    kinds
        (class of the cells that it keeps, name) of each choice beside all genes.
    columns
        (place, title) of the columns in which a cell must have that class, the first one chosen.
    count
        What the count says before anything is chosen.
    """

    kinds: tuple[tuple[str, str], ...]
    columns: tuple[tuple[int, str], ...]
    count: str


def context(subject: Subject) -> dict[str, Any]:
    """Return the table, the controls above it, its note and what is missing."""
    table, controls, note, missing = gene_table(subject.results, subject.follow)
    return {"genes": table, "controls": controls, "note": note, "missing_parts": missing}


def gene_table(
    results: Results, follow: Row | None
) -> tuple[Table | None, Filter | None, str, list[Missing]]:
    """Return r of every gene in every row, the model's largest first, its filter, a note, what is missing."""
    table = results.main_genes()
    if table is None:
        return None, None, "", [Missing("per_gene.parquet is missing. To write it:", EVALUATE)]
    rows = [row for row in results.shown_rows if row.label in set(table["label"])]
    if not rows:
        return None, None, "", [Missing("The evaluation holds no gene.", EVALUATE)]
    lead = follow if follow in rows and follow is not None else rows[0]
    values = {
        (gene, label): found
        for gene, label, *found in with_significance(table)
        .select("gene", "label", "pearson", "null", "significant")
        .iter_rows()
    }
    contigs: dict[str, str | None] = {}
    if "contig" in table.columns:
        contigs = dict(table.select("gene", "contig").unique("gene").iter_rows())
    judged = "fdr" in table.columns
    people: dict[str, int] = {}
    if "individuals" in table.columns:
        people = dict(table.group_by("gene").agg(pl.col("individuals").max()).iter_rows())

    def first(gene: str) -> tuple[float, str]:
        r = values.get((gene, lead.label), _ABSENT)[0]
        return (-r if is_number(r) else np.inf), gene

    genes = sorted({gene for gene, _ in values}, key=first)
    body = tuple(
        TableRow(
            clean(gene),
            (
                *([_text(contigs.get(gene))] if contigs else []),
                _plain(people.get(gene)),
                *(_r(*values.get((gene, row.label), _ABSENT)) for row in rows),
            ),
        )
        for gene in genes[:MOST_GENES]
    )
    before = (Column("gene"), *([Column("contig", css="text")] if contigs else []), Column("people"))
    titles = [shorten(clean(row.label), 40) for row in rows]
    columns = (*before, *map(Column, titles))
    note = f"Pearson r across people in {cell_words(results.main_cell)}, by r of {lead.words}. "
    note += "“null” is the same prediction for everybody (r = 0); a dash: r is not defined. "
    note += "Bold is significant: r > 0.1 at 5 % FDR. " if judged else ""
    if len(results.shown_rows) < len(results.rows):
        note += "Of each model in the few-shot curve only that which learnt from most people is here. "
    if len(genes) > MOST_GENES:
        note += f"The first {count(MOST_GENES)} of {count(len(genes))} genes; the files hold all. "
    shown = Table(
        f"Pearson r of {counted(len(body), 'gene')} in {counted(len(rows), 'row')}",
        columns,
        body,
        sortable=True,
        css="genes",
        sorted_by=len(before) + rows.index(lead),
        id="gene-table",
        data=genes_data(table, results.shown_rows),
    )
    order = sorted(range(len(rows)), key=lambda i: rows[i] != lead)
    controls = Filter(
        kinds=((("significant", "significant"),) if judged else ()) + (("null", "null"),),
        columns=tuple((len(before) + i, titles[i]) for i in order),
        count=counted(len(body), "gene"),
    )
    return shown, controls, note + "Spearman, R², slope, p and FDR are in per_gene.parquet.", []


def _plain(value: int | None) -> Cell:
    return Cell(count(value), sort="" if value is None else str(value))


def _text(value: str | None) -> Cell:
    found = "" if value is None else clean(value)
    return Cell(found or MISSING, sort=found)


def _r(r: float | None, null: bool | None, significant: bool | None) -> Cell:
    if null:
        return Cell("null", sort="0", css="null")
    css = "significant" if significant else ""
    return Cell(number(r), sort="" if not is_number(r) else f"{r:.6g}", css=css)
