"""Tables in files, sorted into blocks of genes: the same numbers as in memory, and the same complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from evaluation_fakes import (
    EXPRESSION,
    GENES,
    PEOPLE,
    WINDOW,
    make_cohort,
    make_split,
    make_table,
)

from glm2x.errors import DataError, UsageError
from glm2x.evaluation import stored
from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.evaluate import Evaluation, evaluate
from glm2x.evaluation.stored import OnDisk, PredictionFiles, open_table
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import row_labels
from glm2x.predictions import (
    KEY,
    SWAPPED,
    PredictionMetadata,
    Predictions,
    read_predictions,
    write_predictions,
)

SPLIT = make_split()
SAID = PredictionMetadata(target="log", window=WINDOW, glm2x_version="1")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that end within a gene, and a block for each gene."""
    monkeypatch.setattr("glm2x.prediction_pieces.PIECE", 17)
    monkeypatch.setattr(stored, "BLOCK", 1)


def written(folder: Path, *, people: tuple[str, ...] = PEOPLE) -> tuple[Path, ...]:
    """Two files of ours, one of draws and one with exchanged haplotypes, and a stranger's CSV."""
    draws = [
        make_table(SPLIT, "onehot", genes=slice(0, 2)).with_columns(
            draw=pl.lit(draw, pl.Int64), train_individuals=pl.lit(14, pl.Int64)
        )
        for draw in (1, 0)
    ]
    ridge = make_table(SPLIT, "ridge").with_columns((pl.col("predicted") + 0.0).alias(SWAPPED))
    for name, frame in (("a", pl.concat(draws)), ("b", ridge)):
        write_predictions(folder / f"{name}.parquet", Predictions(frame, SAID))
    rows = [
        f"{gene},{person},{(7 * p + g) % 5},note"
        for p, person in enumerate(people)
        for g, gene in enumerate(("g3", "ENSG00000000001"))
    ]
    (folder / "theirs.csv").write_text("gene,individual,predicted,remark\n" + "\n".join(rows) + "\n")
    return folder / "a.parquet", folder / "b.parquet", folder / "theirs.csv"


def opened(paths: tuple[Path, ...], folder: Path, genes: tuple[str, ...] | None = None) -> Table:
    (folder / "scratch").mkdir()
    return open_table(PredictionFiles(paths, genes), folder / "scratch")


def test_blocks_hold_all_rows_of_a_gene_in_their_order(tmp_path: Path) -> None:
    paths = written(tmp_path)
    table, whole = opened(paths, tmp_path), read_predictions(paths)
    assert isinstance(table.blocks, OnDisk)
    blocks = list(table.blocks)
    assert [block["gene"].unique().sort().to_list() for block in blocks] == [
        ["ENSG00000000001", GENES[0].gene],
        ["g2"],
        ["g3"],
    ]
    for block in blocks:
        names = block["gene"].unique().to_list()
        assert block.equals(whole.frame.filter(pl.col("gene").is_in(names)))
    assert (table.metadata, table.sources) == (whole.metadata, whole.sources)
    assert table.ignored_columns == whole.ignored_columns == ("remark",)
    assert (table.rows, table.unmeasured) == (whole.frame.height, 48)
    assert table.measured == {"onehot", "ridge"}
    assert table.people_names == list(PEOPLE)
    assert table.model_names == ["onehot", "ridge", "theirs"]
    # 24 people; onehot has two draws
    assert table.people.height == 4 * 24
    assert table.genes.select("model", "gene", "draw").height == 2 * 2 + 3 + 2


def evaluated(table: Predictions | PredictionFiles, out: Path, **more: Any) -> Evaluation:
    return evaluate(table, out, draws=100, permutations=100, **more)


@pytest.mark.parametrize("known", [False, True])
def test_files_are_evaluated_as_the_table_in_memory_is(known: bool, tmp_path: Path) -> None:
    paths = written(tmp_path, people=PEOPLE[3:])
    rng = np.random.default_rng(0)
    cohort = make_cohort(
        people={"population": ["A", "B"] * 12}, genotypes=rng.random((48, 40)) < 0.3, covariates=True
    )
    given: dict[str, Any] = {"cohort": cohort, "split": SPLIT} if known else {}
    found = evaluated(PredictionFiles(paths), tmp_path / "files", **given)
    expected = evaluated(read_predictions(paths), tmp_path / "memory", **given)
    assert found.metrics == expected.metrics
    assert found.metrics["data"]["adopted"]["genes_renamed"] == 1
    assert (found.metrics["data"]["adopted"]["observed_filled"] > 0) == known
    assert found.per_gene.equals(expected.per_gene)
    assert found.comparisons.equals(expected.comparisons)
    names = {path.name for path in (tmp_path / "memory").iterdir()}
    assert {path.name for path in (tmp_path / "files").iterdir()} == names
    for name in names - {"predictions.parquet", "metrics.json", "split.json"}:
        tables = [pl.read_parquet(tmp_path / folder / name) for folder in ("files", "memory")]
        assert tables[0].equals(tables[1])
    one, other = (read_predictions(tmp_path / e / "predictions.parquet") for e in ("files", "memory"))
    assert one.frame.sort(KEY).equals(other.frame.sort(KEY))
    assert one.metadata == other.metadata


def test_genes_of_a_list_are_judged_alone(tmp_path: Path) -> None:
    paths = written(tmp_path)
    table = opened(paths, tmp_path, ("ENSG00000000001.9", "g3"))
    assert isinstance(table.blocks, OnDisk)
    assert table.gene_names == ["ENSG00000000001", GENES[0].gene, "g3"]
    assert table.rows == read_predictions(paths).frame.filter(pl.col("gene") != "g2").height
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="hold none of the genes of the list"):
        open_table(PredictionFiles(paths, ("g9",)), tmp_path / "other")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("g3,p00,one,", "the column predicted is not a number in 1 of 49 rows"),
        ("g3,p00,3,", "a prediction is there twice in 2 of 49 rows"),
        (",p00,3,", "the column gene is empty in 1 of 49 rows"),
        ("g3,p77,inf,", "the column predicted is not finite in 1 of 49 rows"),
    ],
)
def test_what_is_wrong_is_told_of_the_whole_file(line: str, message: str, tmp_path: Path) -> None:
    *_, theirs = written(tmp_path)
    theirs.write_text(theirs.read_text() + line + "\n")
    with pytest.raises(DataError, match=message) as found:
        opened((theirs,), tmp_path)
    with pytest.raises(DataError) as expected:
        read_predictions(theirs)
    assert str(found.value) == str(expected.value)


def test_two_files_that_predict_the_same_or_do_not_go_together_are_refused(tmp_path: Path) -> None:
    first, second, _ = written(tmp_path)
    with pytest.raises(DataError, match="a prediction is there twice"):
        opened((first, first), tmp_path)
    write_predictions(
        second, Predictions(make_table(SPLIT, "k"), PredictionMetadata(target="residual")), force=True
    )
    with pytest.raises(UsageError, match="different target modes"):
        evaluated(PredictionFiles((first, second)), tmp_path / "e")
    with pytest.raises(DataError, match=r"predictions file none.parquet does not exist"):
        evaluated(PredictionFiles((tmp_path / "none.parquet",)), tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_matrices_in_files_are_those_in_memory(tmp_path: Path) -> None:
    table = opened(written(tmp_path), tmp_path)
    labels = row_labels(table.people)
    (tmp_path / "cells").mkdir()
    found = make_cells(table.blocks, labels, tmp_path / "cells")
    expected = make_cells([table.frame()], labels)
    assert [cell.name for cell in found] == [cell.name for cell in expected]
    for cell, other in zip(found, expected, strict=True):
        assert (cell.genes, cell.individuals) == (other.genes, other.individuals)
        for row, same in zip(cell.rows, other.rows, strict=True):
            assert (row.key, row.label, row.replicates) == (same.key, same.label, same.replicates)
            for _ in range(2):  # what was given back is read again
                np.testing.assert_array_equal(row.predicted, same.predicted)
                np.testing.assert_array_equal(row.observed, same.observed)
                row.release()
            assert not row.predicted.flags.writeable
    assert not any(row.mapped for cell in expected for row in cell.rows)


def test_a_row_that_lacks_the_genes_of_a_block_has_nothing_there(tmp_path: Path) -> None:
    table = opened(written(tmp_path), tmp_path)
    (tmp_path / "cells").mkdir()
    found = make_cells(table.blocks, row_labels(table.people), tmp_path / "cells")
    cells = {cell.name: cell.rows for cell in found}
    assert [row.label for row in cells["unseen_gene/new_individual"]] == ["ridge"]
    ridge, onehot = cells["seen_gene/new_individual"]
    assert (ridge.label, onehot.label) == ("ridge", "onehot")
    assert [replicate.draw for replicate in onehot.replicates] == [0, 1]
    np.testing.assert_array_equal(ridge.observed[0], EXPRESSION[:2, 14:])
    # a table of one gene beside one of two
    alone = make_table(SPLIT, "k", genes=slice(0, 1))
    write_predictions(tmp_path / "k.parquet", Predictions(alone, SAID))
    (tmp_path / "again").mkdir()
    table = open_table(PredictionFiles((tmp_path / "b.parquet", tmp_path / "k.parquet")), tmp_path / "again")
    found = make_cells(table.blocks, row_labels(table.people), tmp_path / "again")
    lacking = {row.label: row for row in found[0].rows}["k"]
    assert np.isfinite(lacking.predicted).all(axis=(0, 2)).tolist() == [True, False]
    assert np.isnan(lacking.predicted[:, 1]).all()
