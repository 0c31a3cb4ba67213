"""The heritability of a window by REML: its estimate, standard error, interval and p."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import Heritability

# Heritabilities at which the profile likelihood is first looked at: it may have more than one peak.
GRID: NDArray[np.float64] = np.linspace(0.0, 0.99, 100)
_UPPER = 0.9999
_DROP = 1.920729  # half the 95 % point of a chi-square with one degree of freedom


def relationship_eigen(
    dosage: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the eigenvalues [people - 1] and vectors [people, people - 1] of K orthogonal to the mean.

    Parameters
    ----------
    dosage : float64 [people, variants]
        Standardised dosages; each column sums to zero.
    """
    people, variants = dosage.shape
    # Added to K, 11'/n times more than any eigenvalue (the trace is n) puts the mean's vector last.
    values, vectors = np.linalg.eigh(dosage @ dosage.T / variants + 2.0)
    return np.maximum(values[: people - 1], 0.0), vectors[:, : people - 1]


def restricted_likelihood(
    h2: NDArray[np.float64], values: NDArray[np.float64], projected: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the restricted log-likelihood profiled over the total variance, up to a constant.

    Parameters
    ----------
    h2 : float64 [points]
        Shares of the variance that K explains, in [0, 1).
    values : float64 [people - 1]
        Eigenvalues of K orthogonal to the mean.
    projected : float64 [people - 1]
        The target in their eigenvectors.

    Returns
    -------
    float64 [points]
    """
    variance = h2[:, None] * values + (1.0 - h2[:, None])  # [points, people - 1]
    total = np.mean(projected**2 / variance, axis=1)
    likelihood: NDArray[np.float64] = -0.5 * (len(values) * np.log(total) + np.log(variance).sum(axis=1))
    return likelihood


def reml(values: NDArray[np.float64], projected: NDArray[np.float64]) -> float:
    """Return the h2 of the highest restricted likelihood, in [0, 0.9999]; arguments as above.

    The best point of a grid is refined between its neighbours.
    """
    from scipy.optimize import minimize_scalar

    on_grid = restricted_likelihood(GRID, values, projected)
    best = int(np.argmax(on_grid))
    low = float(GRID[max(best - 1, 0)])
    high = float(GRID[best + 1]) if best + 1 < len(GRID) else _UPPER
    found = minimize_scalar(
        lambda h2: -float(restricted_likelihood(np.array([h2]), values, projected)[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The bounded search never tries its ends, and zero is where genes without cis signal end.
    return float(found.x) if -found.fun > on_grid[best] else float(GRID[best])


def heritability(h2: float, values: NDArray[np.float64], projected: NDArray[np.float64]) -> Heritability:
    """Return a REML estimate with its uncertainty.

    The standard error is that of the expected information of h2 and the total variance. Near 0 and 1 it
    says little, for h2 ends there: the interval is that of the profile likelihood (the points not more
    than 1.92 below the highest). Under h2 = 0 the likelihood ratio is 0 half the time, else chi-square with
    one degree of freedom (Self and Liang 1987): p is half that of the chi-square, and 1 where h2 is 0.

    Parameters
    ----------
    h2
        As `reml` gives it.
    values, projected
        As `restricted_likelihood` takes them.
    """
    from scipy.stats import chi2

    at = np.array([h2, 0.0])
    best, null = (float(value) for value in restricted_likelihood(at, values, projected))
    slope = (values - 1.0) / (h2 * values + 1.0 - h2)
    information = 0.5 * float(np.sum((slope - slope.mean()) ** 2))
    # With eigenvalues that are all alike, h2 cannot be told from noise.
    error = information**-0.5 if information > 1e-12 else np.nan
    points = np.append(np.sort(np.append(GRID, h2)), _UPPER)
    low, high = _within(points, restricted_likelihood(points, values, projected) - (best - _DROP), h2)
    p = 1.0 if h2 == 0.0 else 0.5 * float(chi2.sf(2.0 * max(best - null, 0.0), 1))
    return Heritability(h2, error, low, high, p)


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
