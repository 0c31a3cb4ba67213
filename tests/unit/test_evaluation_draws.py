"""Leak checks of several draws of one base: what they share, and what each has of its own."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
from evaluation_fakes import G1, TEST, TRAIN, checks, make_cohort, make_split, make_table

from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.evaluation.check import Check


def test_sides_may_differ_between_draws() -> None:
    swapped = make_split(train=TEST, test=TRAIN)
    frame = pl.concat(
        make_table(split).with_columns(draw=pl.lit(draw, pl.Int64))
        for draw, split in enumerate((make_split(), swapped))
    )
    assert checks(frame)["people_on_two_sides"].status == "pass"


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


def test_residuals_of_another_draw_are_not_taken_for_a_wrong_order() -> None:
    cohort = make_cohort(covariates=True)
    base = make_split(validation=())
    draws = [replace(base, train=t, draw=d, base_digest="b") for d, t in enumerate((TRAIN[:6], TRAIN[6:]))]
    frame = pl.concat(
        make_table(split, observed=make_target(cohort, split, "residual").values).with_columns(
            draw=pl.lit(split.draw, pl.Int64), train_individuals=pl.lit(6, pl.Int64)
        )
        for split in draws
    )
    for split in draws:
        found = checks(frame, cohort=cohort, split=split, target="residual")["sample_order"]
        assert found.status == "pass", found.detail


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
