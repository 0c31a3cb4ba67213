"""GBLUP: a random effect with the genomic relationship of the window, its variance by REML."""

from __future__ import annotations

from glm2x.baselines.data import Fit, GeneData, standardise
from glm2x.baselines.heritability import heritability, relationship_eigen, reml
from glm2x.baselines.simple import training_mean


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
    projected = vectors.T @ design.target
    h2 = reml(values, projected)
    # The inverse covariance takes the target to `dual`, and a person's share of it to the error left out.
    inverse = 1.0 / (h2 * values + 1.0 - h2)
    dual = vectors @ (projected * inverse)
    left_out = (1.0 - h2) * inverse  # 1 - the eigenvalues of the hat matrix
    error = (vectors @ (projected * left_out)) / (vectors**2 @ left_out)
    weights = h2 * (design.fit.T @ dual) / variants
    if h2 == 0.0:
        weights[:] = 0.0  # not by rounding
    return design.model(
        data,
        weights,
        held_out=design.target - error,
        heritability=heritability(h2, values, projected),
    )
