"""Elastic net and lasso with an inner cross-validation over a path of penalties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.simple import training_mean

FOLDS = 10
PENALTIES = 100
SMALLEST = 0.01  # of the largest penalty


def elastic_net(data: GeneData) -> NDArray[np.float64]:
    """Predict by elastic net, half L1 and half L2 (`l1_ratio` 0.5), as PrediXcan does.

    100 penalties from the least one that leaves no variant down to 0.01 of it, geometrically; the
    one with the least error over `KFold(10, shuffle=True, random_state=0)` is refitted on everyone.
    Where that is the largest, the prediction is exactly the training mean.

    Returns
    -------
    float64 [people predicted]

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        For each penalty and fold that stops before its duality gap is below 1e-4 of the target's
        variance; `run_baselines` counts them.
    """
    return _penalised(data, l1_ratio=0.5)


def lasso(data: GeneData) -> NDArray[np.float64]:
    """Predict by lasso; as `elastic_net`, with the L1 penalty only.

    Returns
    -------
    float64 [people predicted]
    """
    return _penalised(data, l1_ratio=1.0)


def path(dosage: NDArray[np.float64], target: NDArray[np.float64], l1_ratio: float) -> NDArray[np.float64]:
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


def _penalised(data: GeneData, l1_ratio: float) -> NDArray[np.float64]:
    from sklearn.linear_model import ElasticNetCV
    from sklearn.model_selection import KFold

    design = standardise(data)
    if design is None:
        return training_mean(data)
    people, variants = design.fit.shape
    model = ElasticNetCV(
        l1_ratio=l1_ratio,
        alphas=path(design.fit, design.target, l1_ratio),
        cv=KFold(min(FOLDS, people), shuffle=True, random_state=0),
        # A step costs `variants` operations with the Gram matrix and twice `people` without it.
        precompute=variants <= 2 * people,
    ).fit(design.fit, design.target)
    if model.alpha_ >= model.alphas_[0] or not model.coef_.any():
        return training_mean(data)  # by definition without variants; what is left is rounding
    predicted: NDArray[np.float64] = design.mean + (model.intercept_ + design.new @ model.coef_)
    return predicted
