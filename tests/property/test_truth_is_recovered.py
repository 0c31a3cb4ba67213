"""Where the truth is known, every estimator has to find it. Few trials: fixed seeds and wide bands.

``benchmarks/coverage.py`` does the same with many trials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from glm2x.baselines.data import Fit, GeneData
from glm2x.baselines.gblup import gblup
from glm2x.baselines.penalised import elastic_net
from glm2x.baselines.ridge import ridge
from glm2x.evaluation.controls import permute_people
from glm2x.evaluation.metrics import gene_metrics
from glm2x.evaluation.tables import CellRow, Replicate, RowKey
from glm2x.evaluation.uncertainty import (
    Interval,
    bootstrap_pearson,
    gene_blocks,
    make_draws,
    mean_interval,
)
from glm2x.simulate.cohort import SimulatedCohort, gene_variants, simulate
from glm2x.simulate.expression import GeneVariants, draw_expression
from glm2x.simulate.genotypes import make_contigs
from glm2x.simulate.grammar import Grammar, apply_grammar
from glm2x.simulate.people import make_people
from glm2x.simulate.settings import Settings

MODEL = Settings(
    individuals=160,
    genes=40,
    contigs=40,
    populations=1,
    window=12_000,
    grammar_share=0.0,
    causal="all",
    rare_share="any",
    placement="uniform",
)
"""What GBLUP assumes: every variant of the window is causal, with as much of the variance."""


@pytest.fixture(scope="module")
def genes() -> list[GeneVariants]:
    return gene_variants(make_contigs(MODEL, make_people(MODEL), np.random.default_rng(0)), MODEL.window)


def data(gene: GeneVariants, target: np.ndarray, fitted: int) -> GeneData:
    """Fit the first people, predict the others."""
    return GeneData("g", gene.dosage[:fitted], target[:fitted], gene.dosage[fitted:])


@pytest.mark.parametrize(("h2", "least"), [(0.0, 0.94), (0.3, 0.90), (0.6, 0.90)])
def test_h2_is_within_its_interval(genes: list[GeneVariants], h2: float, least: float) -> None:
    rng = np.random.default_rng(1)
    settings = replace(MODEL, h2=h2)
    found = []
    for _ in range(5):
        drawn = draw_expression(genes, settings, rng)
        found += [
            gblup(data(gene, target, 160)).heritability
            for gene, target in zip(genes, drawn.genetic + drawn.noise, strict=True)
        ]
    held = np.mean([one.low <= h2 <= one.high for one in found if one is not None])
    # 200 trials know a share of 0.95 to 0.015; at 0, where the estimate cannot go below, it is more
    assert len(found) == 200
    assert least <= held <= 0.995
    assert np.mean([one.h2 for one in found if one is not None]) == pytest.approx(h2, abs=0.04)
    if h2 == 0:
        assert np.mean([one.p < 0.05 for one in found if one is not None]) <= 0.08


class Case(NamedTuple):
    """What the errors of a study share: genes by block, the noise of a person."""

    blocks: int
    genes_of_a_block: int
    noise: float


@pytest.mark.parametrize(
    "case", [Case(24, 1, 0.0), Case(24, 1, 0.4), Case(12, 3, 0.4)], ids=["independent", "noise", "blocks"]
)
def test_intervals_of_a_mean_correlation_hold_it(case: Case) -> None:
    """Genes of a block see the same variants, so that predictions and their errors are alike."""
    settings = replace(MODEL, individuals=240, window=4_000, genes=80, contigs=80, h2=0.3, causal=5)
    settings = replace(settings, shared_noise=case.noise)
    pool = gene_variants(make_contigs(settings, make_people(settings), np.random.default_rng(2)), 4_000)
    rng = np.random.default_rng(3)
    blocks = np.repeat(np.arange(case.blocks), case.genes_of_a_block)
    found: list[Interval] = []
    for trial in range(120):
        chosen = rng.choice(len(pool), case.blocks, replace=False)[blocks]
        people = rng.choice(240, 60, replace=False)
        here = [pool[g] for g in chosen.tolist()]
        drawn = draw_expression(here, settings, rng)
        x = (drawn.genetic + draw_expression(here, settings, rng).cis)[:, people]
        y = drawn.values[:, people]
        draws = make_draws(blocks, np.arange(60), draws=150, seed=trial)
        r = gene_metrics(x, y).pearson
        drawn_r = bootstrap_pearson(x, y, np.ones(y.shape, dtype=np.bool_), draws.individuals)
        found.append(mean_interval(r, drawn_r, draws))
    truth = np.mean([one.mean for one in found])
    held = np.mean([one.ci95[0] <= truth <= one.ci95[1] for one in found])
    # 120 trials know a share of 0.95 to 0.02, and a standard deviation to 6.5 %
    assert 0.90 <= held <= 0.995
    spread = np.std([one.mean for one in found])
    assert np.mean([one.se for one in found]) / spread == pytest.approx(1.0, abs=0.18)


@pytest.fixture(scope="module")
def study() -> SimulatedCohort:
    """Populations that differ, siblings, windows that overlap, rare variants, a grammar."""
    return simulate(
        Settings(
            individuals=200,
            genes=24,
            window=16_000,
            spacing=9_000,
            fst=0.1,
            h2=0.5,
            rare_share=0.3,
            grammar_share=0.4,
            sibling_share=0.2,
            population_variance=0.2,
            shared_noise=0.3,
        )
    )


def row(predicted: np.ndarray, observed: np.ndarray) -> CellRow:
    return CellRow(RowKey("m", None, None), "m", (Replicate(-1, 0),), predicted[None], observed[None])


def test_with_people_permuted_nothing_is_found(study: SimulatedCohort) -> None:
    drawn = study.expression
    fitted = np.array(
        [
            ridge(data(gene, target, 100)).predicted
            for gene, target in zip(gene_variants(study.contigs, 16_000), drawn.values, strict=True)
        ]
    )
    for predicted, observed in ((drawn.genetic, drawn.values), (fitted, drawn.values[:, 100:])):
        found = permute_people(row(predicted, observed), permutations=1_000)
        assert abs(found.mean) < 0.005
        assert found.p < 0.01


@pytest.mark.parametrize("model", [ridge, gblup])
def test_models_of_permuted_people_find_nothing(
    study: SimulatedCohort, model: Callable[[GeneData], Fit]
) -> None:
    variants = gene_variants(study.contigs, 16_000)
    blocks = gene_blocks(["1"] * 24, [gene.tss for gene in study.genes], 16_000)
    found = []
    for permutation in range(16):
        order = np.random.default_rng(permutation).permutation(200)
        values = study.expression.values[:, order]
        fits = [model(data(gene, target, 140)) for gene, target in zip(variants, values, strict=True)]
        predicted, observed = np.array([fit.predicted for fit in fits]), values[:, 140:]
        draws = make_draws(blocks, np.arange(60), draws=200)
        mask = np.ones(observed.shape, dtype=np.bool_)
        drawn = bootstrap_pearson(predicted, observed, mask, draws.individuals)
        found.append(mean_interval(gene_metrics(predicted, observed).pearson, drawn, draws))
    assert sum(one.ci95[0] <= 0 <= one.ci95[1] for one in found) >= 13  # 15.2 on average
    means = np.array([one.mean for one in found])
    assert abs(means.mean()) < 2.5 * means.std() / 4


def test_the_oracle_correlates_by_the_square_root_of_h2() -> None:
    for options in ({}, {"rare_share": 1.0}, {"grammar_share": 1.0}, {"causal": "all", "rare_share": "any"}):
        settings = Settings(individuals=200, genes=40, window=8_000, h2=0.4, **options)  # type: ignore[arg-type]
        drawn = simulate(settings).expression
        h2 = drawn.genetic.var(axis=1) / drawn.values.var(axis=1)
        r = gene_metrics(drawn.genetic, drawn.values).pearson
        # chance correlation of genetics and noise: 1 / sqrt(200) a gene
        assert np.mean(r) == pytest.approx(np.mean(np.sqrt(h2)), abs=0.03)
        assert np.abs(r - np.sqrt(h2)).max() < 0.25


def accuracy(simulated: SimulatedCohort, model: str) -> tuple[float, float]:
    """Return mean r in people that a model did not see, its own and that of the truth."""
    fit = {"elastic-net": elastic_net, "ridge": ridge}[model]
    values, window = simulated.expression.values, simulated.settings.window
    order = np.random.default_rng(0).permutation(values.shape[1])
    fits: list[Fit] = []
    for (dosage, distance), target in zip(gene_variants(simulated.contigs, window), values, strict=True):
        fits.append(fit(data(GeneVariants(dosage[order], distance), target[order], 150)))
    observed = values[:, order[150:]]
    own = gene_metrics(np.array([one.predicted for one in fits]), observed).pearson
    oracle = gene_metrics(simulated.expression.genetic[:, order[150:]], observed).pearson
    return float(own.mean()), float(oracle.mean())


def test_rare_variants_are_found_by_the_truth_and_hardly_by_linear_models() -> None:
    settings = Settings(
        individuals=250, genes=10, window=8_000, populations=1, grammar_share=0.0, h2=0.5, causal=2
    )
    common, oracle_of_common = accuracy(simulate(settings), "elastic-net")
    rare, oracle_of_rare = accuracy(simulate(replace(settings, rare_share=1.0, causal=20)), "elastic-net")
    assert common > 0.8 * oracle_of_common
    assert oracle_of_rare > 0.55
    assert rare < 0.5 * oracle_of_rare


def test_the_grammar_can_be_learnt_from_other_genes() -> None:
    """Least squares on the places of each motif, in some genes, finds the weights and predicts the others."""
    settings = Settings(individuals=120, genes=45, window=12_000, h2=0.5, grammar_share=1.0, populations=1)
    simulated = simulate(settings)
    grammar, values = simulated.grammar, simulated.expression.values
    placed = [(contig, gene) for contig in simulated.contigs for gene in contig.genes]
    columns = []
    for motif in grammar.motifs:
        one = Grammar((motif,), np.ones(1))
        found = [apply_grammar(one, contig, gene, 12_000).haplotypes for contig, gene in placed]
        columns.append(np.array(found).reshape(45, 120, 2).sum(axis=2))
    places = np.stack(columns, axis=-1)  # [genes, people, motifs]
    places -= places.mean(axis=1, keepdims=True)
    centred = values - values.mean(axis=1, keepdims=True)
    weights, *_ = np.linalg.lstsq(places[:30].reshape(-1, len(grammar.motifs)), centred[:30].ravel())
    np.testing.assert_allclose(weights, grammar.weights, atol=0.2 * np.abs(grammar.weights).max())
    learnt = gene_metrics(places[30:] @ weights, values[30:]).pearson.mean()
    oracle = gene_metrics(simulated.expression.genetic[30:], values[30:]).pearson.mean()
    assert learnt == pytest.approx(oracle, abs=0.02)
    # what one gene's variants taught says nothing of another's: the same variants are not there
    columns_of = [set(contig.position[contig.window(gene, 12_000)].tolist()) for contig, gene in placed]
    assert not set().union(*columns_of[:30]) & set().union(*columns_of[30:])
