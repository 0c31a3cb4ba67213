"""Controls and what is known of fitting: permuted people, exchanged haplotypes, numbers of people, genes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from evaluation_fakes import (
    G1,
    PEOPLE,
    WINDOW,
    checks,
    make_cohort,
    make_split,
    make_table,
)

from glm2x.evaluation.check import Check
from glm2x.evaluation.controls import (
    Permuted,
    Refitted,
    haplotypes_swapped,
    mean_pearsons,
    permuted_people,
    refitted_to_permuted,
)
from glm2x.evaluation.evaluate import evaluate
from glm2x.evaluation.table import Table
from glm2x.predictions import SWAPPED, PredictionMetadata, Predictions

OURS = PredictionMetadata(target="log", window=WINDOW, glm2x_version="1")
NAN = float("nan")


def swapped_check(frame: pl.DataFrame) -> Check:
    return haplotypes_swapped(Table.of(Predictions(frame)))


def swapped(frame: pl.DataFrame, change: float) -> pl.DataFrame:
    """The table with predictions of exchanged haplotypes; those of the first row are off by `change`."""
    off = pl.when(pl.int_range(pl.len()) == 0).then(change).otherwise(0.0)
    return frame.with_columns((pl.col("predicted") + off).alias(SWAPPED))


@pytest.mark.parametrize(("change", "status"), [(0.0, "pass"), (1e-6, "pass"), (0.1, "warn")])
def test_predictions_must_not_change_with_the_haplotypes_exchanged(change: float, status: str) -> None:
    frame = swapped(make_table(make_split(), "onehot"), change)
    check = swapped_check(frame)
    assert (check.status, check.leak) == (status, False)
    assert check.detail == (
        f"72 predictions of onehot with the haplotypes exchanged: {int(status == 'warn')} change"
    )


def test_models_of_which_it_is_not_known_are_named() -> None:
    both = pl.concat(
        [swapped(make_table(make_split(), "onehot"), 0.0), make_table(make_split(), "k")], how="diagonal"
    )
    assert swapped_check(both).detail.endswith("0 change; not known of k")
    without = swapped_check(make_table(make_split()))
    assert (without.status, without.detail.split(" (")[0]) == (
        "not run",
        "needs the column predicted_swapped",
    )


@pytest.mark.parametrize(
    ("mean", "sd", "status"), [(0.004, 0.01, "pass"), (-0.006, 0.01, "warn"), (0.006, 0.2, "pass")]
)
def test_permuted_people_have_mean_r_zero(mean: float, sd: float, status: str) -> None:
    """Within 0.005; or within four of its standard errors, which few genes and people make wider."""
    check = permuted_people({"c": {"m": Permuted(mean, sd, 0.5, 1_000), "k": Permuted(NAN, NAN, NAN, 1_000)}})
    assert check.status == status
    assert ("m (-0.0060, c)" in check.detail) == (status == "warn")
    assert permuted_people({"c": {"k": Permuted(NAN, NAN, NAN, 1_000)}}).status == "not run"


def test_controls_are_in_the_evaluation(tmp_path: Path) -> None:
    frame = swapped(make_table(make_split(), "onehot"), 0.0)
    found = evaluate(Predictions(frame), tmp_path / "e", draws=50, permutations=1_000)
    status = {check.name: check.status for check in found.checks}
    assert (status["people_permuted"], status["haplotypes_swapped"]) == ("pass", "pass")
    assert SWAPPED in pl.read_parquet(tmp_path / "e" / "predictions.parquet").columns


def of(people: int | None, *, draw: int | None = None, model: str = "m") -> pl.DataFrame:
    return make_table(make_split(), model).with_columns(
        train_individuals=pl.lit(people, pl.Int64), draw=pl.lit(draw, pl.Int64)
    )


def test_a_model_of_more_people_than_there_are_to_learn_from_fails() -> None:
    split = make_split()  # 12 training and 2 validation people
    table = pl.concat([of(14), of(24, model="k")])
    check = checks(table, split=split, sources=(OURS, PredictionMetadata()))["fitted_with_test_people"]
    assert (check.status, check.leak) == ("fail", True)
    assert check.detail.endswith("than the split has to learn from (14): k (24)")
    assert checks(of(14), split=split, sources=(OURS,))["fitted_with_test_people"].status == "pass"
    # a draw does not say how many its base has
    drawn = replace(split, draw=0, base_digest="b")
    assert checks(of(20, draw=1), split=drawn, sources=(OURS,))["fitted_with_test_people"].status == "pass"


def test_our_own_model_fitted_in_another_cohort_warns() -> None:
    # weights of 358 people are applied to a cohort whose split has 14 to learn from
    check = checks(of(358), split=make_split(), sources=(OURS,))["fitted_with_test_people"]
    assert check.status == "warn"
    assert "m (358)" in check.detail
    assert check.detail.endswith("fitted with another split or cohort")


def test_files_that_do_not_say_what_made_them_warn() -> None:
    found = checks(of(None), split=make_split(), sources=(OURS, PredictionMetadata()))
    assert found["fitted_with_test_people"].status == "warn"
    assert found["fitted_with_test_people"].detail.endswith("penalties and epochs were fitted: 1.parquet")


def test_genes_that_were_left_out_are_counted() -> None:
    cohort = make_cohort()
    full = checks(make_table(make_split()), cohort=cohort, split=make_split())["genes_chosen"]
    assert full.status == "pass"
    split = make_split(seen=(G1,), unseen=("g3",))
    check = checks(make_table(make_split()), cohort=cohort, split=split)["genes_chosen"]
    assert (check.status, check.leak) == ("warn", False)
    assert "the split leaves out 1 of the cohort's 3 genes" in check.detail
    gap = make_split(seen=(G1,), unseen=("g3",), excluded_genes={"g2": "its window overlaps"})
    assert checks(make_table(make_split()), cohort=cohort, split=gap)["genes_chosen"].status == "pass"
    few = make_table(make_split()).filter(pl.col("gene") != "g2")
    assert (
        "m lacks 1 of 2 seen genes" in checks(few, cohort=cohort, split=make_split())["genes_chosen"].detail
    )


def test_people_whom_a_row_lacks_altogether_are_counted() -> None:
    few = make_table(make_split(), "k").filter(~pl.col("individual").is_in(PEOPLE[20:]))
    check = checks(pl.concat([make_table(make_split()), few]))["same_genes_and_people"]
    assert check.status == "warn"
    assert (
        "seen_gene/new_individual: of 20 pairs of gene and individual k 12 (without 4 people)" in check.detail
    )


def told(**means: tuple[float, ...]) -> PredictionMetadata:
    return PredictionMetadata(permuted=tuple(means.items()))


def test_refitted_models_have_mean_r_zero_by_t() -> None:
    """Of -1, 0, 1, 2, 3 the mean is 1 and its standard error sqrt(2.5 / 5); t(0.975, 4) is 2.776."""
    found = Refitted.of([-1.0, 0.0, 1.0, 2.0, 3.0])
    assert (found.mean, found.se, found.permutations) == (1.0, pytest.approx(0.5**0.5), 5)
    assert found.is_zero()
    assert not Refitted(2.0, 0.5**0.5, 5).is_zero()  # 2.83 standard errors
    assert Refitted(2.0, 0.5**0.5, 5).is_zero(2)  # one of two tests
    assert Refitted.of([0.0] * 5).is_zero()  # null models


def test_the_check_of_refitted_models_names_those_that_are_not_zero() -> None:
    frame = make_table(make_split())
    near, far = (-0.02, -0.01, 0.0, 0.01, 0.02), (0.08, 0.09, 0.1, 0.11, 0.12)
    passed = refitted_to_permuted(Table.of(Predictions(frame, told(ridge=near))))
    assert (passed.status, passed.detail) == (
        "pass",
        "mean r in test people, fitted to 5 permutations of people: ridge 0.0000 (SE 0.0071)",
    )
    files = (("a.parquet", told(ridge=near)), ("b.parquet", told(gblup=far)), ("c.csv", PredictionMetadata()))
    warned = refitted_to_permuted(Table.of(Predictions(frame, sources=files)))
    assert (warned.status, warned.leak) == ("warn", False)
    assert warned.detail.endswith("ridge 0.0000 (SE 0.0071), gblup 0.1000 (SE 0.0071); not 0: gblup")
    assert refitted_to_permuted(Table.of(Predictions(frame))).status == "not run"
    assert refitted_to_permuted(Table.of(Predictions(frame, told(ridge=(0.5,))))).status == "not run"


def test_mean_r_is_of_test_people_and_of_genes_that_have_one() -> None:
    split = make_split(unseen=())
    frame = pl.concat([make_table(split, "m"), make_table(split, "k")])
    constant = pl.when(pl.col("model") == "k").then(1.0).otherwise("predicted").alias("predicted")
    frame = frame.with_columns(
        constant,
        # of the second gene nothing is measured, and training people are all wrong
        observed=pl.when((pl.col("gene") != "g2") & (pl.col("individual_split") == "test")).then("observed"),
    )
    tested = frame.filter(pl.col("individual_split") == "test", pl.col("model") == "m")
    expected = [
        tested.filter(pl.col("gene") == gene).select(pl.corr("predicted", "observed")).item()
        for gene in (G1, "g3")
    ]
    assert mean_pearsons(frame) == {"m": pytest.approx(sum(expected) / 2), "k": 0.0}
