"""Predicted against observed: the people of single genes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from glm2x.report.data import Data
from glm2x.report.figures.people import common_span, observed_panel
from glm2x.report.figures.style import Picture
from glm2x.report.format import clean, count, counted, number
from glm2x.report.parts import EVALUATE, Missing
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row
from glm2x.report.section import Subject
from glm2x.report.target import unit


def context(subject: Subject) -> dict[str, Any]:
    """Return the panels, their caption and what is missing."""
    panels, caption, data, missing = people_panels(subject.results, subject.follow, unit(subject.results))
    return {"panels": panels, "caption": caption, "data": data, "missing_parts": missing}


def people_panels(
    results: Results, follow: Row | None, unit: str
) -> tuple[list[Picture], str, Data | None, list[Missing]]:
    """Return predicted against observed for the four best genes: figures, caption, data, gaps."""
    if follow is None:
        return [], "", None, [Missing("There is no model under test whose predictions could be drawn.")]
    frame, table = results.predictions(follow), results.main_genes()
    if frame is None or table is None:
        return (
            [],
            "",
            None,
            [Missing("predictions.parquet or per_gene.parquet is missing. To write them:", EVALUATE)],
        )
    ranked = table.filter(
        pl.col("label") == follow.label, pl.col("pearson").is_finite(), ~pl.col("null").fill_null(False)
    )
    best = ranked.sort("pearson", "gene", descending=[True, False]).head(4)["gene"].to_list()
    parts = {gene: frame.filter(pl.col("gene") == gene) for gene in best}
    parts = {gene: part for gene, part in parts.items() if part.height > 1}
    if not parts:
        return (
            [],
            "",
            None,
            [Missing("No gene has a prediction that differs between people, so there is nothing to draw.")],
        )
    values = {g: (p["observed"].to_numpy(), p["predicted"].to_numpy()) for g, p in parts.items()}
    span = common_span(list(values.values()))
    pictures = []
    for i, (gene, (observed, predicted)) in enumerate(values.items()):
        r = (
            float(np.corrcoef(observed, predicted)[0, 1])
            if observed.std() > 0 and predicted.std() > 0
            else 0.0
        )
        alt = (
            f"{clean(gene)}: predicted against observed expression of {observed.size} people, r = {number(r)}"
        )
        pictures.append(
            observed_panel(
                observed,
                predicted,
                gene=gene,
                r=r,
                span=span,
                unit=unit,
                look=follow.look,
                name=f"people{i}",
                alt=alt,
            )
        )
    sizes = sorted({v[0].size for v in values.values()})
    people = f"{count(sizes[0])}" if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])}"
    caption = (
        f"{follow.words}, {cell_words(results.main_cell)}: the {counted(len(values), 'gene')} "
        "with the largest r of "
        f"{count(ranked.height)}, so these are its best, not its typical ones. Each mark is one of "
        f"{people} people. "
        "All axes have the same length in expression units and are centred on the gene's own range; "
        "on the line "
        "predicted and observed are equal. A cloud flatter than the line predicts less difference "
        "between people than there is."
    )
    first = results.first_replicate(follow)
    if first:
        caption += f" Drawn, with its r, is {first}; the genes were chosen by their mean over all replicates."
    # people stay unnamed: the page and what lies beside it may be passed on
    drawn = pl.concat(parts.values()).select("gene", "observed", "predicted")
    return pictures, caption, Data("people", "One line a person and gene of the figure.", drawn), []
