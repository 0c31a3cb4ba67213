"""Against the linear models: differences of mean r, and gene by gene against elastic net and GBLUP."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from glm2x.report.data import Data
from glm2x.report.figures.differences import MOST_BARS, ranked_differences
from glm2x.report.figures.genes import gene_scatter
from glm2x.report.format import count, counted
from glm2x.report.parts import EVALUATE, Missing, Plate
from glm2x.report.results import Results
from glm2x.report.roles import Row, figure_names
from glm2x.report.section import Subject
from glm2x.report.tables import comparison_tables

FDR = 0.05
_NOTE = (
    "An interval that leaves out 0 tells two rows apart. “Smallest that would show” is the "
    "difference these data "
    "detect with 80 % power at a two-sided 5 %. Genes better and worse: Williams test, 5 % FDR."
)


def context(subject: Subject) -> dict[str, Any]:
    """Return the table of differences, the figures gene by gene, and what is missing."""
    results, follow = subject.results, subject.follow
    differences, more = comparison_tables(results, follow)
    plates, missing = gene_plates(results, follow)
    if differences is None and more is None:
        missing.append(Missing("No two rows were compared.", EVALUATE))
    return {
        "differences": differences,
        "note": _NOTE,
        "more": more,
        "plates": plates,
        "missing_parts": missing,
    }


def rivals(results: Results, follow: Row) -> list[Row]:
    """Return elastic net and GBLUP, ridge for one that is missing."""
    wanted = [results.rival(model, follow) for model in ("elastic-net", "gblup", "ridge")]
    return [row for row in wanted if row is not None][:2]


def gene_plates(results: Results, follow: Row | None) -> tuple[list[Plate], list[Missing]]:
    """Return per-gene r against each linear model, then the ranked differences, and what is missing."""
    table = results.main_genes()
    if table is None:
        what = "per_gene.parquet is missing, so there are no figures of single genes. To write it:"
        return [], [Missing(what, EVALUATE)]
    if follow is None:
        return [], [Missing("There is no model under test to draw gene by gene against a linear model.")]
    found = rivals(results, follow)
    if not found:
        return [], [Missing("There is no elastic net, ridge or GBLUP to draw the model against.")]
    missing = []
    scatters = [_scatter(table, follow, rival) for rival in found]
    ranked = [_ranked(results, follow, rival) for rival in found]
    if not any(scatters):
        missing.append(
            Missing(
                "No gene has an r in both the model and a linear model, so they are not drawn "
                "against one another."
            )
        )
    elif not any(ranked):
        missing.append(
            Missing("comparisons.parquet does not hold the model and a linear model. To write it:", EVALUATE)
        )
    return [plate for plate in (*scatters, *ranked) if plate], missing


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
    names = figure_names([follow, rival])
    caption = (
        f"Each mark is one of {counted(both.height, 'gene')}: Pearson r across people. What to see: marks "
        f"above the line are genes on which {follow.words} is higher ({count(above)} of them). "
    )
    if null.any():
        caption += f"Open marks: {count(int(null.sum()))} with a null prediction in either, r = 0. "
    alt = (
        f"Scatter of per-gene r, {follow.words} against {rival.words}; "
        f"{follow.words} higher for {above} of {both.height} genes"
    )
    picture = gene_scatter(
        x,
        y,
        both["gene"].to_list(),
        null,
        x_label=names[1],
        y_label=names[0],
        look=follow.look,
        name=f"scatter-{rival.model}",
        alt=alt,
    )
    return Plate(
        picture,
        f"Gene by gene against {rival.words}",
        caption + "The largest and the most different are named.",
        Data(
            f"against-{rival.model}",
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


def _ranked(results: Results, follow: Row, rival: Row) -> Plate | None:
    pairs = results.gene_differences(follow.label, rival.label)
    if pairs is None or pairs.height == 0:
        return None
    difference = pairs["difference"].to_numpy().astype(np.float64)
    significant = (pairs["fdr"].fill_null(1.0) < FDR).to_numpy().astype(np.bool_)
    better, worse = (int((significant & (sign * difference > 0)).sum()) for sign in (1, -1))
    caption = (
        f"r of {follow.words} less r of {rival.words}, {counted(pairs.height, 'gene')}, the same people. "
        f"What to see: filled marks are the genes on which the two differ at 5 % FDR (Williams test): "
        f"{follow.words} is better on {count(better)} and worse on {count(worse)}. "
    )
    if pairs.height <= MOST_BARS:
        caption += "Bars: 95 % intervals by the standard error of that test."
    alt = (
        f"Ranked differences of per-gene r, {follow.words} minus {rival.words}: "
        f"{better} significantly better, {worse} worse, of {pairs.height} genes"
    )
    picture = ranked_differences(
        difference,
        _half(pairs),
        significant,
        rival=rival.name,
        look=follow.look,
        name=f"ranked-{rival.model}",
        alt=alt,
    )
    data = Data(
        f"differences-{rival.model}",
        "One line a gene of the figure: a minus b.",
        pairs.select(
            "gene",
            a=pl.lit(follow.label),
            b=pl.lit(rival.label),
            gene_difference="difference",
            half_interval=pl.Series(_half(pairs)),
            fdr="fdr",
        ),
    )
    return Plate(picture, f"Difference to {rival.words}, gene by gene", caption, data)


def _half(pairs: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return half the 95 % interval of each difference, [genes]: t(0.975, n - 3) times difference / t.

    NaN where Williams's t is 0 or not defined.
    """
    t = pairs["t"].to_numpy().astype(np.float64)
    degrees = np.maximum(pairs["individuals"].to_numpy() - 3, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(pairs["difference"].to_numpy() / t)
    return np.where(np.isfinite(error) & (t != 0), stats.t.isf(0.025, degrees) * error, np.nan)
