"""GBLUP: a random effect with the genomic relationship of the window, its variance by REML."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.simple import training_mean

# Heritabilities at which the profile likelihood is first looked at: it may have more than one peak.
GRID: NDArray[np.float64] = np.linspace(0.0, 0.99, 100)
_UPPER = 0.9999


def gblup(data: GeneData) -> NDArray[np.float64]:
    """Predict the best linear unbiased prediction under y ~ N(mu, s2 (h2 K + (1 - h2) I)).

    ``K = Z Z' / variants`` of the standardised dosages (VanRaden 2008, with variances scaled to
    one), mu fixed and unpenalised, h2 by REML (Patterson and Thompson 1971; by
    eigendecomposition as in Kang et al. 2008). The columns of Z sum to zero over the people
    fitted, so mu is the training mean. Where the best h2 is zero the prediction is exactly the
    training mean.

    Returns
    -------
    float64 [people predicted]
    """
    design = standardise(data)
    if design is None:
        return training_mean(data)
    variants = design.fit.shape[1]
    values, vectors = relationship_eigen(design.fit)
    projected = vectors.T @ design.target
    h2 = reml(values, projected)
    if h2 == 0.0:
        return training_mean(data)
    alpha = vectors @ (projected / (h2 * values + 1.0 - h2))
    predicted: NDArray[np.float64] = design.mean + h2 * (design.new @ (design.fit.T @ alpha)) / variants
    return predicted


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
