"""Predicted against observed: the people of the genes on which the model did best and worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from glm2x.report.data import Data
from glm2x.report.figures.people import observed_panel, own_span
from glm2x.report.figures.style import Picture
from glm2x.report.format import clean, count, counted, number
from glm2x.report.parts import EVALUATE, Missing
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row
from glm2x.report.section import Subject
from glm2x.report.target import unit

PANELS = 4
"""As many genes are drawn from each end."""


@dataclass(frozen=True)
class Panels:
    """The genes of one end: their figures under a title, with a caption; `data` is of both ends."""

    title: str
    pictures: list[Picture]
    caption: str
    data: Data


def context(subject: Subject) -> dict[str, Any]:
    """Return the panels of both ends and what is missing."""
    ends, missing = people_panels(subject)
    return {"ends": ends, "missing_parts": missing}


def people_panels(subject: Subject) -> tuple[list[Panels], list[Missing]]:
    """Return predicted against observed for the genes of the largest and of the smallest r."""
    results, follow = subject.results, subject.follow
    if follow is None:
        return [], [Missing("There is no model under test whose predictions could be drawn.")]
    frame, table = subject.predictions, results.main_genes()
    if frame is None or table is None:
        what = "predictions.parquet or per_gene.parquet is missing. To write them:"
        return [], [Missing(what, EVALUATE)]
    ranked = (
        table.filter(
            pl.col("label") == follow.label, pl.col("pearson").is_finite(), ~pl.col("null").fill_null(False)
        )
        .sort("pearson", "gene", descending=[True, False])["gene"]
        .to_list()
    )
    best, worst = both_ends(ranked)
    parts = {
        name: part for (name,), part in frame.filter(pl.col("gene").is_in([*best, *worst])).group_by("gene")
    }
    parts = {gene: part for gene, part in parts.items() if part.height > 1}
    # people stay unnamed: the page and what lies beside it may be passed on
    shown = [
        parts[gene].select(pl.col("gene").cast(pl.String), "observed", "predicted")
        for gene in [*best, *worst]
        if gene in parts
    ]
    ends = []
    for title, genes, rule in (
        ("Best", best, f"the {{}} with the largest r of {count(len(ranked))}"),
        ("Worst", worst, f"the {{}} with the smallest r of {count(len(ranked))}"),
    ):
        drawn = [gene for gene in genes if gene in parts]
        if drawn:
            pictures = [
                _panel(gene, parts[gene], follow, unit(results), f"{title.lower()}{i}")
                for i, gene in enumerate(drawn)
            ]
            sizes = sorted({parts[gene].height for gene in drawn})
            said = rule.format(counted(len(drawn), "gene"))
            data = Data("people", "One line a person and gene of the figures.", pl.concat(shown))
            ends.append(Panels(title, pictures, _caption(results, follow, title, said, sizes), data))
    if not ends:
        what = "No gene has a prediction that differs between people, so there is nothing to draw."
        return [], [Missing(what)]
    return ends, []


def both_ends(ranked: list[str]) -> tuple[list[str], list[str]]:
    """Return the first `PANELS` of a list and its last ones, last first; none is in both."""
    best = ranked[: min(PANELS, (len(ranked) + 1) // 2)]
    return best, ranked[len(best) :][-PANELS:][::-1]


def _panel(gene: str, part: pl.DataFrame, follow: Row, unit: str, name: str) -> Picture:
    observed, predicted = part["observed"].to_numpy(), part["predicted"].to_numpy()
    defined = observed.std() > 0 and predicted.std() > 0
    r = float(np.corrcoef(observed, predicted)[0, 1]) if defined else 0.0
    alt = f"{clean(gene)}: predicted against observed expression of {observed.size} people, r = {number(r)}"
    span = own_span(observed, predicted)
    return observed_panel(
        observed, predicted, gene=gene, r=r, span=span, unit=unit, look=follow.look, name=name, alt=alt
    )


def _caption(results: Results, follow: Row, title: str, rule: str, sizes: list[int]) -> str:
    people = f"{count(sizes[0])}" if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])}"
    if title == "Worst":
        return (
            f"{rule[0].upper()}{rule[1:]}, the smallest first, drawn in the same way. What to see: a cloud "
            "without slope says nothing of the people, one that falls ranks them the wrong way round; by "
            "chance alone some of many genes do."
        )
    text = (
        f"{follow.words}, {cell_words(results.main_cell)}: {rule} that have a prediction which is not null, "
        f"so these are its best, not its typical ones. Each mark is one of {people} people; on the line "
        "predicted and observed are equal, and both axes of a panel span its gene's own values. What to see: "
        "a cloud along the line is right in size too, a flatter one predicts less difference between people "
        "than there is."
    )
    first = results.first_replicate(follow)
    if first:
        text += f" Drawn, with its r, is {first}; the genes were chosen by their mean over all replicates."
    return text
