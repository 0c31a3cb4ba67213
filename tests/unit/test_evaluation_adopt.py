"""What a table does not say is filled in: names of genes, measurements, sides, and what is counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from evaluation_fakes import (
    EXPRESSION,
    G1,
    PEOPLE,
    TEST,
    TRAIN,
    make_cohort,
    make_split,
    make_table,
)

from glm2x.cohort.target import make_target
from glm2x.errors import DataError, UsageError
from glm2x.evaluation.adopt import Adopted
from glm2x.evaluation.adopt import adopt as adopt_table
from glm2x.evaluation.evaluate import evaluate
from glm2x.evaluation.table import Table
from glm2x.predictions import PredictionMetadata, Predictions, read_predictions

SPLIT = make_split()


def adopt(predictions: Predictions, *others: object) -> Adopted:
    return adopt_table(Table.of(predictions), *others)  # type: ignore[arg-type]


def theirs(folder: Path, *, people: tuple[str, ...] = PEOPLE, gene: str = "ENSG00000000001.9") -> Predictions:
    """A stranger's table of one gene: three columns and another one, in their own order."""
    rows = [f"{i / 7},note,{person},{gene}" for i, person in enumerate(people)]
    (folder / "theirs.csv").write_text("predicted,remark,individual,gene\n" + "\n".join(rows) + "\n")
    return read_predictions(folder / "theirs.csv")


def test_three_columns_are_enough_beside_a_cohort_and_a_split(tmp_path: Path) -> None:
    found = adopt(theirs(tmp_path), make_cohort(), SPLIT)
    frame = found.table.frame()
    assert frame["gene"].unique().to_list() == [G1]
    np.testing.assert_array_equal(frame["observed"].to_numpy(), EXPRESSION[0])
    assert frame["individual_split"].to_list() == [SPLIT.individual_split(name) for name in PEOPLE]
    assert frame["gene_split"].unique().to_list() == ["seen"]
    assert found.table.metadata.target == "log"
    assert found.counts() == {
        "genes_renamed": 1,
        "genes_unknown": 0,
        "individuals_unknown": 0,
        "observed_filled": 24,
        "filled_models": ["theirs"],
        "not_filled": [],
    }


def test_raw_expression_is_filled_in_as_its_logarithm(tmp_path: Path) -> None:
    cohort = make_cohort(scale="tpm")
    frame = adopt(theirs(tmp_path), cohort, None).table.frame()
    np.testing.assert_allclose(frame["observed"].to_numpy(), np.log2(EXPRESSION[0] + 1))


@pytest.mark.parametrize("mode", ["residual", "residual-all"])
def test_residuals_are_filled_in_beside_models_of_residuals(mode: str, tmp_path: Path) -> None:
    cohort = make_cohort(covariates=True)
    split = make_split(cohort)
    values = make_target(cohort, split, mode).values  # type: ignore[arg-type]
    ours = make_table(split, observed=values)
    both = Predictions(
        pl.concat([ours, theirs(tmp_path).frame]), PredictionMetadata(target=mode, split_digest=split.digest)
    )
    filled = adopt(both, cohort, split).table.frame().filter(model="theirs")
    np.testing.assert_allclose(filled["observed"].to_numpy(), values[0])
    alone = adopt(theirs(tmp_path), cohort, split, mode).table
    np.testing.assert_allclose(alone.frame()["observed"].to_numpy(), values[0])
    assert alone.metadata.target == mode
    lacking = adopt(both, cohort, None)
    assert lacking.not_filled == (f"the {mode} target needs --split",)
    assert lacking.observed_filled == 0


def test_a_model_with_measurements_keeps_its_own(tmp_path: Path) -> None:
    own = make_table(SPLIT, observed=EXPRESSION * 2).with_columns(
        observed=pl.when(pl.col("individual") != PEOPLE[0]).then("observed")
    )
    both = Predictions(pl.concat([own, theirs(tmp_path).frame]))
    frame = adopt(both, make_cohort(), SPLIT).table.frame()
    assert frame.filter(model="m")["observed"].null_count() == 3
    assert frame.filter(model="theirs")["observed"].null_count() == 0


def test_a_target_that_is_not_the_tables_is_refused(tmp_path: Path) -> None:
    table = replace(theirs(tmp_path), metadata=PredictionMetadata(target="residual"))
    with pytest.raises(UsageError, match="for tables that do not say theirs"):
        adopt(table, make_cohort(), SPLIT, "log")
    assert adopt(table, None, SPLIT, "residual").table.metadata.target == "residual"


def test_people_and_genes_that_the_cohort_does_not_hold_are_counted(tmp_path: Path) -> None:
    found = adopt(
        theirs(tmp_path, people=(*PEOPLE[:20], "x", "y"), gene="ENSG00000000001"), make_cohort(), SPLIT
    )
    assert (found.individuals_unknown, found.genes_unknown, found.observed_filled) == (2, 0, 20)
    assert found.table.frame()["observed"].null_count() == 2
    other = adopt(theirs(tmp_path, gene="g9"), make_cohort(), SPLIT)
    assert (other.genes_unknown, other.observed_filled, other.table.metadata.target) == (1, 0, None)


def test_without_a_cohort_versions_of_one_gene_are_one_gene(tmp_path: Path) -> None:
    both = Predictions(pl.concat([make_table(SPLIT), theirs(tmp_path).frame]))
    found = adopt(both, None, None)
    assert sorted(found.table.frame()["gene"].unique()) == [G1, "g2", "g3"]
    assert found.genes_renamed == 1


def test_two_names_of_one_gene_that_give_one_prediction_twice_are_refused(tmp_path: Path) -> None:
    first, second = theirs(tmp_path), theirs(tmp_path, gene="ENSG00000000001")
    with pytest.raises(DataError, match="two names of one gene give 48 predictions twice") as error:
        adopt(Predictions(pl.concat([first.frame, second.frame])), make_cohort(), None)
    assert f"first: {G1} of p00 by theirs" in str(error.value)


def test_a_strangers_model_is_evaluated_and_compared_with_ours(tmp_path: Path) -> None:
    """People of their own, fewer than ours: what is missing is counted, and what both have is compared."""
    cohort = make_cohort()
    split = make_split(cohort)
    ours = pl.concat([make_table(split, "ridge"), make_table(split, "onehot")])
    fewer = theirs(tmp_path, people=tuple(p for p in PEOPLE if p not in TEST[:3] and p not in TRAIN[:1]))
    both = Predictions(
        pl.concat([ours, fewer.frame]), PredictionMetadata(target="log"), (*fewer.sources,), ("remark",)
    )
    found = evaluate(both, tmp_path / "e", cohort, split, draws=50, permutations=50)
    cell = found.metrics["cells"]["seen_gene/new_individual"]
    assert (cell["theirs"]["genes"], cell["theirs"]["individuals"]) == (1, 7)
    assert cell["ridge"]["individuals"] == 10
    main = [c for c in found.metrics["comparisons"] if c["cell"] == "seen_gene/new_individual"]
    pairs = {(c["a"], c["b"]): c for c in main}
    assert {("theirs", "ridge"), ("onehot", "theirs")} <= set(pairs)
    assert (pairs["theirs", "ridge"]["genes"], pairs["theirs", "ridge"]["individuals"]) == (1, 7)
    checks = {check.name: check for check in found.checks}
    assert "theirs 7 (without 3 people and 1 genes)" in checks["same_genes_and_people"].detail
    assert "theirs lacks 1 of 2 seen genes" in checks["genes_chosen"].detail
    assert checks["fitted_with_test_people"].status == "warn"
    notes = " ".join(found.metrics["notes"])
    assert "20 measurements of theirs were taken from the cohort, on the scale of the target log" in notes
    assert "1 genes were matched without the version of their name" in notes
    assert "Columns that were not used: remark" in notes


def test_nothing_to_fill_in_says_what_is_lacking(tmp_path: Path) -> None:
    table = replace(theirs(tmp_path), metadata=PredictionMetadata(target="residual"))
    with pytest.raises(DataError, match="nothing can be evaluated") as error:
        evaluate(table, tmp_path / "e", make_cohort(covariates=True))
    assert "the residual target needs --split" in str(error.value)
    with pytest.raises(DataError, match="give --cohort"):
        evaluate(theirs(tmp_path), tmp_path / "e")
