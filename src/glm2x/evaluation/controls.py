"""What must come out when there is nothing to find: the predictions with their people permuted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glm2x.evaluation.metrics import masked_pearson
from glm2x.evaluation.tables import CellRow
from glm2x.evaluation.uncertainty import standardise

PERMUTATIONS = 1_000


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
