"""Elastic net and lasso with an inner cross-validation over a path of penalties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import Fit, GeneData, standardise
from glm2x.baselines.linkage import linked_sets
from glm2x.baselines.path import Moments, elastic_net_path, path_of_moments
from glm2x.baselines.simple import training_mean

FOLDS = 10
PENALTIES = 100
SMALLEST = 0.01  # of the largest penalty


def elastic_net(data: GeneData) -> Fit:
    """Predict by elastic net, half L1 and half L2 (`l1_ratio` 0.5), as PrediXcan does.

    100 penalties from the least one that leaves no variant down to 0.01 of it, geometrically; the
    one with the least error over `KFold(10, shuffle=True, random_state=0)` (the mean of the folds'
    mean squared errors) is refitted on everyone. Where that is the largest, the prediction is
    exactly the training mean. What scikit-learn's `ElasticNetCV` does, solved exactly.

    Warns
    -----
    NotConverged
        For a penalty and fold that was not solved; `run_baselines` counts them.
    """
    return _penalised(data, l1_ratio=0.5)


def lasso(data: GeneData) -> Fit:
    """Predict by lasso; as `elastic_net`, with the L1 penalty only."""
    return _penalised(data, l1_ratio=1.0)


def penalty_grid(
    dosage: NDArray[np.float64], target: NDArray[np.float64], l1_ratio: float
) -> NDArray[np.float64]:
    """Return the penalties, descending, float64 [100]; the first leaves no variant.

    Parameters
    ----------
    dosage : float64 [people, variants]
        Standardised dosages.
    target : float64 [people]
        Centred target.
    l1_ratio
        The L1 share of the penalty, in (0, 1].
    """
    largest = float(np.abs(dosage.T @ target).max()) / (len(target) * l1_ratio)
    return np.geomspace(largest, largest * SMALLEST, PENALTIES)


def held_out_by_folds(
    dosage: NDArray[np.float64], target: NDArray[np.float64], penalties: NDArray[np.float64], l1_ratio: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the people left out of each fold are predicted, and the folds' mean squared errors.

    Parameters
    ----------
    dosage : float64 [people, variants]
        Standardised dosages, each column's sum zero; each fold centres them again, and does not scale them
        again.
    target : float64 [people]
    penalties : float64 [penalties]
        Descending.
    l1_ratio
        The L1 share of the penalty.

    Returns
    -------
    float64 [people, penalties] and float64 [folds, penalties]
    """
    from sklearn.model_selection import KFold

    # All folds share the sums of products over everybody, and take off those of the people left out.
    sets = linked_sets(dosage)
    z, mean = sets.columns, float(target.mean())
    y = target - mean
    gram, covariance = z.T @ z, z.T @ y
    folds = KFold(min(FOLDS, len(target)), shuffle=True, random_state=0)
    held_out = np.empty((len(target), len(penalties)))
    errors = []
    for kept, out in folds.split(dosage):
        people = len(kept)
        z_out, y_out = z[out], y[out]
        centre, level = -z_out.sum(axis=0) / people, -float(y_out.sum()) / people  # of those kept
        moments = Moments(
            gram - z_out.T @ z_out - people * np.outer(centre, centre),
            covariance - z_out.T @ y_out - people * level * centre,
            sets.root,
            people,
        )
        coefficients = path_of_moments(moments, penalties, l1_ratio)
        held_out[out] = mean + level + (z_out - centre) @ coefficients.T
        errors.append(np.mean((target[out, None] - held_out[out]) ** 2, axis=0))
    return held_out, np.array(errors)


def _penalised(data: GeneData, l1_ratio: float) -> Fit:
    design = standardise(data)
    if design is None:
        return training_mean(data)
    if not (design.fit.T @ design.target).any():
        return training_mean(data)  # no variant has a slope at any penalty, and there is no grid of them
    penalties = penalty_grid(design.fit, design.target, l1_ratio)
    held_out, errors = held_out_by_folds(design.fit, design.target, penalties, l1_ratio)
    best = int(errors.mean(axis=0).argmin())
    if best == 0:
        return training_mean(data)  # by definition without variants; what is left is rounding
    coefficients = elastic_net_path(design.fit, design.target, penalties[: best + 1], l1_ratio)[best]
    return design.model(data, coefficients, held_out=held_out[:, best])
