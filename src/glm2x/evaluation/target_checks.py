"""Checks of what was predicted: the measurements in the table, and how their target was made."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import RAW_SCALES, Target, log_expression, make_target
from glm2x.errors import Glm2xError
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.tables import gene_rows
from glm2x.predictions import Predictions

ROUNDING = 1e-3
"""Two measurements within this (absolute and relative) are the same: a CSV may hold three decimals."""

_TRANSDUCTIVE = "transductive: "


def observed_between_rows(frame: pl.DataFrame) -> Check:
    """Find measurements that differ between models: their people are in another order, or their target is.

    The residuals of a draw are those of its own people: they are compared within a draw and number of people.
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
    mode = predictions.metadata.target
    if mode not in ("residual", "residual-all"):
        return f"is not a residual target ({mode or 'unknown'})"
    if split is None:
        return "needs --split"
    try:
        return make_target(cohort, split, "residual" if mode == "residual" else "residual-all")
    except Glm2xError as error:
        return f"cannot be made from the cohort: {error.what}"


def observed_of_cohort(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    """Compare the table's measurements with the cohort's; a wrong sample order shows here."""
    name = "sample_order"
    if cohort is None:
        return not_run(name, "--cohort", leak=True)
    mode = predictions.metadata.target
    values = log_expression(cohort)
    if mode in ("residual", "residual-all"):
        target = _target(predictions, cohort, split)
        if isinstance(target, str):
            return Check(name, "not run", f"the {mode} target {target}", True)
        values = target.values
    measured = predictions.frame.filter(pl.col("observed").is_not_null())
    measured = measured.unique(("gene", "individual", "observed"), maintain_order=True)
    genes = measured["gene"].unique().to_list()
    rows = dict(zip(genes, gene_rows(cohort, genes), strict=True))
    columns = {individual: column for column, individual in enumerate(cohort.individuals)}
    known = measured.with_columns(
        _row=pl.col("gene").replace_strict(rows, return_dtype=pl.Int64),
        _column=pl.col("individual").replace_strict(columns, default=None, return_dtype=pl.Int64),
    ).drop_nulls(("_row", "_column"))
    absent = measured.height - known.height
    if known.height == 0:
        return Check(name, "not run", "none of the table's genes and people are in the cohort", True)
    observed = known["observed"].to_numpy()
    expected = values[known["_row"].to_numpy(), known["_column"].to_numpy()]
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
        if mode == "log":
            return Check(name, "fail", detail, True)
        why = (
            "the table does not say its target"
            if mode is None
            else "the covariates that were kept are not on record"
        )
        return Check(name, "warn", f"{detail}; {why}, so the order of people is not judged", True)
    said = f"{known.height} measurements are the cohort's"
    if absent:
        return Check(name, "warn", f"{said}; {absent} are of genes or people that it does not hold", True)
    return Check(name, "pass", said, True)


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
        return not_run(name, "--cohort" if mode == "log" else "--cohort and --split", leak=False)
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
