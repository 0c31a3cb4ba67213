"""What one baseline is given: the dosages and targets of one gene, and nothing else.

The people to fit and the people to predict are separate arrays, so that a baseline cannot see the
target of a person it is not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Targets closer together than this (of their size) are one number: the residuals of an unexpressed
# gene differ by rounding only, and must not be standardised into a signal.
_CONSTANT = 1e-10


@dataclass(frozen=True)
class GeneData:
    """One gene's data for fitting and predicting.

    Parameters
    ----------
    gene
        Its identifier.
    dosage_fit : float [people fitted, variants]
        Alternative alleles carried (0, 1, 2) by the people to fit on.
    target_fit : float64 [people fitted]
        Their targets, in the target's scale; all finite.
    dosage : float [people predicted, variants]
        The same variants of the people to predict.
    components_fit : float64 [people fitted, components], optional
        Genotype principal components of the people to fit on.
    components : float64 [people predicted, components], optional
        The same of the people to predict.

    Raises
    ------
    ValueError
        Shapes that do not belong together, nobody to fit on, or a target that is not finite.
    """

    gene: str
    dosage_fit: NDArray[Any]
    target_fit: NDArray[np.float64]
    dosage: NDArray[Any]
    components_fit: NDArray[np.float64] | None = None
    components: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.target_fit)
        if n == 0 or not np.isfinite(self.target_fit).all():
            raise ValueError(f"{self.gene}: needs finite targets of at least one person, got {n}")
        if self.dosage_fit.shape != (n, self.dosage.shape[1]):
            raise ValueError(
                f"{self.gene}: dosage_fit is {self.dosage_fit.shape}, dosage {self.dosage.shape}, targets {n}"
            )
        if (self.components_fit is None) != (self.components is None):
            raise ValueError(f"{self.gene}: components are needed for the people fitted and predicted")

    @property
    def people(self) -> int:
        """The number of people to predict."""
        return int(self.dosage.shape[0])


class Standardised(NamedTuple):
    """Dosages with mean 0 and variance 1 over the people fitted; their variants vary there.

    fit : float64 [people fitted, variants kept]
    new : float64 [people predicted, variants kept], by the same means and standard deviations
    target : float64 [people fitted], minus its mean
    mean : that mean
    """

    fit: NDArray[np.float64]
    new: NDArray[np.float64]
    target: NDArray[np.float64]
    mean: float


def standardise(data: GeneData) -> Standardised | None:
    """Standardise dosages by the people fitted (population standard deviation), dropping constant variants.

    Returns
    -------
    Standardised or None
        None where there is nothing to fit: fewer than three people, a constant target, or no
        variant that varies among the people fitted. A baseline then predicts the training mean.
    """
    target = data.target_fit
    if len(target) < 3 or is_constant(target):
        return None
    varies = data.dosage_fit.max(axis=0, initial=-np.inf) > data.dosage_fit.min(axis=0, initial=np.inf)
    if not varies.any():
        return None
    fit = data.dosage_fit[:, varies].astype(np.float64)
    mean, deviation = fit.mean(axis=0), fit.std(axis=0)
    new = (data.dosage[:, varies].astype(np.float64) - mean) / deviation
    centre = float(target.mean())
    return Standardised((fit - mean) / deviation, new, target - centre, centre)


def is_constant(target: NDArray[np.float64]) -> bool:
    """Return whether targets differ by rounding at most."""
    return bool(np.ptp(target) <= _CONSTANT * max(1.0, float(np.abs(target).max())))
