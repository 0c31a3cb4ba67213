"""Targets on a cohort whose numbers can be checked by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from scipy.stats import norm

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import _sees_expression, inverse_normal, make_target, z_scores
from glm2x.config import STANDARDISED, TargetMode, parse_config
from glm2x.errors import DataError, UsageError


def test_log_is_log2_of_x_plus_1(demo_cohort: Cohort, demo_split: Split) -> None:
    target = make_target(demo_cohort, demo_split, "log")
    assert target.values[1, 0] == pytest.approx(np.log2(demo_cohort.expression[1, 0] + 1))
    train = demo_cohort.individual_index(demo_split.train)
    assert target.reference[3] == pytest.approx(np.log2(demo_cohort.expression[3, train] + 1).mean())
    assert target.transductive == ()


def test_residuals_of_training_people_do_not_depend_on_covariates(
    demo_cohort: Cohort, demo_split: Split
) -> None:
    target = make_target(demo_cohort, demo_split, "residual")
    train = demo_cohort.individual_index(demo_split.train)
    covariates = demo_cohort.covariates[:, train]
    for g in (0, 16):
        values = target.values[g, train]
        assert values.mean() == pytest.approx(make_target(demo_cohort, demo_split, "log").reference[g])
        for covariate in covariates:
            assert abs(np.corrcoef(covariate, values)[0, 1]) < 1e-9


def test_test_people_do_not_touch_residual_targets(demo_cohort: Cohort, demo_split: Split) -> None:
    test = demo_cohort.individual_index(demo_split.test)
    train = demo_cohort.individual_index(demo_split.train)
    changed = demo_cohort.expression.copy()
    changed[:, test] *= 7
    other = with_expression(demo_cohort, changed)
    for mode, same in (("residual", True), ("residual-all", False)):
        before = make_target(demo_cohort, demo_split, mode).values[:, train]
        after = make_target(other, demo_split, mode).values[:, train]
        assert np.allclose(before, after) is same


def test_everyones_residuals_are_called_transductive(demo_cohort: Cohort, demo_split: Split) -> None:
    assert make_target(demo_cohort, demo_split, "residual").transductive == ()
    assert "fitted on everyone" in make_target(demo_cohort, demo_split, "residual-all").transductive[0]


def test_a_negative_raw_value_is_refused(demo_cohort: Cohort, demo_split: Split) -> None:
    changed = demo_cohort.expression.copy()
    changed[2, 5] = -0.5
    with pytest.raises(DataError, match="1 expression values are negative") as caught:
        make_target(with_expression(demo_cohort, changed), demo_split, "log")
    assert demo_cohort.gene_ids[2] in str(caught.value)
    assert "--expression-scale normalised" in str(caught.value)
    normalised = with_expression(demo_cohort, changed, "normalised")
    assert make_target(normalised, demo_split, "log").values[2, 5] == -0.5


def test_too_few_people_for_the_covariates(demo_cohort: Cohort, demo_split: Split) -> None:
    few = replace(demo_split, train=demo_split.train[:8])
    with pytest.raises(UsageError, match="3 covariates are too many for 8 training people") as caught:
        make_target(demo_cohort, few, "residual")
    assert "--covariates-keep" in str(caught.value)
    assert make_target(demo_cohort, few, "residual", ["genotype_PC1"]).covariates == ("genotype_PC1",)


def test_what_was_regressed_out_is_told(demo_cohort: Cohort, demo_split: Split) -> None:
    names = tuple(sorted(demo_cohort.covariate_names))
    whole = make_target(demo_cohort, demo_split, "residual")
    named = make_target(demo_cohort, demo_split, "residual", names[::-1])
    assert whole.covariates == named.covariates == names
    assert np.allclose(whole.values, named.values)
    assert make_target(demo_cohort, demo_split, "log").covariates == ()
    with pytest.raises(UsageError, match=f"the covariate {names[0]} is to be kept twice"):
        make_target(demo_cohort, demo_split, "residual", [names[0]] * 2)


def test_residuals_of_everyones_coefficients_need_everyone_to_be_enough(
    demo_cohort: Cohort, demo_split: Split
) -> None:
    few = replace(demo_split, train=demo_split.train[:8])
    make_target(demo_cohort, few, "residual-all")  # 3 covariates, 358 people
    names = tuple(f"c{i}" for i in range(120))
    many = Cohort(
        demo_cohort.folder,
        demo_cohort.manifest,
        demo_cohort.genes,
        demo_cohort.people,
        demo_cohort.expression,
        names,
        np.random.default_rng(0).normal(size=(120, 358)),
    )
    with pytest.raises(UsageError, match="120 covariates are too many for 358 people"):
        make_target(many, few, "residual-all")


def test_a_cohort_without_covariates_has_no_residuals(small) -> None:
    cohort = small.build()
    split = Split(("ann",), (), ("bob",), cohort.gene_ids, (), (), "lists", None, cohort.digest, 8)
    with pytest.raises(UsageError, match="needs covariates"):
        make_target(cohort, split, "residual")


def test_an_unknown_covariate(demo_cohort: Cohort, demo_split: Split) -> None:
    with pytest.raises(UsageError, match="no covariate is called sex"):
        make_target(demo_cohort, demo_split, "residual", ["sex"])


def test_a_gene_nobody_was_measured_for(demo_cohort: Cohort, demo_split: Split) -> None:
    changed = demo_cohort.expression.copy()
    changed[4] = np.nan
    with pytest.raises(DataError, match="1 of 26 seen genes are measured in no training person"):
        make_target(with_expression(demo_cohort, changed), demo_split, "log")


def with_expression(
    cohort: Cohort, expression: np.ndarray, scale: str = "rpkm", covariates: np.ndarray | None = None
) -> Cohort:
    return Cohort(
        cohort.folder,
        cohort.manifest | {"expression_scale": scale},
        cohort.genes,
        cohort.people,
        expression,
        cohort.covariate_names,
        cohort.covariates if covariates is None else covariates,
    )


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("genotype_PC1", False),
        ("/path/genotypes_1_1_svd_PC2", False),
        ("sex", False),
        ("genes_1_1_svd_PC1", True),
        ("PEER_stage1", True),
        ("coverage_exonic", True),
        ("label_PC2", True),
        ("genotype_corrected_expression_PC1", True),
    ],
)
def test_covariates_that_may_come_of_expression(name: str, may: bool) -> None:
    assert _sees_expression(name) is may


def test_only_people_with_expression_need_covariates(demo_cohort: Cohort, demo_split: Split) -> None:
    expression, covariates = demo_cohort.expression.copy(), demo_cohort.covariates.copy()
    person = int(demo_cohort.individual_index(demo_split.test[:1])[0])
    covariates[1, person] = np.nan
    lacking = with_expression(demo_cohort, expression, covariates=covariates)
    with pytest.raises(DataError, match="a covariate is missing") as caught:
        make_target(lacking, demo_split, "residual")
    assert demo_split.test[0] in str(caught.value)
    expression[:, person] = np.nan
    unmeasured = with_expression(demo_cohort, expression, covariates=covariates)
    assert np.isnan(make_target(unmeasured, demo_split, "residual").values[:, person]).all()


def cohort_of_ten(reference_target: list[float], expression: list[list[float]]) -> SimpleNamespace:
    return SimpleNamespace(
        folder="cohort",
        gene_ids=tuple(f"g{i}" for i in range(len(expression))),
        individuals=tuple("abcdefghij"),
        expression=np.array(expression),
        expression_scale="rpkm",
        reference_target=np.array(reference_target),
        covariate_names=("sex",),
        covariates=np.array([[0.0, 1.0] * 5]),
        gene_index=lambda genes: np.array([int(gene[1:]) for gene in genes], dtype=np.int64),
        individual_index=lambda people: np.array(["abcdefghij".index(person) for person in people]),
    )


LOGGED = [mode for mode in get_args(TargetMode) if mode not in STANDARDISED]


@pytest.mark.parametrize("mode", LOGGED)
def test_a_cohorts_own_reference_target_comes_before_the_mean(mode: TargetMode) -> None:
    """Training people have 3, which is 2 when logged; the reference targets are logged already."""
    split = SimpleNamespace(train=tuple("abcdef"), seen=("g0", "g1", "g2"))
    cohort = cohort_of_ten([5.5, np.nan, -1.0], [[3.0] * 6 + [7.0] * 4] * 2 + [[np.nan] * 10])
    target = make_target(cohort, split, mode)  # type: ignore[arg-type]
    assert target.reference[0] == 5.5
    assert target.reference[1] == pytest.approx(
        2.0 if mode != "residual-all" else target.values[1, :6].mean()
    )
    assert target.reference[2] == -1.0  # a gene of the reference alone
    assert np.isnan(target.values[2]).all()
    assert target.values[0].tolist() == target.values[1].tolist()


def test_a_gene_of_test_people_alone_is_refused_whatever_its_reference_target() -> None:
    cohort = cohort_of_ten([1.0], [[np.nan] * 6 + [7.0] * 4])
    split = SimpleNamespace(train=tuple("abcdef"), seen=("g0",))
    with pytest.raises(DataError, match="1 of 1 seen genes are measured in no training person") as caught:
        make_target(cohort, split, "log")  # type: ignore[arg-type]
    assert "glm2x split --genes" in caught.value.do


@pytest.mark.parametrize("mode", LOGGED)
def test_genes_that_are_not_trained_on_need_no_training_person(mode: TargetMode) -> None:
    cohort = cohort_of_ten([np.nan] * 3, [[3.0] * 6 + [7.0] * 4, [np.nan] * 6 + [7.0] * 4, [np.nan] * 10])
    split = SimpleNamespace(train=tuple("abcdef"), seen=("g0",))
    target = make_target(cohort, split, mode)  # type: ignore[arg-type]
    assert np.isfinite(target.values[0]).all()
    assert np.isnan(target.reference).tolist() == [False, True, True]
    assert np.isnan(target.values[2]).all()
    assert (target.values[1, 6:].tolist() == [3.0] * 4) if mode == "log" else np.isnan(target.values[1]).all()


NAN = float("nan")


def test_z_scores_by_hand() -> None:
    # three of five people are trained on: 1, 2, 3 of mean 2 and variance 2/3
    made = z_scores(np.array([[1.0, 2, 3, 4, NAN], [5, 5, 5, 7, 5]]), np.array([0, 1, 2]))
    assert made[0, :4] == pytest.approx(np.array([-1, 0, 1, 2]) / np.sqrt(2 / 3))
    assert np.isnan(made[0, 4])
    assert np.isnan(made[1]).all()  # it does not vary among them


def test_inverse_normal_by_hand() -> None:
    # ranks 1, 2.5, 2.5, 4 of four people: quantiles of 1/8, 4/8, 4/8 and 7/8
    made = inverse_normal(np.array([[10.0, 20, 20, 40, 30, 99, 0, NAN]]), np.arange(4))[0]
    end = norm.ppf(7 / 8)
    assert made[:4] == pytest.approx([-end, 0, 0, end])
    assert made[4:7] == pytest.approx([end / 2, end, -end])  # between two, and beyond the ends
    assert np.isnan(made[7])


@pytest.mark.parametrize("mode", STANDARDISED)
def test_standardised_targets_are_of_training_people(
    mode: TargetMode, demo_cohort: Cohort, demo_split: Split
) -> None:
    target = make_target(demo_cohort, demo_split, mode)
    train = demo_cohort.individual_index(demo_split.train)
    assert np.isnan(target.reference).all()
    assert target.transductive == ()
    assert target.values[:, train].mean(axis=1) == pytest.approx(0, abs=0.06)  # people without any are tied
    changed = demo_cohort.expression.copy()
    changed[:, demo_cohort.individual_index(demo_split.test)] *= 7
    other = make_target(with_expression(demo_cohort, changed), demo_split, mode)
    assert other.values[:, train] == pytest.approx(target.values[:, train])


@pytest.mark.parametrize("strategy", ["reference", "reference-then-personal"])
def test_standardised_targets_are_no_targets_of_the_reference(strategy: str) -> None:
    values = {
        "cohort": "c",
        "split": "s.json",
        "backbone": {"name": "onehot"},
        "window": 4096,
        "target": "z-score",
        "strategy": strategy,
        "out": "o",
    }
    with pytest.raises(UsageError) as caught:
        parse_config(values, where="x.yml")
    assert "target z-score has no value for the reference sequence" in caught.value.wanted
    parse_config(values | {"strategy": "personal"}, where="x.yml")
