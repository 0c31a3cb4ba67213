"""`glm2x evaluate`: from predictions to a folder of numbers from which the report is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, LeakError, UsageError
from glm2x.evaluation.check import Check
from glm2x.evaluation.checks import run_checks
from glm2x.evaluation.comparisons import PeopleDraws, choose_pairs, compare
from glm2x.evaluation.controls import permute_people
from glm2x.evaluation.metrics import UNKNOWN
from glm2x.evaluation.output import (
    CellResult,
    comparison_table,
    metrics_content,
    people_column,
    with_positions,
)
from glm2x.evaluation.summary import RowMetrics, per_gene_frame, row_metrics, summarise
from glm2x.evaluation.tables import Cell, gene_rows, largest_window, make_cells, row_labels, training_means
from glm2x.evaluation.uncertainty import Interval, gene_blocks, make_draws, mean_interval
from glm2x.files import refuse_existing, write_aside, write_json
from glm2x.predictions import Predictions, write_predictions

DEFAULT_WINDOW = 64_000


@dataclass(frozen=True)
class Evaluation:
    """What was written.

    Parameters
    ----------
    folder
        Where.
    metrics
        The content of `metrics.json`.
    per_gene, comparisons
        The content of the two tables.
    checks
        Outcomes of the leak checks.
    """

    folder: Path
    metrics: dict[str, Any]
    per_gene: pl.DataFrame
    comparisons: pl.DataFrame
    checks: tuple[Check, ...]

    @property
    def leaks(self) -> tuple[Check, ...]:
        """The leak checks that failed."""
        return tuple(check for check in self.checks if check.leak and check.status == "fail")

    def raise_leaks(self) -> None:
        """Raise `LeakError` (exit code 3) when a leak check failed."""
        if self.leaks:
            raise LeakError(
                f"{len(self.leaks)} leak checks failed; the numbers in this folder are not to be trusted",
                where=str(self.folder),
                got="; ".join(f"{check.name}: {check.detail}" for check in self.leaks),
                wanted="no test individual and no unseen gene known to the models",
                do="make the split again, and train and predict with it",
            )


def evaluate(
    predictions: Predictions,
    out: Path | str,
    cohort: Cohort | None = None,
    split: Split | None = None,
    force: bool = False,
    *,
    draws: int = 1_000,
    permutations: int = 1_000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a table of predictions and write a folder.

    It holds `metrics.json`, `per_gene.parquet`, `comparisons.parquet`, the table itself as
    `predictions.parquet`, and the split as `split.json` when one is given. A failed leak check does
    not keep it from being written: see `Evaluation.raise_leaks`.

    Parameters
    ----------
    predictions
        One table; sides that it does not say are taken from the split.
    cohort
        Adds populations, families, positions of genes and the checks that need them.
    split
        Adds sides and the checks that need them. Of draws of one base, any, or the base itself: its
        checks are of its own people, and those of the base hold for all.
    draws, permutations, seed
        Of the bootstrap and of the control with permuted people.

    Raises
    ------
    UsageError
        `out` exists, or the split is not the one that the predictions were made with, nor of its base.
    DataError
        No prediction of a training or test individual has a measurement.
    """
    out = Path(out)
    refuse_existing(out, force=force)
    predictions = _with_sides(predictions, split)
    frame = predictions.frame
    labels = row_labels(frame)
    cells = make_cells(frame, labels)
    if not cells:
        validation = frame["individual_split"].eq_missing("validation").all()
        raise DataError(
            "nothing can be evaluated: no prediction of a training or test individual has a measurement",
            where=", ".join(name for name, _ in predictions.sources) or "the table",
            got="only validation people" if validation else f"{frame.height} rows, none with `observed`",
            wanted="the column `observed` filled in",
            do="glm2x predict with a cohort that has expression",
        )
    # A stranger's predictions may be so large that their squares are not finite: those genes are undefined.
    with np.errstate(over="ignore", invalid="ignore"):
        results = [
            _evaluate_cell(cell, predictions, cohort, split, draws, permutations, seed) for cell in cells
        ]
    checks = run_checks(predictions, cells, cohort=cohort, split=split)
    metrics = metrics_content(predictions, labels, results, checks, cohort, split)
    per_gene = with_positions(pl.concat([frame for result in results for frame in result.per_gene]), cohort)
    comparisons = comparison_table(results)
    with write_aside(out, force=force) as folder:
        folder.mkdir()
        write_json(folder / "metrics.json", metrics)
        per_gene.write_parquet(folder / "per_gene.parquet")
        comparisons.write_parquet(folder / "comparisons.parquet")
        write_predictions(folder / "predictions.parquet", predictions)
        if split is not None:
            split.save(folder / "split.json")
    return Evaluation(out, metrics, per_gene, comparisons, checks)


def _with_sides(predictions: Predictions, split: Split | None) -> Predictions:
    """Fill in the sides that the table does not say, and refuse a split that is not of the table's base.

    In the rows of a draw only test people are filled in: whom it learnt from, another draw does not say.
    """
    if split is None:
        return predictions
    said = predictions.metadata.family
    if said is not None and said != split.family:
        raise UsageError(
            "the predictions were made with another split",
            got=f"split {said[:12]} in the predictions, {split.family[:12]} given",
            wanted="the split they were made with, or another draw of the same base",
            do="give that one, or none",
        )
    genes = {gene: split.gene_split(gene) for gene in predictions.frame["gene"].unique()}
    people = {name: split.individual_split(name) for name in predictions.frame["individual"].unique()}
    gene = pl.col("gene").replace_strict(genes, return_dtype=pl.String)
    person = pl.col("individual").replace_strict(people, return_dtype=pl.String)
    frame = predictions.frame.with_columns(
        pl.coalesce("gene_split", gene),
        pl.coalesce("individual_split", pl.when(pl.col("draw").is_null() | (person == "test")).then(person)),
    )
    return replace(predictions, frame=frame)


def _evaluate_cell(
    cell: Cell,
    predictions: Predictions,
    cohort: Cohort | None,
    split: Split | None,
    draws: int,
    permutations: int,
    seed: int,
) -> CellResult:
    window = largest_window(predictions, split) or DEFAULT_WINDOW
    blocks = _blocks(cell.genes, cohort, window)
    people = PeopleDraws(make_draws(blocks, _families(cell.individuals, cohort), draws=draws, seed=seed))
    population = _populations(cell.individuals, cohort)
    summary, per_gene, permuted = {}, [], {}
    for row in cell.rows:
        metrics = row_metrics(row, training_means(predictions.frame, row, cell.genes), population)
        summary[row.label] = summarise(metrics, _interval(metrics, people))
        per_gene.append(per_gene_frame(cell, metrics))
        permuted[row.label] = permute_people(row, permutations=permutations, seed=seed)
    comparisons = [compare(a, b, people) for a, b in choose_pairs(cell.rows)]
    return CellResult(cell, summary, per_gene, comparisons, permuted, people.draws)


def _interval(metrics: RowMetrics, people: PeopleDraws) -> Interval:
    genes = np.isfinite(metrics.mean.pearson)
    drawn = people.of(metrics.row, metrics.row.mask)[:, genes].astype(np.float64)
    return mean_interval(metrics.mean.pearson[genes], drawn, people.draws.take(genes))


def _blocks(genes: Sequence[str], cohort: Cohort | None, window: int) -> NDArray[np.int64]:
    """Return each gene's block; a gene without a position is a block of its own."""
    blocks = np.arange(len(genes), dtype=np.int64)
    if cohort is None:
        return blocks
    found = {g: cohort.genes[row] for g, row in enumerate(gene_rows(cohort, genes)) if row is not None}
    known = found.values()
    blocks[list(found)] = len(genes) + gene_blocks([f.contig for f in known], [f.tss for f in known], window)
    return blocks


def _families(individuals: Sequence[str], cohort: Cohort | None) -> NDArray[np.int64]:
    """Return each individual's family as a number; one without a family is a family of its own."""
    named = people_column(cohort, "family")
    return _codes([named.get(name) or f"\0{name}" for name in individuals])


def _populations(individuals: Sequence[str], cohort: Cohort | None) -> NDArray[np.int64] | None:
    """Return each individual's population as a number (`UNKNOWN` = none), or None when nobody has one."""
    named = people_column(cohort, "population")
    found = [named.get(name) for name in individuals]
    if not any(found):
        return None
    return np.where([name is None for name in found], UNKNOWN, _codes([name or "" for name in found]))


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
