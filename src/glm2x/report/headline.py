"""The result in words: every sentence is computed from the evaluation, and claims no more than it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glm2x.report.comparison import Comparison
from glm2x.report.data import Data
from glm2x.report.format import (
    MISSING,
    counted,
    interval,
    is_number,
    join_words,
    number,
    p_value,
    percent,
)
from glm2x.report.limits import limits
from glm2x.report.numbers import headline_data
from glm2x.report.parts import Fact, Missing, Verdict
from glm2x.report.results import MAIN_CELL, Results, cell_words
from glm2x.report.roles import RIVALS, Row, words

_BASELINES = (
    "glm2x baseline COHORT --split split.json --models elastic-net,ridge,gblup --target {} "
    "--out baselines.parquet"
)


@dataclass(frozen=True)
class Headline:
    """What stands at the top of the page."""

    lead: list[str]
    facts: list[Fact]
    verdicts: list[Verdict]
    limits: list[str]
    missing: list[Missing] = field(default_factory=list)
    data: Data | None = None


def make_headline(results: Results, follow: Row | None) -> Headline:
    """Return the headline of an evaluation; `follow` is the row it is about (None: baselines only)."""
    cell = results.cells.get(results.main_cell) or {}
    if not cell:
        text = (
            "No person of this evaluation has both a prediction and a measurement, "
            "so nothing can be said about any model."
        )
        notice = Missing(
            "To judge predictions, give them with measured expression:",
            "glm2x evaluate PREDICTIONS... --out DIR",
        )
        return Headline([text], [], [], limits(results), [notice])
    if follow is None or follow.label not in cell:
        return _baselines_only(results, cell)
    metrics = cell[follow.label]
    verdicts, compared, missing = _against(results, follow)
    lead = [_opening(results, follow, metrics), _standing(follow, compared)]
    if results.main_cell != MAIN_CELL:
        lead.append(
            "There are no seen genes in new people here, so the page shows "
            f"{cell_words(results.main_cell)} instead."
        )
    others = [row.words for row in results.shown_rows if row.role == "model" and row != follow]
    if others:
        lead.append(
            f"The page follows {follow.words}, which comes first by its strategy and its place "
            "in the file, "
            f"not by its score. The tables also hold {join_words(others)}."
        )
    shown = _compared(results, cell, follow)
    data = headline_data(results, shown, follow)
    return Headline(lead, _facts(cell, shown), verdicts, limits(results), missing, data)


def _opening(results: Results, follow: Row, metrics: Mapping[str, Any]) -> str:
    name = follow.words
    text = f"{name} was evaluated on {_size(metrics)} ({cell_words(results.main_cell)}). "
    null = metrics.get("null_share")
    if is_number(null) and float(null) >= 1:
        return text + (
            "All of its predictions are null: it predicts the same expression for everybody, "
            "which counts as r = 0 for every gene."
        )
    if not is_number(metrics.get("mean_pearson")):
        return (
            text
            + "Pearson r is not defined for any gene: that takes three people and expression that varies."
        )
    text += (
        f"Its Pearson r across people has a mean of {_value(metrics, 'mean_pearson')} over genes "
        f"({_ci(metrics.get('ci95_mean_pearson'))}) and a median of {_value(metrics, 'median_pearson')}."
    )
    low, high = metrics.get("ci95_mean_pearson") or (None, None)
    if is_number(low) and is_number(high) and low <= 0 <= high:
        text += " That interval holds 0."
    if is_number(null) and float(null) > 0:
        text += (
            f" For {percent(float(null))} of the genes it predicts the same expression for everybody; "
            "these count as r = 0."
        )
    control = ((results.metrics.get("controls") or {}).get(results.main_cell) or {}).get(follow.label) or {}
    if is_number(control.get("permutation_p")):
        text += (
            f" With the test people permuted its mean r is {_value(control, 'permuted_mean_pearson')} "
            f"(one-sided p for these genes: {p_value(control['permutation_p'])})."
        )
    return text


def _standing(follow: Row, compared: Sequence[tuple[str, Comparison]]) -> str:
    """Say in one sentence how the model stands against the linear models; the worst news comes first."""
    name = follow.words
    if not compared:
        return (
            f"{name} could not be compared with a linear model, "
            "so nothing here says whether it is better than one."
        )
    found = {
        kind: [words(rival) for rival, c in compared if c.kind == kind]
        for kind in ("worse", "untold", "better")
    }
    parts = []
    if found["worse"]:
        verb = "predicts" if len(found["worse"]) == 1 else "predict"
        parts.append(f"{join_words(found['worse'])} {verb} better than {name}")
    if found["untold"]:
        parts.append(f"the data cannot tell {name} from {join_words(found['untold'])}")
    if found["better"]:
        parts.append(f"{name} predicts better than {join_words(found['better'])}")
    sentence = "; ".join(parts)
    smallest = max((c.smallest for _, c in compared if c.smallest is not None), default=None)
    if smallest is not None:
        sentence += (
            f". The smallest difference of mean r that these data would show (80 % power, 5 % level) "
            f"is about {number(smallest)}"
        )
    # A model's name keeps its own case at the start of a sentence.
    return (sentence if sentence.startswith(name) else sentence[0].upper() + sentence[1:]) + "."


def _against(
    results: Results, follow: Row
) -> tuple[list[Verdict], list[tuple[str, Comparison]], list[Missing]]:
    verdicts: list[Verdict] = []
    compared: list[tuple[str, Comparison]] = []
    absent: list[str] = []
    for rival in RIVALS:
        row = results.rival(rival, follow)
        comparison = None if row is None else results.comparison(follow.label, row.label)
        if row is None or comparison is None:
            absent.append(words(rival))
            continue
        compared.append((rival, comparison))
        verdicts.append(Verdict(comparison.kind, _sentence(results, comparison, row)))
    missing = []
    if absent:
        missing.append(
            Missing(
                f"There is no comparison with {join_words(absent)}. To add it, evaluate together with "
                "the output of:",
                _BASELINES.format(results.target or "log"),
            )
        )
    return verdicts, compared, missing


def _sentence(results: Results, c: Comparison, rival: Row) -> str:
    cell = results.cells[c.cell]
    name = rival.words
    text = (
        f"Against {name}: mean r {_value(cell.get(c.a, {}), 'mean_pearson')} with "
        f"{_value(cell.get(c.b, {}), 'mean_pearson')} for {name}, difference "
        f"{number(c.difference, signed=True)}"
    )
    if c.low is None or c.high is None:
        return text + ", without a confidence interval."
    text += f" ({_ci((c.low, c.high))}{'; holds 0' if c.kind == 'untold' else ''})."
    if c.share_a_better is not None and c.share_b_better is not None:
        text += (
            f" Gene by gene (Williams test, 5 % FDR): better for {percent(c.share_a_better)} of genes, "
            f"worse for {percent(c.share_b_better)}."
        )
    return text


def _baselines_only(results: Results, cell: Mapping[str, Mapping[str, Any]]) -> Headline:
    known = [row for row in results.shown_rows if row.label in cell]
    means = [
        f"{row.words} {_value(cell[row.label], 'mean_pearson')} "
        f"({_ci(cell[row.label].get('ci95_mean_pearson'))})"
        for row in known
    ]
    lead = ["This evaluation holds baselines only."]
    if known:
        size = _size(cell[known[0].label])
        lead[0] = f"This evaluation holds baselines only, on {size} ({cell_words(results.main_cell)})."
        lead.append(f"Mean Pearson r over genes: {join_words(means)}.")
    notice = Missing(
        "No model under test is among the rows. To add one:",
        "glm2x train CONFIG.yml, glm2x predict CHECKPOINT --cohort COHORT --out model.parquet, "
        "then glm2x evaluate model.parquet baselines.parquet --out DIR",
    )
    return Headline(lead, [], [], limits(results), [notice])


def _compared(results: Results, cell: Mapping[str, Mapping[str, Any]], follow: Row) -> list[Row]:
    rivals = [results.rival(rival, follow) for rival in RIVALS]
    return [follow, *(row for row in rivals if row is not None and row.label in cell)]


def _facts(cell: Mapping[str, Mapping[str, Any]], shown: Sequence[Row]) -> list[Fact]:
    return [
        Fact(
            f"mean r, {row.words}",
            _value(cell[row.label], "mean_pearson"),
            _ci(cell[row.label].get("ci95_mean_pearson")),
        )
        for row in shown
    ]


def _size(metrics: Mapping[str, Any]) -> str:
    def whole(key: str) -> int:
        return int(metrics[key]) if is_number(metrics.get(key)) else 0

    return f"{counted(whole('genes'), 'gene')} in {counted(whole('individuals'), 'person', 'people')}"


def _value(metrics: Mapping[str, Any], key: str) -> str:
    value = metrics.get(key)
    return number(float(value) if is_number(value) else None)


def _ci(bounds: Sequence[float | None] | None) -> str:
    text = interval(bounds)
    return "no confidence interval" if text == MISSING else f"95 % CI {text}"
