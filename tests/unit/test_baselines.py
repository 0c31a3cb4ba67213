"""Each baseline on data whose answer can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from glm2x.baselines import path
from glm2x.baselines.data import Fit, GeneData, standardise
from glm2x.baselines.gblup import gblup
from glm2x.baselines.path import NotConverged, elastic_net_path
from glm2x.baselines.penalised import elastic_net, held_out_by_folds, lasso, penalty_grid
from glm2x.baselines.registry import BASELINES, find_baselines
from glm2x.baselines.ridge import leave_one_out, left_singular, penalties, ridge
from glm2x.baselines.simple import genotype_pcs, top_variant, training_mean
from glm2x.errors import UsageError

CIS = (top_variant, elastic_net, lasso, ridge, gblup)


def gene(
    dosage_fit: object, target_fit: object, dosage: object, components: tuple[object, object] | None = None
) -> GeneData:
    fit, new = (None, None) if components is None else (np.array(c, dtype=float) for c in components)
    return GeneData(
        "G",
        np.array(dosage_fit, dtype=np.float32),
        np.array(target_fit, dtype=float),
        np.array(dosage, dtype=np.float32),
        fit,
        new,
    )


def simulated(people: int, variants: int, effect: float, seed: int = 0) -> GeneData:
    """Independent variants, the first with an `effect` an allele; 20 more people to predict."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.4, size=(people + 20, variants)).astype(np.float32)
    target = 5 + effect * dosage[:people, 0] + rng.normal(size=people)
    return GeneData("S", dosage[:people], target, dosage)


# Two variants, four people: the target is 1 + 2 * variant 2, variant 1 is uncorrelated with it.
EXACT = gene([[0, 0], [2, 0], [0, 2], [2, 2]], [1, 1, 5, 5], [[0, 0], [0, 1], [1, 2]])


def test_training_mean_is_one_number_for_all() -> None:
    assert training_mean(gene([[0], [1], [2]], [1, 2, 4.5], [[0], [2]])).predicted.tolist() == [2.5, 2.5]


def test_top_variant_finds_the_variant_and_its_line() -> None:
    assert top_variant(EXACT).predicted == pytest.approx([1, 3, 5])


def test_top_variant_takes_a_negative_effect() -> None:
    assert top_variant(gene([[0], [1], [2]], [3, 2, 1], [[0], [1], [2]])).predicted == pytest.approx(
        [3, 2, 1]
    )


def test_top_variant_of_perfect_linkage_is_the_first() -> None:
    # both variants are the same among the people fitted; they differ in the person predicted
    assert top_variant(gene([[0, 2], [1, 1], [2, 0]], [0, 1, 2], [[2, 2]])).predicted == pytest.approx([2])


def test_genotype_pcs_fit_a_line_and_ignore_genotypes() -> None:
    data = gene([[0], [2], [0], [1]], [1, 2, 3, 4], [[0], [2]], ([[0], [1], [2], [3]], [[10], [-1]]))
    assert genotype_pcs(data).predicted == pytest.approx([11, 0])


def test_genotype_pcs_keep_a_degree_of_freedom() -> None:
    # three people leave room for one component of the two: the line through 0, 0, 3 at -1, 0, 1
    data = gene([[0], [1], [2]], [0, 0, 3], [[0]], ([[-1, 5], [0, 9], [1, 2]], [[2, 100]]))
    assert genotype_pcs(data).predicted == pytest.approx([1 + 2 * 1.5])


def test_genotype_pcs_of_two_people_are_their_mean() -> None:
    data = gene([[0], [1]], [0, 3], [[0]], ([[-1], [1]], [[2]]))
    assert genotype_pcs(data).predicted.tolist() == [1.5]


def test_genotype_pcs_need_components() -> None:
    with pytest.raises(ValueError, match="no genotype components"):
        genotype_pcs(EXACT)


def test_standardise_by_the_people_fitted_only() -> None:
    design = standardise(gene([[0, 1], [2, 1], [0, 1], [2, 1]], [1, 2, 3, 6], [[1, 0], [2, 2]]))
    assert design is not None
    assert design.fit.tolist() == [[-1], [1], [-1], [1]]  # the second variant does not vary and is dropped
    assert (design.kept.tolist(), design.centre.tolist(), design.scale.tolist()) == ([True, False], [1], [1])
    assert design.target.tolist() == [-2, -1, 0, 3]
    assert design.mean == 3


@pytest.mark.parametrize("fit_predict", CIS)
@pytest.mark.parametrize(
    "data",
    [
        gene(np.zeros((3, 0)), [0.1, 0.2, 0.4], np.zeros((4, 0))),
        gene([[1], [1], [1]], [0.1, 0.2, 0.4], [[0], [1], [2], [2]]),
        gene([[0], [1], [2]], [0.7 / 3, 0.7 / 3 + 1e-13, 0.7 / 3], [[0], [1], [2], [2]]),
        gene([[0], [2]], [0.1, 0.2], [[0], [1], [2], [2]]),
    ],
    ids=["no variant", "no variant that varies", "constant target", "two people"],
)
def test_nothing_to_fit_gives_the_training_mean_exactly(
    fit_predict: Callable[[GeneData], Fit], data: GeneData
) -> None:
    assert fit_predict(data).predicted.tolist() == [data.target_fit.mean()] * 4


@pytest.mark.parametrize("fit_predict", [elastic_net, lasso])
def test_noise_selects_no_variant_and_is_exactly_constant(fit_predict: Callable[[GeneData], Fit]) -> None:
    constant = 0
    for seed in range(5):
        data = simulated(60, 3, effect=0.0, seed=seed)
        predicted = fit_predict(data).predicted
        if predicted.std() < 1e-3:
            constant += 1
            assert predicted.tolist() == [data.target_fit.mean()] * 80
    assert constant > 0


def test_gblup_without_heritability_is_exactly_constant() -> None:
    # people of one genotype differ as much as people of different ones: h2 is zero
    data = gene([[0], [0], [2], [2], [1], [1]], [1, 3, 1, 3, 1, 3], [[0], [1], [2]])
    assert gblup(data).predicted.tolist() == [2, 2, 2]


@pytest.mark.parametrize("fit_predict", CIS)
def test_a_strong_variant_is_found_by_all(fit_predict: Callable[[GeneData], Fit]) -> None:
    data = simulated(80, 10, effect=2.0)
    predicted = fit_predict(data).predicted[80:]
    assert np.corrcoef(predicted, data.dosage[80:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("fit_predict", CIS)
def test_a_shift_of_the_target_shifts_the_prediction(fit_predict: Callable[[GeneData], Fit]) -> None:
    data = simulated(40, 5, effect=1.0)
    shifted = GeneData("S", data.dosage_fit, data.target_fit + 100, data.dosage)
    assert fit_predict(shifted).predicted == pytest.approx(fit_predict(data).predicted + 100, abs=1e-4)


@pytest.mark.parametrize("fit_predict", CIS)
def test_the_fit_does_not_see_who_is_predicted(fit_predict: Callable[[GeneData], Fit]) -> None:
    data = simulated(40, 5, effect=1.0)
    few = GeneData("S", data.dosage_fit, data.target_fit, data.dosage[[41, 7]])
    assert fit_predict(few).predicted == pytest.approx(fit_predict(data).predicted[[41, 7]])


def test_leave_one_out_of_three_people_by_hand() -> None:
    # One column -1, 0, 1 (not of unit variance, which the identity does not need), target the same,
    # penalty 2: the slope is 2 / (2 + 2) = 1/2, the residuals are -1/2, 0, 1/2, and the leverages
    # 1/3 + (1, 0, 1) / 4: the errors are 1/2 / (5/12) of either sign, and 0.
    column: NDArray[np.float64] = np.array([[-1.0], [0.0], [1.0]])
    left, values = left_singular(column)
    errors = leave_one_out(left, values, column[:, 0], np.array([2.0]))
    assert errors[:, 0] == pytest.approx([-6 / 5, 0, 6 / 5])


def test_perfect_linkage_leaves_no_null_singular_value() -> None:
    left, values = left_singular(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]))
    assert left.shape == (3, 1)
    assert values == pytest.approx([2.0])


def test_more_variants_than_people_give_the_same_singular_vectors() -> None:
    matrix = np.random.default_rng(0).normal(size=(5, 12))
    matrix -= matrix.mean(axis=0)
    left, values = left_singular(matrix)
    expected_left, expected, _ = np.linalg.svd(matrix, full_matrices=False)
    assert values == pytest.approx(expected[:4])  # the mean of each column is taken off: rank 4
    assert np.abs(left) == pytest.approx(np.abs(expected_left[:, :4]))


def test_a_matrix_on_which_divide_and_conquer_fails_is_decomposed_by_qr(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = np.random.default_rng(0).normal(size=(12, 5))
    expected_left, expected, _ = np.linalg.svd(matrix, full_matrices=False)

    def fails(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    left, values = left_singular(matrix)
    assert values == pytest.approx(expected)
    assert np.abs(left) == pytest.approx(np.abs(expected_left))


def test_penalties_scale_with_variants() -> None:
    assert penalties(10)[[0, -1]] == pytest.approx([0.1, 1000])


def test_the_path_ends_at_a_hundredth_of_the_penalty_that_leaves_nothing() -> None:
    # z'y / n of the standardised column is 2 (the slope of EXACT a standard deviation); half of it is L1
    design = standardise(EXACT)
    assert design is not None
    grid = penalty_grid(design.fit, design.target, 0.5)
    assert len(grid) == 100
    assert grid[[0, -1]] == pytest.approx([4, 0.04])
    assert penalty_grid(design.fit, design.target, 1.0)[0] == pytest.approx(2)


def test_path_of_one_variant_is_soft_thresholding() -> None:
    # of variance 1 and covariance 2 with the target: b = (2 - a / 2) / (1 + a / 2) until a = 4
    column, target = np.array([[-1.0], [1.0]]), np.array([-2.0, 2.0])
    made = elastic_net_path(column, target, np.array([4, 2, 1]), 0.5)
    assert made[:, 0] == pytest.approx([0, 1 / 2, 1.5 / 1.5])
    assert elastic_net_path(column, -target, np.array([1.0]), 1.0)[0, 0] == pytest.approx(-1)


def test_path_shares_between_variants_in_perfect_linkage() -> None:
    # two of the same: each carries b with 2 = 2 b + (a / 2) b + a / 2, so b = 1.5 / 2.5 at a = 1
    column, target = np.array([[-1.0, -1.0], [1.0, 1.0]]), np.array([-2.0, 2.0])
    assert elastic_net_path(column, target, np.array([1.0]), 0.5)[0] == pytest.approx([0.6, 0.6])


def test_path_drops_a_variant_whose_sign_turns_and_meets_the_conditions() -> None:
    # The third is like the sum of the others and lowers the target: it comes first, and its sign turns.
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(60, 2))
    dosage = np.column_stack([parts, parts.sum(axis=1) + 0.5 * rng.normal(size=60)])
    dosage = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    target = dosage[:, 0] + dosage[:, 1] - 0.3 * dosage[:, 2]
    for l1_ratio in (0.9, 1.0):
        grid = penalty_grid(dosage, target, l1_ratio)
        made = elastic_net_path(dosage, target, grid, l1_ratio)
        assert np.sign(made[0]).tolist() == [0, 0, 0]
        assert np.sign(made[1]).tolist() == [0, 0, 1]
        assert np.sign(made[-1]).tolist() == [1, 1, -1]
        for penalty, values in zip(grid, made, strict=True):
            gradient = dosage.T @ (target - dosage @ values) / 60 - penalty * (1 - l1_ratio) * values
            there = values != 0
            assert gradient[there] == pytest.approx(penalty * l1_ratio * np.sign(values[there]), abs=1e-7)
            assert np.abs(gradient[~there]).max(initial=0) <= penalty * l1_ratio * (1 + 1e-6)


@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_path_of_linked_variants_meets_the_conditions(seed: int, l1_ratio: float) -> None:
    # Each second variant is the one before it, now and then with one person changed or the alleles swapped:
    # many enter and leave together.
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.3, size=(30, 40)).astype(float)
    dosage[:, 1::2] = dosage[:, ::2]
    dosage[rng.integers(0, 30, size=10), np.arange(1, 21, 2)] = 2
    dosage[:, 21::4] = 2 - dosage[:, 21::4]
    dosage = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    target = rng.normal(size=30) + dosage[:, 0]
    target -= target.mean()
    grid = penalty_grid(dosage, target, l1_ratio)
    for penalty, values in zip(grid, elastic_net_path(dosage, target, grid, l1_ratio), strict=True):
        gradient = dosage.T @ (target - dosage @ values) / 30 - penalty * (1 - l1_ratio) * values
        there = values != 0
        assert gradient[there] == pytest.approx(penalty * l1_ratio * np.sign(values[there]), abs=1e-7)
        assert np.abs(gradient[~there]).max(initial=0) <= penalty * l1_ratio + 1e-7


def test_a_path_that_does_not_settle_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    # a solution of the wrong sign throws the variant out as often as its gradient brings it in
    monkeypatch.setattr(path, "_solve", lambda gram, l2, right: -right)
    with pytest.warns(NotConverged, match="the active set of penalty 1 did not settle"):
        elastic_net_path(np.array([[-1.0], [1.0]]), np.array([-2.0, 2.0]), np.array([1.0]), 0.5)


def test_fold_errors_of_leave_one_out_without_variants() -> None:
    # at a penalty that leaves nothing, each of 0, 0, 3 is predicted by the mean of the others
    column, target = np.array([[-1.0], [0.0], [1.0]]), np.array([0.0, 0, 3])
    held_out, errors = held_out_by_folds(column, target, np.array([100.0]), 0.5)
    assert held_out[:, 0] == pytest.approx([1.5, 1.5, 0])
    assert sorted(errors[:, 0]) == pytest.approx([2.25, 2.25, 9])


def test_few_people_have_as_many_folds() -> None:
    assert np.isfinite(elastic_net(simulated(5, 4, effect=1.0)).predicted).all()


@pytest.mark.parametrize("fit_predict", [elastic_net, lasso])
def test_variants_without_any_slope_give_the_training_mean(fit_predict: Callable[[GeneData], Fit]) -> None:
    dosage = np.array([[0.0], [1.0], [0.0]])
    fit = fit_predict(GeneData("g", dosage, np.array([-1.0, 0.0, 1.0]), dosage))
    assert fit.predicted.tolist() == [0, 0, 0]
    assert fit.weights is not None
    assert fit.weights.tolist() == [0]


def test_find_baselines_keeps_the_order_given() -> None:
    assert [baseline.name for baseline in find_baselines(["ridge", "training-mean"])] == [
        "ridge",
        "training-mean",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["elasticnet"], "no baseline is called 'elasticnet'"),
        ([], "no baseline was named"),
        (["ridge", "ridge"], "the baseline ridge is named twice"),
    ],
)
def test_find_baselines_refuses(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_baselines(names)


def test_find_baselines_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        find_baselines(["elasticnet"])
    assert caught.value.do == "did you mean elastic-net?"
    assert caught.value.wanted == ", ".join(BASELINES)


def test_features_are_known_by_their_name_when_there_are_any() -> None:
    assert find_baselines(["ridge-kmer"], ["ridge-kmer"])[0].inputs == "ridge-kmer"
    with pytest.raises(UsageError, match="ridge-evo2 is fitted to embeddings, and none are given"):
        find_baselines(["ridge-evo2"], ["ridge-kmer"])


@pytest.mark.parametrize("fit_predict", CIS)
def test_weights_and_intercept_are_the_prediction(fit_predict: Callable[[GeneData], Fit]) -> None:
    data = simulated(40, 60, effect=1.0)
    fit = fit_predict(data)
    assert fit.weights is not None
    assert np.count_nonzero(fit.weights) > 0
    assert fit.intercept + data.dosage @ fit.weights == pytest.approx(fit.predicted)


@pytest.mark.parametrize("fit_predict", [ridge, gblup, elastic_net])
def test_who_is_held_out_has_not_been_seen(fit_predict: Callable[[GeneData], Fit]) -> None:
    # Independent noise of 40 people: r of those held out is about 0, that of the fit is far above.
    data = simulated(40, 60, effect=0.0, seed=3)
    fit = fit_predict(GeneData("S", data.dosage_fit, data.target_fit + data.dosage_fit[:, 0], data.dosage))
    assert fit.held_out is not None
    held_out, fitted = (
        np.corrcoef(values, data.target_fit + data.dosage_fit[:, 0])[0, 1]
        for values in (fit.held_out, fit.predicted[:40])
    )
    assert held_out < fitted - 0.2


@pytest.mark.parametrize("fit_predict", [ridge, gblup])
def test_left_out_predictions_are_those_of_refits(fit_predict: Callable[[GeneData], Fit]) -> None:
    data = simulated(30, 8, effect=3.0)
    fit = fit_predict(data)
    design = standardise(data)
    assert design is not None
    assert fit.weights is not None
    assert fit.held_out is not None
    # The penalty that the weights of the fit imply, from their own normal equations.
    weights = fit.weights[design.kept] * design.scale
    right = design.fit.T @ (design.target - design.fit @ weights)
    penalty = float(right @ weights / (weights @ weights))
    for out in (0, 17):
        kept = np.arange(30) != out
        x, y = design.fit[kept] - design.fit[kept].mean(axis=0), design.target[kept]
        refit = np.linalg.solve(x.T @ x + penalty * np.eye(8), x.T @ (y - y.mean()))
        expected = design.mean + y.mean() + (design.fit[out] - design.fit[kept].mean(axis=0)) @ refit
        assert fit.held_out[out] == pytest.approx(expected)


def test_a_prior_is_a_scale_of_the_columns() -> None:
    # prior variances 3 and 1 have the mean 2: standard deviations sqrt(3 / 2) and sqrt(1 / 2)
    data = gene([[0, 0], [2, 0], [0, 2], [2, 2]], [1, 1, 5, 6], [[0, 0]])
    design = standardise(
        GeneData("G", data.dosage_fit, data.target_fit, data.dosage, prior=np.array([3.0, 1]))
    )
    assert design is not None
    assert design.fit.std(axis=0) == pytest.approx([1.5**0.5, 0.5**0.5])


def test_a_prior_of_nothing_on_a_variant_leaves_it_out() -> None:
    data = simulated(60, 3, effect=2.0)
    prior = np.array([1e-20, 1.0, 1.0])
    fit = ridge(GeneData("S", data.dosage_fit, data.target_fit, data.dosage, prior=prior))
    assert fit.weights is not None
    assert abs(fit.weights[0]) < 1e-6
    with pytest.raises(ValueError, match="prior is"):
        GeneData("S", data.dosage_fit, data.target_fit, data.dosage, prior=prior[:2])


def test_no_heritability_has_p_of_one_and_an_interval_from_zero() -> None:
    data = gene([[0], [0], [2], [2], [1], [1]], [1, 3, 1, 3, 1, 3], [[0], [1], [2]])
    found = gblup(data).heritability
    assert found is not None
    assert (found.h2, found.low, found.p) == (0, 0, 1)


@pytest.mark.parametrize(
    ("dosage_fit", "target_fit", "dosage"),
    [([[0]], [1, 2], [[0]]), ([[0, 1]], [1], [[0]]), ([[0]], [np.nan], [[0]]), (np.zeros((0, 1)), [], [[0]])],
)
def test_data_that_does_not_belong_together_is_refused(
    dosage_fit: object, target_fit: object, dosage: object
) -> None:
    with pytest.raises(ValueError, match="G: "):
        gene(dosage_fit, target_fit, dosage)
