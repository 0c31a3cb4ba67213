"""Weights of linear models of variants: a table, its file, and its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import polars as pl

from glm2x.baselines.identity import texts
from glm2x.baselines.registry import Baseline
from glm2x.baselines.summary import FittedModel
from glm2x.config import TargetMode
from glm2x.errors import DataError, UsageError
from glm2x.files import require_file, write_aside
from glm2x.genome.genes import window_interval
from glm2x.parquet import require_whole, write_table
from glm2x.predictions import PredictionMetadata

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort

COLUMNS = {
    "model": pl.String(),
    "gene": pl.String(),
    "contig": pl.String(),
    "position": pl.Int64(),
    "ref": pl.String(),
    "alt": pl.String(),
    "weight": pl.Float64(),
    "mean_dosage": pl.Float64(),
    "intercept": pl.Float64(),
    "individuals": pl.Int64(),
    "cv_pearson": pl.Float64(),
    "cv_p": pl.Float64(),
}
"""Columns of the table; docs/guides/baselines.md says what they hold. `position` is 1-based, as in a VCF."""

OF_VARIANT = ("contig", "position", "ref", "alt", "weight", "mean_dosage")
OF_GENE = ("intercept", "individuals", "cv_pearson", "cv_p")
FORMAT_VERSION = "1"
_PREFIX = "glm2x."
_FORMAT = "weights_format"
_SCALE = "expression_scale"
_PEOPLE = "train_individuals"
_LONGEST_ALLELE = 1 << 20


@dataclass(frozen=True)
class Weights:
    """Linear models of variants.

    Parameters
    ----------
    frame
        The columns of `COLUMNS`, one row a model, gene and variant with a weight; a gene that a model has
        no variant for has one row, whose columns of a variant are null. Rows of a gene stand together.
    metadata
        Of the predictions that the models made: target, window, cohort, split.
    expression_scale
        Of the cohort that they were fitted to.
    train_individuals
        How many people they were fitted on, at most: fewer where a gene was not measured in all.
    """

    frame: pl.DataFrame
    metadata: PredictionMetadata
    expression_scale: str
    train_individuals: int


def weights_table(
    cohort: Cohort,
    genes: Sequence[str],
    models: Sequence[Baseline],
    fitted: Sequence[Sequence[FittedModel]],
    windows: Mapping[str, int],
    metadata: PredictionMetadata,
    train_individuals: int,
) -> Weights:
    """Return the weights of the models of variants.

    Parameters
    ----------
    fitted
        By gene, then by model.
    windows
        bp, by a model's inputs.
    """
    frames = [pl.DataFrame(schema=COLUMNS)]
    for m, model in enumerate(models):
        for gene, of_gene in zip(genes, fitted, strict=True):
            if of_gene[m].weights is not None:
                frames.append(_rows(cohort, model, gene, of_gene[m], windows[model.inputs]))
    return Weights(pl.concat(frames), metadata, cohort.expression_scale, train_individuals)


def _rows(cohort: Cohort, model: Baseline, gene: str, one: FittedModel, window: int) -> pl.DataFrame:
    assert one.weights is not None
    assert one.means is not None
    used = np.flatnonzero(one.weights)
    of_variant: dict[str, object] = {name: [None] for name in OF_VARIANT}
    if len(used):
        place = cohort.gene(gene)
        variants = cohort.variants(place.contig)
        columns = variants.columns_between(*window_interval(place.tss, window))
        ref, alt = (texts(alleles.between(columns)) for alleles in (variants.ref, variants.alt))
        of_variant = {
            "contig": [place.contig] * len(used),
            "position": variants.position[columns][used] + 1,
            "ref": [ref[j] for j in used],
            "alt": [alt[j] for j in used],
            "weight": one.weights[used],
            "mean_dosage": one.means[used],
        }
    frame = pl.DataFrame(of_variant, schema={name: COLUMNS[name] for name in OF_VARIANT})
    of_gene = {
        "model": model.name,
        "gene": gene,
        "intercept": one.intercept,
        "individuals": one.individuals,
        "cv_pearson": one.cv_pearson,
        "cv_p": one.cv_p,
    }
    return frame.with_columns(
        pl.lit(value, dtype=COLUMNS[name]).alias(name) for name, value in of_gene.items()
    ).select(list(COLUMNS))


def write_weights(path: Path | str, weights: Weights, *, force: bool = False) -> None:
    """Write weights as parquet.

    Raises
    ------
    UsageError
        The file exists and `force` is not set, or its name ends otherwise.
    """
    path = Path(path)
    require_parquet(path)
    said = weights.metadata.as_text() | {_FORMAT: FORMAT_VERSION, _SCALE: weights.expression_scale}
    said[_PEOPLE] = str(weights.train_individuals)
    with write_aside(path, force=force) as aside:
        write_table(weights.frame, aside, {_PREFIX + key: value for key, value in said.items()})


def require_parquet(path: Path) -> None:
    """Raise `UsageError` where a file of weights is not called ``.parquet``."""
    if path.suffix != ".parquet":
        raise UsageError("a file of weights is a .parquet", where=str(path), got=path.suffix or "no ending")


def load_weights(path: Path | str) -> Weights:
    """Read weights that `write_weights` wrote.

    Raises
    ------
    DataError
        The file is missing, damaged, of another format version, or holds what are no linear models: a
        column of another type, a number that is not finite, a variant twice, or two intercepts or contigs of
        one gene's model.
    """
    path = require_file(path, kind="file of weights")
    try:
        require_whole(path)
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
        said = {
            key.removeprefix(_PREFIX): value
            for key, value in pl.read_parquet_metadata(path).items()
            if key.startswith(_PREFIX)
        }
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read as parquet",
            where=str(path),
            got=(str(error) or type(error).__name__).splitlines()[0],
            wanted="a file that glm2x baseline --weights-out wrote",
        ) from error
    numbers = [said.get(key, "") for key in ("window", _PEOPLE)]
    if (
        said.get(_FORMAT) != FORMAT_VERSION
        or dict(frame.schema) != COLUMNS
        or said.get("target") not in get_args(TargetMode)
        or not all(number.isascii() and number.isdigit() and len(number) < 12 for number in numbers)
    ):
        raise DataError(
            "this is no file of weights, or one of another format version",
            where=str(path),
            got=f"weights_format {said.get(_FORMAT)}, columns {', '.join(frame.columns[:12])}",
            wanted=f"weights_format {FORMAT_VERSION}, columns {', '.join(COLUMNS)}",
            do="make it again with glm2x baseline --weights-out",
        )
    _validate(frame, path)
    metadata = PredictionMetadata.from_text(said, where=str(path))
    return Weights(frame, metadata, said.get(_SCALE, ""), int(said[_PEOPLE]))


def _validate(frame: pl.DataFrame, path: Path) -> None:
    variant = pl.col("position").is_not_null()
    whole = pl.sum_horizontal(pl.col(name).is_null() for name in OF_VARIANT)
    gene = pl.struct("model", "gene")
    problems = {
        "holds nothing of a model or gene": pl.any_horizontal(
            pl.col("model", "gene", "intercept", "individuals").is_null()
        ),
        "holds half a variant": ~whole.is_in([0, len(OF_VARIANT)]),
        "holds a number that is not finite": ~pl.all_horizontal(
            pl.col("weight", "mean_dosage", "intercept").is_finite().fill_null(True)
        ),
        "holds a variant that cannot be": variant
        & (
            ~pl.col("position").is_between(1, 1 << 40)
            | ~pl.col("mean_dosage").is_between(0, 2)
            | (pl.col("contig") == "")
            | pl.any_horizontal(
                ~pl.col(name).str.contains("^[ACGT]+$") | (pl.col(name).str.len_bytes() > _LONGEST_ALLELE)
                for name in ("ref", "alt")
            )
        ),
        "is of a variant that stands twice": pl.struct(
            "model", "gene", "contig", "position", "ref", "alt"
        ).is_duplicated(),
        "is of a gene with two intercepts": pl.struct("model", "gene", *OF_GENE).n_unique().over(gene) > 1,
        "is of a gene with and without variants": variant.n_unique().over(gene) > 1,
        "is of a gene on two contigs": pl.col("contig").n_unique().over(gene) > 1,
    }
    for what, bad in problems.items():
        rows = frame.with_row_index("row").filter(bad)
        if rows.height:
            first = rows.row(0, named=True)
            raise DataError(
                f"a row of the file of weights {what} ({rows.height} such rows)",
                where=f"row {first['row'] + 1} of {path}",
                got=", ".join(f"{name} {first[name]!r}" for name in COLUMNS),
                do="make it again with glm2x baseline --weights-out",
            )
