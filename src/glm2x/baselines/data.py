"""What one baseline is given, and what it gives: one gene's dosages and targets, and a model of them.

The people to fit and the people to predict are separate arrays, so that a baseline cannot see the
target of a person it is not fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x.reml import Heritability

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
        Alternative alleles carried (0, 1, 2) by the people to fit on; or any other features of theirs.
    target_fit : float64 [people fitted]
        Their targets, in the target's scale; all finite.
    dosage : float [people predicted, variants]
        The same variants of the people to predict.
    components_fit : float64 [people fitted, components], optional
        Genotype principal components of the people to fit on.
    components : float64 [people predicted, components], optional
        The same of the people to predict.
    prior : float64 [variants], optional
        The prior variance of the effect of each variant, on any common scale, positive: of a standard
        deviation of its dosage. Without it all are alike.

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
    prior: NDArray[np.float64] | None = None

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
        if self.prior is not None and self.prior.shape != (self.dosage.shape[1],):
            raise ValueError(f"{self.gene}: prior is {self.prior.shape}, dosage {self.dosage.shape}")

    @property
    def people(self) -> int:
        """The number of people to predict."""
        return int(self.dosage.shape[0])

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Which variants vary among the people fitted, bool [variants]."""
        varies: NDArray[np.bool_] = self.dosage_fit.max(axis=0) > self.dosage_fit.min(axis=0)
        return varies


@dataclass(frozen=True)
class Fit:
    """One baseline fitted to one gene.

    Parameters
    ----------
    predicted : float64 [people predicted]
        In the target's scale.
    intercept
        What somebody without any of the alternative alleles is predicted.
    weights : float64 [variants], optional
        What each alternative allele adds; none where the model is not one of variants.
    held_out : float64 [people fitted], optional
        What each person is predicted by the others at the penalty chosen (of the folds that left the
        person out, or left out alone), where the model comes by it.
    heritability
        Of a mixed model.
    """

    predicted: NDArray[np.float64]
    intercept: float = np.nan
    weights: NDArray[np.float64] | None = None
    held_out: NDArray[np.float64] | None = None
    heritability: Heritability | None = None


class Standardised(NamedTuple):
    """Dosages with mean 0 over the people fitted and a variance of 1, or of the prior; they vary there.

    fit : float64 [people fitted, variants kept]
    target : float64 [people fitted], minus its mean
    mean : that mean
    kept : bool [variants]
    centre, scale : float64 [variants kept], taken off the dosages, and what they were divided by
    """

    fit: NDArray[np.float64]
    target: NDArray[np.float64]
    mean: float
    kept: NDArray[np.bool_]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    def model(
        self,
        data: GeneData,
        weights: NDArray[np.float64],
        *,
        held_out: NDArray[np.float64] | None = None,
        heritability: Heritability | None = None,
    ) -> Fit:
        """Return the fit of these weights, float64 [variants kept], of the standardised dosages.

        Parameters
        ----------
        held_out : float64 [people fitted], optional
            In the scale of `target`, without the mean.
        """
        allele = np.zeros(len(self.kept))
        allele[self.kept] = weights / self.scale
        shift = float(self.centre @ allele[self.kept])
        # Centred first: features of a large mean and a small variance would lose their digits.
        new = data.dosage[:, self.kept].astype(np.float64) - self.centre
        return Fit(
            self.mean + new @ allele[self.kept],
            self.mean - shift,
            allele,
            None if held_out is None else self.mean + held_out,
            heritability,
        )


def standardise(data: GeneData) -> Standardised | None:
    """Standardise dosages by the people fitted (population standard deviation), dropping constant variants.

    Under a prior the variances are proportional to it, with a mean of 1: then a model that takes all
    variants for alike has that prior.

    Returns
    -------
    Standardised or None
        None where there is nothing to fit: fewer than three people, a constant target, or no
        variant that varies among the people fitted. A baseline then predicts the training mean.
    """
    target = data.target_fit
    if len(target) < 3 or is_constant(target):
        return None
    varies = data.varies
    if not varies.any():
        return None
    fit = data.dosage_fit[:, varies].astype(np.float64)
    centre, scale = fit.mean(axis=0), fit.std(axis=0)
    if data.prior is not None:
        prior = data.prior[varies]
        scale = scale / np.sqrt(prior / prior.mean())
    mean = float(target.mean())
    return Standardised((fit - centre) / scale, target - mean, mean, varies, centre, scale)


def is_constant(target: NDArray[np.float64]) -> bool:
    """Return whether targets differ by rounding at most."""
    return bool(np.ptp(target) <= _CONSTANT * max(1.0, float(np.abs(target).max())))
