"""Fit baselines to a cohort and a split, gene by gene, and return a predictions table."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.baselines.components import genotype_components
from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.path import NotConverged
from glm2x.baselines.registry import BASELINES, find_baselines
from glm2x.errors import DataError
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target

_FEW_GENES = 100  # at a tenth of a second each; fewer are done before processes have started


class _Fitted(NamedTuple):
    """What one gene gives: float64 [models, people], and what is to be counted."""

    predicted: NDArray[np.float64]
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
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Predictions:
    """Fit baselines on training and validation people; predict everyone of the split for seen genes.

    A baseline is fitted gene by gene to people's expression, so that unseen genes have none. People
    whose target is NaN are left out of a gene's fit and are predicted like everyone else. The result
    does not depend on `jobs`.

    Parameters
    ----------
    cohort, split, target
        `target.values` is float64 [genes of the cohort, individuals of the cohort].
    models
        Names of `registry.BASELINES`.
    window
        Variants in ``[tss - window/2, tss + window/2)`` are used, bp.
    jobs
        Processes; null takes every CPU where a slow baseline is asked for enough genes, else one.
    progress
        Called with the genes done and the genes in all, after each.
    say
        Called with each sentence about what was left out or did not converge (default: this
        module's logger, at level INFO).

    Returns
    -------
    Predictions
        For each model, seen gene and person of the split. `train_individuals` counts training and
        validation people; `seed` is 0 (nothing is random but the inner folds, which are fixed);
        `draw` is the split's.

    Raises
    ------
    UsageError
        An unknown model.
    DataError
        No seen gene is measured in anyone to fit on; or no genotype PCs are to be had.
    """
    say = say or logging.getLogger(__name__).info
    chosen = find_baselines(models)
    fitted_people = (*split.train, *split.validation)
    people = (*fitted_people, *split.test)
    # In the cohort's order: inner folds, and so results, must not depend on how a split lists its people.
    fit = np.sort(cohort.individual_index(fitted_people))
    everyone = cohort.individual_index(people)
    rows = cohort.gene_index(split.seen)
    measured = np.asarray(np.isfinite(target.values[np.ix_(rows, fit)]).any(axis=1))
    rows, genes = rows[measured], [gene for gene, kept in zip(split.seen, measured, strict=True) if kept]
    _say_left_out(say, split, int((~measured).sum()))
    if not genes:
        raise DataError(
            "no seen gene is measured in any training or validation person",
            got=f"{len(split.seen)} seen genes, {len(fitted_people)} people",
            do="check that the split belongs to this cohort",
        )
    components = None
    if any(baseline.components for baseline in chosen):
        components, source = genotype_components(cohort, fit, window)
        say(source)

    data = (
        _gene_data(gene, cohort.dosages(gene, window).dosage, target.values[row], fit, everyone, components)
        for gene, row in zip(genes, rows, strict=True)
    )
    if jobs is None:
        jobs = _processes(len(genes)) if any(baseline.slow for baseline in chosen) else 1
    predicted = np.empty((len(chosen), len(genes), len(people)))
    null, unconverged = 0, Counter[str]()
    for done, result in enumerate(_fit_all(data, [baseline.name for baseline in chosen], jobs), start=1):
        predicted[:, done - 1] = result.predicted
        null += result.null
        unconverged += result.unconverged
        for message, category in result.warnings:
            warnings.warn(f"{genes[done - 1]}: {message}", category, stacklevel=2)
        if progress is not None:
            progress(done, len(genes))
    if null:
        say(
            f"{null} of {len(genes)} genes have no variant that varies among the people fitted, a constant "
            "target, or fewer than three people: models of the window predict their training mean"
        )
    for name, times in unconverged.items():
        say(
            f"{name}: {times:,} of the inner fits (penalties x folds) of {len(genes):,} genes stopped at the "
            "limit of iterations before they converged"
        )

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
    metadata = PredictionMetadata(
        target.mode, window, cohort.digest, split.digest, __version__, split_family=split.family
    )
    return Predictions(pl.concat(frames), metadata)


def fit_gene(data: GeneData, models: Sequence[str]) -> _Fitted:
    """Fit each model to one gene; count `NotConverged`, and hand back any other warning."""
    unconverged, others = Counter[str](), []
    predicted = np.empty((len(models), data.people))
    for row, name in zip(predicted, models, strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            row[:] = BASELINES[name].fit_predict(data)
        for warning in caught:
            if issubclass(warning.category, NotConverged):
                unconverged[name] += 1
            else:
                others.append((str(warning.message), warning.category))
    return _Fitted(predicted, standardise(data) is None, unconverged, others)


def _fit_all(data: Iterable[GeneData], models: list[str], jobs: int) -> Iterator[_Fitted]:
    """Fit the genes in order, one thread of linear algebra each: more would change sums, and be slower."""
    if jobs == 1:
        from threadpoolctl import threadpool_limits

        for gene in data:
            with threadpool_limits(1):
                result = fit_gene(gene, models)
            yield result
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        # Genes are read as processes ask for them, so that memory does not grow with the cohort.
        tasks = (delayed(fit_gene)(gene, models) for gene in data)
        yield from Parallel(return_as="generator", max_nbytes=None)(tasks)


def _processes(genes: int) -> int:
    from joblib import cpu_count

    return 1 if genes < _FEW_GENES else min(genes, cpu_count())


def _gene_data(
    gene: str,
    dosage: NDArray[np.float32],
    target: NDArray[np.float64],
    fit: NDArray[np.int64],
    everyone: NDArray[np.int64],
    components: NDArray[np.float64] | None,
) -> GeneData:
    fit = fit[np.isfinite(target[fit])]
    return GeneData(
        gene=gene,
        dosage_fit=dosage[fit],
        target_fit=target[fit],
        dosage=dosage[everyone],
        components_fit=None if components is None else components[fit],
        components=None if components is None else components[everyone],
    )


def _say_left_out(say: Callable[[str], None], split: Split, unmeasured: int) -> None:
    without = len(split.unseen) + len(split.excluded_genes)
    if without:
        say(
            f"{len(split.unseen)} unseen and {len(split.excluded_genes)} excluded genes are left out: "
            "a baseline is fitted to a gene's own training people"
        )
    if unmeasured:
        say(f"{unmeasured} seen genes are left out: measured in no training or validation person")
