"""Across genes: how r is spread in every row, and r of the model against heritability."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from glm2x.report.data import Data
from glm2x.report.figures.distribution import FEW, Spread, distributions
from glm2x.report.figures.heritability import heritability_scatter
from glm2x.report.format import clean, count, counted, number, percent
from glm2x.report.numbers import genes_data
from glm2x.report.parts import EVALUATE, Missing, Plate
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row, figure_names
from glm2x.report.section import Subject


def context(subject: Subject) -> dict[str, Any]:
    """Return the figures across genes and what is missing."""
    results = subject.results
    if results.main_genes() is None:
        what = "per_gene.parquet is missing, so there are no figures across genes. To write it:"
        return {"plates": [], "missing_parts": [Missing(what, EVALUATE)]}
    plates = [plate for plate in (_spread(results), _heritability(results, subject.follow)) if plate]
    missing = [] if plates else [Missing("No gene has an r, so there is nothing to draw.")]
    return {"plates": plates, "missing_parts": missing}


def _spread(results: Results) -> Plate | None:
    table = results.main_genes()
    if table is None:
        return None
    rows, sizes = [], []
    shown = results.shown_rows
    for row, name in zip(shown, figure_names(shown), strict=True):
        own = table.filter(pl.col("label") == row.label, pl.col("pearson").is_finite())
        if own.height:
            r = own["pearson"].to_numpy().astype(np.float64)
            null = own["null"].fill_null(False).to_numpy().astype(np.bool_)
            rows.append(Spread(name, row.look, r[~null], float(null.mean()), float(np.median(r))))
            sizes.append(own.height)
    if not rows:
        return None
    genes = f"{min(sizes):,} to {max(sizes):,} genes" if len(set(sizes)) > 1 else counted(sizes[0], "gene")
    caption = (
        f"Distribution of r over {genes}, {cell_words(results.main_cell)}, each curve to its own height; the "
        "tick and the number are the median. What to see: whether a high mean rests on many genes or on a "
        "long right tail, and how much lies left of 0. Genes with a null prediction count in the median as "
        "r = 0 and are not in the curve; their share is printed."
    )
    if any(row.r.size <= FEW for row in rows):
        caption += f" Marks: single genes, of rows with {FEW} or fewer."
    alt = "Distribution of r by row: " + "; ".join(
        f"{clean(r.label)} median {number(r.median)}, null {percent(r.null)}" for r in rows
    )
    picture = distributions(rows, name="spread", alt=alt)
    return Plate(picture, "r of single genes in every row", caption, genes_data(table, shown))


def _heritability(results: Results, follow: Row | None) -> Plate | None:
    """Return r against sqrt(h2) of the followed row, else of the first; None where h2 is not known."""
    table = results.main_genes()
    row = follow or next(iter(results.shown_rows), None)
    if table is None or row is None or not {"h2", "accuracy"} <= set(table.columns):
        return None
    known = table.filter(
        pl.col("label") == row.label, pl.col("pearson").is_finite(), pl.col("h2").is_finite()
    )
    if known.height == 0:
        return None
    root = np.sqrt(np.clip(known["h2"].to_numpy().astype(np.float64), 0, 1))
    significant = known["accuracy"].is_not_null().to_numpy().astype(np.bool_)
    genes, found = counted(known.height, "gene"), int(significant.sum())
    caption = (
        f"Each mark is one of {genes}: Pearson r of {row.words} against the square root of the share of "
        "variance that the window's variants explain in the people learnt from. Filled marks: "
        f"h² is above 0 at 5 % FDR ({count(found)}); for the open ones h² is mostly chance. What to see: "
        "how far filled marks lie below the line r = √h², about the most that a model of the window can "
        "reach; one above it is chance, or large effects of few variants, which this h² does not expect."
    )
    if found:
        median = float(np.median(known.filter(pl.col("accuracy").is_not_null())["accuracy"].to_numpy()))
        caption += f" Median of r / √h² over the filled ones: {number(median, 2)}."
    alt = (
        f"Scatter of r of {row.words} against the square root of h2 for {genes}, {found} with significant h2"
    )
    picture = heritability_scatter(
        root,
        known["pearson"].to_numpy().astype(np.float64),
        significant,
        label=row.name,
        look=row.look,
        name="heritability",
        alt=alt,
    )
    return Plate(
        picture,
        f"Heritability and r of {row.words}",
        caption,
        Data(
            "heritability",
            "One line a gene of the figure.",
            known.select(
                "gene",
                "pearson",
                "h2",
                "accuracy",
                row=pl.col("label"),
                h2_significant=pl.col("accuracy").is_not_null(),
            ),
        ),
    )
