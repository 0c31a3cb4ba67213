"""Plans that somebody made up or damaged: named, and nothing outside the store is touched."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest
from extract_fakes import extract, planned, work_of

from glm2x.claims import CLAIMS
from glm2x.cohort.cohort import Cohort
from glm2x.embeddings import launch
from glm2x.embeddings.plan import read_plans
from glm2x.errors import DataError
from glm2x.work.unit import run_shard
from language_fakes import Counting


@pytest.fixture
def genes(demo_cohort: Cohort) -> tuple[str, ...]:
    return demo_cohort.gene_ids[3:6]


def spoiled(table: pl.DataFrame, what: str) -> pl.DataFrame:
    """Return a plan's lines with something in them that no plan has."""
    return {
        "a shard elsewhere": table.with_columns(shard=pl.lit("../../victim")),
        "a shard of other keys": table.with_columns(shard=pl.lit("0" * 32)),
        "a key that is none": table.with_columns(key=pl.lit("zz")),
        "no key": table.with_columns(key=pl.lit(None, dtype=pl.String)),
        "a key twice": pl.concat([table, table[:1]]),
        "a row that is none": table.with_columns(row=pl.lit(-2, dtype=pl.Int64)),
        "another column": table.rename({"row": "line"}),
    }[what]


@pytest.mark.parametrize(
    ("what", "got"),
    [
        ("a shard elsewhere", "shard '../../victim', which is not the name"),
        ("a shard of other keys", "which is not the name that its keys give"),
        ("a key that is none", "key 'zz'"),
        ("no key", "cells without a value"),
        ("a key twice", "twice"),
        ("a row that is none", "row -2"),
        ("another column", "line Int64"),
    ],
)
def test_a_plan_that_somebody_made_up_touches_nothing(
    what: str, got: str, demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    (tmp_path / "victim").write_text("precious")
    path = store.folder / "plans" / f"{plan.name}.parquet"
    spoiled(plan.table, what).write_parquet(path)
    with pytest.raises(DataError, match="a plan of the embedding store is damaged") as error:
        launch.Opened(store)
    assert got in str(error.value)
    assert f"delete {plan.name}.json and {plan.name}.parquet" in str(error.value)
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("batch", [True, 2**31, 10**40, 1.5, "2"])
def test_batches_that_are_none(
    batch: object, demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    path = store.folder / "plans" / f"{plan.name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "batch": batch}))
    with pytest.raises(DataError, match="damaged") as error:
        read_plans(store.folder)
    assert f"batch {batch}" in str(error.value)


def test_a_row_that_the_cohort_has_not(demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    table = plan.table.with_columns(row=pl.lit(10**6, dtype=pl.Int64))
    with pytest.raises(DataError, match="is not the cohort's"):
        extract(store, dataclasses.replace(plan, table=table), demo_cohort, Counting())


def test_a_claim_that_is_a_link_leads_nowhere(
    demo_cohort: Cohort, genes: tuple[str, ...], tmp_path: Path
) -> None:
    store, plan = planned(tmp_path / "store", demo_cohort, genes, Counting())
    (tmp_path / "victim").write_text("precious")
    (store.folder / CLAIMS).mkdir()
    (store.folder / CLAIMS / plan.shards()[0]["shard"][0]).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        run_shard(work_of(store, plan, demo_cohort, Counting()), 0)
    assert (tmp_path / "victim").read_text() == "precious"
