"""Ridge regression, its penalty chosen by exact leave-one-out error in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import Fit, GeneData, standardise
from glm2x.baselines.simple import training_mean

# Penalties per variant: lambda = variants * SCALE. As a variance ratio (1 - h2) / h2 of the same
# model in Bayesian dress it spans window heritabilities of 0.99 to 0.01; never an exact null model.
SCALES: NDArray[np.float64] = np.geomspace(1e-2, 1e2, 41)

# Singular values below these shares of the largest are rounding. Through the square, where there are
# more variants than people, half the digits are lost; the least penalty is far above either.
_LEAST = 1e-8
_LEAST_BY_SQUARE = 1e-6


def ridge(data: GeneData) -> Fit:
    """Predict by ridge regression on the standardised dosages of the window.

    With ``Z = U diag(s) V'`` (columns centred, so that the unpenalised intercept is the mean) the
    hat matrix is ``H = 11'/n + U diag(s^2 / (s^2 + lambda)) U'`` and the leave-one-out error of a
    person is ``e / (1 - H_ii)``, exactly, for fixed columns (Allen's PRESS). The penalty with the
    least mean square of it wins. All by U and s: with more variants than people, or as many features
    as an embedding has, the cost is that of ``Z Z'``.
    """
    design = standardise(data)
    if design is None:
        return training_mean(data)
    left, values = left_singular(design.fit)
    penalty = penalties(design.fit.shape[1])
    errors = leave_one_out(left, values, design.target, penalty)
    best = int(np.argmin(np.mean(errors**2, axis=0)))
    dual = left @ (left.T @ design.target / (values**2 + penalty[best]))
    return design.model(data, design.fit.T @ dual, held_out=design.target - errors[:, best])


def penalties(variants: int) -> NDArray[np.float64]:
    """Return the grid of penalties for this many variants, ascending, float64 [penalties]."""
    return SCALES * variants


def leave_one_out(
    left: NDArray[np.float64],
    values: NDArray[np.float64],
    target: NDArray[np.float64],
    penalty: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the leave-one-out error of each person at each penalty.

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
    float64 [people, penalties]
    """
    shrink = values[:, None] ** 2 / (values[:, None] ** 2 + penalty)  # [rank, penalties]
    residual = target[:, None] - left @ (shrink * (left.T @ target)[:, None])  # [people, penalties]
    leverage = 1.0 / len(target) + left**2 @ shrink
    error: NDArray[np.float64] = residual / (1.0 - leverage)
    return error


def left_singular(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return left singular vectors [people, rank] and values [rank], descending.

    Perfect linkage makes many singular values zero; those carry rounding only and are left out.

    Parameters
    ----------
    matrix : float64 [people, variants]
    """
    people, variants = matrix.shape
    if people < variants:
        squares, left = np.linalg.eigh(matrix @ matrix.T)
        values, left = np.sqrt(np.maximum(squares[::-1], 0.0)), left[:, ::-1]
        kept = values > values[0] * _LEAST_BY_SQUARE
    else:
        left, values = _decomposed(matrix)
        kept = values > values[0] * _LEAST
    return left[:, kept], values[kept]


def _decomposed(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left singular vectors and values of a matrix with no more columns than rows.

    Divide and conquer now and then does not converge where many singular values are zero, on some
    processors only: of chromosome 22, one gene of 608. The iteration by QR, several times slower, does.
    """
    try:
        left, values, _ = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd

        left, values, _ = svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return left, values
