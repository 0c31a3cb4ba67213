"""Metrics by hand, the null rule, ties, missing measurements, and Benjamini-Hochberg."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from glm2x.evaluation.metrics import (
    across_genes_spearman,
    benjamini_hochberg,
    gene_metrics,
    masked_pearson,
    pearson_p,
    rank,
    spearman_r,
)

NAN = float("nan")


def test_a_gene_by_hand() -> None:
    # x - mean: -1.5 -.5 .5 1.5; y - mean: -1 -2 2 1; xy = 1.5 + 1 + 1 + 1.5 = 5; xx = 5; yy = 10.
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    y = np.array([[2.0, 1.0, 5.0, 4.0]])
    found = gene_metrics(x, y, training_mean=np.array([2.0]))
    r = 5 / np.sqrt(50)
    assert found.pearson[0] == pytest.approx(r)
    assert found.spearman[0] == pytest.approx(0.6)  # ranks 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert found.slope[0] == pytest.approx(1.0)
    # SS(y - x) = 1 + 1 + 4 + 0 = 6; SS(y - 2) = 0 + 1 + 9 + 4 = 14.
    assert found.r2[0] == pytest.approx(1 - 6 / 14)
    # t = r sqrt(2 / (1 - r^2)) = sqrt(2); with two degrees of freedom p = 1 - t / sqrt(2 + t^2).
    assert found.p[0] == pytest.approx(1 - 1 / np.sqrt(2))
    assert found.individuals[0] == 4
    assert not found.null[0]
    assert np.isnan(found.within_population[0])


def test_agrees_with_scipy_gene_by_gene_with_missing_and_tied_values() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 5, (6, 30)).astype(float), rng.normal(size=(6, 30))
    y[:3, ::4] = NAN
    x[4, 7] = NAN
    found = gene_metrics(x, y)
    for g in range(6):
        kept = np.isfinite(x[g]) & np.isfinite(y[g])
        pearson = stats.pearsonr(x[g, kept], y[g, kept])
        assert found.pearson[g] == pytest.approx(pearson.statistic)
        assert found.p[g] == pytest.approx(pearson.pvalue)
        assert found.spearman[g] == pytest.approx(stats.spearmanr(x[g, kept], y[g, kept]).statistic)
        assert found.slope[g] == pytest.approx(stats.linregress(x[g, kept], y[g, kept]).slope)
        assert found.individuals[g] == kept.sum()


def test_the_null_rule_is_at_a_thousandth_of_the_phenotypes_sd() -> None:
    y = np.array([[0.0, 1.0, 2.0, 3.0]] * 3)
    x = np.array([[0.0, 1.0, 2.0, 3.0]]) * np.array([[0.0], [0.9e-3], [1.1e-3]])
    found = gene_metrics(x, y)
    assert found.null.tolist() == [True, True, False]
    np.testing.assert_allclose(found.pearson, [0, 0, 1])
    np.testing.assert_allclose(found.spearman, [0, 0, 1])
    np.testing.assert_allclose(found.p, [1, 1, 0], atol=1e-12)
    assert np.isnan(found.slope[:2]).all()


def test_a_constant_with_rounding_errors_is_null() -> None:
    x = np.full((1, 1000), 0.1 + 0.2) + np.array([0.0, 5e-17] * 500)
    assert gene_metrics(x, np.random.default_rng(0).normal(size=(1, 1000))).null[0]


@pytest.mark.parametrize(
    "y", [[1.0, 2.0, NAN, NAN], [5.1, 5.1, 5.1, 5.1], [NAN] * 4], ids=["two people", "constant", "nobody"]
)
def test_a_gene_without_a_correlation_is_undefined_and_not_zero(y: list[float]) -> None:
    found = gene_metrics(np.array([[1.0, 2.0, 3.0, 5.0]]), np.array([y]), training_mean=np.array([1.0]))
    assert np.isnan([found.pearson[0], found.spearman[0], found.p[0], found.fdr[0], found.slope[0]]).all()
    assert np.isnan(found.r2[0])
    assert not found.null[0]


def test_r2_is_defined_where_r_is() -> None:
    # Measurements that differ by rounding only: R2 would be about -10^29.
    x = np.array([[1.0, 2.0, 3.0, 4.0]] * 2)
    y = np.array([[0.3, 0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, 3.0, 5.0]])
    found = gene_metrics(x, y, training_mean=np.array([0.3, 1.0]))
    assert np.isnan(found.pearson).tolist() == [True, False]
    # SS(y - x) = 1; SS(y - 1) = 0 + 1 + 4 + 16.
    np.testing.assert_allclose(found.r2, [NAN, 1 - 1 / 21])


def test_predictions_too_large_to_square_are_undefined() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        r, null = masked_pearson(
            np.array([[1e300, -1e300, 3e299]]), np.array([[1.0, 2.0, 4.0]]), np.ones((1, 3), dtype=bool)
        )
    assert np.isnan(r[0])
    assert not null[0]


def test_within_populations_a_difference_between_them_counts_nothing() -> None:
    population = np.array([0, 0, 0, 1, 1, 1])
    x = np.array([[1.0, 2.0, 3.0, 11.0, 12.0, 13.0]])
    y = np.array([[3.0, 2.0, 1.0, 13.0, 12.0, 11.0]])
    found = gene_metrics(x, y, population=population)
    assert found.pearson[0] > 0.9
    assert found.within_population[0] == pytest.approx(-1)


def test_a_gene_constant_within_each_population_is_undefined_within() -> None:
    population = np.array([0, 0, 0, 1, 1, 1])
    x = np.array([[1.0, 2.0, 4.0, 3.0, 9.0, 5.0]])
    # The mean of three 0.1 is 0.10000000000000002: taking it off leaves rounding, not variance.
    y = np.array([[0.1, 0.1, 0.1, 0.7, 0.7, 0.7]])
    found = gene_metrics(x, y, population=population)
    assert np.isfinite(found.pearson[0])
    assert np.isnan(found.within_population[0])


def test_people_alone_in_their_population_or_without_one_are_left_out_within() -> None:
    population = np.array([0, 0, 0, 1, -1, -1])
    x = np.array([[1.0, 2.0, 3.0, 50.0, 70.0, -90.0]])
    y = np.array([[1.0, 2.0, 4.0, -50.0, 0.0, 8.0]])
    expected = stats.pearsonr([1, 2, 3], [1, 2, 4]).statistic
    assert gene_metrics(x, y, population=population).within_population[0] == pytest.approx(expected)


def test_partial_r_is_that_of_the_residuals_of_regressions_on_pcs() -> None:
    """Against scikit-learn gene by gene, with other people missing in each; and people without PCs."""
    rng = np.random.default_rng(4)
    components = rng.normal(size=(40, 3))
    x = rng.normal(size=(5, 40)) + 10 * components[:, 0] + 50
    y = 0.5 * x + 3 * components[:, 1] + rng.normal(size=(5, 40))
    y[1, ::3] = y[4, :5] = NAN
    components[7] = NAN
    found = gene_metrics(x, y, components=components)
    for g in range(5):
        kept = np.isfinite(x[g]) & np.isfinite(y[g]) & np.isfinite(components[:, 0])
        c = components[kept]
        left = [v[g, kept] - LinearRegression().fit(c, v[g, kept]).predict(c) for v in (x, y)]
        assert found.partial[g] == pytest.approx(stats.pearsonr(*left).statistic)
    # the closed formula for one component: (r_xy - r_xc r_yc) / sqrt((1 - r_xc^2) (1 - r_yc^2))
    one = gene_metrics(x[:1], y[:1], components=np.where(np.isfinite(components), components, 0.0)[:, :1])
    r = np.corrcoef([x[0], y[0], np.where(np.isfinite(components), components, 0.0)[:, 0]])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert one.partial[0] == pytest.approx(expected)


def test_a_prediction_from_pcs_alone_has_no_partial_r() -> None:
    rng = np.random.default_rng(5)
    components = rng.normal(size=(30, 2))
    x = (components @ [1.0, -2.0])[None]
    found = gene_metrics(x, x + rng.normal(size=(1, 30)), components=components)
    assert found.pearson[0] > 0.5
    assert found.partial[0] == 0
    assert np.isnan(
        gene_metrics(x[:, :5], x[:, :5] + 1.0, components=components[:5]).partial[0]
    )  # 2 + 4 needed
    assert np.isnan(gene_metrics(x, x).partial[0])  # without PCs


def test_gene_mean_and_difference_are_two_parts() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.normal(3, 1, (4, 25)), rng.normal(5, 2, (4, 25))
    y[2, :4] = NAN
    found = gene_metrics(x, y)
    for g in range(4):
        kept = np.isfinite(y[g])
        a, b = x[g, kept], y[g, kept]
        assert found.mean_predicted[g] == pytest.approx(a.mean())
        assert found.mean_observed[g] == pytest.approx(b.mean())
        assert found.difference_r2[g] == pytest.approx(r2_score(b - b.mean(), a - a.mean()))
        # of the squared error, one part is the gene's mean and the other people's differences from it
        whole = ((a - b) ** 2).mean()
        parts = (a.mean() - b.mean()) ** 2 + (1 - found.difference_r2[g]) * b.var()
        assert whole == pytest.approx(parts)


def test_many_genes_are_computed_in_pieces_as_one_by_one() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(700, 400)), rng.normal(size=(700, 400))  # more than one piece
    found = gene_metrics(x, y)
    for g in (0, 326, 327, 328, 699):
        alone = gene_metrics(x[g : g + 1], y[g : g + 1])
        assert found.pearson[g] == pytest.approx(alone.pearson[0])
        assert found.spearman[g] == pytest.approx(stats.spearmanr(x[g], y[g]).statistic)


def test_ranks_of_infinite_values_are_ranks() -> None:
    values = np.array([[np.inf, 1.0, -np.inf, NAN, np.inf]])
    mask = np.array([[True, True, True, False, True]])
    np.testing.assert_array_equal(rank(values, mask), [[3.5, 2, 1, NAN, 3.5]])


def test_r2_needs_the_training_mean() -> None:
    x, y = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 2.0, 4.0]])
    assert np.isnan(gene_metrics(x, y).r2[0])
    assert np.isnan(gene_metrics(x, y, training_mean=np.array([NAN])).r2[0])


def test_ranks_share_their_mean_and_leave_out_the_missing() -> None:
    values = np.array([[3.0, 1.0, 3.0, 9.0], [2.0, NAN, 1.0, 2.0]])
    expected = [[2.5, 1, 2.5, 4], [2.5, NAN, 1, 2.5]]
    np.testing.assert_array_equal(rank(values, np.isfinite(values)), expected)


def test_p_of_a_perfect_and_of_no_correlation() -> None:
    np.testing.assert_array_equal(pearson_p(np.array([1.0, -1.0, 0.0]), np.array([5, 5, 5])), [0, 0, 1])


def test_benjamini_hochberg_by_hand_leaves_out_what_is_undefined() -> None:
    # Sorted .01 .02 .04 .2 of four: .04, .04, .04 * 4 / 3, .2.
    found = benjamini_hochberg(np.array([0.04, NAN, 0.01, 0.2, 0.02]))
    np.testing.assert_allclose(found, [0.16 / 3, NAN, 0.04, 0.2, 0.04])
    assert np.isnan(benjamini_hochberg(np.array([NAN]))).all()


def test_across_genes_each_individual_is_ranked_over_its_genes() -> None:
    predicted = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    observed = np.array([[10.0, 5.0], [20.0, 4.0], [30.0, 3.0]])
    assert across_genes_spearman(predicted, observed) == pytest.approx(0.0)
    assert across_genes_spearman(predicted, observed[:, [0, 0]]) == pytest.approx(1.0)
    assert np.isnan(across_genes_spearman(predicted[:2], observed[:2]))


@pytest.mark.parametrize("people", [3, 4, 64, 65])
def test_ranks_of_whole_rows_are_those_of_scipy_however_alike_the_values(people: int) -> None:
    rng = np.random.default_rng(people)
    x, y = rng.normal(size=(2, 6, people))
    x[1] = 1 + 1e-15 * rng.permutation(people)  # in the last bits, and often the same
    x[2], x[2, :2] = np.abs(x[2]) * 1e-300, (0.0, -0.0)  # the same number with other bits
    x[3] *= 1e300
    x[4] = np.round(x[4], 1)
    y[5] = -np.abs(y[5])
    found = spearman_r(x, y, np.ones(x.shape, dtype=bool))
    for g in range(6):
        assert found[g] == pytest.approx(stats.spearmanr(x[g], y[g]).statistic)
