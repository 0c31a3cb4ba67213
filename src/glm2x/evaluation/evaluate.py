"""`glm2x evaluate`: from predictions to a folder of numbers from which the report is drawn."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.config import TargetMode
from glm2x.errors import DataError, LeakError
from glm2x.evaluation.adopt import Adopted, adopt
from glm2x.evaluation.by_population import by_population
from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.check import Check
from glm2x.evaluation.checks import run_checks
from glm2x.evaluation.comparisons import PeopleDraws, choose_pairs, compare, moments
from glm2x.evaluation.controls import haplotypes_swapped, permute_people, permuted_people
from glm2x.evaluation.few_shot import curve_points, curve_table
from glm2x.evaluation.loci import loci as make_loci
from glm2x.evaluation.loci import named_genes
from glm2x.evaluation.output import CellResult, comparison_table, metrics_content, with_positions
from glm2x.evaluation.stored import PredictionFiles, open_table
from glm2x.evaluation.study import Study, make_study
from glm2x.evaluation.summary import RowMetrics, per_gene_frame, row_metrics, summarise
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import MAIN_CELL, Cell, row_labels
from glm2x.evaluation.training_means import MODEL as TRAINING_MEAN
from glm2x.evaluation.training_means import TrainingMeans
from glm2x.evaluation.uncertainty import Interval, make_draws, mean_interval
from glm2x.files import write_aside, write_json
from glm2x.parquet import write_table
from glm2x.predictions import Predictions
from glm2x.progress import Advance, Progress, silent
from glm2x.seal import sealed


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
    predictions: Predictions | PredictionFiles,
    out: Path | str,
    cohort: Cohort | None = None,
    split: Split | None = None,
    force: bool = False,
    *,
    target: TargetMode | None = None,
    loci: Sequence[str] = (),
    draws: int = 1_000,
    permutations: int = 1_000,
    seed: int = 0,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a table of predictions and write a folder.

    It holds `metrics.json`, `per_gene.parquet`, `comparisons.parquet`, `few_shot.parquet` where models
    learnt from several numbers or draws of people, `loci.parquet` where there is a cohort, the table
    itself as `predictions.parquet`, and the split as `split.json` when one is given. A failed leak check
    does not keep it from being written: see `Evaluation.raise_leaks`.

    Parameters
    ----------
    predictions
        One table; sides that it does not say are taken from the split, measurements of models of which
        it has none from the cohort. Of files, memory holds a block of genes and one model at a time; what
        waits lies beside `out` meanwhile, about as large as the files.
    cohort
        Adds populations, families, positions of genes, genotype PCs, and the checks that need them; with
        a split also h2.
    split
        Adds sides and the checks that need them. Of draws of one base, any, or the base itself: its
        checks are of its own people, and those of the base hold for all.
    target
        The target of predictions that do not say theirs.
    loci
        Genes that `loci.parquet` shall hold beside those of its rule (`glm2x.evaluation.loci`).
    draws, permutations, seed
        Of the bootstrap and of the control with permuted people.
    progress
        Counts the rows of cells, and their comparisons.

    Raises
    ------
    UsageError
        `out` exists, the split is not the one that the predictions were made with, nor of its base, or
        `target` is not theirs.
    DataError
        A gene is predicted twice by two of its names, or no prediction of a training or test individual
        has a measurement; a file is no table of predictions.
    """
    out = Path(out)
    with write_aside(out, force=force) as folder:
        folder.mkdir()
        scratch = None
        if isinstance(predictions, PredictionFiles):
            scratch = folder / "scratch"
            scratch.mkdir()
            table = open_table(predictions, scratch)
        else:
            table = Table.of(predictions)
        adopted = adopt(table, cohort, split, target)
        made = _judged(adopted, cohort, split, scratch, loci, draws, permutations, seed, progress)
        write_table(made.per_gene, folder / "per_gene.parquet")
        write_table(made.comparisons, folder / "comparisons.parquet")
        if made.curve.height:
            write_table(made.curve, folder / "few_shot.parquet")
        if made.loci.height:
            write_table(made.loci, folder / "loci.parquet")
        adopted.table.write(folder / "predictions.parquet")
        if split is not None:
            split.save(folder / "split.json")
        if scratch is not None:
            shutil.rmtree(scratch)
        metrics = sealed(made.metrics | {"files": sorted(path.name for path in folder.iterdir())})
        write_json(folder / "metrics.json", metrics)
    return Evaluation(out, metrics, made.per_gene, made.comparisons, made.checks)


@dataclass(frozen=True)
class _Judged:
    """What an evaluation comes to: the content of its files, and the checks."""

    metrics: dict[str, Any]
    per_gene: pl.DataFrame
    comparisons: pl.DataFrame
    curve: pl.DataFrame
    loci: pl.DataFrame
    checks: tuple[Check, ...]


def _judged(
    adopted: Adopted,
    cohort: Cohort | None,
    split: Split | None,
    scratch: Path | None,
    loci: Sequence[str],
    draws: int,
    permutations: int,
    seed: int,
    progress: Progress,
) -> _Judged:
    table = adopted.table
    labels = row_labels(table.people)
    cells = make_cells(table.blocks, labels, scratch)
    if not cells:
        validation = table.people["individual_split"].eq_missing("validation").all()
        raise DataError(
            "nothing can be evaluated: no prediction of a training or test individual has a measurement",
            where=table.names,
            got="only validation people" if validation else f"{table.rows} rows, none with `observed`",
            wanted="the column `observed` filled in",
            do="; ".join(adopted.not_filled) or "give --cohort with the expression of these people and genes",
        )
    study = make_study(table, cohort, split)
    means = TrainingMeans(table.blocks, predicted=TRAINING_MEAN in table.model_names)
    count = sum(len(cell.rows) + len(choose_pairs(cell.rows)) for cell in cells)
    main = next((number for number, cell in enumerate(cells) if cell.name == MAIN_CELL), 0)
    named = named_genes(loci, cells[main], study)
    # A stranger's predictions may be so large that their squares are not finite: those genes are undefined.
    with (
        np.errstate(over="ignore", invalid="ignore"),
        progress("evaluate", count, "rows and comparisons") as bar,
    ):
        results = [
            evaluate_cell(cell, means, study, draws, permutations, seed, bar, scratch) for cell in cells
        ]
    checks = (
        *run_checks(table, cells, cohort=cohort, split=split),
        permuted_people({result.cell.name: result.permuted for result in results}),
        haplotypes_swapped(table),
    )
    per_gene = pl.concat([frame for result in results for frame in result.per_gene])
    return _Judged(
        metrics_content(adopted, labels, results, checks, study, split),
        with_positions(per_gene, cohort),
        comparison_table(results),
        curve_table([point for result in results for point in result.curve]),
        make_loci(results[main], study, named),
        checks,
    )


def evaluate_cell(
    cell: Cell,
    training_means: TrainingMeans,
    study: Study,
    draws: int,
    permutations: int,
    seed: int,
    bar: Advance,
    scratch: Path | None = None,
) -> CellResult:
    """Return what one cell comes to.

    Parameters
    ----------
    bar
        Counts its rows and comparisons.
    scratch
        A folder in which what is needed again may wait; else it is in memory. Others as `evaluate`.
    """
    families = study.families(cell.individuals)
    counts = make_draws(study.blocks(cell.genes), families, draws=draws, seed=seed)
    people = PeopleDraws(counts, scratch)
    population, components = study.populations(cell.individuals), study.components_of(cell.individuals)
    heritability, members = study.heritability_of(cell.genes), study.members(cell.individuals)
    summary, per_gene, permuted, measured = {}, [], {}, []
    for row in cell.rows:
        means = training_means.of(row, cell.genes)
        metrics = row_metrics(row, means, population, components, heritability)
        summary[row.label] = summarise(metrics, _interval(metrics, people)) | {
            "by_population": by_population(row, members, people.draws)
        }
        measured.append((metrics, summary[row.label]))
        per_gene.append(per_gene_frame(cell, metrics))
        permuted[row.label] = permute_people(row, permutations=permutations, seed=seed)
        row.release()
        bar.advance(1, row.label)
    comparisons = []
    for a, b in choose_pairs(cell.rows):
        comparisons.append(compare(a, b, people))
        a.release()
        b.release()
        bar.advance(1, f"{a.label} and {b.label}")
    curve = curve_points(cell, measured)
    return CellResult(cell, summary, per_gene, comparisons, permuted, people.draws, curve)


def _interval(metrics: RowMetrics, people: PeopleDraws) -> Interval:
    genes = np.isfinite(metrics.mean.pearson)
    drawn = moments(people.of(metrics.row, metrics.row.mask), genes)
    return mean_interval(metrics.mean.pearson[genes], drawn, people.draws.take(genes))
