"""How one gene's predictions agree with its measurements, across people.

Arrays are [G, P]: a gene a row, an individual a column, NaN where there is no prediction or no
measurement. All genes are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

NULL_RATIO = 1e-3
"""A prediction whose SD across people is below this share of the phenotype's SD is constant."""

UNKNOWN = -1
"""The number of no population."""

MIN_INDIVIDUALS = 3
"""With fewer measured people a correlation has no p-value, and is not defined here."""


@dataclass(frozen=True)
class GeneMetrics:
    """Metrics of G genes; every array is [G], NaN where not defined.

    Parameters
    ----------
    individuals
        Int, people with a prediction and a measurement.
    pearson, spearman
        Correlations across people; 0 for a null prediction.
    r2
        1 - SS(observed - predicted) / SS(observed - training mean); NaN where `pearson` is.
    slope
        Slope of the regression of observed on predicted (1 = calibrated); NaN for a null prediction.
    within_population
        Pearson r after each population's mean is taken off both; NaN without populations.
    p
        Two-sided p of `pearson` (t distribution, n - 2 degrees of freedom); 1 for a null prediction.
    fdr
        `p` after Benjamini-Hochberg over the genes.
    null
        Bool: the prediction is constant across people (`NULL_RATIO`).
    """

    individuals: NDArray[np.int64]
    pearson: Array
    spearman: Array
    r2: Array
    slope: Array
    within_population: Array
    p: Array
    fdr: Array
    null: NDArray[np.bool_]


def gene_metrics(
    predicted: Array,
    observed: Array,
    *,
    training_mean: Array | None = None,
    population: NDArray[np.int64] | None = None,
) -> GeneMetrics:
    """Return the metrics of each gene.

    A gene with fewer than `MIN_INDIVIDUALS` measured people, or whose measurements do not vary, has
    no correlation: NaN, not 0.

    Parameters
    ----------
    predicted, observed
        Float [G, P].
    training_mean
        Float [G], each gene's mean over training people, or None (then `r2` is NaN).
    population
        Int [P], the population of each individual (`UNKNOWN` = none, left out), or None.
    """
    mask = np.isfinite(predicted) & np.isfinite(observed)
    n = mask.sum(axis=1)
    r, null = masked_pearson(predicted, observed, mask)
    spearman, _ = masked_pearson(rank(predicted, mask), rank(observed, mask), mask)
    spearman = np.where(np.isnan(r), np.nan, np.where(null, 0.0, spearman))
    p = pearson_p(r, n)
    x, y = centre(predicted, mask), centre(observed, mask)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(null | np.isnan(r), np.nan, (x * y).sum(axis=1) / (x * x).sum(axis=1))
    return GeneMetrics(
        individuals=n.astype(np.int64),
        pearson=r,
        spearman=spearman,
        r2=_r2(predicted, observed, mask, training_mean, np.isfinite(r)),
        slope=slope,
        within_population=_within_population(predicted, observed, mask, population),
        p=p,
        fdr=benjamini_hochberg(p),
        null=null,
    )


def centre(values: Array, mask: NDArray[np.bool_]) -> Array:
    """Return [G, P] values less their row's mean over the mask, 0 outside the mask."""
    kept = np.where(mask, values, 0.0)
    count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.where(mask, kept - kept.sum(axis=1, keepdims=True) / count, 0.0))


def masked_pearson(
    predicted: Array, observed: Array, mask: NDArray[np.bool_], *, size: Array | None = None
) -> tuple[Array, NDArray[np.bool_]]:
    """Return Pearson r of each row over the mask, and which rows have a null prediction (r = 0).

    NaN (and not null) where fewer than `MIN_INDIVIDUALS` are in the mask, `observed` is constant, or
    a sum of squares is not finite.

    Parameters
    ----------
    size
        [G, P], the measurements as they were before anything was taken off `observed`: how much of
        its variance is rounding is judged by their size. Default: `observed`.
    """
    x, y = centre(predicted, mask), centre(observed, mask)
    xx, yy, xy = (x * x).sum(axis=1), (y * y).sum(axis=1), (x * y).sum(axis=1)
    # A constant's sum of squares is rounding, not variance.
    scale = np.where(mask, observed if size is None else size, 0.0)
    varies = yy > 1e-24 * (scale * scale).sum(axis=1)
    defined = (mask.sum(axis=1) >= MIN_INDIVIDUALS) & varies & np.isfinite(xx) & np.isfinite(yy)
    null = defined & (np.sqrt(xx) < NULL_RATIO * np.sqrt(yy))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(xy / (np.sqrt(xx) * np.sqrt(yy)), -1.0, 1.0)
    return np.where(defined, np.where(null, 0.0, r), np.nan), null


def rank(values: Array, mask: NDArray[np.bool_]) -> Array:
    """Return the ranks of each row over the mask (ties share their mean rank), NaN outside it."""
    full = mask.all(axis=1)
    ranks = np.full(values.shape, np.nan)
    if full.any():
        ranks[full] = stats.rankdata(values[full], axis=1)
    for g in np.flatnonzero(~full):
        ranks[g, mask[g]] = stats.rankdata(values[g, mask[g]])
    return ranks


def pearson_p(r: Array, n: NDArray[np.int64]) -> Array:
    """Return the two-sided p of Pearson's r of n pairs (t distribution); r = 0 gives 1, NaN gives NaN."""
    degrees = np.maximum(n - 2, 1)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(degrees / (1.0 - r * r))
    return np.asarray(2.0 * stats.t.sf(t, degrees), dtype=np.float64)


def benjamini_hochberg(p: Array) -> Array:
    """Return p-values after Benjamini-Hochberg; NaN stay NaN and do not count."""
    fdr = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        fdr[known] = stats.false_discovery_control(p[known], method="bh")
    return fdr


def across_genes_spearman(predicted: Array, observed: Array) -> float:
    """Return the mean over people of Spearman's r across genes; NaN when no person has enough genes.

    High values hold no personal information: the training mean of every gene scores well.
    """
    predicted, observed = predicted.T, observed.T
    mask = np.isfinite(predicted) & np.isfinite(observed)
    r, _ = masked_pearson(rank(predicted, mask), rank(observed, mask), mask)
    return float(np.nanmean(r)) if np.isfinite(r).any() else float("nan")


def _r2(
    predicted: Array,
    observed: Array,
    mask: NDArray[np.bool_],
    training_mean: Array | None,
    defined: NDArray[np.bool_],
) -> Array:
    if training_mean is None:
        return np.full(len(predicted), np.nan)
    residual = np.where(mask, observed - predicted, 0.0)
    baseline = np.where(mask, observed - training_mean[:, None], 0.0)
    total = (baseline * baseline).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1.0 - (residual * residual).sum(axis=1) / total
    return np.asarray(np.where(defined & np.isfinite(r2), r2, np.nan))


def _within_population(
    predicted: Array, observed: Array, mask: NDArray[np.bool_], population: NDArray[np.int64] | None
) -> Array:
    """Pearson r of what is left when each population's mean is taken off both sides."""
    if population is None:
        return np.full(len(predicted), np.nan)
    x, y = np.full(predicted.shape, np.nan), np.full(predicted.shape, np.nan)
    inside = np.zeros_like(mask)
    for group in np.unique(population[population != UNKNOWN]):
        columns = population == group
        part = mask[:, columns]
        # One person alone is its population's mean and says nothing.
        part &= part.sum(axis=1, keepdims=True) > 1
        inside[:, columns] = part
        x[:, columns] = centre(predicted[:, columns], part)
        y[:, columns] = centre(observed[:, columns], part)
    r, _ = masked_pearson(x, y, inside, size=observed)
    return r
