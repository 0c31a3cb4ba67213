"""The predictions table: its columns, its checks, reading and writing it.

It is the seam between everything that predicts and everything that judges predictions. A table
that comes from elsewhere, as a CSV with the same columns, is as good as ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.errors import DataError, UsageError
from glm2x.files import require_file, write_aside
from glm2x.parquet import require_whole, write_table
from glm2x.place import Place, local_copy, place
from glm2x.prediction_metadata import PredictionMetadata as PredictionMetadata

COLUMNS = MappingProxyType(
    {
        "model": pl.Categorical(),
        "strategy": pl.Categorical(),
        "gene": pl.Categorical(),
        "individual": pl.Categorical(),
        "observed": pl.Float64(),
        "predicted": pl.Float64(),
        "gene_split": pl.Categorical(),
        "individual_split": pl.Categorical(),
        "seed": pl.Int64(),
        "train_individuals": pl.Int64(),
        "draw": pl.Int64(),
    }
)
"""Columns of the table in their order, with their types. `observed` is in the target's scale.

In memory names are categorical: 4 bytes a row, where text takes 16 and more. In files they are text.
"""

SWAPPED = "predicted_swapped"
"""A column that a table may have: what is predicted of the same people with their haplotypes exchanged."""

REQUIRED = ("gene", "individual", "predicted")
KEY = ("model", "strategy", "gene", "individual", "seed", "train_individuals", "draw")
GENE_SPLITS = ("seen", "unseen")
INDIVIDUAL_SPLITS = ("train", "validation", "test")
_NEVER_NULL = ("model", "gene", "individual", "predicted")
_NULL_WORDS = ("", "NA", "N/A", "nan", "NaN", "null", "NULL", "None")
_FILE_PREFIX = "glm2x."


@dataclass(frozen=True)
class Predictions:
    """A predictions table.

    Parameters
    ----------
    frame
        The columns of `COLUMNS` and, where a file has it, `SWAPPED`, one row a model, strategy, gene,
        individual, seed and draw.
    metadata
        What holds for all of it. What some files do not say is taken from those that do; a window
        that differs between files is null.
    sources
        Name and metadata of each file it was read from; empty for a table made in memory.
    ignored_columns
        Columns of the files that are not among those.
    """

    frame: pl.DataFrame
    metadata: PredictionMetadata = field(default_factory=PredictionMetadata)
    sources: tuple[tuple[str, PredictionMetadata], ...] = ()
    ignored_columns: tuple[str, ...] = ()


def from_matrix(
    *,
    model: str,
    genes: Sequence[str],
    individuals: Sequence[str],
    predicted: NDArray[np.float64],
    observed: NDArray[np.float64] | None,
    gene_split: Callable[[str], str | None],
    individual_split: Callable[[str], str | None],
    seed: int,
    strategy: str | None = None,
    train_individuals: int | None = None,
    draw: int | None = None,
    swapped: NDArray[np.float64] | None = None,
) -> pl.DataFrame:
    """Return the rows of one model as a table, genes outermost.

    Parameters
    ----------
    genes, individuals
        Names of the G genes and P individuals.
    predicted
        Float [G, P], in the target's scale, all finite.
    observed
        Float [G, P], NaN where not measured (null in the table), or None when nothing is.
    gene_split, individual_split
        The side of a gene (``seen``, ``unseen``) and of an individual (``train``, ``validation``, ``test``).
    swapped
        Float [G, P], predictions with the two haplotypes exchanged, or None where they were not made.

    Raises
    ------
    ValueError
        A matrix does not have the shape [G, P]; a bug of the caller.
    DataError
        A prediction is not finite, or the table would not be valid (see `validate`).
    """
    shape = (len(genes), len(individuals))
    given = [matrix.shape for matrix in (predicted, observed, swapped) if matrix is not None]
    if set(given) != {shape}:
        got = given[0] if len(given) == 1 else tuple(given)
        raise ValueError(f"matrices of shape {got} for {shape[0]} genes and {shape[1]} individuals")
    rows = shape[0] * shape[1]
    gene_sides = [gene_split(gene) for gene in genes]
    individual_sides = [individual_split(individual) for individual in individuals]
    gene_rows = np.repeat(np.arange(shape[0]), shape[1])
    individual_rows = np.tile(np.arange(shape[1]), shape[0])
    frame = pl.DataFrame(
        {
            "model": _repeated(model, rows),
            "strategy": _repeated(strategy, rows),
            "gene": pl.Series(genes, dtype=pl.Categorical).gather(gene_rows),
            "individual": pl.Series(individuals, dtype=pl.Categorical).gather(individual_rows),
            "observed": (
                pl.repeat(None, rows, dtype=pl.Float64, eager=True)
                if observed is None
                else pl.Series(observed.ravel(), dtype=pl.Float64).fill_nan(None)
            ),
            "predicted": pl.Series(predicted.ravel(), dtype=pl.Float64),
            "gene_split": pl.Series(gene_sides, dtype=pl.Categorical).gather(gene_rows),
            "individual_split": pl.Series(individual_sides, dtype=pl.Categorical).gather(individual_rows),
            "seed": pl.repeat(seed, rows, dtype=pl.Int64, eager=True),
            "train_individuals": pl.repeat(train_individuals, rows, dtype=pl.Int64, eager=True),
            "draw": pl.repeat(draw, rows, dtype=pl.Int64, eager=True),
        }
    )
    if swapped is not None:
        frame = frame.with_columns(pl.Series(SWAPPED, swapped.ravel(), dtype=pl.Float64))
    validate(frame, where=f"predictions of {model}")
    return frame


def _repeated(name: str | None, rows: int) -> pl.Series:
    return pl.Series([name], dtype=pl.Categorical).new_from_index(0, rows)


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose names are categorical, as `COLUMNS` says; text takes several times the memory."""
    text = [c for c, dtype in COLUMNS.items() if dtype == pl.Categorical and frame.schema.get(c) == pl.String]
    return frame.with_columns(pl.col(text).cast(pl.Categorical)) if text else frame


def columns_of(frame: pl.DataFrame) -> list[str]:
    """Return the columns that a table of predictions has, in their order."""
    return [*COLUMNS, *(column for column in (SWAPPED,) if column in frame.columns)]


def write_predictions(path: Place | str, predictions: Predictions, *, force: bool = False) -> None:
    """Write a table: ``.parquet`` with its metadata in the file, or ``.csv``.

    A CSV cannot hold the metadata: read back, its target is unknown.

    Raises
    ------
    UsageError
        The file exists and `force` is not set, or its name ends otherwise.
    DataError
        The table is not valid, or the disk is full.
    """
    path = place(path)
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(
            "a table of predictions is a .parquet or a .csv", where=str(path), got=path.suffix or "no ending"
        )
    validate(predictions.frame, where=str(path))
    with write_aside(path, force=force) as aside:
        if path.suffix == ".csv":
            as_text(predictions.frame).sink_csv(aside)
        else:
            write_table(as_text(predictions.frame), aside, stored_metadata(predictions.metadata))


def as_text(frame: pl.DataFrame) -> pl.LazyFrame:
    """Return names as text, whoever reads the file; piece by piece, so that memory never holds them so."""
    return frame.lazy().select(columns_of(frame)).with_columns(pl.col(pl.Categorical).cast(pl.String))


def stored_metadata(metadata: PredictionMetadata) -> dict[str, str]:
    """Return metadata as a parquet file holds them."""
    return {_FILE_PREFIX + key: value for key, value in metadata.as_text().items()}


def read_predictions(paths: Place | str | Iterable[Place | str]) -> Predictions:
    """Read one or several files of predictions into one validated table.

    Parquet, or CSV when the name ends in ``.csv``; columns in any order. A file needs `gene`,
    `individual` and `predicted`. Without `model` its model is called as the file is; other columns that
    it lacks become null (`seed` becomes 0); columns that are not ours are left out and listed in
    `ignored_columns`.

    Raises
    ------
    DataError
        A file is missing, is neither parquet nor CSV, or its table is not valid.
    UsageError
        The files are of different target modes, of residuals after different covariates, or of
        different splits.
    """
    places = [place(path) for path in ([paths] if isinstance(paths, str | Place) else paths)]
    if not places:
        raise UsageError("no file of predictions was given", do="name at least one")
    frames, sources = [], []
    ignored: list[str] = []
    for path in places:
        with local_copy(require_file(path, kind="predictions file")) as file:
            raw, metadata = _read_file(file, str(path))
        frames.append(coerce(raw, path))
        sources.append((str(path), metadata))
        ours = {*COLUMNS, SWAPPED, *ignored}
        ignored += [column for column in raw.columns if column not in ours]
    metadata = merge_metadata(sources)
    frame = pl.concat(frames, how="diagonal")
    validate(frame, where=", ".join(str(path) for path in places))
    return Predictions(frame, metadata, tuple(sources), tuple(ignored))


def validate(frame: pl.DataFrame, *, where: str) -> None:
    """Check that a table holds the columns of `COLUMNS`, of their types, with values that make sense.

    Raises
    ------
    DataError
        A column is missing or of another type; a name or a prediction is missing; a number is not
        finite; a split value is unknown; a model predicts one gene of one individual twice.
    """
    for column, dtype in COLUMNS.items():
        if column not in frame.columns:
            raise _missing(column, frame.columns, where)
        if frame.schema[column] != dtype and not (
            dtype == pl.Categorical and frame.schema[column] == pl.String
        ):
            raise _wrong_type(column, str(frame.schema[column]), where)
    if frame.height == 0:
        raise DataError("the predictions table holds no rows", where=where)
    for column in _NEVER_NULL:
        absent = pl.col(column).is_null() | ((pl.col(column) == "") if column != "predicted" else False)
        _refuse(frame, absent, f"the column {column} is empty", where, wanted="a value in every row")
    _refuse(frame, pl.col("seed").is_null(), "the column seed is empty", where, wanted="a whole number")
    for column in ("predicted", "observed", *columns_of(frame)[len(COLUMNS) :]):
        wanted = "finite numbers" if column == "predicted" else "finite numbers, or null where not measured"
        _refuse(
            frame, ~pl.col(column).is_finite(), f"the column {column} is not finite", where, wanted=wanted
        )
    for column, allowed in (("gene_split", GENE_SPLITS), ("individual_split", INDIVIDUAL_SPLITS)):
        unknown = pl.col(column).is_not_null() & ~pl.col(column).is_in(allowed)
        _refuse(frame, unknown, f"unknown value of {column}", where, wanted=f"{', '.join(allowed)} or null")
    key = _key(frame)
    if key.n_unique() < frame.height:
        wanted = "one row a model, strategy, gene, individual, seed, train_individuals and draw"
        twice = pl.lit(key.is_duplicated())
        _refuse(frame, twice, "a prediction is there twice", where, wanted=wanted)


def _key(frame: pl.DataFrame) -> pl.Series:
    """Return one number a row, the same where all of `KEY` is: 8 bytes, where a struct of them takes 100."""
    key, sizes = pl.repeat(0, frame.height, dtype=pl.UInt64, eager=True), 1
    for column in KEY:
        series = frame[column]
        if series.dtype == pl.String:
            series = series.cast(pl.Categorical)
        codes = series.to_physical() if series.dtype == pl.Categorical else series
        if codes.null_count() == len(codes) or (not codes.null_count() and codes.min() == codes.max()):
            continue
        codes = (codes if series.dtype == pl.Categorical else codes.rank("dense")).cast(pl.UInt64)
        size = _number(codes.max()) + 2
        if sizes * size > 2**64:  # numbers too large: those that are there, counted
            key, sizes = key.rank("dense").cast(pl.UInt64), frame.height + 1
        key, sizes = key * size + codes.fill_null(size - 1), sizes * size
    return key


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _refuse(frame: pl.DataFrame, bad: pl.Expr, what: str, where: str, *, wanted: str) -> None:
    """Raise a DataError that names the first row for which `bad` holds and counts them all."""
    rows = frame.with_row_index("row").filter(bad)
    if rows.height == 0:
        return
    first = rows.row(0, named=True)
    shown = ", ".join(f"{column} {first[column]!r}" for column in COLUMNS if first[column] is not None)
    raise DataError(
        f"{what} in {rows.height} of {frame.height} rows",
        where=where,
        got=f"first at row {first['row'] + 1}: {shown}",
        wanted=wanted,
        do="correct the file, or leave the rows out",
    )


def _missing(column: str, columns: Sequence[str], where: str) -> DataError:
    near = difflib.get_close_matches(column, columns, n=1, cutoff=0.6)
    return DataError(
        f"the predictions table has no column {column}",
        where=where,
        got=", ".join(columns) or "no columns",
        wanted=", ".join(REQUIRED),
        do=f"rename {near[0]} to {column}" if near else "add it (a CSV is separated by commas)",
    )


def _wrong_type(column: str, got: str, where: str) -> DataError:
    return DataError(
        f"the column {column} of the predictions table is of the wrong type",
        where=where,
        got=got,
        wanted=str(COLUMNS[column]),
        do="write the column with that type",
    )


def _read_file(path: Path, where: str) -> tuple[pl.DataFrame, PredictionMetadata]:
    """Return the table as it is in the file (a CSV as text) and what its metadata says."""
    is_csv = path.name.endswith((".csv", ".csv.gz"))
    try:
        if is_csv:
            return pl.read_csv(path, infer_schema=False, glob=False), PredictionMetadata()
        require_whole(path, where=where)
        lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        names = [c for c, dtype in lazy.collect_schema().items() if dtype == pl.String and c in COLUMNS]
        frame = lazy.with_columns(pl.col(names).cast(pl.Categorical)).collect(engine="streaming")
        stored = pl.read_parquet_metadata(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be read as {'CSV' if is_csv else 'parquet'}",
            where=where,
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            wanted="a parquet file, or a CSV whose name ends in .csv",
            do="write it again; a download may be cut short",
        ) from error
    return frame, said_by(stored, where)


def said_by(stored: Mapping[str, str], where: str) -> PredictionMetadata:
    """Return what a parquet file's metadata say of the predictions in it."""
    said = {k.removeprefix(_FILE_PREFIX): v for k, v in stored.items() if k.startswith(_FILE_PREFIX)}
    return PredictionMetadata.from_text(said, where=where)


def coerce(raw: pl.DataFrame, path: Place) -> pl.DataFrame:
    """Bring a file's columns to the types of `COLUMNS`, refusing what is not that kind of thing."""
    where = str(path)
    for column in REQUIRED:
        if column not in raw.columns:
            raise _missing(column, raw.columns, where)
    columns = []
    for column, dtype in COLUMNS.items():
        if column == "model" and column not in raw.columns:
            name = path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet")
            columns.append(_repeated(name, raw.height).alias(column))
            continue
        if column not in raw.columns:
            fill = 0 if column == "seed" else None
            columns.append(pl.repeat(fill, raw.height, dtype=dtype, eager=True).alias(column))
            continue
        columns.append(_cast(raw[column], dtype, where))
    if SWAPPED in raw.columns:
        columns.append(_cast(raw[SWAPPED], pl.Float64(), where).fill_nan(None))
    return pl.DataFrame(columns).with_columns(pl.col("observed").fill_nan(None), pl.col("seed").fill_null(0))


def _cast(series: pl.Series, dtype: pl.DataType, where: str) -> pl.Series:
    """Return a column cast to `dtype` without loss, or raise a DataError that names the first misfit."""
    name, got = series.name, series.dtype
    textual = got in (pl.String, pl.Categorical, pl.Enum)
    if got == pl.Null:
        return series.cast(dtype)
    if got == dtype and not textual:
        return series
    if textual and name not in _NEVER_NULL and series.unique().is_in(_NULL_WORDS).any():
        series = pl.select(pl.when(~series.is_in(_NULL_WORDS)).then(series).alias(name)).to_series()
    if dtype == pl.Categorical:
        if not textual:
            raise _wrong_type(name, str(got), where)
        return series if series.dtype == dtype else series.cast(pl.String).cast(dtype)
    if not (textual or got.is_numeric()):
        raise _wrong_type(name, str(got), where)
    cast = (
        series.cast(pl.String).str.strip_chars().cast(dtype, strict=False)
        if textual
        else series.cast(dtype, strict=False)
    )
    lost = cast.is_null() & series.is_not_null()
    if dtype.is_integer() and got.is_float():
        lost |= (cast.cast(pl.Float64) != series).fill_null(False)
    if lost.any():
        at = lost.arg_max()
        assert at is not None
        kind = "whole numbers" if dtype.is_integer() else "numbers"
        raise DataError(
            f"the column {name} is not a number in {lost.sum()} of {len(series)} rows",
            where=where,
            got=f"{series[at]!r} at row {at + 1}",
            wanted=kind if name == "predicted" else f"{kind}, or nothing",
            do="correct the file, or leave the rows out",
        )
    return cast


def _shown(value: str | tuple[str, ...]) -> str:
    """Return a value as a message has it: the first of many names, and how many there are."""
    if isinstance(value, str):
        return value
    return ", ".join(value[:3]) + (f" and {len(value) - 3} more" if len(value) > 3 else "")


def merge_metadata(sources: Sequence[tuple[str, PredictionMetadata]]) -> PredictionMetadata:
    """Return what holds for all files, refusing different targets, and splits that are of no one base.

    Raises
    ------
    UsageError
        They are of different target modes, of residuals after different covariates, or of different splits.
    """
    for key, name in (("target", "target modes"), ("covariates", "covariates"), ("family", "splits")):
        said = [(path, getattr(m, key)) for path, m in sources if getattr(m, key) is not None]
        if len({value for _, value in said}) > 1:
            raise UsageError(
                f"files of predictions of different {name} are not evaluated together",
                got="; ".join(f"{path}: {_shown(value)}" for path, value in said),
                wanted="one target mode after the same covariates, and one split or draws of one base",
                do="evaluate them apart, or make the predictions again with the same --target, "
                "--covariates-keep and --split",
            )
    values = {
        key: {getattr(m, key) for _, m in sources} - {None} for key in PredictionMetadata.__dataclass_fields__
    }
    return PredictionMetadata(**{key: v.pop() if len(v) == 1 else None for key, v in values.items()})
