"""Fit baselines to a cohort and a split, gene by gene, and return a predictions table."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.features import PREFIX, PooledFeatures
from glm2x.baselines.gather import Gatherer
from glm2x.baselines.path import NotConverged
from glm2x.baselines.prior import DISTANCES, SCORE, Prior, evidence, learn_prior
from glm2x.baselines.processes import each
from glm2x.baselines.registry import PRIOR, WINDOW, Baseline, find_baselines
from glm2x.baselines.summary import FittedModel, genes_table, summarised
from glm2x.baselines.weights import Weights, weights_table
from glm2x.cohort.components import genotype_components
from glm2x.config import STANDARDISED
from glm2x.errors import DataError
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix

if TYPE_CHECKING:
    import polars as pl

    from glm2x.baselines.scores import VariantScores
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target
    from glm2x.config import TargetMode

PRIOR_WINDOW = 400_000
_FEW_GENES = 100  # at a tenth of a second each; fewer are done before processes have started


class BaselineRun(NamedTuple):
    """What baselines give.

    predictions : for each model, seen gene and person of the split
    genes : one line a model and gene, see `summary.genes_table`
    weights : of the models of variants, where they were asked for
    prior : of the informed models, where there is one
    """

    predictions: Predictions
    genes: pl.DataFrame
    weights: Weights | None
    prior: Prior | None


class _Fitted(NamedTuple):
    """What one gene gives: by model, and what is to be counted."""

    models: list[FittedModel]
    null: bool
    unconverged: Counter[str]
    warnings: list[tuple[str, type[Warning]]]


def run_baselines(
    cohort: Cohort,
    split: Split,
    target: Target,
    models: Sequence[str],
    window: int = 64_000,
    *,
    prior_window: int = PRIOR_WINDOW,
    scores: VariantScores | None = None,
    features: Mapping[str, PooledFeatures] | None = None,
    keep_weights: bool = False,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> BaselineRun:
    """Fit baselines on training and validation people; predict everyone of the split for seen genes.

    A baseline is fitted gene by gene to people's expression, so that unseen genes have none. People
    whose target is NaN are left out of a gene's fit and are predicted like everyone else. The prior
    of the informed models is learnt from the same people. The result does not depend on `jobs`.

    Parameters
    ----------
    cohort, split, target
        `target.values` is float64 [genes of the cohort, individuals of the cohort].
    models
        Names of `registry.BASELINES`, or of `features`.
    window
        Variants in ``[tss - window/2, tss + window/2)`` are used, bp.
    prior_window
        The same of the informed models, whose prior weighs what is far.
    scores
        Scores of variants, on which the prior depends as well as on the distance.
    features
        What models on features are fitted to, by the model's name, such as ``ridge-kmer``.
    keep_weights
        Whether to return the weights of the models of variants.
    jobs
        Processes; null takes every CPU where a slow baseline is asked for enough genes, else one.
    progress
        Called with the genes done and the genes in all, after each.
    say
        Called with each sentence about what was left out or did not converge (default: this
        module's logger, at level INFO).

    Returns
    -------
    BaselineRun
        In the predictions, `train_individuals` counts training and validation people; `seed` is 0
        (nothing is random but the inner folds, which are fixed); `draw` is the split's.

    Raises
    ------
    UsageError
        An unknown model.
    DataError
        No seen gene is measured in anyone to fit on; no genotype PCs are to be had; or features or
        scores are not of this cohort.
    """
    say = say or logging.getLogger(__name__).info
    features = features or {}
    assert all(name.startswith(PREFIX) for name in features)
    chosen = find_baselines(models, features)
    fitted_people = (*split.train, *split.validation)
    people = (*fitted_people, *split.test)
    # In the cohort's order: inner folds, and so results, must not depend on how a split lists its people.
    fit = np.sort(cohort.individual_index(fitted_people))
    everyone = cohort.individual_index(people)
    rows = cohort.gene_index(split.seen)
    measured = np.asarray(np.isfinite(target.values[np.ix_(rows, fit)]).any(axis=1))
    rows, genes = rows[measured], [gene for gene, kept in zip(split.seen, measured, strict=True) if kept]
    _say_left_out(say, split, int((~measured).sum()), target.mode)
    if not genes:
        raise DataError(
            f"no seen gene has a target ({target.mode}) in any training or validation person",
            got=f"{len(split.seen)} seen genes, {len(fitted_people)} people",
            do="check that the split belongs to this cohort"
            if target.mode not in STANDARDISED
            else "--target log, or more training people: a gene needs two who differ",
        )
    components, matched = None, None
    if any(baseline.components for baseline in chosen):
        components, source = genotype_components(cohort, fit, window)
        say(source)
    informed = any(baseline.inputs == PRIOR for baseline in chosen)
    if informed and scores is not None:
        from glm2x.baselines.scores import MatchedScores

        matched = MatchedScores(scores, cohort, genes)
    gatherer = Gatherer(
        cohort, target.values, fit, everyone, window, prior_window, components, matched, features
    )
    if jobs is None:
        jobs = _processes(len(genes)) if any(baseline.slow for baseline in chosen) else 1
    prior = _learnt(gatherer, genes, rows, jobs, say) if informed else None

    data = gatherer.genes(genes, rows, chosen, prior)
    predicted = np.empty((len(chosen), len(genes), len(people)))
    models_of: list[list[FittedModel]] = []
    null, unconverged = 0, Counter[str]()
    for done, result in enumerate(each(fit_gene, data, (chosen, keep_weights), jobs), start=1):
        predicted[:, done - 1] = [one.predicted for one in result.models]
        models_of.append([one._replace(predicted=None) for one in result.models])
        null += result.null
        unconverged += result.unconverged
        for message, category in result.warnings:
            warnings.warn(f"{genes[done - 1]}: {message}", category, stacklevel=2)
        if progress is not None:
            progress(done, len(genes))
    _say_what_happened(say, null, unconverged, len(genes))

    import polars as pl

    observed = target.values[np.ix_(rows, everyone)]
    frames = [
        from_matrix(
            model=baseline.name,
            genes=genes,
            individuals=people,
            predicted=matrix,
            observed=observed,
            gene_split=split.gene_split,
            individual_split=split.individual_split,
            seed=0,
            train_individuals=len(fitted_people),
            draw=split.draw,
        )
        for baseline, matrix in zip(chosen, predicted, strict=True)
    ]
    windows = {WINDOW: window, PRIOR: prior_window}
    widest = max(
        (windows[baseline.inputs] for baseline in chosen if baseline.inputs in windows), default=window
    )
    metadata = PredictionMetadata(
        target.mode,
        widest,
        cohort.digest,
        split.digest,
        __version__,
        split_family=split.family,
        covariates=target.covariates or None,
    )
    return BaselineRun(
        Predictions(pl.concat(frames), metadata),
        genes_table(genes, chosen, models_of, len(fitted_people), split.draw),
        weights_table(cohort, genes, chosen, models_of, windows, metadata, len(fitted_people))
        if keep_weights
        else None,
        prior,
    )


def fit_gene(data: Mapping[str, GeneData], models: Sequence[Baseline], keep_weights: bool) -> _Fitted:
    """Fit each model to one gene; count `NotConverged`, and hand back any other warning."""
    unconverged, others = Counter[str](), []
    fitted = []
    for model in models:
        inputs = data[model.inputs]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted.append(summarised(model.fit(inputs), inputs, keep_weights))
        for warning in caught:
            if issubclass(warning.category, NotConverged):
                unconverged[model.name] += 1
            else:
                others.append((str(warning.message), warning.category))
    window = data.get(WINDOW, data.get(PRIOR))
    null = window is not None and standardise(window) is None
    return _Fitted(fitted, null, unconverged, others)


def _learnt(
    gatherer: Gatherer,
    genes: Sequence[str],
    rows: NDArray[np.int64],
    jobs: int,
    say: Callable[[str], None],
) -> Prior:
    names: tuple[str, ...] = DISTANCES
    if gatherer.scores is not None:
        names = (*names, SCORE)
        unmatched, all_rows = gatherer.scores.unmatched, gatherer.scores.rows
        say(
            f"variant scores: {unmatched:,} of {all_rows:,} rows are of no variant or seen gene of the cohort"
        )
        variants, scored = gatherer.scored(genes)
        say(
            f"variant scores: {scored:,} of {variants:,} variants in the windows of the genes have one; the "
            "others are taken for average"
        )
    prior = learn_prior(
        gatherer.prior_genes(genes, rows),
        len(genes),
        names,
        lambda tasks, coefficients: each(evidence, tasks, (coefficients,), jobs),
    )
    say(f"informed models: {prior}")
    return prior


def _processes(genes: int) -> int:
    from joblib import cpu_count

    return 1 if genes < _FEW_GENES else min(genes, cpu_count())


def _say_left_out(say: Callable[[str], None], split: Split, unmeasured: int, mode: TargetMode) -> None:
    without = len(split.unseen) + len(split.excluded_genes)
    if without:
        say(
            f"{len(split.unseen)} unseen and {len(split.excluded_genes)} excluded genes are left out: "
            "a baseline is fitted to a gene's own training people"
        )
    if unmeasured:
        constant = ", or the same in all training people" if mode in STANDARDISED else ""
        say(f"{unmeasured} seen genes are left out: measured in no training or validation person{constant}")


def _say_what_happened(say: Callable[[str], None], null: int, unconverged: Counter[str], genes: int) -> None:
    if null:
        say(
            f"{null} of {genes} genes have no variant that varies among the people fitted, a constant "
            "target, or fewer than three people: models of the window predict their training mean"
        )
    for name, times in unconverged.items():
        say(
            f"{name}: {times:,} of the inner fits (penalties x folds) of {genes:,} genes stopped at the "
            "limit of iterations before they converged"
        )
