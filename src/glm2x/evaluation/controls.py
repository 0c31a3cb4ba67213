"""What must come out when there is nothing to find: people permuted, haplotypes exchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.metrics import masked_pearson
from glm2x.evaluation.tables import CellRow
from glm2x.evaluation.target_checks import ROUNDING
from glm2x.evaluation.uncertainty import standardise
from glm2x.predictions import SWAPPED

PERMUTATIONS = 1_000

NEAR_ZERO = 0.005
"""How far from 0 mean r of permuted people may be; or four of its standard errors, where those are more."""


@dataclass(frozen=True)
class Permuted:
    """Mean r over genes of a row with its people permuted.

    Parameters
    ----------
    mean, sd
        Over the permutations.
    p
        One-sided: the share of permutations (and the identity) that reach the row's own mean r.
    permutations
        How many.
    """

    mean: float
    sd: float
    p: float
    permutations: int


def permute_people(row: CellRow, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Permuted:
    """Give each individual another one's predictions, the same one's for all genes, many times.

    By z-scores: mean r of a permutation is a sum over one [P, P] matrix, so genes cost nothing. With
    missing values the z-scores of permuted people are taken as they are, not made anew.
    """
    people = row.predicted.shape[2]
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(people), (permutations, 1)), axis=1)
    means, actual = np.zeros(permutations), 0.0
    for predicted, observed in zip(row.predicted, row.observed, strict=True):
        mask = np.isfinite(predicted) & np.isfinite(observed)
        r, null = masked_pearson(predicted, observed, mask)
        used = np.isfinite(r)
        if not used.any():
            return Permuted(float("nan"), float("nan"), float("nan"), permutations)
        x = np.where(null[used, None], 0.0, standardise(predicted[used], mask[used]))
        y = standardise(observed[used], mask[used]) / mask[used].sum(axis=1, keepdims=True)
        matched = y.T @ x / used.sum()
        means += matched[np.arange(people), orders].sum(axis=1) / len(row.replicates)
        actual += float(np.trace(matched)) / len(row.replicates)
    reached = int((means >= actual - 1e-12).sum())
    return Permuted(float(means.mean()), float(means.std()), (reached + 1) / (permutations + 1), permutations)


def permuted_people(cells: Mapping[str, Mapping[str, Permuted]]) -> Check:
    """Say whether mean r with people permuted is 0 in every row of every cell."""
    name = "people_permuted"
    known = [
        (cell, label, found)
        for cell, rows in cells.items()
        for label, found in rows.items()
        if math.isfinite(found.mean)
    ]
    if not known:
        return not_run(name, "a row with a defined correlation", leak=False)
    far = [
        f"{label} ({found.mean:.4f}, {cell})"
        for cell, label, found in known
        if abs(found.mean) > max(NEAR_ZERO, 4 * found.sd / math.sqrt(found.permutations))
    ]
    largest = max(abs(found.mean) for _, _, found in known)
    said = f"mean r over {known[0][2].permutations:,} permutations of people, {len(known)} rows and cells: "
    if far:
        return Check(name, "warn", f"{said}not 0 in {len(far)}: {some(far)}", False)
    return Check(name, "pass", f"{said}at most {largest:.4f} from 0", False)


def haplotypes_swapped(frame: pl.DataFrame) -> Check:
    """Compare predictions with those of the same people with their two haplotypes exchanged.

    A table holds them in the column `predicted_swapped`; a person's prediction must not change.
    """
    name = "haplotypes_swapped"
    known = frame.filter(pl.col(SWAPPED).is_not_null()) if SWAPPED in frame.columns else frame.clear()
    if known.height == 0:
        return not_run(name, f"the column {SWAPPED} (sums of both haplotypes cannot change)", leak=False)
    change = (pl.col("predicted") - pl.col(SWAPPED)).abs()
    changed = known.filter(change > ROUNDING * (1 + pl.col("predicted").abs()))
    models = known["model"].unique().sort().to_list()
    silent = frame.filter(~pl.col("model").is_in(models))["model"].unique().sort().to_list()
    said = f"{known.height:,} predictions of {some(models)} with the haplotypes exchanged: "
    said += f"{changed.height:,} change"
    said += f"; not known of {some(silent)}" if silent else ""
    return Check(name, "warn" if changed.height else "pass", said, False)
