"""The baselines that use no, or almost no, genotypes: training mean, genotype PCs, top variant."""

from __future__ import annotations

import numpy as np

from glm2x.baselines.data import Fit, GeneData, is_constant, standardise


def training_mean(data: GeneData) -> Fit:
    """Predict the mean target of the people fitted, exactly the same number for everyone."""
    mean = float(data.target_fit.mean())
    return Fit(np.full(data.people, mean), mean, np.zeros(data.dosage.shape[1]))


def genotype_pcs(data: GeneData) -> Fit:
    """Predict from genotype principal components only, by ordinary least squares: ancestry, no cis signal.

    With few people only the first ``people - 2`` components are used, so that at least one degree
    of freedom is left.

    Raises
    ------
    ValueError
        The data has no components.
    """
    if data.components_fit is None or data.components is None:
        raise ValueError(f"{data.gene}: no genotype components were given")
    used = min(data.components_fit.shape[1], len(data.target_fit) - 2)
    if used < 1 or is_constant(data.target_fit):
        return Fit(training_mean(data).predicted)
    fit, new = data.components_fit[:, :used], data.components[:, :used]
    centre = fit.mean(axis=0)
    mean = data.target_fit.mean()
    slopes = np.linalg.lstsq(fit - centre, data.target_fit - mean, rcond=None)[0]
    return Fit(mean + (new - centre) @ slopes)


def top_variant(data: GeneData) -> Fit:
    """Predict from the one variant most correlated with the target among the people fitted.

    The slope is that of ordinary least squares. Of variants that correlate equally (perfect
    linkage) the first by position is taken.
    """
    design = standardise(data)
    if design is None:
        return training_mean(data)
    slopes = design.fit.T @ design.target / len(design.target)
    # Rounded, so that variants in perfect linkage tie whatever order the sums were made in.
    scale = float(np.abs(slopes).max()) or 1.0
    best = int(np.argmax(np.round(np.abs(slopes) / scale, 9)))
    weights = np.zeros_like(slopes)
    weights[best] = slopes[best]
    return design.model(data, weights)
