"""Checks of what was predicted: the measurements in the table, and how their target was made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
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
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import gene_rows
from glm2x.prediction_metadata import PredictionMetadata

ROUNDING = 1e-3
"""Two measurements within this (absolute and relative) are the same: a CSV may hold three decimals."""

_TRANSDUCTIVE = "transductive: "


def observed_between_rows(table: Table) -> Check:
    """Find measurements that differ between models: their people are in another order, or their target is.

    The target of a draw may be relative to its own people: it is compared within a draw and number of people.
    """
    name = "observed_between_models"
    wrong: list[str] = []
    compared = 0
    for frame in table.blocks:
        pairs = _spreads(frame)
        compared += pairs.height
        differing = pairs.filter(pl.col("spread") > pl.col("allowed")).select("gene", "individual")
        wrong += [f"{g} of {i}" for g, i in differing.iter_rows()]
    if wrong:
        detail = f"{len(wrong)} of {compared} measurements differ between rows of the table: {some(wrong)}"
        return Check(name, "fail", detail, True)
    return Check(name, "pass", f"all rows agree on {compared} measurements", True)


def _spreads(frame: pl.DataFrame) -> pl.DataFrame:
    """Return by how much each measurement differs between rows, and by how much it may."""
    spread = pl.col("observed").max() - pl.col("observed").min()
    allowed = ROUNDING * (1 + pl.col("observed").abs().max())
    people = pl.when(pl.col("draw").is_not_null()).then("train_individuals").alias("people")
    return (
        frame.filter(pl.col("observed").is_not_null())
        .group_by("gene", "individual", "draw", people)
        .agg(spread.alias("spread"), allowed.alias("allowed"))
        .sort("gene", "individual")
    )


def _target(metadata: PredictionMetadata, cohort: Cohort, split: Split | None) -> Target | str:
    """Return the cohort's target in the table's mode, or why it cannot be made."""
    mode = _relative(metadata)
    if mode is None:
        return f"is not relative to training people ({metadata.target or 'unknown'})"
    if split is None:
        return "needs --split"
    try:
        return make_target(cohort, split, mode, metadata.covariates)
    except Glm2xError as error:
        return f"cannot be made from the cohort: {error.what}"


def _relative(metadata: PredictionMetadata) -> TargetMode | None:
    """Return the table's mode where its values depend on who was trained on; log values do not."""
    mode = metadata.target
    return next((known for known in get_args(TargetMode) if known == mode and mode != "log"), None)


@dataclass
class _Compared:
    """What comparing measurements of the table with the cohort's comes to.

    Attributes
    ----------
    known, absent
        How many are compared, and how many are of genes or people that the cohort does not hold.
    wrong, first
        How many differ, and the first of them.
    left, why
        How many were not compared, and why not.
    """

    known: int = 0
    absent: int = 0
    wrong: int = 0
    first: str = ""
    left: int = 0
    why: dict[str, None] = field(default_factory=dict)

    def add(self, rows: pl.DataFrame, values: NDArray[np.float64], cohort: Cohort) -> None:
        """Compare rows with the cohort's values."""
        known = _beside(rows, values, cohort)
        self.known += known.height
        self.absent += rows.height - known.height
        observed, expected = known["observed"].to_numpy(), known["expected"].to_numpy()
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(observed - expected) <= ROUNDING * (1 + np.abs(expected)))
        if wrong.any() and not self.wrong:
            at = int(wrong.argmax())
            self.first = (
                f"{known['gene'][at]} of {known['individual'][at]}: {observed[at]:.4g} in the table, "
                f"{expected[at]:.4g} in the cohort"
            )
        self.wrong += int(wrong.sum())


def observed_of_cohort(table: Table, cohort: Cohort | None, split: Split | None) -> Check:
    """Compare the table's measurements with the cohort's; a wrong sample order shows here.

    The target of a draw is made with its own training people, as its rows label them.
    """
    name = "sample_order"
    if cohort is None:
        return not_run(name, "--cohort", leak=True)
    mode = table.metadata.target
    found = _compared(table, cohort, split)
    why = f"{found.left} of the table's measurements are not compared: {'; '.join(found.why)}"
    if not found.known:
        none = "none of the table's genes and people are in the cohort"
        return Check(name, "not run", why if found.left else none, True)
    left = f"; {why}" if found.left else ""
    if found.wrong:
        detail = f"{found.wrong} of {found.known} measurements are not the cohort's, first {found.first}"
        if mode is not None and (mode not in RESIDUALS or table.metadata.covariates is not None):
            return Check(name, "fail", detail + left, True)
        doubt = (
            "the table does not say its target"
            if mode is None
            else "the covariates that were kept are not on record"
        )
        return Check(name, "warn", f"{detail}; {doubt}, so the order of people is not judged{left}", True)
    said = f"{found.known} measurements are the cohort's"
    if found.absent:
        said += f"; {found.absent} are of genes or people that it does not hold"
    return Check(name, "warn" if found.absent or left else "pass", said + left, True)


def _compared(table: Table, cohort: Cohort, split: Split | None) -> _Compared:
    """Put the cohort's target beside the measurements, of each draw with its own people."""
    found = _Compared()
    for chosen, values in _targets(table, cohort, split):
        for frame in table.blocks:
            measured = frame.filter(pl.col("observed").is_not_null() & chosen)
            rows = measured.unique(("gene", "individual", "observed"), maintain_order=True)
            if isinstance(values, str):
                found.left += rows.height
                found.why[f"the {table.metadata.target} target {values}"] = None
            else:
                found.add(rows, values, cohort)
    return found


def _targets(
    table: Table, cohort: Cohort, split: Split | None
) -> Iterator[tuple[pl.Expr, NDArray[np.float64] | str]]:
    """Give which rows have one target, and its values; one draw's at a time."""
    if _relative(table.metadata) is None:
        yield pl.lit(value=True), log_expression(cohort)
    elif split is None:
        yield pl.lit(value=True), "needs --split"
    else:
        for one in learnt_people(table.people, split):
            yield one.rows, values_of(one, table.metadata, cohort, split)


def target_values(metadata: PredictionMetadata, cohort: Cohort, split: Split) -> NDArray[np.float64] | str:
    """Return the cohort's target in the table's mode, float [genes, individuals], or why it cannot be made.

    Of a table that does not say its mode it is the logarithm.
    """
    if _relative(metadata) is None:
        return log_expression(cohort)
    target = _target(metadata, cohort, split)
    return target if isinstance(target, str) else target.values


def values_of(
    one: Learnt, metadata: PredictionMetadata, cohort: Cohort, split: Split
) -> NDArray[np.float64] | str:
    """Return the target that the people of a draw give, or why it cannot be made."""
    if not (one.complete and one.train):
        return "of a draw needs all whom it learnt from, and the table does not label them"
    own = replace(split, train=one.train, validation=one.validation, test=())
    target = _target(metadata, cohort, own)
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


def transductive_target(metadata: PredictionMetadata, cohort: Cohort | None, split: Split | None) -> Check:
    """Say what of the target was, or may have been, computed with test people's expression."""
    name = "transductive_target"
    mode = metadata.target
    if mode is None:
        return not_run(name, "a table that says its target", leak=False)
    if mode == "residual-all":
        detail = "coefficients of covariates fitted on everyone, test people included"
        return Check(name, "warn", _TRANSDUCTIVE + detail, False)
    if cohort is None:
        return not_run(name, "--cohort and --split" if mode == "residual" else "--cohort", leak=False)
    reasons = []
    if mode == "residual":
        target = _target(metadata, cohort, split)
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
