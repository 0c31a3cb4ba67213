"""What is kept of each gene's models beside predictions: a line of a table, and weights where asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.baselines.data import Fit, GeneData
from glm2x.baselines.registry import Baseline
from glm2x.reml import Heritability

GENE_COLUMNS = {
    "model": pl.String(),
    "gene": pl.String(),
    "train_individuals": pl.Int64(),
    "draw": pl.Int64(),
    "fitted_individuals": pl.Int64(),
    "variants": pl.Int64(),
    "variants_in_model": pl.Int64(),
    "cv_pearson": pl.Float64(),
    "cv_p": pl.Float64(),
    "h2": pl.Float64(),
    "h2_se": pl.Float64(),
    "h2_low": pl.Float64(),
    "h2_high": pl.Float64(),
    "h2_p": pl.Float64(),
}
"""Columns of the table of genes; docs/guides/baselines.md says what they hold."""

_NULL = 1e-3  # of the target's standard deviation: predictions that vary less are constant, as in evaluation


class FittedModel(NamedTuple):
    """One model of one gene, without what is too large to send between processes.

    predicted : float64 [people predicted]
    individuals : how many it was fitted on
    variants, used : how many vary among them, and have a weight; null where it is not one of variants
    cv_pearson, cv_p : of the people held out within the fit; null where the model comes by none
    heritability : of a mixed model
    intercept, weights, means : float64 [variants] where they were asked for; the mean dosages of those fitted
    """

    predicted: NDArray[np.float64] | None
    individuals: int
    variants: int | None
    used: int | None
    cv_pearson: float | None
    cv_p: float | None
    heritability: Heritability | None
    intercept: float | None = None
    weights: NDArray[np.float64] | None = None
    means: NDArray[np.float64] | None = None


def summarised(fit: Fit, data: GeneData, keep_weights: bool) -> FittedModel:
    """Return what is kept of a fit to this data."""
    pearson, p = _held_out(fit, data.target_fit)
    individuals = len(data.target_fit)
    if fit.weights is None:
        return FittedModel(fit.predicted, individuals, None, None, pearson, p, fit.heritability)
    variants, used = int(data.varies.sum()), int(np.count_nonzero(fit.weights))
    kept = FittedModel(fit.predicted, individuals, variants, used, pearson, p, fit.heritability)
    if not keep_weights:
        return kept
    means = data.dosage_fit.mean(axis=0, dtype=np.float64)
    return kept._replace(intercept=fit.intercept, weights=fit.weights, means=means)


def genes_table(
    genes: Sequence[str],
    models: Sequence[Baseline],
    fitted: Sequence[Sequence[FittedModel]],
    train_individuals: int,
    draw: int | None,
) -> pl.DataFrame:
    """Return one line a model and gene, with the columns `GENE_COLUMNS`.

    Parameters
    ----------
    fitted
        By gene, then by model.
    """
    rows = []
    for m, model in enumerate(models):
        for gene, of_gene in zip(genes, fitted, strict=True):
            one = of_gene[m]
            h2: tuple[float | None, ...] = one.heritability or (None,) * 5
            rows.append(
                (
                    *(model.name, gene, train_individuals, draw, one.individuals, one.variants, one.used),
                    *(one.cv_pearson, one.cv_p),
                    *(None if value is None or np.isnan(value) else value for value in h2),
                )
            )
    return pl.DataFrame(rows, schema=GENE_COLUMNS, orient="row")


def _held_out(fit: Fit, target: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return r and its two-sided p between targets and what people are predicted without theirs."""
    if fit.held_out is None or len(target) < 3:
        return None, None
    if (fit.weights is not None and not fit.weights.any()) or fit.held_out.std() < _NULL * target.std():
        # Means of the others go down where a person's own target goes up: that r is no performance.
        return 0.0, 1.0
    from scipy.stats import pearsonr

    found = pearsonr(fit.held_out, target)
    return float(found.statistic), float(found.pvalue)
