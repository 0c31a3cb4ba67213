"""Ridge regression, its penalty chosen by exact leave-one-out error in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.simple import training_mean

# Penalties per variant: lambda = variants * SCALE. As a variance ratio (1 - h2) / h2 of the same
# model in Bayesian dress it spans window heritabilities of 0.99 to 0.01; never an exact null model.
SCALES: NDArray[np.float64] = np.geomspace(1e-2, 1e2, 41)


def ridge(data: GeneData) -> NDArray[np.float64]:
    """Predict by ridge regression on the standardised dosages of the window.

    With ``Z = U diag(s) V'`` (columns centred, so that the unpenalised intercept is the mean) the
    hat matrix is ``H = 11'/n + U diag(s^2 / (s^2 + lambda)) U'`` and the leave-one-out error of a
    person is ``e / (1 - H_ii)``, exactly, for fixed columns (Allen's PRESS). The penalty with the
    least mean square of it wins.

    Returns
    -------
    float64 [people predicted]
    """
    design = standardise(data)
    if design is None:
        return training_mean(data)
    left, values, right = thin_svd(design.fit)
    penalty = penalties(design.fit.shape[1])
    best = penalty[int(np.argmin(leave_one_out(left, values, design.target, penalty)))]
    weights = right.T @ (values / (values**2 + best) * (left.T @ design.target))
    predicted: NDArray[np.float64] = design.mean + design.new @ weights
    return predicted


def penalties(variants: int) -> NDArray[np.float64]:
    """Return the grid of penalties for this many variants, ascending, float64 [penalties]."""
    return SCALES * variants


def leave_one_out(
    left: NDArray[np.float64],
    values: NDArray[np.float64],
    target: NDArray[np.float64],
    penalty: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean squared leave-one-out error of each penalty.

    Parameters
    ----------
    left : float64 [people, rank]
        Left singular vectors of the standardised dosages.
    values : float64 [rank]
        Singular values.
    target : float64 [people]
        Centred target.
    penalty : float64 [penalties]

    Returns
    -------
    float64 [penalties]
    """
    shrink = values[:, None] ** 2 / (values[:, None] ** 2 + penalty)  # [rank, penalties]
    residual = target[:, None] - left @ (shrink * (left.T @ target)[:, None])  # [people, penalties]
    leverage = 1.0 / len(target) + left**2 @ shrink
    error: NDArray[np.float64] = np.mean((residual / (1.0 - leverage)) ** 2, axis=0)
    return error


def thin_svd(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return left vectors [people, rank], values [rank] and right vectors [rank, variants].

    Perfect linkage makes many singular values zero; those carry rounding only and are left out.
    """
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    kept = values > values[0] * 1e-8
    return left[:, kept], values[kept], right[kept]
