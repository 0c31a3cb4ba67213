"""Each leak check: what passes, what warns, what fails, and what does not run."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from evaluation_fakes import (
    EXPRESSION,
    G1,
    PEOPLE,
    TEST,
    TRAIN,
    WINDOW,
    checks,
    make_cohort,
    make_split,
    make_table,
)

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.target import make_target
from glm2x.config import STANDARDISED, TargetMode
from glm2x.evaluation import relatives
from glm2x.evaluation.check import Check
from glm2x.evaluation.target_checks import is_transductive
from glm2x.predictions import PredictionMetadata


def status(found: dict[str, Check]) -> dict[str, str]:
    return {name: check.status for name, check in found.items()}


def test_without_cohort_and_split_what_needs_them_does_not_run() -> None:
    found = checks(make_table(make_split()))
    assert status(found) == {
        "people_on_two_sides": "pass",
        "genes_on_two_sides": "pass",
        "split_labels": "not run",
        "relatives_across_sides": "not run",
        "windows_overlap": "not run",
        "reference_mismatch": "not run",
        "observed_between_models": "pass",
        "sample_order": "not run",
        "same_genes_and_people": "pass",
        "same_window": "not run",
        "same_cohort": "not run",
        "transductive_target": "not run",
        "published_preset": "not run",
        "genes_chosen": "not run",
        "fitted_with_test_people": "not run",
        "refitted_to_permuted": "not run",
        "expression_follows_genotypes": "not run",
        "same_sequence": "not run",
        "differing_sequence": "not run",
        "paralogues": "not run",
        "strand_and_centre": "not run",
        "share_of_n": "not run",
    }
    assert found["sample_order"].detail == "needs --cohort"
    assert found["transductive_target"].detail == "needs --cohort"
    assert {name for name, check in found.items() if check.leak} == {
        "people_on_two_sides",
        "genes_on_two_sides",
        "split_labels",
        "relatives_across_sides",
        "windows_overlap",
        "reference_mismatch",
        "observed_between_models",
        "sample_order",
        "fitted_with_test_people",
        "expression_follows_genotypes",
        "same_sequence",
        "strand_and_centre",
    }


def test_a_clean_study_fails_nothing() -> None:
    cohort = make_cohort()
    split = make_split(cohort)
    found = checks(
        make_table(split),
        cohort=cohort,
        split=split,
        sources=(PredictionMetadata(window=WINDOW, cohort_digest=cohort.digest),),
    )
    assert {name for name, s in status(found).items() if s != "pass"} == {
        "relatives_across_sides",
        "reference_mismatch",
        "transductive_target",  # of log2 values
        "fitted_with_test_people",  # of a file that no version wrote
        "refitted_to_permuted",  # of models that were not
        # of 24 people, without variants and without a reference
        *("expression_follows_genotypes", "same_sequence", "differing_sequence"),
        *("paralogues", "strand_and_centre", "share_of_n"),
    }
    assert not {name for name, check in found.items() if check.status == "fail"}
    assert found["relatives_across_sides"].status == "warn"
    assert found["relatives_across_sides"].detail.startswith("not judged: 0 variants")


def test_a_table_without_sides_is_not_judged_on_them() -> None:
    frame = make_table(make_split()).with_columns(pl.lit(None, pl.String).alias("individual_split"))
    assert checks(frame)["people_on_two_sides"].status == "not run"


def test_people_and_genes_on_two_sides_fail_and_are_named() -> None:
    swapped = make_split(train=TEST, test=TRAIN, seen=("g3",), unseen=(G1, "g2"))
    frame = pl.concat([make_table(make_split()), make_table(swapped, "k")])
    found = checks(frame)
    assert found["people_on_two_sides"].status == "fail"
    assert (
        found["people_on_two_sides"].detail
        == "22 of 24 have more than one individual_split: p00, p01, p02 and 19 more"
    )
    assert found["genes_on_two_sides"].status == "fail"


def test_sides_other_than_the_splits_fail() -> None:
    split = make_split(train=(*TRAIN, TEST[0]), test=TEST[1:])
    found = checks(make_table(make_split()), split=split)["split_labels"]
    assert found.status == "fail"
    assert found.detail == "1 sides differ from the split's: p14 (test in the table, train in the split)"


def test_windows_of_unseen_genes_must_not_touch_training_windows() -> None:
    cohort = make_cohort()
    # The first gene and g2 are 20,000 bp apart: windows of 20,000 are neighbours, those of 20,002 overlap.
    for window, expected in ((20_000, "pass"), (20_002, "fail")):
        split = make_split(seen=(G1, "g3"), unseen=("g2",), window=window)
        found = checks(make_table(split), cohort=cohort, split=split)["windows_overlap"]
        assert found.status == expected
    assert "1 of 1 unseen genes" in found.detail
    assert "g2" in found.detail
    split = make_split(seen=(G1, "g3"), unseen=())
    assert (
        "no unseen genes" in checks(make_table(split), cohort=cohort, split=split)["windows_overlap"].detail
    )


def test_the_largest_window_of_any_file_decides() -> None:
    cohort, split = make_cohort(), make_split(seen=(G1, "g3"), unseen=("g2",))
    # Files that differ leave the merged window null.
    for other, expected in ((20_000, "pass"), (20_002, "fail")):
        sources = (PredictionMetadata(window=other), PredictionMetadata(window=10_000))
        found = checks(make_table(split), cohort=cohort, split=split, sources=sources)
        assert found["windows_overlap"].status == expected
    assert "20,002 bp window" in found["windows_overlap"].detail


def test_measurements_that_differ_between_models_fail() -> None:
    split = make_split()
    frame = pl.concat([make_table(split), make_table(split, "k", EXPRESSION[:, ::-1])])
    found = checks(frame)["observed_between_models"]
    assert found.status == "fail"
    assert found.detail.startswith("72 of 72 measurements differ")
    rounded = pl.concat([make_table(split), make_table(split, "k", EXPRESSION.round(3))])
    assert checks(rounded)["observed_between_models"].status == "pass"


def test_people_in_another_order_than_the_cohorts_fail() -> None:
    cohort, split = make_cohort(), make_split()
    found = checks(make_table(split, observed=EXPRESSION[:, ::-1]), cohort=cohort, split=split)[
        "sample_order"
    ]
    assert found.status == "fail"
    assert found.detail.startswith(
        "72 of 72 measurements are not the cohort's, first ENSG00000000001.4 of p00"
    )


def test_a_gene_without_its_version_is_the_cohorts_gene() -> None:
    frame = make_table(make_split()).with_columns(
        pl.col("gene").cast(pl.String).replace(G1, "ENSG00000000001")
    )
    assert checks(frame, cohort=make_cohort())["sample_order"].detail == "72 measurements are the cohort's"


def test_of_an_unknown_target_the_order_is_not_judged() -> None:
    frame = make_table(make_split(), observed=EXPRESSION + 1)
    found = checks(frame, cohort=make_cohort(), target=None)
    assert found["sample_order"].status == "warn"
    assert "does not say its target" in found["sample_order"].detail
    assert found["transductive_target"].status == "not run"


def test_genes_and_people_that_the_cohort_lacks_are_counted() -> None:
    frame = make_table(make_split()).with_columns(pl.col("gene").replace("g2", "other"))
    found = checks(frame, cohort=make_cohort())["sample_order"]
    assert found.status == "warn"
    assert "24 are of genes or people that it does not hold" in found.detail


def test_residuals_are_made_again_where_they_can_be() -> None:
    cohort, split = make_cohort(covariates=True), make_split()
    values = make_target(cohort, split, "residual").values
    frame = make_table(split, observed=values)
    found = checks(frame, cohort=cohort, split=split, target="residual")
    assert found["sample_order"].status == "pass"
    assert found["transductive_target"].status == "warn"
    assert "PC1 may be computed from expression" in found["transductive_target"].detail
    assert checks(frame, cohort=cohort, target="residual")["sample_order"].status == "not run"
    shuffled = checks(
        make_table(split, observed=values[:, ::-1]), cohort=cohort, split=split, target="residual"
    )
    assert shuffled["sample_order"].status == "warn"
    without = checks(frame, cohort=make_cohort(), split=split, target="residual")
    assert "cannot be made from the cohort" in without["sample_order"].detail


def test_residuals_whose_covariates_are_on_record_are_judged() -> None:
    cohort, split = make_cohort(covariates=True), make_split()
    values = make_target(cohort, split, "residual").values
    options = {"cohort": cohort, "split": split, "target": "residual"}
    for observed, covariates, status in (
        (values, ("PC1",), "pass"),
        (values[:, ::-1], ("PC1",), "fail"),
        (values, ("PC2",), "not run"),
    ):
        frame = make_table(split, observed=observed)
        found = checks(frame, covariates=covariates, **options)["sample_order"]
        assert found.status == status, found.detail
    assert "no covariate is called PC2" in found.detail


@pytest.mark.parametrize("mode", STANDARDISED)
def test_standardised_targets_are_made_again(mode: TargetMode) -> None:
    cohort, split = make_cohort(scale="tpm"), make_split()
    values = make_target(make_cohort(scale="log2"), split, mode).values
    options = {"split": split, "target": mode}
    found = checks(make_table(split, observed=values), cohort=make_cohort(), **options)
    assert found["sample_order"].status == "pass"
    wrong = checks(make_table(split, observed=values[:, ::-1]), cohort=make_cohort(), **options)
    assert wrong["sample_order"].status == "fail"
    without = checks(make_table(split, observed=values), cohort=make_cohort(), target=mode)
    assert without["sample_order"].detail.endswith(f"the {mode} target needs --split")
    raw = checks(make_table(split), cohort=cohort, **options)["transductive_target"]
    assert (raw.status, raw.detail) == (
        "pass",
        f"target {mode}: nothing in it was computed with test people",
    )


def test_residuals_fitted_on_everyone_are_transductive() -> None:
    assert checks(make_table(make_split()), target="residual-all")["transductive_target"].status == "warn"


@pytest.mark.parametrize(
    ("scale", "target", "expected"),
    [
        ("tpm", "log", "pass"),
        ("rpkm", "log", "pass"),
        ("log2", "log", "warn"),
        ("normalised", "log", "warn"),
        ("normalised", "residual-all", "warn"),
    ],
)
def test_how_values_were_normalised_is_not_on_record(scale: str, target: str, expected: str) -> None:
    cohort, split = make_cohort(scale=scale, covariates=True), make_split()
    found = checks(make_table(split), cohort=cohort, split=split, target=target)["transductive_target"]
    assert found.status == expected
    assert (f"given {scale} expression" in found.detail) == (expected == "warn" and target == "log")
    assert is_transductive([found]) == (target == "residual-all")


def test_the_reference_is_compared_with_ref(genotypes: np.ndarray) -> None:
    def found(cohort: Cohort) -> Check:
        return checks(make_table(make_split()), cohort=cohort)["reference_mismatch"]

    cohort = make_cohort(genotypes=genotypes)
    assert found(cohort).status == "not run"
    cohort = make_cohort(genotypes=genotypes[:, :1_000], reference=("1",))
    assert found(cohort).status == "pass"
    assert found(cohort).detail.startswith("1,000 variants compared with the reference")
    assert "no reference of 2" in found(cohort).detail
    # One base changed, and one variant beyond the end.
    cohort._references["1"][7] = 3
    cohort._references["1"] = cohort._references["1"][:999]
    assert found(cohort).status == "fail"
    assert "REF differs for 2: 1:8, 1:1,000" in found(cohort).detail
    assert found(cohort).leak
    assert found(make_cohort(reference=("1", "2"))).status == "not run"


def test_of_many_variants_a_thousand_evenly_spaced_are_compared(genotypes: np.ndarray) -> None:
    cohort = make_cohort(genotypes=genotypes, reference=("1", "2"))
    cohort._references["1"][10_000:] = 2
    found = checks(make_table(make_split()), cohort=cohort)["reference_mismatch"]
    assert "1,000 variants compared" in found.detail
    assert "REF differs for 500: 1:10,01" in found.detail


def test_models_on_different_genes_are_counted() -> None:
    frame = pl.concat([make_table(make_split()), make_table(make_split(), "k", genes=slice(0, 1))])
    found = checks(frame)["same_genes_and_people"]
    assert found.status == "warn"
    assert "seen_gene/new_individual: of 20 pairs of gene and individual k 10" in found.detail


@pytest.mark.parametrize(
    ("windows", "expected"),
    [((10, 10), "pass"), ((10, 20), "warn"), ((10, None), "warn"), ((None,), "not run")],
)
def test_windows_of_files(windows: tuple[int | None, ...], expected: str) -> None:
    sources = tuple(PredictionMetadata(window=window) for window in windows)
    assert checks(make_table(make_split()), sources=sources)["same_window"].status == expected


def test_another_cohort_warns() -> None:
    cohort = make_cohort()
    found = checks(make_table(make_split()), cohort=cohort, split=make_split())["same_cohort"]
    assert found.status == "warn"
    assert cohort.digest[:12] in found.detail


def test_a_published_preset_warns() -> None:
    split = make_split(preset="published-50-100")
    assert checks(make_table(split), split=split)["published_preset"].status == "warn"


def test_families_of_everybody_decide(genotypes: np.ndarray) -> None:
    genotypes[40:42] = genotypes[26:28]  # alike, but the people table names everybody
    family = [f"f{i}" for i in range(24)]
    family[1] = family[2] = "f1"
    split = make_split()
    cohort = make_cohort(people={"family": family}, genotypes=genotypes)
    found = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]
    assert found.status == "pass"
    assert found.detail == "no family of the people table is on both sides"
    family[20] = family[0]
    cohort = make_cohort(people={"family": family}, genotypes=genotypes)
    found = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]
    assert found.status == "fail"
    assert found.detail == "1 families are on both sides (people table): f0"


def test_families_of_some_do_not_switch_genotypes_off(genotypes: np.ndarray) -> None:
    own = genotypes[40:42].copy()
    genotypes[40:42] = genotypes[26:28]  # p20 (test) is p13 (validation) once more
    family: list[str | None] = [None] * 24
    family[1] = family[2] = "f2"
    split = make_split()

    def found() -> Check:
        people = {"family": family, "population": ["A"] * 12 + ["B"] * 12}
        cohort = make_cohort(people=people, genotypes=genotypes)
        return checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]

    assert found().status == "fail"
    assert "22 of 24 people have none there; 1 pairs of a fitted and a test individual" in found().detail
    assert "p13 and p20" in found().detail
    genotypes[40:42] = own
    assert found().status == "pass"
    family[0] = family[20] = "f1"
    assert found().status == "fail"
    assert found().detail.startswith("1 families are on both sides (people table): f1, and 20 of 24 people")


@pytest.fixture
def genotypes() -> np.ndarray:
    """20,000 independent variants of 24 people in two populations of different frequencies."""
    rng = np.random.default_rng(0)
    frequency = rng.uniform(0.1, 0.9, (2, 20_000))
    return rng.random((48, 20_000)) < np.repeat(frequency, 24, axis=0)


def test_a_parent_and_its_child_on_two_sides_fail_and_populations_do_not(genotypes: np.ndarray) -> None:
    population = ["A"] * 12 + ["B"] * 12
    cohort = make_cohort(people={"population": population}, genotypes=genotypes)
    # Both sides in each population.
    split = make_split(train=PEOPLE[:6] + PEOPLE[12:18], validation=(), test=PEOPLE[6:12] + PEOPLE[18:])
    found = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]
    assert found.status == "pass", found.detail
    genotypes[2 * 20] = genotypes[
        2 * 13
    ]  # p20 (test) has a haplotype of p13 (train): half of what makes 0.5, less the mean of 12.
    cohort = make_cohort(people={"population": population}, genotypes=genotypes)
    found = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]
    assert found.status == "fail"
    assert "1 pairs of a fitted and a test individual" in found.detail
    assert "p13 and p20 (0.4" in found.detail
    assert relatives.related_pairs(cohort, {*PEOPLE[:6], *PEOPLE[12:]}, set(PEOPLE[6:12])).pairs == ()
    apart = make_split(train=PEOPLE[:6], validation=PEOPLE[12:14], test=PEOPLE[6:12])
    assert relatives.related_pairs(cohort, {*apart.train, "p13"}, set(apart.test)).pairs == ()


def test_on_fewer_variants_nothing_is_judged(genotypes: np.ndarray) -> None:
    cohort, split = make_cohort(genotypes=genotypes[:, :19_999]), make_split()
    found = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]
    assert found.status == "warn"
    assert found.detail.startswith("not judged: 19,999 variants")


def test_small_populations_are_not_judged_and_counted(genotypes: np.ndarray) -> None:
    cohort = make_cohort(
        people={"population": ["A"] * 21 + ["B"] * 3}, genotypes=genotypes[np.r_[0:24, 0:24]]
    )
    found = relatives.related_pairs(cohort, set(TRAIN), set(TEST))
    assert found.unjudged == ("p21", "p22", "p23")
    assert ("p00", "p12") not in [pair[:2] for pair in found.pairs]
    assert ("p05", "p17") in [pair[:2] for pair in found.pairs]


def test_a_pair_of_which_both_families_are_known_is_the_tables_affair(genotypes: np.ndarray) -> None:
    genotypes[40:42] = genotypes[0:2]  # p20 (test) is p00 (train) once more
    genotypes[42:44] = genotypes[2:4]  # and p21 is p01
    family: list[str | None] = ["f0", "f1", *[None] * 18, "f20", None, None, None]
    cohort = make_cohort(people={"family": family}, genotypes=genotypes)
    pairs = relatives.related_pairs(cohort, set(TRAIN), set(TEST)).pairs
    assert [pair[:2] for pair in pairs] == [("p01", "p21")]


@pytest.mark.parametrize("word", ["NA", "0", "."])
def test_one_family_name_for_unknown_does_not_switch_genotypes_off(genotypes: np.ndarray, word: str) -> None:
    genotypes[40:42] = genotypes[26:28]  # p20 (test) is p13 (validation) once more
    people = {"family": [word] * 23 + ["f"], "population": ["A"] * 12 + ["B"] * 12}
    cohort = make_cohort(people=people, genotypes=genotypes)
    split = make_split()
    found = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"]
    assert found.status == "fail"
    assert "23 of 24 people have none there; 1 pairs" in found.detail
    assert "p13 and p20" in found.detail


def test_people_of_unknown_population_are_said(genotypes: np.ndarray) -> None:
    split = make_split()
    population = ["A"] * 22 + [None, "NA"]
    cohort = make_cohort(people={"population": population}, genotypes=genotypes)
    found = relatives.related_pairs(cohort, set(TRAIN), set(TEST))
    assert found.unjudged == ("p22", "p23")
    detail = checks(make_table(split), cohort=cohort, split=split)["relatives_across_sides"].detail
    assert "2 people of unknown, very small or very large populations not judged" in detail
