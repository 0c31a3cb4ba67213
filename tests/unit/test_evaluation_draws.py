"""Leak checks of several draws of one base: what they share, and what each has of its own."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from evaluation_fakes import G1, TEST, TRAIN, VALIDATION, checks, make_cohort, make_split, make_table

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.config import TargetMode
from glm2x.evaluation.check import Check


def test_nobody_is_tested_in_one_draw_and_learnt_from_in_another_of_its_base() -> None:
    def table(*splits: Split) -> pl.DataFrame:
        return pl.concat(
            make_table(split).with_columns(draw=pl.lit(draw, pl.Int64)) for draw, split in enumerate(splits)
        )

    swapped = table(make_split(), make_split(train=TEST, test=TRAIN))
    # a stranger's draws may be of many bases, as in a cross-validation
    assert checks(swapped)["people_on_two_sides"].status == "pass"
    found = checks(swapped, family="b")["people_on_two_sides"]
    assert found.status == "fail"
    assert found.detail == "22 of 24 are on different sides in draws of one base: p00, p01, p02 and 19 more"
    turned = table(make_split(), make_split(train=VALIDATION, validation=TRAIN))
    assert checks(turned, family="b")["people_on_two_sides"].status == "pass"
    genes = table(make_split(), make_split(seen=(G1,), unseen=("g2", "g3")))
    assert checks(genes, family="b")["genes_on_two_sides"].status == "fail"
    assert checks(genes)["genes_on_two_sides"].status == "pass"


def test_draws_differ_in_whom_they_learn_from_and_not_in_whom_they_test() -> None:
    base = make_split(validation=())
    first, other = (
        replace(base, train=train, draw=draw, base_digest=base.digest)
        for draw, train in enumerate((TRAIN[:4], TRAIN[4:8]))
    )

    def found(table: Split, split: Split) -> Check:
        draw = pl.lit(table.draw, pl.Int64)
        return checks(make_table(table).with_columns(draw=draw), split=split)["split_labels"]

    for table in (base, first, other):
        for split in (base, first, other):
            assert found(table, split).status == "pass", (table.draw, split.draw)
    tested = replace(other, train=(*other.train, TEST[0]), test=TEST[1:])
    assert found(tested, first).status == "fail"
    assert "p14 (train in the table, test in the split)" in found(tested, first).detail
    assert "p14 (test in the table, train in the split)" in found(first, tested).detail
    assert found(replace(first, seen=(G1,), unseen=("g2", "g3")), other).status == "fail"


def drawn(cohort: Cohort, mode: TargetMode = "residual") -> tuple[Split, list[Split], list[pl.DataFrame]]:
    """A base, two draws of six people from it, and the table of each with its own residuals."""
    base = make_split(cohort, validation=())
    draws = [
        replace(base, train=t, draw=d, base_digest=base.digest) for d, t in enumerate((TRAIN[:6], TRAIN[6:]))
    ]
    tables = [
        make_table(split, observed=make_target(cohort, split, mode).values).with_columns(
            draw=pl.lit(split.draw, pl.Int64), train_individuals=pl.lit(6, pl.Int64)
        )
        for split in draws
    ]
    return base, draws, tables


MODES: tuple[TargetMode, ...] = ("residual", "residual-all")


@pytest.mark.parametrize("mode", MODES)
def test_the_residuals_of_each_draw_are_those_of_its_own_people(mode: TargetMode) -> None:
    cohort = make_cohort(covariates=True)
    base, draws, tables = drawn(cohort, mode)
    for split in (base, *draws):
        found = checks(pl.concat(tables), cohort=cohort, split=split, target=mode)["sample_order"]
        assert found.status == "pass", found.detail
        assert found.detail == "144 measurements are the cohort's"


def test_a_wrong_order_in_another_draw_is_seen() -> None:
    cohort = make_cohort(covariates=True)
    base, draws, tables = drawn(cohort)
    values = make_target(cohort, draws[1], "residual").values[:, ::-1]
    tables[1] = make_table(draws[1], observed=values).with_columns(
        draw=pl.lit(1, pl.Int64), train_individuals=pl.lit(6, pl.Int64)
    )
    for split in (base, draws[0]):
        found = checks(pl.concat(tables), cohort=cohort, split=split, target="residual")["sample_order"]
        assert found.status == "warn"
        assert found.detail.startswith("72 of 144 measurements are not the cohort's")


def test_draws_whose_people_are_not_labelled_are_not_compared() -> None:
    cohort = make_cohort(covariates=True)
    base, draws, tables = drawn(cohort)
    test_only = tables[1].filter(pl.col("individual_split") == "test")
    found = checks(pl.concat([tables[0], test_only]), cohort=cohort, split=draws[0], target="residual")
    assert found["sample_order"].status == "warn"
    assert found["sample_order"].detail == (
        "72 measurements are the cohort's; 30 of the table's measurements are not compared: the residual "
        "target of a draw needs all whom it learnt from, and the table does not label them"
    )
    found = checks(test_only, cohort=cohort, split=base, target="residual")
    assert found["sample_order"].status == "not run"
    assert found["sample_order"].detail.startswith("30 of the table's measurements are not compared")


def test_relatives_of_whom_any_draw_learnt_from_are_found_whichever_split_is_given() -> None:
    family: list[str | None] = [f"f{i}" for i in range(24)]
    family[20] = family[7]  # p20 is tested, and the second draw learns from p07
    cohort = make_cohort(people={"family": family})
    base, draws, tables = drawn(make_cohort(covariates=True))
    for split in (base, *draws):
        found = checks(pl.concat(tables), cohort=cohort, split=split)["relatives_across_sides"]
        assert found.status == "fail"
        assert found.detail == "1 families are on both sides (people table): f7"
    assert checks(tables[0], cohort=cohort, split=draws[0])["relatives_across_sides"].status == "pass"
    # a table of test people does not say whom the second draw learnt from
    silent = pl.concat([tables[0], tables[1].filter(pl.col("individual_split") == "test")])
    found = checks(silent, cohort=cohort, split=draws[0])["relatives_across_sides"]
    assert found.status == "warn"
    assert found.detail == (
        "no family of the people table is on both sides; the table does not label all whom 1 other draws "
        "learnt from: give their base as --split"
    )
    assert checks(silent, cohort=cohort, split=base)["relatives_across_sides"].status == "fail"


def test_cells_of_training_people_are_not_compared_between_draws() -> None:
    base = make_split(validation=())
    draws = [replace(base, train=t, draw=d, base_digest="b") for d, t in enumerate((TRAIN[:4], TRAIN[4:8]))]
    frame = pl.concat(
        make_table(split, "mk"[split.draw or 0]).with_columns(draw=pl.lit(split.draw, pl.Int64))
        for split in draws
    )
    assert checks(frame)["same_genes_and_people"].status == "pass"
    short = frame.filter((pl.col("draw") == 0) | (pl.col("individual") != TEST[0]))
    assert checks(short)["same_genes_and_people"].status == "warn"


def test_draws_of_other_numbers_of_people_have_residuals_of_their_own() -> None:
    table = make_table(make_split()).with_columns(draw=pl.lit(0, pl.Int64))
    frame = pl.concat(
        table.with_columns(pl.col("observed") + n, train_individuals=pl.lit(n, pl.Int64)) for n in (10, 20)
    )
    assert checks(frame)["observed_between_models"].status == "pass"
    same = frame.with_columns(
        model=pl.col("train_individuals").cast(pl.String), train_individuals=pl.lit(10, pl.Int64)
    )
    assert checks(same)["observed_between_models"].status == "fail"
