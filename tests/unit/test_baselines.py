"""Each baseline on data whose answer can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from glm2x.baselines import path
from glm2x.baselines.data import GeneData, standardise
from glm2x.baselines.gblup import gblup, relationship_eigen, reml
from glm2x.baselines.path import NotConverged, elastic_net_path
from glm2x.baselines.penalised import elastic_net, fold_errors, lasso, penalty_grid
from glm2x.baselines.registry import BASELINES, find_baselines
from glm2x.baselines.ridge import leave_one_out, penalties, ridge, thin_svd
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
    assert training_mean(gene([[0], [1], [2]], [1, 2, 4.5], [[0], [2]])).tolist() == [2.5, 2.5]


def test_top_variant_finds_the_variant_and_its_line() -> None:
    assert top_variant(EXACT) == pytest.approx([1, 3, 5])


def test_top_variant_takes_a_negative_effect() -> None:
    assert top_variant(gene([[0], [1], [2]], [3, 2, 1], [[0], [1], [2]])) == pytest.approx([3, 2, 1])


def test_top_variant_of_perfect_linkage_is_the_first() -> None:
    # both variants are the same among the people fitted; they differ in the person predicted
    assert top_variant(gene([[0, 2], [1, 1], [2, 0]], [0, 1, 2], [[2, 2]])) == pytest.approx([2])


def test_genotype_pcs_fit_a_line_and_ignore_genotypes() -> None:
    data = gene([[0], [2], [0], [1]], [1, 2, 3, 4], [[0], [2]], ([[0], [1], [2], [3]], [[10], [-1]]))
    assert genotype_pcs(data) == pytest.approx([11, 0])


def test_genotype_pcs_keep_a_degree_of_freedom() -> None:
    # three people leave room for one component of the two: the line through 0, 0, 3 at -1, 0, 1
    data = gene([[0], [1], [2]], [0, 0, 3], [[0]], ([[-1, 5], [0, 9], [1, 2]], [[2, 100]]))
    assert genotype_pcs(data) == pytest.approx([1 + 2 * 1.5])


def test_genotype_pcs_of_two_people_are_their_mean() -> None:
    data = gene([[0], [1]], [0, 3], [[0]], ([[-1], [1]], [[2]]))
    assert genotype_pcs(data).tolist() == [1.5]


def test_genotype_pcs_need_components() -> None:
    with pytest.raises(ValueError, match="no genotype components"):
        genotype_pcs(EXACT)


def test_standardise_by_the_people_fitted_only() -> None:
    design = standardise(gene([[0, 1], [2, 1], [0, 1], [2, 1]], [1, 2, 3, 6], [[1, 0], [2, 2]]))
    assert design is not None
    assert design.fit.tolist() == [[-1], [1], [-1], [1]]  # the second variant does not vary and is dropped
    assert design.new.tolist() == [[0], [1]]
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
def test_nothing_to_fit_gives_the_training_mean_exactly(fit_predict: object, data: GeneData) -> None:
    assert fit_predict(data).tolist() == [data.target_fit.mean()] * 4  # type: ignore[operator]


@pytest.mark.parametrize("fit_predict", [elastic_net, lasso])
def test_noise_selects_no_variant_and_is_exactly_constant(fit_predict: object) -> None:
    constant = 0
    for seed in range(5):
        data = simulated(60, 3, effect=0.0, seed=seed)
        predicted = fit_predict(data)  # type: ignore[operator]
        if predicted.std() < 1e-3:
            constant += 1
            assert predicted.tolist() == [data.target_fit.mean()] * 80
    assert constant > 0


def test_gblup_without_heritability_is_exactly_constant() -> None:
    # people of one genotype differ as much as people of different ones: h2 is zero
    data = gene([[0], [0], [2], [2], [1], [1]], [1, 3, 1, 3, 1, 3], [[0], [1], [2]])
    assert gblup(data).tolist() == [2, 2, 2]


@pytest.mark.parametrize("fit_predict", CIS)
def test_a_strong_variant_is_found_by_all(fit_predict: object) -> None:
    data = simulated(80, 10, effect=2.0)
    predicted = fit_predict(data)[80:]  # type: ignore[operator]
    assert np.corrcoef(predicted, data.dosage[80:, 0])[0, 1] > 0.9


@pytest.mark.parametrize("fit_predict", CIS)
def test_a_shift_of_the_target_shifts_the_prediction(fit_predict: object) -> None:
    data = simulated(40, 5, effect=1.0)
    shifted = GeneData("S", data.dosage_fit, data.target_fit + 100, data.dosage)
    assert fit_predict(shifted) == pytest.approx(fit_predict(data) + 100, abs=1e-4)  # type: ignore[operator]


@pytest.mark.parametrize("fit_predict", CIS)
def test_the_fit_does_not_see_who_is_predicted(fit_predict: object) -> None:
    data = simulated(40, 5, effect=1.0)
    few = GeneData("S", data.dosage_fit, data.target_fit, data.dosage[[41, 7]])
    assert fit_predict(few) == pytest.approx(fit_predict(data)[[41, 7]])  # type: ignore[operator]


def test_leave_one_out_of_three_people_by_hand() -> None:
    # One column -1, 0, 1 (not of unit variance, which the identity does not need), target the same,
    # penalty 2: the slope is 2 / (2 + 2) = 1/2, the residuals are -1/2, 0, 1/2, and the leverages
    # 1/3 + (1, 0, 1) / 4. The mean of (1/2 / (5/12))^2, 0 and the same is 2/3 * (6/5)^2.
    column: NDArray[np.float64] = np.array([[-1.0], [0.0], [1.0]])
    left, values, _ = thin_svd(column)
    assert leave_one_out(left, values, column[:, 0], np.array([2.0])) == pytest.approx([2 / 3 * 36 / 25])


def test_perfect_linkage_leaves_no_null_singular_value() -> None:
    left, values, right = thin_svd(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]))
    assert (left.shape, right.shape) == ((3, 1), (1, 2))
    assert values == pytest.approx([2.0])


def test_penalties_scale_with_variants() -> None:
    assert penalties(10)[[0, -1]] == pytest.approx([0.1, 1000])


def test_relationship_of_two_genotypes() -> None:
    # four people in two groups: K is +1 within and -1 between, its one eigenvalue is 4
    values, vectors = relationship_eigen(np.array([[-1.0], [-1.0], [1.0], [1.0]]))
    assert sorted(values) == pytest.approx([0, 0, 4])
    assert vectors.sum(axis=0) == pytest.approx([0, 0, 0])  # orthogonal to the mean


def test_reml_of_one_group_difference_by_hand() -> None:
    # Eigenvalues 4, 0, 0 and squared projections 9, 1, 1: the residual variance is (1 + 1) / 2 = 1, and
    # 4 * genetic + residual = 9 gives genetic 2, so h2 = 2 / (2 + 1).
    assert reml(np.array([4.0, 0.0, 0.0]), np.array([3.0, 1.0, 1.0])) == pytest.approx(2 / 3, abs=1e-4)


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


def test_a_path_that_does_not_settle_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    # a solution of the wrong sign throws the variant out as often as its gradient brings it in
    monkeypatch.setattr(path, "_solve", lambda gram, l2, right: -right)
    with pytest.warns(NotConverged, match="the active set of penalty 1 did not settle"):
        elastic_net_path(np.array([[-1.0], [1.0]]), np.array([-2.0, 2.0]), np.array([1.0]), 0.5)


def test_fold_errors_of_leave_one_out_without_variants() -> None:
    # at a penalty that leaves nothing, each of 0, 0, 3 is predicted by the mean of the others
    errors = fold_errors(np.array([[-1.0], [0.0], [1.0]]), np.array([0.0, 0, 3]), np.array([100.0]), 0.5)
    assert sorted(errors[:, 0]) == pytest.approx([2.25, 2.25, 9])


def test_few_people_have_as_many_folds() -> None:
    assert np.isfinite(elastic_net(simulated(5, 4, effect=1.0))).all()


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


@pytest.mark.parametrize(
    ("dosage_fit", "target_fit", "dosage"),
    [([[0]], [1, 2], [[0]]), ([[0, 1]], [1], [[0]]), ([[0]], [np.nan], [[0]]), (np.zeros((0, 1)), [], [[0]])],
)
def test_data_that_does_not_belong_together_is_refused(
    dosage_fit: object, target_fit: object, dosage: object
) -> None:
    with pytest.raises(ValueError, match="G: "):
        gene(dosage_fit, target_fit, dosage)
