"""Elastic net and lasso with an inner cross-validation over a path of penalties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.path import elastic_net_path
from glm2x.baselines.simple import training_mean

FOLDS = 10
PENALTIES = 100
SMALLEST = 0.01  # of the largest penalty


def elastic_net(data: GeneData) -> NDArray[np.float64]:
    """Predict by elastic net, half L1 and half L2 (`l1_ratio` 0.5), as PrediXcan does.

    100 penalties from the least one that leaves no variant down to 0.01 of it, geometrically; the
    one with the least error over `KFold(10, shuffle=True, random_state=0)` (the mean of the folds'
    mean squared errors) is refitted on everyone. Where that is the largest, the prediction is
    exactly the training mean. What scikit-learn's `ElasticNetCV` does, solved exactly.

    Returns
    -------
    float64 [people predicted]

    Warns
    -----
    NotConverged
        For a penalty and fold that was not solved; `run_baselines` counts them.
    """
    return _penalised(data, l1_ratio=0.5)


def lasso(data: GeneData) -> NDArray[np.float64]:
    """Predict by lasso; as `elastic_net`, with the L1 penalty only.

    Returns
    -------
    float64 [people predicted]
    """
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


def fold_errors(
    dosage: NDArray[np.float64], target: NDArray[np.float64], penalties: NDArray[np.float64], l1_ratio: float
) -> NDArray[np.float64]:
    """Return the mean squared error of the people left out, float64 [folds, penalties].

    Parameters
    ----------
    dosage : float64 [people, variants]
        Standardised dosages; each fold centres them again, and does not scale them again.
    target : float64 [people]
    penalties : float64 [penalties]
        Descending.
    l1_ratio
        The L1 share of the penalty.
    """
    from sklearn.model_selection import KFold

    folds = KFold(min(FOLDS, len(target)), shuffle=True, random_state=0)
    errors = []
    for kept, out in folds.split(dosage):
        centre, mean = dosage[kept].mean(axis=0), target[kept].mean()
        coefficients = elastic_net_path(dosage[kept] - centre, target[kept] - mean, penalties, l1_ratio)
        predicted = mean + (dosage[out] - centre) @ coefficients.T  # [people left out, penalties]
        errors.append(np.mean((target[out, None] - predicted) ** 2, axis=0))
    return np.array(errors)


def _penalised(data: GeneData, l1_ratio: float) -> NDArray[np.float64]:
    design = standardise(data)
    if design is None:
        return training_mean(data)
    penalties = penalty_grid(design.fit, design.target, l1_ratio)
    best = int(fold_errors(design.fit, design.target, penalties, l1_ratio).mean(axis=0).argmin())
    coefficients = elastic_net_path(design.fit, design.target, penalties[: best + 1], l1_ratio)[best]
    if best == 0 or not coefficients.any():
        return training_mean(data)  # by definition without variants; what is left is rounding
    predicted: NDArray[np.float64] = design.mean + design.new @ coefficients
    return predicted
