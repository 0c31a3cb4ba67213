"""Across genes: r of the model against a linear model and against heritability, mean r of every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from glm2x.report.data import Data
from glm2x.report.figures.forest import ForestRow, forest
from glm2x.report.figures.genes import gene_scatter
from glm2x.report.figures.heritability import heritability_scatter
from glm2x.report.format import clean, count, counted, is_number, number
from glm2x.report.numbers import forest_data
from glm2x.report.parts import EVALUATE, Missing, Plate
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import RIVALS, Row, figure_names
from glm2x.report.section import Subject


def context(subject: Subject) -> dict[str, Any]:
    """Return the figures across genes and what is missing."""
    plates, missing = gene_plates(subject.results, subject.follow)
    return {"plates": plates, "missing_parts": missing}


def gene_plates(results: Results, follow: Row | None) -> tuple[list[Plate], list[Missing]]:
    """Return the figures across genes: r against a linear model, and mean r of every row."""
    plates, missing = [], []
    table = results.main_genes()
    rival = None if follow is None else next(filter(None, (results.rival(m, follow) for m in RIVALS)), None)
    if table is None:
        missing.append(
            Missing(
                "per_gene.parquet is missing, so there are no figures of single genes. To write it:",
                EVALUATE,
            )
        )
    elif follow is None:
        missing.append(Missing("There is no model under test to draw gene by gene against a linear model."))
    elif rival is None:
        missing.append(Missing("There is no elastic net, ridge or GBLUP to draw the model against."))
    else:
        plate = _scatter(table, follow, rival)
        plates += [plate] if plate else []
        if not plate:
            missing.append(
                Missing(
                    "No gene has an r in both the model and the linear model, so they are not drawn "
                    "against one another."
                )
            )
    plates += [plate for plate in (_heritability(results, follow), _forest(results)) if plate]
    return plates, missing


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
        f"Heritability and r of {row.words}.",
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


def _scatter(table: pl.DataFrame, follow: Row, rival: Row) -> Plate | None:
    def part(row: Row, name: str) -> pl.DataFrame:
        found = table.filter(pl.col("label") == row.label, pl.col("pearson").is_finite())
        return found.select(
            "gene", pl.col("pearson").alias(name), pl.col("null").fill_null(False).alias(f"{name}_null")
        )

    both = part(follow, "y").join(part(rival, "x"), on="gene").sort("gene")
    if both.height == 0:
        return None
    x, y = both["x"].to_numpy().astype(np.float64), both["y"].to_numpy().astype(np.float64)
    null = (both["x_null"] | both["y_null"]).to_numpy().astype(np.bool_)
    above = int((y > x).sum())
    name, other = follow.words, rival.words
    names = figure_names([follow, rival])
    caption = (
        f"Each mark is one of {counted(both.height, 'gene')}: Pearson r across people of {name} "
        f"against {other}. "
        f"On the line both are equal; {name} is higher for {count(above)}. "
    )
    if null.any():
        caption += f"Open marks: {count(int(null.sum()))} with a null prediction in either, r = 0. "
    alt = f"Scatter of per-gene r, {name} against {other}; {name} higher for {above} of {both.height} genes"
    picture = gene_scatter(
        x,
        y,
        both["gene"].to_list(),
        null,
        x_label=names[1],
        y_label=names[0],
        look=follow.look,
        name="scatter",
        alt=alt,
    )
    return Plate(
        picture,
        f"{name} against {other}.",
        caption + "The largest and the most different are named.",
        Data(
            "gene-scatter",
            "One line a gene of the figure.",
            both.select(
                "gene",
                x_row=pl.lit(rival.label),
                y_row=pl.lit(follow.label),
                x_pearson="x",
                y_pearson="y",
                null=pl.col("x_null") | pl.col("y_null"),
            ),
        ),
    )


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
        f"Mean of per-gene Pearson r over {genes}, {cell_words(results.main_cell)}, with its 95 % interval "
        "(genes by block, people by family). Intervals of single rows say little about differences, "
        "because rows share genes and people: see the table of differences."
    )
    if len(results.shown_rows) < len(results.rows):
        caption += " Of each model that which learnt from most people: for the others see the few-shot curve."
    alt = "Mean r by row: " + "; ".join(f"{clean(r.label)} {number(r.mean)}" for r in rows)
    picture = forest(rows, name="forest", alt=alt)
    return Plate(picture, "Mean r of every row.", caption, forest_data(results, known))
