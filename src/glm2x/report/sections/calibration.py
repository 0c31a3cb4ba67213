"""Calibration: whether predicted differences between people are as large as the observed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from glm2x.report.data import Data, frame
from glm2x.report.figures.calibration import Bins, binned, calibration_curve
from glm2x.report.figures.forest import ForestRow, forest
from glm2x.report.format import clean, count, counted, is_number, number
from glm2x.report.parts import Missing, Plate
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import figure_names
from glm2x.report.section import Subject
from glm2x.report.target import unit

SLOPES = (-1.0, 3.0)
"""The slopes that the figure shows; a quartile beyond is cut off."""

_SLOPE_COLUMNS = {"row": pl.String, **dict.fromkeys(("median_slope", "slope_q25", "slope_q75"), pl.Float64)}


def context(subject: Subject) -> dict[str, Any]:
    """Return the calibration curve of the followed row, the slopes of all rows, and what is missing."""
    curve, missing = _curve(subject)
    slopes = _slopes(subject.results)
    return {"plates": [p for p in (curve, slopes) if p], "missing_parts": missing}


def _curve(subject: Subject) -> tuple[Plate | None, list[Missing]]:
    follow, results = subject.follow, subject.results
    if follow is None:
        return None, [Missing("There is no model under test whose calibration could be drawn.")]
    people, means = subject.predictions, results.training_means(follow)
    if people is None or means is None:
        what = "The predictions, or the genes' means over training people, are missing. To add them:"
        return None, [Missing(what, "glm2x evaluate PREDICTIONS... baselines.parquet --out DIR --force")]
    pairs = deviations(people, means)
    if pairs.height == 0 or pairs["predicted"].n_unique() < 2:
        what = "No prediction differs from its gene's mean over training people: there is nothing to draw."
        return None, [Missing(what)]
    bins = binned(
        pairs["predicted"].to_numpy(), pairs["observed"].to_numpy(), pairs["gene"].to_numpy().astype(np.int64)
    )
    pooled = float(np.polyfit(pairs["predicted"].to_numpy(), pairs["observed"].to_numpy(), 1)[0])
    genes = pairs["gene"].n_unique()
    size = f"{counted(genes, 'gene')} and {count(pairs.height)} pairs of gene and person"
    caption = (
        f"{follow.words}, {cell_words(results.main_cell)}, {size}, in {counted(bins.predicted.size, 'bin')} "
        "of as many pairs each, with 95 % intervals (pairs of one gene taken together). What to see: marks "
        "on the line mean that a person predicted so far above a gene's training mean is that far above it; "
        "marks flatter than the line, that predicted differences are too large. Slope over all pairs: "
        f"{number(pooled, 2)}."
    )
    if results.first_replicate(follow):
        caption += f" Drawn is {results.first_replicate(follow)}."
    alt = "Observed against predicted deviation from the training mean: " + _in_words(bins)
    picture = calibration_curve(bins, unit=unit(results), look=follow.look, name="calibration", alt=alt)
    drawn = {"predicted_deviation": bins.predicted, "observed_deviation": bins.observed, "se": bins.error}
    data = Data("calibration", "One line a bin of the figure, from the left.", pl.DataFrame(drawn))
    return Plate(picture, f"Calibration of {follow.words}", caption, data), []


def deviations(frame: pl.DataFrame, means: pl.DataFrame) -> pl.DataFrame:
    """Return gene (a number from 0), predicted and observed, less each gene's mean over training people.

    Parameters
    ----------
    frame
        gene (a category), individual, observed, predicted.
    means
        gene, mean.
    """
    known = means.drop_nulls()
    genes = known["gene"].cast(pl.String).cast(pl.Categorical)
    number = pl.col("gene").replace_strict(
        genes, pl.int_range(known.height, dtype=pl.UInt32, eager=True), default=None, return_dtype=pl.UInt32
    )
    mean = pl.col("gene").replace_strict(genes, known["mean"], default=None, return_dtype=pl.Float64)
    # what has no mean is null, and null is not finite
    return frame.select(number.alias("gene"), pl.col("predicted") - mean, pl.col("observed") - mean).filter(
        pl.col("predicted").is_finite(), pl.col("observed").is_finite()
    )


def _in_words(bins: Bins) -> str:
    return ", ".join(
        f"{number(x, 2)} predicted, {number(y, 2)} observed"
        for x, y in zip(bins.predicted.tolist(), bins.observed.tolist(), strict=True)
    )


def _slopes(results: Results) -> Plate | None:
    table = results.main_genes()
    if table is None or "slope" not in table.columns:
        return None
    rows: list[ForestRow] = []
    lines: list[dict[str, Any]] = []
    shown = results.shown_rows
    for row, name in zip(shown, figure_names(shown), strict=True):
        slope = table.filter(pl.col("label") == row.label, pl.col("slope").is_finite())["slope"]
        low, middle, high = (slope.quantile(q, "linear") for q in (0.25, 0.5, 0.75))
        if is_number(middle):
            rows.append(ForestRow(name, float(middle), low, high, row.look))
            lines.append({"row": row.label, "median_slope": middle, "slope_q25": low, "slope_q75": high})
    if not rows:
        return None
    caption = (
        f"Slope of observed on predicted, one a gene, {cell_words(results.main_cell)}: the median over genes "
        "and as a bar the half of the genes in the middle. What to see: at 1 predicted differences between "
        "people are as large as they should be, below 1 too large, and at 0 they say nothing. Genes with a "
        "null prediction have no slope; bars that leave the frame are cut."
    )
    alt = "Median slope by row: " + "; ".join(f"{clean(r.label)} {number(r.mean, 2)}" for r in rows)
    ends = [v for r in rows for v in (r.low, r.mean, r.high) if v is not None]
    low, high = max(SLOPES[0], min(*ends, 0.0) - 0.1), min(SLOPES[1], max(*ends, 1.0) + 0.1)
    picture = forest(
        rows,
        x_label="slope of observed on predicted",
        line=1.0,
        limits=(min(low, min(r.mean for r in rows) - 0.1), max(high, max(r.mean for r in rows) + 0.1)),
        digits=2,
        name="slopes",
        alt=alt,
    )
    data = Data("slopes", "One line a row of the figure, from the top.", frame(lines, _SLOPE_COLUMNS))
    return Plate(picture, "Slope of every row", caption, data)
