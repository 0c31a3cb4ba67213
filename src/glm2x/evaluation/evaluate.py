"""`glm2x evaluate`: from predictions to a folder of numbers from which the report is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, LeakError, UsageError
from glm2x.evaluation.checks import Check, run_checks
from glm2x.evaluation.comparisons import Comparison, PeopleDraws, choose_pairs, compare
from glm2x.evaluation.controls import Permuted, permute_people
from glm2x.evaluation.notes import make_notes
from glm2x.evaluation.summary import RowMetrics, per_gene_frame, row_metrics, summarise
from glm2x.evaluation.tables import Cell, RowKey, make_cells, row_labels, training_means
from glm2x.evaluation.uncertainty import Draws, gene_blocks, make_draws, mean_interval
from glm2x.files import refuse_existing, write_aside, write_json
from glm2x.genome.genes import Gene, unversioned
from glm2x.predictions import Predictions, write_predictions

FORMAT_VERSION = 1
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
        Adds sides and the checks that need them.
    draws, permutations, seed
        Of the bootstrap and of the control with permuted people.

    Raises
    ------
    UsageError
        `out` exists, or the split is not the one that the predictions were made with.
    DataError
        No prediction has a measurement beside it.
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
            "nothing can be evaluated: no prediction of a training or test individual has a measurement beside it",
            where=", ".join(name for name, _ in predictions.sources) or "the table",
            got="only validation people" if validation else f"{frame.height} rows, none with `observed`",
            wanted="the column `observed` filled in",
            do="glm2x predict with a cohort that has expression",
        )
    results = [_evaluate_cell(cell, predictions, cohort, split, draws, permutations, seed) for cell in cells]
    permuted = {result.cell.name: result.permuted for result in results}
    checks = run_checks(predictions, cells, permuted, cohort=cohort, split=split)
    metrics = _metrics(predictions, labels, results, checks, cohort, split)
    per_gene = _with_positions(pl.concat([frame for result in results for frame in result.per_gene]), cohort)
    comparisons = pl.concat(
        [_comparison_frame(result.cell, c) for result in results for c in result.comparisons]
        or [_no_comparisons()]
    )
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
    """Fill in the sides that the table does not say, and refuse another split than the table's."""
    if split is None:
        return predictions
    said = predictions.metadata.split_digest
    if said is not None and said != split.digest:
        raise UsageError(
            "the predictions were made with another split",
            got=f"split {said[:12]} in the predictions, {split.digest[:12]} given",
            do="give the split they were made with, or none",
        )
    genes = {gene: split.gene_split(gene) for gene in predictions.frame["gene"].unique()}
    people = {name: split.individual_split(name) for name in predictions.frame["individual"].unique()}
    frame = predictions.frame.with_columns(
        pl.coalesce(side, pl.col(of).replace_strict(sides, return_dtype=pl.String)).alias(side)
        for side, of, sides in (
            ("gene_split", "gene", genes),
            ("individual_split", "individual", people),
        )
    )
    return Predictions(frame, predictions.metadata, predictions.sources, predictions.ignored_columns)


@dataclass(frozen=True)
class _CellResult:
    cell: Cell
    summary: dict[str, dict[str, Any]]
    per_gene: list[pl.DataFrame]
    comparisons: list[Comparison]
    permuted: dict[str, Permuted]


def _evaluate_cell(
    cell: Cell,
    predictions: Predictions,
    cohort: Cohort | None,
    split: Split | None,
    draws: int,
    permutations: int,
    seed: int,
) -> _CellResult:
    window = predictions.metadata.window or (split.window if split else DEFAULT_WINDOW)
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
    return _CellResult(cell, summary, per_gene, comparisons, permuted)


def _interval(metrics: RowMetrics, people: PeopleDraws) -> Any:
    genes = np.isfinite(metrics.mean.pearson)
    drawn = people.of(metrics.row, metrics.row.mask)[:, genes]
    return mean_interval(metrics.mean.pearson[genes], drawn, people.draws.take(genes))


def _places(cohort: Cohort | None) -> dict[str, Gene]:
    return {} if cohort is None else {unversioned(gene.gene): gene for gene in cohort.genes}


def _blocks(genes: Sequence[str], cohort: Cohort | None, window: int) -> NDArray[np.int64]:
    """Return each gene's block; a gene without a position is a block of its own."""
    places = _places(cohort)
    known = [g for g, gene in enumerate(genes) if unversioned(gene) in places]
    blocks = np.arange(len(genes), dtype=np.int64)
    found = [places[unversioned(genes[g])] for g in known]
    blocks[known] = len(genes) + gene_blocks([f.contig for f in found], [f.tss for f in found], window)
    return blocks


def _families(individuals: Sequence[str], cohort: Cohort | None) -> NDArray[np.int64]:
    """Return each individual's family as a number; one without a family is a family of its own."""
    named = _people_column(cohort, "family")
    return _codes([named.get(name) or f"\0{name}" for name in individuals])


def _populations(individuals: Sequence[str], cohort: Cohort | None) -> NDArray[np.int64] | None:
    """Return each individual's population as a number, -1 where unknown; None when no one has one."""
    named = _people_column(cohort, "population")
    found = [named.get(name) for name in individuals]
    if not any(found):
        return None
    return np.where([name is None for name in found], -1, _codes([name or "" for name in found]))


def _people_column(cohort: Cohort | None, column: str) -> dict[str, str]:
    if cohort is None or column not in cohort.people.columns:
        return {}
    return {
        name: str(value)
        for name, value in cohort.people.select("individual", column).drop_nulls().iter_rows()
    }


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _metrics(
    predictions: Predictions,
    labels: dict[RowKey, str],
    results: Sequence[_CellResult],
    checks: Sequence[Check],
    cohort: Cohort | None,
    split: Split | None,
) -> dict[str, Any]:
    frame, metadata = predictions.frame, predictions.metadata
    comparisons = [_comparison_block(result.cell, c) for result in results for c in result.comparisons]
    people = _people_column(cohort, "population")
    named = [people[name] for name in frame["individual"].unique().sort() if name in people]
    validation = frame.filter(pl.col("individual_split") == "validation")["individual"].n_unique()
    value = {
        "format_version": FORMAT_VERSION,
        "glm2x_version": __version__,
        "target": metadata.target,
        "window": metadata.window,
        "transductive": any(c.name == "transductive_target" and c.status == "warn" for c in checks),
        "data": {
            "rows": frame.height,
            "genes": frame["gene"].n_unique(),
            "individuals": frame["individual"].n_unique(),
            "rows_without_observed": frame["observed"].null_count(),
            "validation_individuals": validation,
            "cells": {
                r.cell.name: {"genes": len(r.cell.genes), "individuals": len(r.cell.individuals)}
                for r in results
            },
            "files": [{"name": Path(name).name, **asdict(said)} for name, said in predictions.sources],
            "ignored_columns": list(predictions.ignored_columns),
            "cohort_digest": cohort.digest if cohort else metadata.cohort_digest,
            "split_digest": split.digest if split else metadata.split_digest,
            "split_preset": split.preset if split else None,
            "populations": {name: named.count(name) for name in sorted(set(named))} or None,
        },
        "rows": [{"label": label, **asdict(key)} for key, label in labels.items()],
        "cells": {result.cell.name: result.summary for result in results},
        "comparisons": comparisons,
        "controls": {
            result.cell.name: {label: _control_block(control) for label, control in result.permuted.items()}
            for result in results
        },
        "checks": [asdict(check) for check in checks],
        "notes": make_notes(predictions, [result.cell for result in results], comparisons, cohort, split),
    }
    found: dict[str, Any] = _json(value)
    return found


def _comparison_block(cell: Cell, found: Comparison) -> dict[str, Any]:
    return {
        "a": found.a,
        "b": found.b,
        "cell": cell.name,
        "difference": found.interval.mean,
        "ci95": list(found.interval.ci95),
        "p": found.interval.p,
        "se": found.interval.se,
        "genes": int(found.genes.sum()),
        "individuals": found.people,
        "share_a_better": found.share_better(1),
        "share_b_better": found.share_better(-1),
        "smallest_difference": found.interval.smallest_difference,
    }


def _control_block(control: Permuted) -> dict[str, Any]:
    return {
        "permutations": control.permutations,
        "permuted_mean_pearson": control.mean,
        "permuted_sd": control.sd,
        "permutation_p": control.p,
    }


def _comparison_frame(cell: Cell, found: Comparison) -> pl.DataFrame:
    columns = {
        "gene": pl.Series(cell.genes, dtype=pl.String),
        "individuals": found.individuals,
        "pearson_a": found.pearson_a,
        "pearson_b": found.pearson_b,
        "pearson_ab": found.pearson_ab,
        "difference": found.pearson_a - found.pearson_b,
        "t": found.t,
        "p": found.p,
        "fdr": found.fdr,
    }
    frame = (
        pl.DataFrame(columns).filter(pl.Series(found.genes)).with_columns(pl.col(pl.Float64).fill_nan(None))
    )
    names = (
        pl.lit(value).alias(name) for name, value in (("cell", cell.name), ("a", found.a), ("b", found.b))
    )
    return frame.select(*names, pl.all())


def _no_comparisons() -> pl.DataFrame:
    numbers = ("pearson_a", "pearson_b", "pearson_ab", "difference", "t", "p", "fdr")
    schema: dict[str, Any] = dict.fromkeys(("cell", "a", "b", "gene"), pl.String)
    return pl.DataFrame(schema=schema | {"individuals": pl.Int64} | dict.fromkeys(numbers, pl.Float64))


def _with_positions(per_gene: pl.DataFrame, cohort: Cohort | None) -> pl.DataFrame:
    """Add contig and TSS (0-based) after the gene; null without a cohort."""
    places = _places(cohort)
    found = [places.get(unversioned(gene)) for gene in per_gene["gene"]]
    contig = pl.Series("contig", [place.contig if place else None for place in found], dtype=pl.String)
    tss = pl.Series("tss", [place.tss if place else None for place in found], dtype=pl.Int64)
    at = per_gene.columns.index("gene") + 1
    return per_gene.insert_column(at, contig).insert_column(at + 1, tss)


def _json(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinities are null, and so is a pair of which one is."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list):
        items = [_json(item) for item in value]
        undefined = items and all(item is None for item in items) and all(isinstance(i, float) for i in value)
        return None if undefined else items
    return value
