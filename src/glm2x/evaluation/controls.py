"""What must come out where there is nothing to find: people permuted, haplotypes exchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.metrics import Array, masked_pearson, pieces
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import CellRow, row_labels
from glm2x.evaluation.target_checks import ROUNDING
from glm2x.evaluation.uncertainty import standardise
from glm2x.predictions import SWAPPED

PERMUTATIONS = 1_000

_TOGETHER = 512  # people

NEAR_ZERO = 0.005
"""How far from 0 mean r of permuted people may be; or four of its standard errors, where those are more."""

_NO_R = 1e-12  # rounding


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
    orders = _orders(people, permutations, seed)
    means, actual = np.zeros(permutations), 0.0
    for predicted, observed in zip(row.predicted, row.observed, strict=True):
        mask = np.isfinite(predicted) & np.isfinite(observed)
        r, null = masked_pearson(predicted, observed, mask)
        used = np.isfinite(r)
        if not used.any():
            return Permuted(float("nan"), float("nan"), float("nan"), permutations)
        for group in _stretches(people):
            matched = _matched(predicted, observed, mask, used, null, group)
            own = np.arange(len(matched))
            for turn in pieces(permutations, len(matched)):
                means[turn] += matched[own, orders[turn, group]].sum(axis=1) / len(row.replicates)
            actual += float(matched[own, own + group.start].sum()) / len(row.replicates)
    reached = int((means >= actual - 1e-12).sum())
    return Permuted(float(means.mean()), float(means.std()), (reached + 1) / (permutations + 1), permutations)


def _orders(people: int, permutations: int, seed: int) -> NDArray[np.uint32]:
    """Return who gets whose prediction in each permutation, [permutations, people]."""
    rng = np.random.default_rng(seed)
    orders = np.empty((permutations, people), dtype=np.uint32)
    for turns in pieces(permutations, people):
        each = np.tile(np.arange(people), (len(orders[turns]), 1))
        orders[turns] = rng.permuted(each, axis=1)
    return orders


def _stretches(people: int) -> list[slice]:
    """Return slices of people, some hundred each: memory grows with people, not with their square."""
    return [slice(start, min(start + _TOGETHER, people)) for start in range(0, people, _TOGETHER)]


def _matched(
    predicted: Array,
    observed: Array,
    mask: NDArray[np.bool_],
    used: NDArray[np.bool_],
    null: NDArray[np.bool_],
    group: slice,
) -> Array:
    """Return what a group's measurements and everybody's predictions add to mean r, float [group, P]."""
    x = np.where(null[used, None], 0.0, standardise(predicted[used], mask[used]))
    y = standardise(observed[used], mask[used]) / mask[used].sum(axis=1, keepdims=True)
    return np.asarray(y[:, group].T @ x / used.sum())


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


def mean_pearsons(frame: pl.DataFrame) -> dict[str, float]:
    """Return the mean over genes of r across test people, by model, of a table of one split and seed.

    Genes of which r is not defined are left out. NaN where none is left.
    """
    tested = frame.filter(pl.col("individual_split") == "test")
    cells = make_cells([tested], row_labels(tested))
    found: dict[str, list[float]] = {model: [] for model in frame["model"].unique(maintain_order=True)}
    for row in (row for cell in cells for row in cell.rows):
        r, _ = masked_pearson(row.predicted[0], row.observed[0], row.mask)
        found[row.key.model] += r[np.isfinite(r)].tolist()
    return {model: float(np.mean(r)) if r else float("nan") for model, r in found.items()}


@dataclass(frozen=True)
class Refitted:
    """Mean r of a model that was fitted again to permuted people, over permutations.

    Parameters
    ----------
    mean, se
        Their mean, and its standard error: all genes of a permutation share one order of people, so that
        it is of permutations and not of genes.
    permutations
        How many.
    """

    mean: float
    se: float
    permutations: int

    @classmethod
    def of(cls, means: Sequence[float]) -> Refitted:
        """Return what one mean r a permutation comes to; two at least."""
        return cls(float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(len(means))), len(means))

    def is_zero(self, tests: int = 1) -> bool:
        """Return whether the mean is 0 as far as `tests` such means show: by t, at 5 % for all of them.

        With many permutations and one test that is two standard errors.
        """
        from scipy.stats import t

        widths = t.ppf(1 - 0.025 / tests, self.permutations - 1)
        return bool(abs(self.mean) <= widths * self.se + _NO_R)


def refitted_to_permuted(table: Table) -> Check:
    """Say whether models that were fitted to permuted people have mean r 0, as their files have it."""
    name = "refitted_to_permuted"
    files = table.sources or (("the table", table.metadata),)
    known = [
        (model, Refitted.of(means))
        for _, said in files
        for model, means in said.permuted or ()
        if len(means) > 1
    ]
    if not known:
        return not_run(name, "a table of glm2x baseline --permuted N", leak=False)
    told = [f"{model} {found.mean:.4f} (SE {found.se:.4f})" for model, found in known]
    far = [model for model, found in known if not found.is_zero(len(known))]
    permutations = sorted({found.permutations for _, found in known})
    said = f"mean r in test people, fitted to {' and '.join(map(str, permutations))} permutations of people: "
    said += ", ".join(told)
    if far:
        return Check(name, "warn", f"{said}; not 0: {some(far)}", False)
    return Check(name, "pass", said, False)


def haplotypes_swapped(table: Table) -> Check:
    """Compare predictions with those of the same people with their two haplotypes exchanged.

    A table holds them in the column `predicted_swapped`; a person's prediction must not change.
    """
    name = "haplotypes_swapped"
    rows = changed = 0
    found: set[str] = set()
    for frame in table.blocks:
        if SWAPPED not in frame.columns:
            continue
        known = frame.filter(pl.col(SWAPPED).is_not_null())
        change = (pl.col("predicted") - pl.col(SWAPPED)).abs()
        rows += known.height
        changed += known.filter(change > ROUNDING * (1 + pl.col("predicted").abs())).height
        found |= set(known["model"].unique().cast(pl.String))
    if not rows:
        return not_run(name, f"the column {SWAPPED} (sums of both haplotypes cannot change)", leak=False)
    silent = [model for model in table.model_names if model not in found]
    said = f"{rows:,} predictions of {some(sorted(found))} with the haplotypes exchanged: "
    said += f"{changed:,} change"
    said += f"; not known of {some(silent)}" if silent else ""
    return Check(name, "warn" if changed else "pass", said, False)
