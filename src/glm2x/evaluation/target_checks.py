"""Checks of what was predicted: the measurements in the table, and how their target was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import RAW_SCALES, Target, log_expression, make_target
from glm2x.config import RESIDUALS, TargetMode
from glm2x.errors import Glm2xError
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.learnt import Learnt, learnt_people
from glm2x.evaluation.tables import gene_rows
from glm2x.predictions import Predictions

ROUNDING = 1e-3
"""Two measurements within this (absolute and relative) are the same: a CSV may hold three decimals."""

_TRANSDUCTIVE = "transductive: "


def observed_between_rows(frame: pl.DataFrame) -> Check:
    """Find measurements that differ between models: their people are in another order, or their target is.

    The target of a draw may be relative to its own people: it is compared within a draw and number of people.
    """
    name = "observed_between_models"
    spread = pl.col("observed").max() - pl.col("observed").min()
    allowed = ROUNDING * (1 + pl.col("observed").abs().max())
    people = pl.when(pl.col("draw").is_not_null()).then("train_individuals").alias("people")
    pairs = (
        frame.filter(pl.col("observed").is_not_null())
        .group_by("gene", "individual", "draw", people)
        .agg(spread.alias("spread"), allowed.alias("allowed"))
        .sort("gene", "individual")
    )
    wrong = pairs.filter(pl.col("spread") > pl.col("allowed"))
    if wrong.height:
        said = [f"{g} of {i}" for g, i in wrong.select("gene", "individual").iter_rows()]
        detail = (
            f"{wrong.height} of {pairs.height} measurements differ between rows of the table: {some(said)}"
        )
        return Check(name, "fail", detail, True)
    return Check(name, "pass", f"all rows agree on {pairs.height} measurements", True)


def _target(predictions: Predictions, cohort: Cohort, split: Split | None) -> Target | str:
    """Return the cohort's target in the table's mode, or why it cannot be made."""
    mode = _relative(predictions)
    if mode is None:
        return f"is not relative to training people ({predictions.metadata.target or 'unknown'})"
    if split is None:
        return "needs --split"
    try:
        return make_target(cohort, split, mode, predictions.metadata.covariates)
    except Glm2xError as error:
        return f"cannot be made from the cohort: {error.what}"


def _relative(predictions: Predictions) -> TargetMode | None:
    """Return the table's mode where its values depend on who was trained on; log values do not."""
    mode = predictions.metadata.target
    return next((known for known in get_args(TargetMode) if known == mode and mode != "log"), None)


@dataclass(frozen=True)
class _Compared:
    """Measurements of the table beside the cohort's.

    Attributes
    ----------
    known
        `gene`, `individual`, `observed`, `expected`: what the cohort holds too.
    absent
        How many are of genes or people that it does not hold.
    left, why
        How many were not compared, and why not.
    """

    known: pl.DataFrame
    absent: int
    left: int
    why: tuple[str, ...]


def observed_of_cohort(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    """Compare the table's measurements with the cohort's; a wrong sample order shows here.

    The target of a draw is made with its own training people, as its rows label them.
    """
    name = "sample_order"
    if cohort is None:
        return not_run(name, "--cohort", leak=True)
    mode = predictions.metadata.target
    found = _compared(predictions, cohort, split)
    known = found.known
    why = f"{found.left} of the table's measurements are not compared: {'; '.join(found.why)}"
    if known.height == 0:
        none = "none of the table's genes and people are in the cohort"
        return Check(name, "not run", why if found.left else none, True)
    left = f"; {why}" if found.left else ""
    observed, expected = known["observed"].to_numpy(), known["expected"].to_numpy()
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(observed - expected) <= ROUNDING * (1 + np.abs(expected)))
    count = int(wrong.sum())
    if count:
        first = int(wrong.argmax())
        detail = (
            f"{count} of {known.height} measurements are not the cohort's, first {known['gene'][first]} of "
            f"{known['individual'][first]}: {observed[first]:.4g} in the table, "
            f"{expected[first]:.4g} in the cohort"
        )
        if mode is not None and (mode not in RESIDUALS or predictions.metadata.covariates is not None):
            return Check(name, "fail", detail + left, True)
        doubt = (
            "the table does not say its target"
            if mode is None
            else "the covariates that were kept are not on record"
        )
        return Check(name, "warn", f"{detail}; {doubt}, so the order of people is not judged{left}", True)
    said = f"{known.height} measurements are the cohort's"
    if found.absent:
        said += f"; {found.absent} are of genes or people that it does not hold"
    return Check(name, "warn" if found.absent or left else "pass", said + left, True)


def _compared(predictions: Predictions, cohort: Cohort, split: Split | None) -> _Compared:
    """Put the cohort's target beside the measurements, of each draw with its own people."""
    mode = predictions.metadata.target
    measured = predictions.frame.filter(pl.col("observed").is_not_null())
    once = ("gene", "individual", "observed")
    known: list[pl.DataFrame] = []
    absent = left = 0
    why: dict[str, None] = {}
    parts: list[tuple[pl.DataFrame, NDArray[np.float64] | str]]
    if _relative(predictions) is None:
        parts = [(measured, log_expression(cohort))]
    elif split is None:
        parts = [(measured, "needs --split")]
    else:
        # labels are of all rows: a person may be labelled and not measured
        draws = learnt_people(predictions.frame, split)
        parts = [(one.rows, values_of(one, predictions, cohort, split)) for one in draws]
    for part, values in parts:
        rows = part.filter(pl.col("observed").is_not_null()).unique(once, maintain_order=True)
        if isinstance(values, str):
            left += rows.height
            why[f"the {mode} target {values}"] = None
        else:
            known.append(_beside(rows, values, cohort))
            absent += rows.height - known[-1].height
    empty = measured.select(once).with_columns(expected=pl.col("observed")).clear()
    return _Compared(pl.concat([empty, *known]), absent, left, tuple(why))


def target_values(predictions: Predictions, cohort: Cohort, split: Split) -> NDArray[np.float64] | str:
    """Return the cohort's target in the table's mode, float [genes, individuals], or why it cannot be made.

    Of a table that does not say its mode it is the logarithm.
    """
    if _relative(predictions) is None:
        return log_expression(cohort)
    target = _target(predictions, cohort, split)
    return target if isinstance(target, str) else target.values


def values_of(
    one: Learnt, predictions: Predictions, cohort: Cohort, split: Split
) -> NDArray[np.float64] | str:
    """Return the target that the people of a draw give, or why it cannot be made."""
    if not (one.complete and one.train):
        return "of a draw needs all whom it learnt from, and the table does not label them"
    own = replace(split, train=one.train, validation=one.validation, test=())
    target = _target(predictions, cohort, own)
    return target if isinstance(target, str) else target.values


def _beside(rows: pl.DataFrame, values: NDArray[np.float64], cohort: Cohort) -> pl.DataFrame:
    """Return the measurements that the cohort holds, and its own beside them as `expected`."""
    genes = rows["gene"].unique().to_list()
    of_gene = dict(zip(genes, gene_rows(cohort, genes), strict=True))
    of_person = {individual: column for column, individual in enumerate(cohort.individuals)}
    known = rows.with_columns(
        _row=pl.col("gene").replace_strict(of_gene, return_dtype=pl.Int64),
        _column=pl.col("individual").replace_strict(of_person, default=None, return_dtype=pl.Int64),
    ).drop_nulls(("_row", "_column"))
    expected = values[known["_row"].to_numpy(), known["_column"].to_numpy()]
    return known.select("gene", "individual", "observed", pl.Series("expected", expected))


def transductive_target(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    """Say what of the target was, or may have been, computed with test people's expression."""
    name = "transductive_target"
    mode = predictions.metadata.target
    if mode is None:
        return not_run(name, "a table that says its target", leak=False)
    if mode == "residual-all":
        detail = "coefficients of covariates fitted on everyone, test people included"
        return Check(name, "warn", _TRANSDUCTIVE + detail, False)
    if cohort is None:
        return not_run(name, "--cohort and --split" if mode == "residual" else "--cohort", leak=False)
    reasons = []
    if mode == "residual":
        target = _target(predictions, cohort, split)
        if isinstance(target, str):
            return Check(name, "not run", f"the {mode} target {target}", False)
        if target.transductive:
            reasons.append(_TRANSDUCTIVE + some(target.transductive))
    if cohort.expression_scale not in RAW_SCALES:
        reasons.append(
            f"the cohort was given {cohort.expression_scale} expression, and how and with whom it was "
            "normalised is not on record"
        )
    if reasons:
        return Check(name, "warn", "; ".join(reasons), False)
    return Check(name, "pass", f"target {mode}: nothing in it was computed with test people", False)


def is_transductive(checks: Iterable[Check]) -> bool:
    """Return whether the target is known to hold, or to be able to hold, test people's expression."""
    return any(c.name == "transductive_target" and c.detail.startswith(_TRANSDUCTIVE) for c in checks)
