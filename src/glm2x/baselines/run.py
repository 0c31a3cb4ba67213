"""Fit baselines to a cohort and a split, gene by gene, and return a predictions table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glm2x.baselines.features import PooledFeatures
from glm2x.baselines.fitting import Asked, BaselineRun, FittedGene, prepare
from glm2x.predictions import Predictions

if TYPE_CHECKING:
    from glm2x.baselines.scores import VariantScores
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target

PRIOR_WINDOW = 400_000


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
    asked = Asked(
        cohort, split, target, models, window, prior_window, scores, features, keep_weights=keep_weights
    )
    return run_asked(asked, jobs=jobs, progress=progress, say=say)


def run_asked(
    asked: Asked,
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> BaselineRun:
    """Do what `run_baselines` does, of what it was asked for as one value."""
    say = say or logging.getLogger(__name__).info
    fitting = prepare(asked, say, jobs=jobs)
    fitted: list[FittedGene] = []
    for one in fitting.fit():
        fitted.append(one)
        if progress is not None:
            progress(len(fitted), len(fitting.genes))
    return fitting.together(fitted, say)


def combined(runs: Sequence[BaselineRun], base: Split) -> Predictions:
    """Return the predictions of all draws of a split as one table; the draws share the base's family."""
    import polars as pl

    if len(runs) == 1:
        return runs[0].predictions
    metadata = replace(runs[0].predictions.metadata, split_digest=None, split_family=base.family)
    return Predictions(pl.concat([run.predictions.frame for run in runs]), metadata)
