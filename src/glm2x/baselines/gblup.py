"""GBLUP: a random effect with the genomic relationship of the window, its variance by REML."""

from __future__ import annotations

from glm2x.baselines.data import Fit, GeneData, standardise
from glm2x.baselines.simple import training_mean
from glm2x.reml import heritability, project, relationship_eigen, reml


def gblup(data: GeneData) -> Fit:
    """Predict the best linear unbiased prediction under y ~ N(mu, s2 (h2 K + (1 - h2) I)).

    ``K = Z Z' / variants`` of the standardised dosages (VanRaden 2008, with variances scaled to
    one), mu fixed and unpenalised, h2 by REML (Patterson and Thompson 1971; by
    eigendecomposition as in Kang et al. 2008). The columns of Z sum to zero over the people
    fitted, so mu is the training mean. Where the best h2 is zero the prediction is exactly the
    training mean.
    """
    design = standardise(data)
    if design is None:
        return training_mean(data)
    variants = design.fit.shape[1]
    values, vectors = relationship_eigen(design.fit)
    projected = project(values, vectors, design.target)
    h2 = reml(projected)
    shrink = h2 * values / (h2 * values + 1.0 - h2)  # eigenvalues of the hat matrix, beside the mean's 1
    fitted = vectors @ (shrink * projected.along)
    leverage = 1.0 / len(design.target) + vectors**2 @ shrink
    error = (design.target - fitted) / (1.0 - leverage)
    weights = design.fit.T @ (vectors @ (shrink / values * projected.along)) / variants
    if h2 == 0.0:
        weights[:] = 0.0  # not by rounding
    return design.model(
        data,
        weights,
        held_out=design.target - error,
        heritability=heritability(h2, projected),
    )
