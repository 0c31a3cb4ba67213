"""Standard errors against a simulated truth, blocks of genes, and the control with people permuted."""

from __future__ import annotations

import numpy as np
import pytest

from glm2x.evaluation.controls import permute_people
from glm2x.evaluation.metrics import gene_metrics
from glm2x.evaluation.tables import CellRow, Replicate, RowKey
from glm2x.evaluation.uncertainty import (
    Interval,
    PeopleMoments,
    bootstrap_pearson,
    gene_blocks,
    make_draws,
    mean_interval,
)


def row(predicted: np.ndarray, observed: np.ndarray, label: str = "m") -> CellRow:
    return CellRow(RowKey(label, None, None), label, (Replicate(-1, 0),), predicted[None], observed[None])


def simulate(
    rng: np.random.Generator, genes: int, people: int, shared: float
) -> tuple[np.ndarray, np.ndarray]:
    """Genes whose r varies, with a part of predictions and of noise that all genes share."""
    slope = rng.normal(0.3, 0.08, (genes, 1))
    x = np.sqrt(1 - shared) * rng.normal(size=(genes, people)) + np.sqrt(shared) * rng.normal(size=people)
    noise = np.sqrt(1 - shared) * rng.normal(size=(genes, people)) + np.sqrt(shared) * rng.normal(size=people)
    return x, slope * x + noise


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_the_standard_error_is_the_spread_of_repeated_studies(shared: float) -> None:
    rng = np.random.default_rng(0)
    means, errors = [], []
    for repeat in range(200):
        x, y = simulate(rng, 25, 50, shared)
        draws = make_draws(np.arange(25), np.arange(50), draws=200, seed=repeat)
        r = gene_metrics(x, y).pearson
        people = bootstrap_pearson(x, y, np.ones(x.shape, dtype=bool), draws.individuals)
        found = mean_interval(r, people, draws)
        means.append(found.mean)
        errors.append(found.se)
    # 200 repeats know a standard deviation to 5 %. Without V_cell the ratio is 1.3 for shared = 0.
    assert np.mean(errors) / np.std(means) == pytest.approx(1.0, abs=0.15)


def test_an_interval_from_few_unequal_blocks_covers_the_truth() -> None:
    # 26 genes in 8 blocks, 60 people; blocks share a slope and a part of predictions and noise.
    blocks = np.repeat(np.arange(8), (9, 5, 4, 3, 2, 1, 1, 1))
    rng = np.random.default_rng(0)

    def study() -> tuple[np.ndarray, np.ndarray]:
        slope = 0.25 + 0.15 * rng.normal(size=(8, 1))[blocks] + 0.075 * rng.normal(size=(26, 1))
        x, noise = (
            np.sqrt(0.7) * rng.normal(size=(26, 60)) + np.sqrt(0.3) * rng.normal(size=(8, 60))[blocks]
            for _ in range(2)
        )
        return x, slope * x + noise

    truth = np.mean([gene_metrics(*study()).pearson for _ in range(1500)])
    covered = []
    for repeat in range(400):
        x, y = study()
        draws = make_draws(blocks, np.arange(60), draws=200, seed=repeat)
        people = bootstrap_pearson(x, y, np.ones(x.shape, dtype=bool), draws.individuals)
        low, high = mean_interval(gene_metrics(x, y).pearson, people, draws).ci95
        covered.append(low <= truth <= high)
    # A normal interval without the correction for few clusters covers 0.865.
    assert 0.92 <= np.mean(covered) <= 0.98


def test_weighted_correlations_are_those_of_the_drawn_people() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(4, 20)), rng.normal(size=(4, 20))
    y[1, :5] = np.nan
    y[2] = 1e3 + 1e-2 * y[2]
    x[3] = 0.0
    mask = np.isfinite(y)
    drawn = rng.integers(0, 20, 20)
    weights = np.bincount(drawn, minlength=20)[None].astype(float)
    expected = gene_metrics(x[:, drawn], y[:, drawn]).pearson
    assert expected[3] == 0
    np.testing.assert_allclose(bootstrap_pearson(x, y, mask, weights)[0], expected, atol=1e-9)


def test_families_and_blocks_are_drawn_together() -> None:
    draws = make_draws(np.array([0, 0, 7, 7, 7]), np.array([3, 1, 3]), draws=50)
    assert (draws.genes[:, 0] == draws.genes[:, 1]).all()
    assert (draws.genes[:, 2] == draws.genes[:, 4]).all()
    assert (draws.genes[:, 0] + draws.genes[:, 2] == 2).all()
    assert (draws.individuals[:, 0] == draws.individuals[:, 2]).all()
    assert len(np.unique(draws.individuals[:, 0])) > 1


def test_draws_are_the_same_for_the_same_seed() -> None:
    a, b, c = (make_draws(np.arange(9), np.arange(9), draws=20, seed=seed) for seed in (1, 1, 2))
    assert (a.genes == b.genes).all()
    assert (a.genes != c.genes).any()


def test_gene_blocks_by_hand() -> None:
    # 1: 0, 90, 189 are each less than 100 from the one before; 289 is 100 from 189; 2 is another contig.
    contigs = ["1", "1", "2", "1", "1", "1"]
    tss = [90, 0, 50, 189, 290, 289]
    assert gene_blocks(contigs, tss, 100).tolist() == [0, 0, 2, 0, 1, 1]


def test_neighbours_are_in_one_block_wherever_the_block_began() -> None:
    assert gene_blocks(["1"] * 3, [0, 63_999, 64_001], 64_000).tolist() == [0, 0, 0]


def test_a_chain_of_two_windows_is_cut_where_its_genes_are_furthest_apart() -> None:
    # Windows of 100: 0 to 199 spans less than two of them; 0 to 200 does not, and 60 to 150 is widest.
    assert gene_blocks(["1"] * 4, [0, 60, 150, 199], 100).tolist() == [0] * 4
    assert gene_blocks(["1"] * 5, [0, 60, 150, 199, 200], 100).tolist() == [0, 0, 1, 1, 1]
    # Of equal distances the first of the two nearest the middle; what is left spans less than two windows.
    assert gene_blocks(["1"] * 5, [0, 50, 100, 150, 200], 100).tolist() == [0, 0, 1, 1, 1]
    # 0 to 400 by 50 is cut between 150 and 200, and 200 to 400 again.
    assert np.bincount(gene_blocks(["1"] * 9, [*range(0, 401, 50)], 100)).tolist() == [4, 2, 3]


def test_one_family_or_one_block_has_no_standard_error() -> None:
    values, people = np.array([0.1, 0.2]), np.zeros((10, 2))
    for blocks, families in ((np.zeros(2, int), np.arange(5)), (np.arange(2), np.zeros(5, int))):
        found = mean_interval(values, people, make_draws(blocks, families, draws=10))
        assert found.mean == pytest.approx(0.15)
        assert np.isnan([found.se, *found.ci95, found.p, found.smallest_difference]).all()


def test_the_standard_error_is_the_formula() -> None:
    draws = make_draws(np.arange(4), np.arange(9), draws=500)
    rng = np.random.default_rng(0)
    people = rng.normal(0, 0.1, (500, 1)) + rng.normal(0, 0.05, (500, 4))
    values = np.array([0.1, 0.2, 0.3, 0.6])
    # 4 blocks and 9 families: a bootstrap has 3/4 and 8/9 of the variance.
    v_genes = np.var(draws.genes @ values / 4) * 4 / 3
    v_people = np.var(people.mean(axis=1)) * 9 / 8
    v_cell = sum(np.var(people[:, g]) for g in range(4)) / 16 * 9 / 8
    assert v_cell < min(v_genes, v_people)
    found = mean_interval(values, people, draws)
    assert found.se == pytest.approx(np.sqrt(v_genes + v_people - v_cell))
    assert found.df == 3


def test_the_standard_error_has_the_larger_variance_as_its_floor() -> None:
    draws = make_draws(np.arange(2), np.arange(4), draws=1000)
    # Per-gene noise that cancels in the mean: V_people is 0 and V_cell is large.
    noise = np.random.default_rng(0).normal(size=(1000, 1))
    found = mean_interval(np.array([0.0, 1.0]), np.hstack([noise, -noise]), draws)
    v_genes = np.var(draws.genes @ np.array([0.0, 1.0]) / 2) * 2
    assert found.se == pytest.approx(np.sqrt(v_genes))


def test_unequal_blocks_are_fewer_than_they_are_many() -> None:
    # Blocks of 3 and 1 of 4 genes: the bootstrap has 1 - (9 + 1) / 16 = 6/16 of the variance.
    draws = make_draws(np.array([0, 0, 0, 1]), np.arange(5), draws=200)
    values = np.array([0.1, 0.2, 0.3, 0.6])
    v_genes = np.var(draws.genes @ values / draws.genes.sum(axis=1)) * 16 / 6
    found = mean_interval(values, np.zeros((200, 4)), draws)
    assert found.se == pytest.approx(np.sqrt(v_genes))
    assert found.df == 1


def test_an_interval_by_hand() -> None:
    found = Interval(0.1, 0.05)
    assert found.ci95 == pytest.approx((0.1 - 1.959964 * 0.05, 0.1 + 1.959964 * 0.05))
    assert found.p == pytest.approx(0.0455, abs=1e-4)
    assert found.smallest_difference == pytest.approx(2.8016 * 0.05, abs=1e-5)
    few = Interval(0.1, 0.05, 7)  # t(0.975) = 2.3646 and t(0.8) = 0.8960 with 7 degrees of freedom
    assert few.ci95 == pytest.approx((0.1 - 2.364624 * 0.05, 0.1 + 2.364624 * 0.05))
    assert few.p == pytest.approx(0.0856, abs=1e-4)
    assert few.smallest_difference == pytest.approx(3.2606 * 0.05, abs=1e-5)
    assert Interval(0.0, 0.0).p == 1
    assert Interval(0.1, 0.0).p == 0


def test_permuted_people_have_mean_r_near_zero_and_a_p() -> None:
    rng = np.random.default_rng(3)
    x, y = simulate(rng, 20, 40, 0.0)
    found = permute_people(row(x, y))
    assert abs(found.mean) < 0.005
    assert found.p == 1 / 1001
    assert permute_people(row(x, y)) == found


@pytest.mark.parametrize(("people", "permutations"), [(6, 200), (1_100, 130)])
def test_permuting_people_by_matrix_is_permuting_people(people: int, permutations: int) -> None:
    """Also where there are so many people that the matrix is made in stretches, and orders in pieces."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(3, people)), rng.normal(size=(3, people))
    found = permute_people(row(x, y), permutations=permutations, seed=5)
    everybody = np.tile(np.arange(people), (permutations, 1))
    orders = np.random.default_rng(5).permuted(everybody, axis=1)
    means = [gene_metrics(x[:, order], y).pearson.mean() for order in orders]
    assert found.mean == pytest.approx(np.mean(means), abs=1e-12)
    assert found.sd == pytest.approx(np.std(means))
    reached = sum(mean >= gene_metrics(x, y).pearson.mean() - 1e-12 for mean in means)
    assert found.p == (reached + 1) / (permutations + 1)


def test_draws_of_people_say_the_same_whatever_the_parts() -> None:
    rng = np.random.default_rng(6)
    drawn = np.asfortranarray(rng.normal(size=(50, 7)))
    whole = PeopleMoments([drawn])
    parts = PeopleMoments([drawn[:, :1], drawn[:, 1:4], drawn[:, 4:4], drawn[:, 4:]])
    np.testing.assert_array_equal(parts.means, whole.means)
    np.testing.assert_array_equal(parts.variances, whole.variances)
    np.testing.assert_allclose(whole.means, drawn.mean(axis=1))
    np.testing.assert_allclose(whole.variances, drawn.var(axis=0))
    draws = make_draws(np.arange(7), np.arange(9), draws=50)
    assert mean_interval(rng.normal(size=7), parts, draws).se > 0


def test_many_people_are_drawn_some_draws_at_a_time() -> None:
    """4,200 people: 1,000 draws of them are not one matrix of float64."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(2, 2, 4_200))
    draws = make_draws(np.arange(2), np.arange(4_200) // 2, draws=300)
    assert draws.individuals.dtype == np.uint16
    assert (draws.individuals.sum(axis=1) == 4_200).all()
    assert (draws.individuals[:, ::2] == draws.individuals[:, 1::2]).all()  # families of two
    found = bootstrap_pearson(x, y, np.ones(x.shape, dtype=bool), draws.individuals)
    for d in (0, 128, 299):
        drawn = np.repeat(np.arange(4_200), draws.individuals[d])
        expected = [np.corrcoef(x[g, drawn], y[g, drawn])[0, 1] for g in range(2)]
        np.testing.assert_allclose(found[d], expected, rtol=1e-9)


def test_permuting_a_constant_prediction_gives_nothing() -> None:
    found = permute_people(row(np.ones((2, 5)), np.arange(10.0).reshape(2, 5)))
    assert (found.mean, found.sd, found.p) == (0.0, 0.0, 1.0)
