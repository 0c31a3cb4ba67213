"""The targets a model is trained on: log2 expression, its residual after covariates, or scores of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.config import STANDARDISED, TargetMode
from glm2x.errors import DataError, UsageError

RAW_SCALES = ("rpkm", "tpm")


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes
    ----------
    mode
        `log`, `residual`, `residual-all`, `z-score` or `inverse-normal`.
    values
        float64 ``[genes, individuals]``, NaN where not measured; residuals are NaN too of genes that
        were measured in no training person.
    reference
        float64 ``[genes]``: the target of the reference sequence. The cohort's own where it has one (it
        is logged already, and residuals are on the same scale), else the mean over training people,
        NaN where there is none, and of targets on a scale of each gene's own.
    transductive
        What was computed with test people's expression, in words; empty where nothing was.
    covariates
        What was regressed out, sorted; empty where nothing was.
    """

    mode: TargetMode
    values: NDArray[np.float64]
    reference: NDArray[np.float64]
    transductive: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()


def make_target(
    cohort: Cohort, split: Split, mode: TargetMode, covariates_keep: Sequence[str] | None = None
) -> Target:
    """Compute the target of every gene and individual.

    Parameters
    ----------
    mode
        `log`: log2(x + 1) of a raw scale, and x as it is of `log2` and `normalised`.
        `residual`: covariates regressed out with coefficients fitted on training people only, the
        training mean added back. `residual-all`: the same, fitted on everyone (transductive).
        `z-score`: `log` minus its mean over training people, over their standard deviation.
        `inverse-normal`: the normal quantile of the share of training people with less, see
        `inverse_normal`. Both are NaN for a gene that does not vary among training people.
    covariates_keep
        The covariates to regress out (default: all of the cohort's); of residuals only.

    Raises
    ------
    DataError
        A raw value is negative, a seen gene has no training person (and is not one of reference
        alone), or covariates are missing.
    UsageError
        A covariate is not the cohort's or named twice; or there are fewer than three people a covariate
        among those whom its coefficients are fitted on: training people for `residual`, everyone for
        `residual-all` (residuals of so few say nothing).
    """
    logged = log_expression(cohort)
    train = cohort.individual_index(split.train)
    _require_measured(logged, train, cohort, split)
    means = _training_means(logged, train)
    if mode == "log":
        return Target(mode, logged, _reference(means, cohort))
    if mode in STANDARDISED:
        standardise = z_scores if mode == "z-score" else inverse_normal
        return Target(mode, standardise(logged, train), np.full(len(logged), np.nan))
    names, covariates = _kept(cohort, covariates_keep, np.asarray(np.isfinite(logged).any(axis=0)))
    fitted_on = train if mode == "residual" else np.arange(len(cohort.individuals))
    if len(fitted_on) < 3 * len(names):
        people = f"{len(train)} training people" if mode == "residual" else f"{len(fitted_on)} people"
        raise UsageError(
            f"{len(names)} covariates are too many for {people}",
            got=f"{len(fitted_on) / len(names):.1f} people a covariate",
            wanted="at least 3",
            do="--covariates-keep (covariates_keep of a configuration) with fewer of "
            + ", ".join(names[:5])
            + ("..." if len(names) > 5 else ""),
        )
    residuals = np.full_like(logged, np.nan)
    design = np.column_stack([np.ones(covariates.shape[1]), covariates.T])
    for g, row in enumerate(logged):
        rows = fitted_on[np.isfinite(row[fitted_on])]
        coefficients, *_ = np.linalg.lstsq(design[rows], row[rows], rcond=None)
        residuals[g] = row - design @ coefficients + means[g]
    transductive = [
        f"covariate {name} may be computed from expression" for name in names if _sees_expression(name)
    ]
    if mode == "residual-all":
        transductive.insert(0, "coefficients of covariates fitted on everyone")
    reference = _reference(_training_means(residuals, train), cohort)
    return Target(mode, residuals, reference, tuple(transductive), tuple(sorted(names)))


def log_expression(cohort: Cohort) -> NDArray[np.float64]:
    """Return log2(x + 1) of a raw scale, or the values of a scale that is logged already.

    Returns
    -------
    float64 ``[genes, individuals]``, NaN where not measured.
    """
    if cohort.expression_scale not in RAW_SCALES:
        return cohort.expression
    with np.errstate(invalid="ignore"):
        negative = cohort.expression < 0
    if negative.any():
        g, i = np.argwhere(negative)[0]
        raise DataError(
            f"{int(negative.sum())} expression values are negative, and their logarithm is taken",
            where=f"{cohort.gene_ids[g]}, {cohort.individuals[i]} of {cohort.folder}",
            got=str(cohort.expression[g, i]),
            wanted=f"{cohort.expression_scale} >= 0",
            do="build the cohort with --expression-scale normalised or log2 if that is what they are",
        )
    return np.log2(cohort.expression + 1)


def z_scores(values: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return values minus the mean of some people, over their standard deviation, gene by gene.

    Parameters
    ----------
    values
        float64 ``[genes, individuals]``, NaN where not measured.
    train
        int64, columns of those people.

    Returns
    -------
    float64 ``[genes, individuals]``; NaN of genes that do not vary among them.
    """
    made = np.full_like(values, np.nan)
    for new, row, known in _varying(made, values, train):
        new[:] = (row - known.mean()) / known.std()
    return made


def inverse_normal(values: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return rank-based normal scores by the ranks of some people, gene by gene.

    Of n of them the one of rank r (ties: their mean) gets the normal quantile of (r - 1/2) / n (Bliss
    1967). Everybody else lies on the line between the two next to them, or at the end of it: nobody but
    those people decides where. Arguments and result are those of `z_scores`.
    """
    from scipy.stats import norm, rankdata

    made = np.full_like(values, np.nan)
    for new, row, known in _varying(made, values, train):
        places, first = np.unique(known, return_index=True)
        scores = norm.ppf((rankdata(known) - 0.5) / len(known))[first]
        measured = np.isfinite(row)
        new[measured] = np.interp(row[measured], places, scores)
    return made


def _varying(
    made: NDArray[np.float64], values: NDArray[np.float64], train: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the rows of two tables and what is measured in `train`, of genes that vary there."""
    for new, row in zip(made, values, strict=True):
        known = row[train][np.isfinite(row[train])]
        if len(known) and np.ptp(known) > 0:
            yield new, row, known


def _require_measured(
    values: NDArray[np.float64], train: NDArray[np.int64], cohort: Cohort, split: Split
) -> None:
    """Refuse a seen gene of nobody to train on, unless it is one of the reference alone."""
    rows = cohort.gene_index(split.seen)
    measured = np.isfinite(values[:, train]).any(axis=1)
    reference_only = np.isfinite(cohort.reference_target) & ~np.isfinite(values).any(axis=1)
    lacking = rows[~(measured | reference_only)[rows]]
    if lacking.size:
        raise DataError(
            f"{lacking.size} of {len(rows)} seen genes are measured in no training person",
            where=f"first: {cohort.gene_ids[int(lacking[0])]} of {cohort.folder}",
            do="glm2x split --genes with a list that leaves these genes out, or other training people",
        )


def _training_means(values: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean over training people, NaN for genes of none of them."""
    measured = np.isfinite(values[:, train]).any(axis=1)
    means = np.full(len(values), np.nan)
    means[measured] = np.nanmean(values[measured][:, train], axis=1)
    return means


def _reference(means: NDArray[np.float64], cohort: Cohort) -> NDArray[np.float64]:
    """Return the cohort's own targets of the reference sequence, and the means where it has none."""
    return np.where(np.isfinite(cohort.reference_target), cohort.reference_target, means)


def _kept(
    cohort: Cohort, keep: Sequence[str] | None, measured: NDArray[np.bool_]
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the covariates to regress out; everybody who is `measured` must have them."""
    names = cohort.covariate_names if keep is None else tuple(keep)
    unknown = [name for name in names if name not in cohort.covariate_names]
    if unknown or not names:
        raise UsageError(
            f"no covariate is called {unknown[0]}"
            if unknown
            else "the target needs covariates and the cohort has none",
            where=str(cohort.folder),
            wanted=", ".join(cohort.covariate_names[:8]) or "a cohort built with --covariates",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"the covariate {twice} is to be kept twice", do="name it once")
    rows = [cohort.covariate_names.index(name) for name in names]
    covariates = cohort.covariates[rows]
    lacking = ~np.isfinite(covariates) & measured
    if lacking.any():
        row, column = np.argwhere(lacking)[0]
        raise DataError(
            "a covariate is missing for an individual",
            where=f"{names[row]}, {cohort.individuals[column]} of {cohort.folder}",
            wanted="every covariate of everybody who has expression",
            do="complete the covariates, or leave the individual out of the expression",
        )
    return names, covariates


def _sees_expression(name: str) -> bool:
    """Whether a covariate may have been computed from expression: unless the words of its name say not.

    ``genotype_PC1``, ``genotypes_1_1_svd_PC2``, ``sex`` and the like are of people; ``PEER_stage1`` is not.
    """
    words = set(re.split(r"[^a-z]+", name.lower()))
    of_people = {"genotype", "genotypes", "geno", "sex", "age", "batch", "population", "lab", "ancestry"}
    return not words & of_people or bool(words & {"expression", "peer", "corrected", "residual"})
