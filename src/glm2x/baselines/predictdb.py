"""Weights as a PredictDB model database (SQLite), which PrediXcan and its tools read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.baselines.identity import KEY, smallest
from glm2x.baselines.weights import Weights
from glm2x.errors import DataError, UsageError
from glm2x.files import write_aside
from glm2x.genome.genes import contig_key, unversioned
from glm2x.text import column_named, open_delimited

Build = Literal["b37", "b38"]

_TABLES = """
CREATE TABLE extra (gene TEXT, genename TEXT, "n.snps.in.model" INTEGER,
    "pred.perf.R2" REAL, "pred.perf.pval" REAL, "pred.perf.qval" REAL);
CREATE TABLE weights (rsid TEXT, gene TEXT, weight REAL, ref_allele TEXT, eff_allele TEXT, varID TEXT);
"""
_INDEXES = """
CREATE INDEX extra_gene ON extra (gene);
CREATE INDEX weights_rsid ON weights (rsid);
CREATE INDEX weights_gene ON weights (gene);
"""
_KIND = "table of variants' names"
_NAMES = {
    "contig": ("contig", "chrom", "chr", "chromosome"),
    "position": ("position", "pos"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternative"),
    "rsid": ("rsid", "id", "rs"),
}


class Exported(NamedTuple):
    """What went into a database.

    genes, weights : how many rows its tables have
    empty : genes left out because they have no weights
    named : weights whose variant has a name of its own
    """

    genes: int
    weights: int
    empty: int
    named: int


def export_predictdb(
    weights: Weights,
    path: Path | str,
    *,
    model: str,
    build: Build,
    names: pl.DataFrame | None = None,
    force: bool = False,
) -> Exported:
    """Write one model as a PredictDB database.

    Table `weights`: one row a variant with a weight, `eff_allele` the alternative allele. Table `extra`:
    one row a gene with any; `pred.perf.R2` is the square of the correlation between targets and what
    people held out within the fit are predicted (0 where that is negative), `pred.perf.pval` its p and
    `pred.perf.qval` that after Benjamini and Hochberg (null for a model that holds nobody out). The format
    has no intercept: what is predicted from it is relative to it. `genename` is the gene without its version.

    Parameters
    ----------
    build
        Of the genome: ends `varID`, such as ``22_20000086_T_C_b37`` and ``chr22_20000086_T_C_b38``.
    names
        From `read_variant_names`: `rsid` of variants. Others are called by their `varID`.

    Raises
    ------
    UsageError
        No such model, or the file exists and `force` is not set.
    DataError
        The model has no weights.
    """
    models = weights.frame["model"].unique(maintain_order=True).to_list()
    if model not in models:
        raise UsageError(f"no model of the weights is called {model!r}", wanted=", ".join(models))
    every = weights.frame.filter(pl.col("model") == model)
    frame = every.filter(pl.col("weight").is_not_null())
    if not frame.height:
        raise DataError(
            f"the model {model} has no weights: there is nothing to export",
            got=f"{every.height:,} genes with an intercept only",
        )
    genes = frame.unique("gene", maintain_order=True)
    counts = dict(frame.group_by("gene").agg(pl.len()).iter_rows())
    rows = _named(frame, build, names)
    extra = [
        (gene, unversioned(gene), counts[gene], *performance)
        for gene, performance in zip(genes["gene"], _performance(genes), strict=True)
    ]
    with write_aside(path, force=force) as aside, closing(sqlite3.connect(aside)) as database:
        database.executescript(_TABLES)
        database.executemany("INSERT INTO extra VALUES (?, ?, ?, ?, ?, ?)", extra)
        columns = ("rsid", "gene", "weight", "ref", "alt", "varID")
        database.executemany(
            "INSERT INTO weights VALUES (?, ?, ?, ?, ?, ?)", rows.select(columns).iter_rows()
        )
        database.executescript(_INDEXES)
        database.commit()
    named = int((rows["rsid"] != rows["varID"]).sum())
    return Exported(len(extra), rows.height, every["gene"].n_unique() - len(extra), named)


def read_variant_names(path: Path | str) -> pl.DataFrame:
    """Read names of variants: columns contig, position (1-based), ref, alt and rsid, as text.

    Returns
    -------
    `contig` without ``chr``, `position` (0-based), `ref`, `alt`, `rsid`; each variant once.

    Raises
    ------
    DataError
        The file is missing or damaged, lacks a column or a value, or has a variant twice.
    """
    table = open_delimited(path, kind=_KIND)
    named = {name: column_named(table.columns, *called) for name, called in _NAMES.items()}
    lacking = [name for name, column in named.items() if column is None]
    if lacking:
        raise DataError(
            f"the {_KIND} has no column {lacking[0]}",
            where=str(path),
            got=f"columns {', '.join(table.columns[:8])}",
            wanted=", ".join(_NAMES),
        )
    raw = table.frame().select(pl.col(str(column)).alias(name) for name, column in named.items())
    frame = raw.with_columns(
        pl.col("contig").map_elements(contig_key, return_dtype=pl.String),
        pl.col("position").cast(pl.Int64, strict=False) - 1,
        *(pl.col(name).str.to_uppercase() for name in ("ref", "alt")),
    )
    bad = frame.select(pl.any_horizontal(pl.all().is_null())).to_series()
    if not bad.any():
        frame = smallest(frame)
        bad = frame.select("contig", *KEY).is_duplicated()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{int(bad.sum())} rows of the {_KIND} lack a value, or are of a variant that stands twice",
            where=f"row {row + 1} of {path}",
            got=", ".join(f"{name} {value!r}" for name, value in raw.row(row, named=True).items()),
            wanted=", ".join(_NAMES),
        )
    return frame


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p after Benjamini and Hochberg (1995), float64, NaN where p is."""
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])[::-1]]  # from the largest
    scaled = p[order] * len(order) / np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return adjusted


def _named(frame: pl.DataFrame, build: Build, names: pl.DataFrame | None) -> pl.DataFrame:
    """Add `varID` and `rsid` to weights."""
    prefix = "chr" if build == "b38" else ""
    frame = frame.with_columns(pl.col("contig").map_elements(contig_key, return_dtype=pl.String).alias("key"))
    frame = frame.with_columns(
        pl.format(f"{prefix}{{}}_{{}}_{{}}_{{}}_{build}", "key", "position", "ref", "alt").alias("varID")
    )
    if names is None:
        return frame.with_columns(pl.col("varID").alias("rsid"))
    names = names.rename({"contig": "key"}).with_columns(pl.col("position") + 1)
    joined = frame.join(names, on=["key", *KEY], how="left", maintain_order="left")
    return joined.with_columns(pl.col("rsid").fill_null(pl.col("varID")))


def _performance(genes: pl.DataFrame) -> Iterator[tuple[float | None, float | None, float | None]]:
    """Yield R2, p and q of each gene; a negative correlation is no performance: R2 is 0 and p is 1."""
    pearson, p = (genes[name].fill_null(np.nan).to_numpy() for name in ("cv_pearson", "cv_p"))
    p = np.where(pearson <= 0, 1.0, p)
    squared = np.where(pearson <= 0, 0.0, pearson**2)
    for row in np.column_stack([squared, p, benjamini_hochberg(p)]):
        yield (float(row[0]), float(row[1]), float(row[2])) if np.isfinite(row).all() else (None,) * 3
