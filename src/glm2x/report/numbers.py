"""The evaluation's numbers as tables beside the page, one function a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from glm2x.report.comparison import Comparison
from glm2x.report.data import Data, frame
from glm2x.report.format import is_number
from glm2x.report.results import Results
from glm2x.report.roles import Row

_WHO = {
    "row": pl.String,
    "model": pl.String,
    "strategy": pl.String,
    "train_individuals": pl.Int64,
}
# column: where it lies in a row of `metrics.json`
_SUMMARY = {
    "genes": ("genes",),
    "individuals": ("individuals",),
    "mean_pearson": ("mean_pearson",),
    "ci95_low": ("ci95_mean_pearson", 0),
    "ci95_high": ("ci95_mean_pearson", 1),
    "median_pearson": ("median_pearson",),
    "mean_spearman": ("mean_spearman",),
    "median_r2": ("median_r2",),
    "share_significant": ("share_significant",),
    "share_negative_significant": ("share_negative_significant",),
    "null_share": ("null_share",),
    "mean_pearson_nonnull": ("mean_pearson_nonnull",),
    "mean_pearson_within_population": ("mean_pearson_within_population",),
    "mean_partial_pearson": ("mean_partial_pearson",),
    "median_slope": ("median_slope",),
    "median_accuracy": ("heritable", "median_accuracy"),
    "heritable_genes": ("heritable", "genes"),
    "difference_median_r2": ("difference", "median_r2"),
    "gene_mean_r2": ("gene_mean", "r2"),
    "spearman_across_genes": ("across_genes", "mean_spearman"),
    "training_mean_spearman": ("across_genes", "training_mean_spearman"),
}
_COUNTS = ("genes", "individuals", "heritable_genes", "train_individuals", "draws", "seeds", "permutations")


def rows_data(results: Results) -> Data:
    """Return the summary of every row in every cell."""
    lines = [
        {"cell": name, **_who(row), **{k: _at(cell[row.label], *path) for k, path in _SUMMARY.items()}}
        for name, cell in results.cells.items()
        for row in results.rows
        if row.label in cell
    ]
    return Data(
        "rows", "One line a row and cell.", frame(lines, {"cell": pl.String, **_WHO, **_types(_SUMMARY)})
    )


def forest_data(results: Results, rows: Iterable[Row]) -> Data:
    """Return mean r and its interval of the rows that the forest plot draws."""
    cell = results.cells.get(results.main_cell, {})
    keys = ("mean_pearson", "ci95_low", "ci95_high")
    lines = [_who(row) | {k: _at(cell[row.label], *_SUMMARY[k]) for k in keys} for row in rows]
    return Data("forest", "One line a row of the figure, from the top.", frame(lines, _WHO | _types(keys)))


def headline_data(results: Results, rows: Iterable[Row], follow: Row) -> Data:
    """Return mean r of the rows in the headline, and how the followed row stands against each."""
    cell = results.cells.get(results.main_cell, {})
    lines = []
    for row in rows:
        against = None if row == follow else results.comparison(follow.label, row.label)
        lines.append(
            _who(row)
            | {"followed": row == follow, "verdict": against.kind if against else None}
            | {k: _at(cell[row.label], *_SUMMARY[k]) for k in ("mean_pearson", "ci95_low", "ci95_high")}
        )
    schema = _WHO | {"followed": pl.Boolean} | _types(("mean_pearson", "ci95_low", "ci95_high"))
    return Data(
        "headline",
        "One line a row that the headline compares.",
        frame(lines, schema | {"verdict": pl.String}),
    )


def comparisons_data(results: Results) -> Data:
    """Return the paired differences of every cell."""
    schema = {
        **{"cell": pl.String, "a": pl.String, "b": pl.String},
        **_types(("difference", "ci95_low", "ci95_high", "p", "smallest_difference")),
        **_types(("a_better_share", "b_better_share", "genes")),
    }
    lines = [_difference(c) for c in results.comparisons]
    return Data("comparisons", "One line a pair of rows and cell: a minus b.", frame(lines, schema))


def _difference(c: Comparison) -> dict[str, Any]:
    return {
        "cell": c.cell,
        "a": c.a,
        "b": c.b,
        "difference": c.difference,
        "ci95_low": c.low,
        "ci95_high": c.high,
        "p": c.p,
        "smallest_difference": c.smallest,
        "a_better_share": c.share_a_better,
        "b_better_share": c.share_b_better,
        "genes": c.genes,
    }


def seeds_data(results: Results) -> Data:
    """Return how far mean r of each row moves over seeds and draws in the main cell."""
    cell = results.cells.get(results.main_cell, {})
    lines = []
    for row in results.rows:
        found = cell.get(row.label, {}).get("seeds") or {}
        means = [float(r) for r in (found.get("mean_pearson_by_seed") or {}).values() if is_number(r)]
        lines.append(
            _who(row)
            | {k: _at(found, k) for k in ("sd", "sd_between_seeds", "sd_between_draws")}
            | {
                "seeds": _at(found, "n"),
                "lowest": min(means, default=None),
                "highest": max(means, default=None),
            }
        )
    keys = ("seeds", "sd", "sd_between_seeds", "sd_between_draws", "lowest", "highest")
    return Data("seeds", "One line a row, of the main cell.", frame(lines, _WHO | _types(keys)))


def permuted_data(results: Results) -> Data:
    """Return mean r of each row of the main cell with the test people permuted."""
    controls = (results.metrics.get("controls") or {}).get(results.main_cell) or {}
    keys = ("permutations", "permuted_mean_pearson", "permuted_sd", "permutation_p")
    lines = [
        _who(row) | {k: _at(controls[row.label], k) for k in keys}
        for row in results.rows
        if row.label in controls
    ]
    return Data("permuted", "One line a row, of the main cell.", frame(lines, _WHO | _types(keys)))


def few_shot_data(results: Results) -> Data:
    """Return the points of the few-shot curve in every cell."""
    numbers = ("draws", "seeds", "mean_pearson", "sd_draws", "lowest", "highest", "ci95_low", "ci95_high")
    keys = (*numbers, "share_significant", "null_share")
    who = {"model": pl.String, "strategy": pl.String, "train_individuals": pl.Int64}
    lines = [
        {"cell": cell, **{k: point.get(k) for k in ("model", "strategy")}}
        | {k: _at(point, k) for k in ("train_individuals", *keys)}
        for cell in results.cells
        for point in results.few_shot_points(cell)
    ]
    schema = {"cell": pl.String, **who, **_types(keys)}
    return Data(
        "few-shot", "One line a point of the curve: model, number of people, cell.", frame(lines, schema)
    )


def populations_data(results: Results) -> Data:
    """Return mean r of every row of the main cell within each population."""
    keys = ("genes", "individuals", "mean_pearson", "ci95_low", "ci95_high")
    lines = [
        _who(row) | {"population": name} | {k: _at(block, *_SUMMARY[k]) for k in keys}
        for row in results.rows
        for name, block in (
            results.cells.get(results.main_cell, {}).get(row.label, {}).get("by_population") or {}
        ).items()
    ]
    schema = _WHO | {"population": pl.String} | _types(keys)
    return Data("populations", "One line a row and population, of the main cell.", frame(lines, schema))


def genes_data(table: pl.DataFrame, rows: Iterable[Row]) -> Data:
    """Return r of every gene in the given rows, in their order; `table` is the main cell of `per_gene`."""
    schema = {
        "gene": pl.String,
        "contig": pl.String,
        "tss": pl.Int64,
        **_WHO,
        "individuals": pl.Int64,
        "pearson": pl.Float64,
        "null": pl.Boolean,
        "p": pl.Float64,
        "fdr": pl.Float64,
        "significant": pl.Boolean,
    }
    parts = [
        table.filter(pl.col("label") == row.label)
        .with_columns(*(pl.lit(value).cast(_WHO[name]).alias(name) for name, value in _who(row).items()))
        .sort("gene")
        for row in rows
    ]
    found = with_significance(pl.concat(parts))
    columns = [
        (pl.col(name) if name in found.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    ]
    return Data("genes", "One line a gene and row, of the main cell; every gene.", found.select(columns))


def with_significance(table: pl.DataFrame) -> pl.DataFrame:
    """Return lines of `per_gene` with a column `significant`: r > 0.1 at 5 % FDR, as in summaries."""
    if "fdr" not in table.columns:
        return table.with_columns(significant=pl.lit(None, dtype=pl.Boolean))
    return table.with_columns(significant=(pl.col("pearson") > 0.1) & (pl.col("fdr") < 0.05))


def _who(row: Row) -> dict[str, Any]:
    return {
        "row": row.label,
        "model": row.model,
        "strategy": row.strategy,
        "train_individuals": row.train_individuals,
    }


def _types(names: Iterable[str]) -> dict[str, Any]:
    return {name: pl.Int64 if name in _COUNTS else pl.Float64 for name in names}


def _at(value: Any, *path: str | int) -> float | int | None:
    """Return the number at a path of keys and places in a JSON value; None where there is none."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    if not is_number(value):
        return None
    return int(value) if path[-1] in _COUNTS else float(value)
