"""`glm2x evaluate`: from predictions to a folder of numbers from which the report is drawn."""

from __future__ import annotations

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
from glm2x.evaluation.adopt import adopt
from glm2x.evaluation.by_population import by_population
from glm2x.evaluation.check import Check
from glm2x.evaluation.checks import run_checks
from glm2x.evaluation.comparisons import PeopleDraws, choose_pairs, compare
from glm2x.evaluation.controls import haplotypes_swapped, permute_people, permuted_people
from glm2x.evaluation.few_shot import curve_points, curve_table
from glm2x.evaluation.loci import loci as make_loci
from glm2x.evaluation.loci import named_genes
from glm2x.evaluation.output import CellResult, comparison_table, metrics_content, with_positions
from glm2x.evaluation.study import Study, make_study
from glm2x.evaluation.summary import RowMetrics, per_gene_frame, row_metrics, summarise
from glm2x.evaluation.tables import MAIN_CELL, Cell, make_cells, row_labels, training_means
from glm2x.evaluation.uncertainty import Interval, make_draws, mean_interval
from glm2x.files import refuse_existing, sealed, write_aside, write_json
from glm2x.parquet import write_table
from glm2x.predictions import Predictions, write_predictions
from glm2x.progress import Advance, Progress, silent


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
        it has none from the cohort.
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
        has a measurement.
    """
    out = Path(out)
    refuse_existing(out, force=force)
    adopted = adopt(predictions, cohort, split, target)
    predictions = adopted.predictions
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
            do="; ".join(adopted.not_filled) or "give --cohort with the expression of these people and genes",
        )
    study = make_study(predictions, cohort, split)
    count = sum(len(cell.rows) + len(choose_pairs(cell.rows)) for cell in cells)
    main = next((number for number, cell in enumerate(cells) if cell.name == MAIN_CELL), 0)
    named = named_genes(loci, cells[main], study)
    # A stranger's predictions may be so large that their squares are not finite: those genes are undefined.
    with (
        np.errstate(over="ignore", invalid="ignore"),
        progress("evaluate", count, "rows and comparisons") as bar,
    ):
        results = [evaluate_cell(cell, predictions, study, draws, permutations, seed, bar) for cell in cells]
    checks = (
        *run_checks(predictions, cells, cohort=cohort, split=split),
        permuted_people({result.cell.name: result.permuted for result in results}),
        haplotypes_swapped(frame),
    )
    metrics = metrics_content(adopted, labels, results, checks, study, split)
    per_gene = with_positions(pl.concat([frame for result in results for frame in result.per_gene]), cohort)
    comparisons = comparison_table(results)
    windows = make_loci(results[main], study, named)
    with write_aside(out, force=force) as folder:
        folder.mkdir()
        write_table(per_gene, folder / "per_gene.parquet")
        write_table(comparisons, folder / "comparisons.parquet")
        if metrics["few_shot"]:
            points = [point for result in results for point in result.curve]
            write_table(curve_table(points), folder / "few_shot.parquet")
        if windows.height:
            write_table(windows, folder / "loci.parquet")
        write_predictions(folder / "predictions.parquet", predictions)
        if split is not None:
            split.save(folder / "split.json")
        metrics = sealed(metrics | {"files": sorted(path.name for path in folder.iterdir())})
        write_json(folder / "metrics.json", metrics)
    return Evaluation(out, metrics, per_gene, comparisons, checks)


def evaluate_cell(
    cell: Cell,
    predictions: Predictions,
    study: Study,
    draws: int,
    permutations: int,
    seed: int,
    bar: Advance,
) -> CellResult:
    """Return what one cell comes to; `bar` counts its rows and comparisons, other arguments as `evaluate`."""
    families = study.families(cell.individuals)
    people = PeopleDraws(make_draws(study.blocks(cell.genes), families, draws=draws, seed=seed))
    population, components = study.populations(cell.individuals), study.components_of(cell.individuals)
    heritability, members = study.heritability_of(cell.genes), study.members(cell.individuals)
    summary, per_gene, permuted, measured = {}, [], {}, []
    for row in cell.rows:
        means = training_means(predictions.frame, row, cell.genes)
        metrics = row_metrics(row, means, population, components, heritability)
        summary[row.label] = summarise(metrics, _interval(metrics, people)) | {
            "by_population": by_population(row, members, people.draws)
        }
        measured.append((metrics, summary[row.label]))
        per_gene.append(per_gene_frame(cell, metrics))
        permuted[row.label] = permute_people(row, permutations=permutations, seed=seed)
        bar.advance(1, row.label)
    comparisons = []
    for a, b in choose_pairs(cell.rows):
        comparisons.append(compare(a, b, people))
        bar.advance(1, f"{a.label} and {b.label}")
    curve = curve_points(cell, measured)
    return CellResult(cell, summary, per_gene, comparisons, permuted, people.draws, curve)


def _interval(metrics: RowMetrics, people: PeopleDraws) -> Interval:
    genes = np.isfinite(metrics.mean.pearson)
    drawn = people.of(metrics.row, metrics.row.mask)[:, genes].astype(np.float64)
    return mean_interval(metrics.mean.pearson[genes], drawn, people.draws.take(genes))
