"""Heritability by REML: the share of a target's variance that a relationship matrix explains.

``y ~ N(mu, s2 (h2 K + (1 - h2) I))``, ``K = Z Z' / variants`` of standardised dosages (VanRaden 2008, with
variances scaled to one), mu fixed: restricted maximum likelihood of Patterson and Thompson (1971), profiled
over s2, in the eigenvectors of K (Kang et al. 2008).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Heritabilities at which the profile likelihood is first looked at: it may have more than one peak.
GRID: NDArray[np.float64] = np.linspace(0.0, 0.99, 100)
_UPPER = 0.9999
_DROP = 1.920729  # half the 95 % point of a chi-square with one degree of freedom
_LEAST = 1e-9  # of the largest eigenvalue: smaller ones are rounding


class Heritability(NamedTuple):
    """The share of a target's variance that the variants of its window explain.

    h2, se : its REML estimate and standard error (NaN where it is not defined)
    low, high : its 95 % profile likelihood interval
    p : of h2 = 0, by likelihood ratio
    """

    h2: float
    se: float
    low: float
    high: float
    p: float


class Projected(NamedTuple):
    """A target in the eigenvectors of K, the mean left out.

    values : float64 [rank], eigenvalues of K, above 0
    along : float64 [rank], the target in their eigenvectors
    rest : the target's sum of squares in all other directions, where K is 0
    others : how many those directions are
    """

    values: NDArray[np.float64]
    along: NDArray[np.float64]
    rest: float = 0.0
    others: int = 0

    @property
    def degrees(self) -> int:
        """People less one."""
        return len(self.values) + self.others


def relationship_eigen(dosage: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the eigenvalues [rank] of K that are not 0, ascending, and their vectors [people, rank].

    With fewer variants than people by way of Z'Z.

    Parameters
    ----------
    dosage : float64 [people, variants]
        Z, standardised dosages; each column sums to zero, and not all are zero.
    """
    people, variants = dosage.shape
    if variants >= people:
        values, vectors = np.linalg.eigh(dosage @ dosage.T / variants)
        kept = values > _LEAST * values[-1]
        return values[kept], vectors[:, kept]
    values, right = np.linalg.eigh(dosage.T @ dosage / variants)
    kept = values > _LEAST * values[-1]
    values = values[kept]
    return values, dosage @ (right[:, kept] / np.sqrt(values * variants))


def project(
    values: NDArray[np.float64], vectors: NDArray[np.float64], target: NDArray[np.float64]
) -> Projected:
    """Return a target in the eigenvectors of K.

    Parameters
    ----------
    values, vectors
        As `relationship_eigen` gives them.
    target : float64 [people]
        Minus its mean.
    """
    along = vectors.T @ target
    rest = max(float(target @ target) - float(along @ along), 0.0)
    return Projected(values, along, rest, len(target) - 1 - len(values))


def restricted_likelihood(h2: NDArray[np.float64], target: Projected) -> NDArray[np.float64]:
    """Return the restricted log-likelihood profiled over the total variance, up to a constant.

    Parameters
    ----------
    h2 : float64 [points]
        Shares of the variance that K explains, in [0, 1).

    Returns
    -------
    float64 [points]
    """
    noise = 1.0 - h2
    variance = h2[:, None] * target.values + noise[:, None]  # [points, rank]
    total = (np.sum(target.along**2 / variance, axis=1) + target.rest / noise) / target.degrees
    determinant = np.log(variance).sum(axis=1) + target.others * np.log(noise)
    likelihood: NDArray[np.float64] = -0.5 * (target.degrees * np.log(total) + determinant)
    return likelihood


def reml(target: Projected) -> float:
    """Return the h2 of the highest restricted likelihood, in [0, 0.9999].

    The best point of a grid is refined between its neighbours.
    """
    from scipy.optimize import minimize_scalar

    on_grid = restricted_likelihood(GRID, target)
    best = int(np.argmax(on_grid))
    low = float(GRID[max(best - 1, 0)])
    high = float(GRID[best + 1]) if best + 1 < len(GRID) else _UPPER
    found = minimize_scalar(
        lambda h2: -float(restricted_likelihood(np.array([h2]), target)[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The bounded search never tries its ends, and zero is where genes without cis signal end.
    return float(found.x) if -found.fun > on_grid[best] else float(GRID[best])


def heritability(h2: float, target: Projected) -> Heritability:
    """Return a REML estimate with its uncertainty.

    The standard error is that of the expected information of h2 and the total variance. Near 0 and 1 it
    says little, for h2 ends there: the interval is that of the profile likelihood (the points not more
    than 1.92 below the highest). Under h2 = 0 the likelihood ratio is 0 half the time, else chi-square with
    one degree of freedom (Self and Liang 1987): p is half that of the chi-square, and 1 where h2 is 0.

    Parameters
    ----------
    h2
        As `reml` gives it.
    """
    points = np.append(np.sort(np.append(GRID, h2)), _UPPER)
    best = float(restricted_likelihood(np.array([h2]), target)[0])
    low, high = _within(points, restricted_likelihood(points, target) - (best - _DROP), h2)
    return Heritability(h2, _standard_error(h2, target), low, high, p_of_zero(h2, target))


def p_of_zero(h2: float, target: Projected) -> float:
    """Return p of h2 = 0 by likelihood ratio, as `heritability` gives it."""
    from scipy.stats import chi2

    if h2 == 0.0:
        return 1.0
    best, null = (float(value) for value in restricted_likelihood(np.array([h2, 0.0]), target))
    return 0.5 * float(chi2.sf(2.0 * max(best - null, 0.0), 1))


def _standard_error(h2: float, target: Projected) -> float:
    values = np.append(target.values, 0.0)
    count = np.append(np.ones(len(target.values)), target.others)
    slope = (values - 1.0) / (h2 * values + 1.0 - h2)
    information = 0.5 * float(count @ (slope - count @ slope / target.degrees) ** 2)
    # With eigenvalues that are all alike, h2 cannot be told from noise.
    return information**-0.5 if information > 1e-12 else float("nan")


def _within(points: NDArray[np.float64], above: NDArray[np.float64], h2: float) -> tuple[float, float]:
    """Return where a line through `above` [points] crosses zero on both sides of `h2`, else the ends."""
    at = int(np.searchsorted(points, h2))
    below = np.flatnonzero(above < 0)
    before, after = below[below < at], below[below > at]
    low, high = float(points[0]), float(points[-1])
    if len(before):
        i = int(before[-1])
        low = float(np.interp(0.0, above[i : i + 2], points[i : i + 2]))
    if len(after):
        i = int(after[0])
        high = float(np.interp(0.0, above[[i, i - 1]], points[[i, i - 1]]))
    return low, high
