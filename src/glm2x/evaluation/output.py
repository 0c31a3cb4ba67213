"""What an evaluation writes: the content of `metrics.json` and of the tables beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from glm2x import __version__
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.evaluation.adopt import Adopted
from glm2x.evaluation.check import Check
from glm2x.evaluation.comparisons import Comparison
from glm2x.evaluation.controls import Permuted
from glm2x.evaluation.notes import make_notes
from glm2x.evaluation.study import Study, people_column
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import Cell, RowKey, gene_rows
from glm2x.evaluation.target_checks import is_transductive
from glm2x.evaluation.uncertainty import Draws
from glm2x.files import distinct_names

FORMAT_VERSION = 1


@dataclass(frozen=True)
class CellResult:
    """What one cell came to; by label where it is a mapping."""

    cell: Cell
    summary: dict[str, dict[str, Any]]
    per_gene: list[pl.DataFrame]
    comparisons: list[Comparison]
    permuted: dict[str, Permuted]
    draws: Draws
    curve: list[dict[str, Any]]


def metrics_content(
    adopted: Adopted,
    labels: dict[RowKey, str],
    results: Sequence[CellResult],
    checks: Sequence[Check],
    study: Study,
    split: Split | None,
) -> dict[str, Any]:
    """Return the content of `metrics.json`; `labels` are in the order of the report's rows."""
    table, cohort = adopted.table, study.cohort
    metadata = table.metadata
    comparisons = [_comparison_block(result.cell, c) for result in results for c in result.comparisons]
    people = people_column(cohort, "population")
    everybody = table.people_names
    named = [people[name] for name in everybody if name in people]
    value = {
        "format_version": FORMAT_VERSION,
        "glm2x_version": __version__,
        "target": metadata.target,
        "expression_scale": cohort.expression_scale if cohort is not None else None,
        "window": metadata.window,
        "transductive": is_transductive(checks),
        "data": {
            "rows": table.rows,
            "genes": table.genes["gene"].n_unique(),
            "individuals": len(everybody),
            "rows_without_observed": table.unmeasured,
            "validation_individuals": table.validation_people(),
            "cells": {result.cell.name: _cell_block(result) for result in results},
            "files": _files(table),
            "ignored_columns": list(table.ignored_columns),
            "cohort_digest": cohort.digest if cohort else metadata.cohort_digest,
            "split_digest": split.digest if split else metadata.split_digest,
            "split_preset": split.preset if split else None,
            "adopted": adopted.counts(),
            "genotype_components": study.components_from,
            "heritability": study.heritability_summary(),
            "populations": {name: named.count(name) for name in sorted(set(named))} or None,
        },
        "rows": [{"label": label, **asdict(key)} for key, label in labels.items()],
        "cells": {result.cell.name: result.summary for result in results},
        "comparisons": comparisons,
        "controls": {
            result.cell.name: {label: _control_block(control) for label, control in result.permuted.items()}
            for result in results
        },
        "few_shot": [point for result in results for point in result.curve],
        "checks": [asdict(check) for check in checks],
        "notes": make_notes(adopted, [(r.cell, r.draws) for r in results], comparisons, study, split),
    }
    found: dict[str, Any] = _json(value)
    return found


def _files(table: Table) -> list[dict[str, Any]]:
    names = distinct_names([name for name, _ in table.sources])
    return [{"name": name, **asdict(said)} for name, (_, said) in zip(names, table.sources, strict=True)]


def _cell_block(result: CellResult) -> dict[str, int]:
    return {
        "genes": len(result.cell.genes),
        "individuals": len(result.cell.individuals),
        "gene_blocks": result.draws.block_count,
        "families": result.draws.family_count,
    }


def _comparison_block(cell: Cell, found: Comparison) -> dict[str, Any]:
    return {
        "a": found.a,
        "b": found.b,
        "cell": cell.name,
        "difference": found.interval.mean,
        "ci95": list(found.interval.ci95),
        "p": found.interval.p,
        "se": found.interval.se,
        "df": found.interval.df,
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


def comparison_table(results: Sequence[CellResult]) -> pl.DataFrame:
    """Return `comparisons.parquet`: one row a cell, pair and gene."""
    frames = [_comparison_frame(result.cell, c) for result in results for c in result.comparisons]
    return pl.concat([_no_comparisons(), *frames])


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


def with_positions(per_gene: pl.DataFrame, cohort: Cohort | None) -> pl.DataFrame:
    """Add contig and TSS (0-based) after the gene; null without a cohort."""
    genes = cohort.genes if cohort is not None else ()
    found = [None if row is None else genes[row] for row in gene_rows(cohort, per_gene["gene"])]
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
