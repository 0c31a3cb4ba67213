"""Simulated expression: causal variants, shares of the variance, and parts that add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glm2x.errors import UsageError
from glm2x.simulate.cohort import gene_variants, simulate
from glm2x.simulate.effects import draw_effects
from glm2x.simulate.expression import GeneVariants, draw_expression
from glm2x.simulate.genotypes import make_contigs
from glm2x.simulate.people import make_people
from glm2x.simulate.settings import RARE, Settings
from glm2x.simulate.truth import describe

PLAIN = Settings(individuals=120, genes=12, window=12_000, populations=1, grammar_share=0.0, h2=0.4)


@pytest.fixture(scope="module")
def genes() -> list[GeneVariants]:
    return gene_variants(make_contigs(PLAIN, make_people(PLAIN), np.random.default_rng(0)), PLAIN.window)


def frequency(gene: GeneVariants) -> np.ndarray:
    p = gene.dosage.mean(axis=0) / 2
    return np.minimum(p, 1 - p)


def test_causal_variants_are_as_many_and_as_frequent_as_asked(genes: list[GeneVariants]) -> None:
    rng = np.random.default_rng(0)
    for gene in genes:
        common = draw_effects(*gene, PLAIN, rng)
        assert len(common.columns) == 3
        assert (np.diff(common.columns) > 0).all()
        assert (frequency(gene)[common.columns] >= RARE).all()
        assert not common.rare.any()
        both = draw_effects(*gene, replace(PLAIN, rare_share=0.5, causal=2), rng)
        assert both.rare.sum() == 2
        assert ((frequency(gene)[both.columns] < RARE) == both.rare).all()
        assert len(both.columns) == 4
        rare = draw_effects(*gene, replace(PLAIN, rare_share=1.0), rng)
        assert rare.rare.all()
        every = draw_effects(*gene, replace(PLAIN, causal="all", rare_share="any"), rng)
        assert len(every.columns) == gene.dosage.shape[1]
        most = draw_effects(*gene, replace(PLAIN, causal="all"), rng)
        assert len(most.columns) == (frequency(gene) >= RARE).sum()


def test_rare_is_either_allele() -> None:
    counts = np.array([1, 2, 3, 60, 197, 198, 199])  # of 200: 2 is 1 %
    dosage = np.zeros((100, 7), np.float32)
    for j, count in enumerate(counts.tolist()):
        dosage[: count // 2, j] = 2
        dosage[count // 2, j] += count % 2
    settings = replace(PLAIN, causal=7, rare_share=0.5)
    found = draw_effects(dosage, np.zeros(7, np.int64), settings, np.random.default_rng(0))
    assert found.columns.tolist() == list(range(7))
    assert found.rare.tolist() == [True, False, False, False, False, False, True]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": "all", "rare_share": "any"},
        {"causal": "all", "placement": "uniform"},
        {"rare_share": 0.5},
        {"rare_share": "any", "causal": 10},
    ],
)
def test_the_expected_variance_is_h2(genes: list[GeneVariants], options: dict[str, object]) -> None:
    settings = replace(PLAIN, **options)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    drawn = [draw_effects(*gene, settings, rng).genetic_value(gene.dosage) for gene in genes * 80]
    assert np.var(drawn, axis=1).mean() == pytest.approx(0.4, rel=0.12)


def test_a_share_of_the_grammar_is_left_to_it(genes: list[GeneVariants]) -> None:
    rng = np.random.default_rng(1)
    settings = replace(PLAIN, grammar_share=0.75)
    drawn = [draw_effects(*gene, settings, rng).genetic_value(gene.dosage) for gene in genes * 80]
    assert np.var(drawn, axis=1).mean() == pytest.approx(0.1, rel=0.12)


def test_rare_variants_have_their_share(genes: list[GeneVariants]) -> None:
    rng = np.random.default_rng(2)
    settings = replace(PLAIN, rare_share=0.25)
    parts = []
    for gene in genes * 80:
        found = draw_effects(*gene, settings, rng)
        of_rare = gene.dosage[:, found.columns[found.rare]] @ found.effect[found.rare]
        parts.append(of_rare.var())
    assert np.mean(parts) == pytest.approx(0.1, rel=0.2)


def test_near_is_nearer_than_uniform(genes: list[GeneVariants]) -> None:
    rng = np.random.default_rng(3)

    def distance(placement: str) -> float:
        settings = replace(PLAIN, placement=placement)  # type: ignore[arg-type]
        chosen = [(gene, draw_effects(*gene, settings, rng).columns) for gene in genes * 20]
        return float(np.mean([np.abs(gene.distance[columns]).mean() for gene, columns in chosen]))

    assert distance("uniform") == pytest.approx(3_000, rel=0.15)
    assert distance("near-tss") < 2_500


def test_effects_are_of_alleles(genes: list[GeneVariants]) -> None:
    gene = genes[0]
    found = draw_effects(*gene, PLAIN, np.random.default_rng(0))
    expected = sum(gene.dosage[:, c] * e for c, e in zip(found.columns, found.effect, strict=True))
    np.testing.assert_allclose(found.genetic_value(gene.dosage), expected, atol=1e-5)


def test_a_gene_without_variants_has_no_effects() -> None:
    nothing = GeneVariants(np.zeros((9, 0), np.float32), np.zeros(0, np.int64))
    same = GeneVariants(np.ones((9, 2), np.float32), np.array([-1, 5]))
    for gene in (nothing, same):
        for causal in (3, "all"):
            settings = replace(PLAIN, causal=causal)  # type: ignore[arg-type]
            found = draw_effects(*gene, settings, np.random.default_rng(0))
            assert len(found.columns) == 0
            assert (found.genetic_value(gene.dosage) == 0).all()


def test_the_parts_add_up_and_have_their_variances(genes: list[GeneVariants]) -> None:
    settings = replace(PLAIN, covariates=4, covariate_variance=0.5, population_variance=2.0, shared_noise=0.5)
    population = np.arange(120) % 3
    grammar = np.random.default_rng(0).normal(size=(12 * 30, 120))
    rng = np.random.default_rng(4)
    drawn = draw_expression(genes * 30, settings, rng, population=population, grammar=grammar)
    assert (drawn.grammar == grammar).all()
    whole = drawn.base[:, None] + drawn.cis + grammar + drawn.population + drawn.noise
    whole += drawn.covariate_effects @ drawn.covariates
    np.testing.assert_allclose(drawn.values, whole)
    np.testing.assert_allclose(drawn.genetic, drawn.cis + grammar)
    assert drawn.covariates.shape == (4, 120)
    covariates = drawn.covariate_effects @ drawn.covariates
    assert covariates.var(axis=1).mean() == pytest.approx(0.5, rel=0.2)
    assert drawn.noise.var(axis=1).mean() == pytest.approx(0.6, rel=0.1)
    # half of the noise is a person's in every gene
    assert np.corrcoef(drawn.noise)[np.triu_indices(360, 1)].mean() == pytest.approx(0.5, abs=0.1)
    assert (np.ptp(drawn.population[:, population == 1], axis=1) == 0).all()
    assert drawn.population[:, :3].var() == pytest.approx(2.0, rel=0.15)


def test_people_without_a_population_are_of_one(genes: list[GeneVariants]) -> None:
    settings = replace(PLAIN, population_variance=1.0)
    drawn = draw_expression(genes, settings, np.random.default_rng(0))
    assert (np.ptp(drawn.population, axis=1) == 0).all()
    assert (drawn.grammar == 0).all()


def test_the_grammar_has_its_share_and_is_in_every_mean() -> None:
    found = simulate(replace(PLAIN, grammar_share=0.5, genes=20))
    of_people = found.expression.grammar
    assert of_people.var(axis=1).mean() == pytest.approx(0.2)
    both = found.grammar_of_genes[3].haplotypes.reshape(-1, 2).sum(axis=1)
    np.testing.assert_allclose(of_people[3], both)
    reference = np.array([one.reference for one in found.grammar_of_genes])
    np.testing.assert_allclose((found.expression.base - 2 * reference).std(), 1.0, atol=0.5)
    assert reference.std() > 0.1
    without = simulate(replace(PLAIN, grammar_share=0.0))
    assert not without.expression.grammar.any()


def test_a_simulation_is_that_of_its_seed() -> None:
    one, same, other = (simulate(replace(PLAIN, genes=2, seed=seed)) for seed in (1, 1, 2))
    assert (one.expression.values == same.expression.values).all()
    assert (one.contigs[0].codes == same.contigs[0].codes).all()
    assert (one.contigs[0].codes != other.contigs[0].codes).any()


def test_expression_does_not_change_the_genotypes() -> None:
    one, other = simulate(PLAIN), simulate(replace(PLAIN, h2=0.8, covariates=2, causal=5))
    assert (one.contigs[0].haplotypes == other.contigs[0].haplotypes).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("individuals", 7), ("genes", 0), ("populations", 0), ("contigs", 0), ("contigs", 101)),
        *(("window", 7), ("window", 0), ("spacing", 0), ("causal", 0), ("covariates", -1), ("seed", -1)),
        *(("h2", 1.0), ("h2", -0.1), ("fst", 1.0), ("fst", float("nan")), ("rare_share", 1.1)),
        *(("sibling_share", -0.1), ("grammar_share", 2.0), ("shared_noise", 1.5)),
        *(("covariate_variance", -1.0), ("population_variance", float("inf"))),
        *(("diversity", 0.0), ("diversity", 0.2), ("recombination", -1.0), ("recombination", 1.0)),
    ],
)
def test_a_number_outside_its_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert str(value) in str(caught.value)
    assert name.replace("_", "-") in str(caught.value)


def test_settings_say_what_was_meant() -> None:
    assert Settings(window=1_000).as_json()["spacing"] == 1_250
    assert Settings(spacing=77).gap == 77


def test_h2_is_a_share_also_among_few_people() -> None:
    """Among few, noise and genetics happen to correlate: the variance of their sum may be the smaller one."""
    made = simulate(Settings(individuals=14, genes=4, window=20_000, fst=0.0, covariates=1, seed=5))
    for gene in describe(made)["genes"]:
        genetic, noise = gene["variance_genetic"], gene["variance_noise"]
        others = gene["variance_covariates"] + gene["variance_population"]
        assert gene["h2"] == pytest.approx(genetic / (genetic + noise))
        assert gene["h2_expression"] == pytest.approx(genetic / (genetic + noise + others))
