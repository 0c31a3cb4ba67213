"""What baselines need before the first gene, each gene's fit, and what becomes of all of them together."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.features import PREFIX, PooledFeatures
from glm2x.baselines.gather import Gatherer
from glm2x.baselines.path import NotConverged
from glm2x.baselines.prior import DISTANCES, SCORE, Prior, evidence, learn_prior
from glm2x.baselines.processes import each, one_thread
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

Say = Callable[[str], None]
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


class FittedGene(NamedTuple):
    """What one gene gives: by model, and what is to be counted."""

    models: list[FittedModel]
    null: bool
    unconverged: Counter[str]
    warnings: list[tuple[str, type[Warning]]]


class Learnt(NamedTuple):
    """What is learnt over all genes before the first is fitted.

    components : float64 [individuals, components], of models that need genotype PCs
    prior : of the informed models
    """

    components: NDArray[np.float64] | None
    prior: Prior | None


class Asked(NamedTuple):
    """What is to be fitted; see `run.run_baselines`."""

    cohort: Cohort
    split: Split
    target: Target
    models: Sequence[str]
    window: int
    prior_window: int
    scores: VariantScores | None = None
    features: Mapping[str, PooledFeatures] | None = None
    keep_weights: bool = False


@dataclass(frozen=True)
class Fitting:
    """Baselines that are ready to be fitted to any of a split's genes.

    Attributes
    ----------
    asked
    models
    genes, rows
        The seen genes that are measured in anyone to fit on, and their rows, int64, in the cohort.
    people
        Whom to predict.
    gatherer
    learnt
    jobs
        Processes.
    """

    asked: Asked
    models: tuple[Baseline, ...]
    genes: tuple[str, ...]
    rows: NDArray[np.int64]
    people: tuple[str, ...]
    gatherer: Gatherer
    learnt: Learnt
    jobs: int

    def fit(self, genes: Sequence[str] | None = None) -> Iterator[FittedGene]:
        """Fit the models to genes (default: all), in their order; see `processes.each`."""
        chosen, rows = self.genes, self.rows
        if genes is not None:
            place = {gene: i for i, gene in enumerate(self.genes)}
            chosen, rows = tuple(genes), self.rows[[place[gene] for gene in genes]]
        data = self.gatherer.genes(chosen, rows, self.models, self.learnt.prior)
        return each(fit_gene, data, (self.models, self.asked.keep_weights), self.jobs)

    def together(self, fitted: Sequence[FittedGene], say: Say) -> BaselineRun:
        """Return what the fits of all genes, in their order, are together; say what was counted."""
        import polars as pl

        split, cohort, target = self.asked.split, self.asked.cohort, self.asked.target
        null, unconverged = 0, Counter[str]()
        for gene, one in zip(self.genes, fitted, strict=True):
            null += one.null
            unconverged += one.unconverged
            for message, category in one.warnings:
                warnings.warn(f"{gene}: {message}", category, stacklevel=3)
        _say_what_happened(say, null, unconverged, len(self.genes))
        models_of = [one.models for one in fitted]
        fitted_people = len(split.train) + len(split.validation)
        observed = target.values[np.ix_(self.rows, self.gatherer.everyone)]
        frames = [
            from_matrix(
                model=baseline.name,
                genes=self.genes,
                individuals=self.people,
                predicted=np.stack([of_gene[m].predicted for of_gene in models_of]),  # type: ignore[misc]
                observed=observed,
                gene_split=split.gene_split,
                individual_split=split.individual_split,
                seed=0,
                train_individuals=fitted_people,
                draw=split.draw,
            )
            for m, baseline in enumerate(self.models)
        ]
        windows = {WINDOW: self.asked.window, PRIOR: self.asked.prior_window}
        widest = max(
            (windows[baseline.inputs] for baseline in self.models if baseline.inputs in windows),
            default=self.asked.window,
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
        weights = None
        if self.asked.keep_weights:
            weights = weights_table(
                cohort, self.genes, self.models, models_of, windows, metadata, fitted_people
            )
        table = genes_table(self.genes, self.models, models_of, fitted_people, split.draw)
        return BaselineRun(Predictions(pl.concat(frames), metadata), table, weights, self.learnt.prior)


def prepare(asked: Asked, say: Say, *, jobs: int | None = 1, learnt: Learnt | None = None) -> Fitting:
    """Look at the genes and people, and learn what is learnt over all genes; say what is left out.

    Parameters
    ----------
    jobs
        Processes; None takes every CPU where a slow baseline is asked for enough genes, else one.
    learnt
        What was learnt before, by whom else asked for the same.

    Raises
    ------
    UsageError, DataError
        As `run.run_baselines`.
    """
    cohort, split, target, features = asked.cohort, asked.split, asked.target, asked.features or {}
    assert all(name.startswith(PREFIX) for name in features)
    chosen = find_baselines(asked.models, features)
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
    components, matched, prior = None, None, None
    if learnt is not None:
        components, prior = learnt
    elif any(baseline.components for baseline in chosen):
        components, source = one_thread(lambda: genotype_components(cohort, fit, asked.window))
        say(source)
    informed = any(baseline.inputs == PRIOR for baseline in chosen)
    if informed and asked.scores is not None:
        from glm2x.baselines.scores import MatchedScores

        matched = MatchedScores(asked.scores, cohort, genes)
    gatherer = Gatherer(
        cohort, target.values, fit, everyone, asked.window, asked.prior_window, components, matched, features
    )
    if jobs is None:
        jobs = _processes(len(genes)) if any(baseline.slow for baseline in chosen) else 1
    if informed and learnt is None:
        prior = _learnt(gatherer, genes, rows, jobs, say)
    return Fitting(asked, chosen, tuple(genes), rows, people, gatherer, Learnt(components, prior), jobs)


def fit_gene(data: Mapping[str, GeneData], models: Sequence[Baseline], keep_weights: bool) -> FittedGene:
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
    return FittedGene(fitted, null, unconverged, others)


def _learnt(
    gatherer: Gatherer,
    genes: Sequence[str],
    rows: NDArray[np.int64],
    jobs: int,
    say: Say,
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
    prior = one_thread(
        lambda: learn_prior(
            gatherer.prior_genes(genes, rows),
            len(genes),
            names,
            lambda tasks, coefficients: each(evidence, tasks, (coefficients,), jobs),
        )
    )
    say(f"informed models: {prior}")
    return prior


def _processes(genes: int) -> int:
    from joblib import cpu_count

    return 1 if genes < _FEW_GENES else min(genes, cpu_count())


def _say_left_out(say: Say, split: Split, unmeasured: int, mode: TargetMode) -> None:
    without = len(split.unseen) + len(split.excluded_genes)
    if without:
        say(
            f"{len(split.unseen)} unseen and {len(split.excluded_genes)} excluded genes are left out: "
            "a baseline is fitted to a gene's own training people"
        )
    if unmeasured:
        constant = ", or the same in all training people" if mode in STANDARDISED else ""
        say(f"{unmeasured} seen genes are left out: measured in no training or validation person{constant}")


def _say_what_happened(say: Say, null: int, unconverged: Counter[str], genes: int) -> None:
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
