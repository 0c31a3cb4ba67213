"""How one gene's predictions agree with its measurements, across people.

Arrays are [G, P]: a gene a row, an individual a column, NaN where there is no prediction or no
measurement. Many genes are computed together, some MB of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

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
    partial
        Pearson r of what is left when genotype PCs (and the mean) are regressed out of both; NaN
        without PCs, or with fewer people than PCs + 4.
    mean_predicted, mean_observed
        Over the same people: the gene's mean, the other part of what is predicted.
    difference_r2
        1 - SS(observed - predicted) / SS(observed) after each side's own mean is taken off: R2 of
        people's differences from their gene's mean.
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
    partial: Array
    mean_predicted: Array
    mean_observed: Array
    difference_r2: Array
    p: Array
    fdr: Array
    null: NDArray[np.bool_]


def gene_metrics(
    predicted: Array,
    observed: Array,
    *,
    training_mean: Array | None = None,
    population: NDArray[np.int64] | None = None,
    components: Array | None = None,
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
    components
        Float [P, C], genotype PCs, NaN for people without (left out), or None.
    """
    parts = []
    for genes in pieces(*predicted.shape) or [slice(0)]:
        means = None if training_mean is None else training_mean[genes]
        parts.append(_of_some(predicted[genes], observed[genes], means, population, components))
    names = [field.name for field in fields(GeneMetrics) if field.name != "fdr"]
    found = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return GeneMetrics(fdr=benjamini_hochberg(found["p"]), **found)


def _of_some(
    predicted: Array,
    observed: Array,
    training_mean: Array | None,
    population: NDArray[np.int64] | None,
    components: Array | None,
) -> dict[str, NDArray[Any]]:
    """Return what `GeneMetrics` has of some genes, but for `fdr`, which is of all."""
    mask = np.isfinite(predicted) & np.isfinite(observed)
    n = mask.sum(axis=1)
    sums = _sums(predicted, observed, mask)
    r, null = sums.pearson(n)
    defined = np.isfinite(r)
    spearman = np.where(defined, np.where(null, 0.0, spearman_r(predicted, observed, mask)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(null | ~defined, np.nan, sums.xy / sums.xx)
        left = 1.0 - (sums.xx - 2.0 * sums.xy + sums.yy) / sums.yy
    return {
        "individuals": n.astype(np.int64),
        "pearson": r,
        "spearman": spearman,
        "r2": _r2(predicted, observed, mask, training_mean, defined),
        "slope": slope,
        "within_population": _within_population(predicted, observed, mask, population),
        "partial": _partial(predicted, observed, mask, components),
        "mean_predicted": np.where(defined, sums.mean_x, np.nan),
        "mean_observed": np.where(defined, sums.mean_y, np.nan),
        "difference_r2": np.where(defined, left, np.nan),
        "p": pearson_p(r, n),
        "null": null,
    }


def _centred(values: Array, mask: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return [G, P] values less their row's mean over the mask (0 outside it), and the means [G]."""
    if mask.size and mask.all():
        mean = values.mean(axis=1)
        return values - mean[:, None], mean
    kept = np.where(mask, values, 0.0)
    mean = kept.sum(axis=1) / np.maximum(mask.sum(axis=1), 1)
    kept -= mean[:, None]
    kept[~mask] = 0.0
    return kept, mean


def centre(values: Array, mask: NDArray[np.bool_]) -> Array:
    """Return [G, P] values less their row's mean over the mask, 0 outside the mask."""
    return _centred(values, mask)[0]


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
    return _sums(predicted, observed, mask, size).pearson(mask.sum(axis=1))


@dataclass(frozen=True)
class _Sums:
    """Means, and sums of squares and products around them, of predicted (x) and observed (y); each [G].

    `size` is the sum of squares by which rounding is judged.
    """

    mean_x: Array
    mean_y: Array
    xx: Array
    yy: Array
    xy: Array
    size: Array

    def pearson(self, n: NDArray[np.int64]) -> tuple[Array, NDArray[np.bool_]]:
        """Return r of n people, and where the prediction is null: see `masked_pearson`."""
        # A constant's sum of squares is rounding, not variance.
        defined = (n >= MIN_INDIVIDUALS) & (self.yy > 1e-24 * self.size)
        defined &= np.isfinite(self.xx) & np.isfinite(self.yy)
        null = defined & (np.sqrt(self.xx) < NULL_RATIO * np.sqrt(self.yy))
        with np.errstate(divide="ignore", invalid="ignore"):
            r = np.clip(self.xy / (np.sqrt(self.xx) * np.sqrt(self.yy)), -1.0, 1.0)
        return np.where(defined, np.where(null, 0.0, r), np.nan), null


def _sums(predicted: Array, observed: Array, mask: NDArray[np.bool_], size: Array | None = None) -> _Sums:
    """Return the sums of each row over the mask, some rows at a time, so that they stay in a cache."""
    parts = []
    for rows in pieces(len(predicted), predicted.shape[1]):
        here = mask[rows]
        x, mean_x = _centred(predicted[rows], here)
        y, mean_y = _centred(observed[rows], here)
        squares = [np.einsum("gp,gp->g", a, b) for a, b in ((x, x), (y, y), (x, y))]
        if size is None:
            scale = squares[1] + here.sum(axis=1) * mean_y**2
        else:
            whole = np.where(here, size[rows], 0.0)
            scale = np.einsum("gp,gp->g", whole, whole)
        parts.append((mean_x, mean_y, *squares, scale))
    if not parts:
        return _Sums(*(np.zeros(0) for _ in range(6)))
    return _Sums(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def pieces(rows: int, columns: int) -> list[slice]:
    """Return slices of rows of about 1 MB of float64 each."""
    step = max(1, 2**17 // max(columns, 1))
    return [slice(start, start + step) for start in range(0, rows, step)]


def spearman_r(predicted: Array, observed: Array, mask: NDArray[np.bool_]) -> Array:
    """Return Pearson r of the ranks of each row over the mask, the null rule not applied; NaN as there."""
    r = np.empty(len(predicted))
    for rows in pieces(len(predicted), predicted.shape[1]):
        x, y, here = predicted[rows], observed[rows], mask[rows]
        if here.size and here.all() and np.isfinite(x).all() and np.isfinite(y).all():
            r[rows] = _spearman_of_whole(x, y)
        else:
            r[rows], _ = masked_pearson(rank(x, here), rank(y, here), here)
    return r


def _spearman_of_whole(x: Array, y: Array) -> Array:
    """Return Spearman's r of rows without holes: of rows without ties from the products of ranks alone.

    The ranks 0 to n - 1 have mean (n - 1) / 2 and sum of squares (n^3 - n) / 12 around it.
    """
    genes, people = x.shape
    first = people * np.arange(genes)[:, None]
    (order_x, alike_x), (order_y, alike_y) = _order(x), _order(y)
    order_x += first
    order_y += first
    ranks = np.empty((genes, people))
    ranks.ravel()[order_x] = np.arange(people, dtype=np.float64)
    products = ranks.ravel()[order_y] @ np.arange(people, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (products - people * ((people - 1) / 2) ** 2) / ((people**3 - people) / 12)
    alike = alike_x | alike_y | (people < MIN_INDIVIDUALS)
    if alike.any():
        every = np.ones((int(alike.sum()), people), dtype=np.bool_)
        r[alike], _ = masked_pearson(rank(x[alike], every), rank(y[alike], every), every)
    return np.asarray(np.clip(r, -1.0, 1.0))


def _order(values: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return what sorts each row [G, P], and the rows [G] with values so alike that it does not tell.

    Finite numbers as integers of the same order, whose last bits are replaced by the column: sorting those is
    several times as fast as `argsort`. Alike are values that differ in these bits alone, or not at all.
    """
    bits = (values + 0.0).view(np.int64)  # -0 becomes 0
    keys = bits ^ ((bits >> 63) & np.iinfo(np.int64).max)  # negative numbers: larger bits are less
    people = values.shape[1]
    spare = max(people - 1, 1).bit_length()
    keys >>= spare
    keys <<= spare
    keys |= np.arange(people)
    keys.sort(axis=1)
    order = keys & ((1 << spare) - 1)
    keys >>= spare
    return order, (keys[:, 1:] == keys[:, :-1]).any(axis=1)


def rank(values: Array, mask: NDArray[np.bool_]) -> Array:
    """Return the ranks of each row over the mask (ties share their mean rank), NaN outside it."""
    genes, people = values.shape
    last = np.where(mask, values, np.inf)  # outside the mask they come last
    order = np.argsort(last, axis=1)
    order += people * np.arange(genes)[:, None]
    ranks = np.empty((genes, people))
    ranks.ravel()[order] = np.arange(1.0, people + 1.0)
    last.sort(axis=1)
    tied = (last[:, 1:] == last[:, :-1]) & np.isfinite(last[:, 1:])
    for g in np.flatnonzero(tied.any(axis=1) | (np.isinf(values) & mask).any(axis=1)):
        ranks[g, mask[g]] = stats.rankdata(values[g, mask[g]])
    ranks[~mask] = np.nan
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


def across_genes_spearman(predicted: Array, observed: Array, *, instead: Array | None = None) -> float:
    """Return the mean over people of Spearman's r across genes; NaN when no person has enough genes.

    High values hold no personal information: the training mean of every gene scores well.

    Parameters
    ----------
    instead
        Float [G]: what takes the place of each gene's predictions, the same for everybody.
    """
    found = []
    for people in pieces(predicted.shape[1], len(predicted)):
        x, y = predicted[:, people].T, observed[:, people].T
        if instead is not None:
            x = np.where(np.isfinite(x), instead, np.nan)
        mask = np.isfinite(x) & np.isfinite(y)
        found.append(masked_pearson(rank(x, mask), rank(y, mask), mask)[0])
    r = np.concatenate(found) if found else np.zeros(0)
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


def _partial(predicted: Array, observed: Array, mask: NDArray[np.bool_], components: Array | None) -> Array:
    """Pearson r of the residuals of both sides after the mean and the components, by least squares.

    Genes with the same people are computed together.
    """
    r = np.full(len(predicted), np.nan)
    if components is None:
        return r
    inside = mask & np.isfinite(components).all(axis=1)
    patterns, member = np.unique(np.packbits(inside, axis=1), axis=0, return_inverse=True)
    for number in range(len(patterns)):
        genes = np.flatnonzero(member == number)
        people = inside[genes[0]]
        if people.sum() < components.shape[1] + 1 + MIN_INDIVIDUALS:
            continue
        known = components[people]
        axes, _ = np.linalg.qr(np.column_stack([np.ones(len(known)), known - known.mean(axis=0)]))
        x, y = predicted[np.ix_(genes, people)], observed[np.ix_(genes, people)]
        x_left, y_left = x - (x @ axes) @ axes.T, y - (y @ axes) @ axes.T
        kept = np.ones_like(x, dtype=np.bool_)
        r[genes], _ = masked_pearson(x_left, y_left, kept, size=y)
    return r
