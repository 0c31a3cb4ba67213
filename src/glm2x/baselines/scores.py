"""A table of scores of variants, such as a DNA model's effects, matched to a cohort's variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.baselines.identity import KEY, columns_of, smallest
from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError
from glm2x.genome.genes import Gene, index_of_names, match_contigs, unversioned, window_interval
from glm2x.parquet import require_whole
from glm2x.text import column_named, open_delimited

_CALLED = {
    "contig": ("contig", "chrom", "chr", "chromosome"),
    "position": ("position", "pos"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternative"),
    "score": ("score",),
    "gene": ("gene", "gene_id"),
}
_WANTED = "contig, position (1-based, as in a VCF), ref, alt, score, and gene where scores are a gene's own"


@dataclass(frozen=True)
class VariantScores:
    """Scores of variants: the larger, the likelier an effect.

    Parameters
    ----------
    frame
        `contig`, `position` (0-based), `ref`, `alt`, `score`, and `gene` where a score holds for one gene.
    path
        Where they were read from.
    """

    frame: pl.DataFrame
    path: Path


def read_scores(path: Path | str) -> VariantScores:
    """Read scores from tab- or comma-separated text, plain or gzipped, or from parquet.

    Columns contig (or chrom), position (or pos; 1-based, as in a VCF), ref, alt, score and, where scores
    are of a variant's effect on one gene, gene. Other columns are not used.

    Raises
    ------
    DataError
        The file is missing or damaged, lacks a column or a value, has a position that is no whole
        number or a score that is no finite number, or a variant twice.
    """
    path = Path(path)
    frame = _parquet(path) if path.suffix == ".parquet" else open_delimited(path, kind=_KIND).frame()
    named = {name: column_named(frame.columns, *called) for name, called in _CALLED.items()}
    lacking = [name for name, column in named.items() if column is None and name != "gene"]
    if lacking or not frame.height:
        raise DataError(
            f"the {_KIND} has no column {lacking[0]}" if lacking else f"the {_KIND} holds no rows",
            where=str(path),
            got=f"columns {', '.join(frame.columns[:8])}",
            wanted=_WANTED,
        )
    raw = frame.select(pl.col(column).alias(name) for name, column in named.items() if column is not None)
    typed = raw.with_columns(
        pl.col("position").cast(pl.Int64, strict=False) - 1,
        pl.col("score").cast(pl.Float64, strict=False),
        pl.col("contig").cast(pl.String),
        *(pl.col(name).cast(pl.String).str.to_uppercase() for name in ("ref", "alt")),
    )
    wrong = pl.any_horizontal(
        pl.any_horizontal(pl.all().is_null()),
        (pl.col("position") < 0).fill_null(False),
        (~pl.col("score").is_finite()).fill_null(False),
        *((pl.col(name) == "").fill_null(False) for name in typed.columns if typed[name].dtype == pl.String),
    )
    _refuse(raw, typed.select(wrong).to_series(), "holds no variant with a finite score", path)
    typed = smallest(typed)
    _refuse(raw, typed.select(pl.exclude("score")).is_duplicated(), "is of a variant that stands twice", path)
    return VariantScores(typed, path)


class MatchedScores:
    """Scores by the columns of a cohort.

    The covariate of a scored variant is ``-log10`` of the share of matched scores that are at least as
    high, minus its mean over them: only their order counts, so that no outlier and no unit does. A variant
    without score has the mean, 0.

    Attributes
    ----------
    rows, unmatched
        Rows of the table, and how many of them are of no variant (or gene) of the cohort.
    """

    def __init__(self, scores: VariantScores, cohort: Cohort, genes: Iterable[str]) -> None:
        self._cohort = cohort
        self._own = "gene" in scores.frame.columns
        self.rows = scores.frame.height
        frame = scores.frame
        contigs = match_contigs(frame["contig"].unique(), cohort.manifest["counts"]["columns"])
        frame = frame.filter(pl.col("contig").is_in(list(contigs))).with_columns(
            pl.col("contig").replace_strict(contigs, return_dtype=pl.String)
        )
        if self._own:
            names = list(genes)
            known = index_of_names(names)
            listed = frame["gene"].unique().to_list()
            rows = {name: known.get(name, known.get(unversioned(name))) for name in listed}
            found = {name: names[row] for name, row in rows.items() if row is not None}
            frame = frame.filter(pl.col("gene").is_in(list(found))).with_columns(
                pl.col("gene").replace_strict(found, return_dtype=pl.String)
            )
        parts = [
            part.join(columns_of(cohort.variants(str(contig))), on=KEY)
            for (contig,), part in frame.group_by("contig", maintain_order=True)
        ]
        matched = pl.concat(parts) if parts else frame.with_columns(pl.lit(0).alias("column"))
        self.unmatched = self.rows - matched.height
        if not matched.height:
            raise DataError(
                f"no row of the {_KIND} is of a variant of the cohort",
                where=str(scores.path),
                got=" ".join(str(value) for value in scores.frame.select(KEY).row(0))
                + " (0-based) and so on",
                wanted="variants of the same genome build, with REF and ALT as in the cohort",
            )
        at_least = matched["score"].rank("max", descending=True) / matched.height
        covariate = -at_least.log(10)
        matched = matched.with_columns((covariate - covariate.mean()).alias("covariate"))
        key = ["contig", "gene"] if self._own else ["contig"]
        self._parts = {
            tuple(str(value) for value in key): (part["column"].to_numpy(), part["covariate"].to_numpy())
            for key, part in matched.group_by(key, maintain_order=True)
        }

    def covariate(self, gene: Gene, window: int) -> tuple[NDArray[np.float64], int]:
        """Return the covariate of a window's variants, float64 [variants], and how many have a score."""
        variants = self._cohort.variants(gene.contig)
        columns = variants.columns_between(*window_interval(gene.tss, window))
        found = np.zeros(columns.stop - columns.start)
        part = self._parts.get((gene.contig, gene.gene) if self._own else (gene.contig,))
        if part is None:
            return found, 0
        inside = (part[0] >= columns.start) & (part[0] < columns.stop)
        found[part[0][inside] - columns.start] = part[1][inside]
        return found, int(inside.sum())


_KIND = "table of variant scores"


def _parquet(path: Path) -> pl.DataFrame:
    from glm2x.files import require_file

    try:
        require_whole(require_file(path, kind=_KIND))
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"the {_KIND} cannot be read as parquet", where=str(path), got=str(error).splitlines()[0]
        ) from error


def _refuse(raw: pl.DataFrame, bad: pl.Series, what: str, path: Path) -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"a row of the {_KIND} {what} ({int(bad.sum())} such rows)",
            where=f"row {row + 1} of {path}",
            got=", ".join(f"{name} {value!r}" for name, value in raw.row(row, named=True).items()),
            wanted=_WANTED,
        )
