"""What all tables that people bring have in common, and two of them: individuals and covariates.

Each is joined by name later; nothing here depends on the order of columns or rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.console import say
from glm2x.errors import DataError
from glm2x.genome.annotation import HIGHEST_POSITION
from glm2x.text import column_named, open_delimited, refuse_repeats

MISSING = ("NA", "NaN", "nan", "", ".")  # what stands where nothing was measured

NOBODYS = {"population": MISSING, "family": (*MISSING, "0", "-9")}
"""What stands where a person's population or family is unknown; 0 and -9 are PLINK's."""

_CALLED = {"individual": ("individual",), "population": ("population", "pop"), "family": ("family",)}


def read_individuals(path: Path | str) -> pl.DataFrame:
    """Read a table of people: `individual` and, where given, `population` (`pop`) and `family`.

    Separated by tabs, commas or single spaces, plain or gzipped; the case of a column's name does not
    matter. A population or family that is one of `NOBODYS` is null: strangers are no family called NA.
    How many are, and which columns are not used, is said.

    Raises
    ------
    DataError
        The file is missing or damaged, has no column `individual`, or somebody twice or without name.
    """
    table = open_delimited(path, kind="table of individuals")
    named = {name: column_named(table.columns, *called) for name, called in _CALLED.items()}
    used = {column: name for name, column in named.items() if column is not None}
    label = named["individual"]
    if label is None:
        raise DataError(
            "the table of individuals has no column named individual",
            where=str(path),
            got=f"columns {', '.join(table.columns[:6])}",
            wanted="individual, and optionally population and family",
        )
    frame = table.frame()
    refuse_repeats(names_of(frame, label, table.path), "individual", table.path)
    if unused := [column for column in table.columns if column not in used]:
        say(f"  note: columns of {table.path.name} that are not used: {', '.join(unused)}")
    frame = frame.select(pl.col(column).alias(name) for column, name in used.items())
    for name, words in NOBODYS.items():
        if name not in frame.columns:
            continue
        unknown = frame[name].is_in(words)
        if unknown.any():
            said = ", ".join(frame[name].filter(unknown).unique(maintain_order=True))
            say(f"  note: {name} {said} of {table.path.name} is none: {int(unknown.sum())} people")
            frame = frame.with_columns(pl.when(~unknown).then(pl.col(name)).alias(name))
    return frame


def known_of(people: pl.DataFrame, column: Literal["population", "family"]) -> dict[str, str]:
    """Return the population or family of each person for whom the table of people names one.

    What stands for an unknown one (`NOBODYS`) is none, whoever wrote the table.
    """
    if column not in people.columns:
        return {}
    rows = people.select("individual", pl.col(column).cast(pl.String)).drop_nulls()
    return {name: value for name, value in rows.iter_rows() if value not in NOBODYS[column]}


def read_covariates(path: Path | str) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64]]:
    """Read covariates, one a row, one column an individual (FastQTL, QTLtools, tensorQTL).

    Separated by tabs, commas or single spaces, plain or gzipped.

    Returns
    -------
    Names of the covariates, names of the individuals, float64 ``[covariates, individuals]``.

    Raises
    ------
    DataError
        The file is missing or damaged, a name stands twice, or a cell is no finite number.
    """
    table = open_delimited(path, kind="covariates file")
    label, people = table.columns[0], table.columns[1:]
    frame = table.frame()
    names = names_of(frame, label, table.path)
    refuse_repeats(names, "covariate", table.path)
    return names, people, numbers_of(frame, people, label, table.path)


def names_of(frame: pl.DataFrame, column: str, path: Path) -> tuple[str, ...]:
    """Return a column of names; `DataError` where one is empty."""
    names = frame[column]
    if names.null_count() or (names == "").any():
        row = int(names.fill_null("").eq("").arg_max() or 0)
        cells = [str(cell) for cell in frame.row(row)[:4] if cell is not None]
        raise DataError(
            f"a row of a table has nothing in its column {column}",
            where=f"the row of {' '.join(cells)!r} in {path}",
            wanted="a name in each row",
        )
    return tuple(names)


def positions_of(frame: pl.DataFrame, column: str, label: str, path: Path) -> NDArray[np.int64]:
    """Return a column of 0-based positions as int64; `DataError` where one is none."""
    values = frame[column].cast(pl.Int64, strict=False)
    for bad, what in (
        (values.is_null(), "holds something that is no whole number"),
        (values < 0, "holds a position before the contig"),
        (values > HIGHEST_POSITION, "holds a position beyond every contig"),
    ):
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(
                f"column {column} {what}",
                where=f"{frame[label][row]} in {path}",
                got=repr(frame[column][row]),
                wanted=f"a whole number from 0 to {HIGHEST_POSITION:,}",
            )
    return values.to_numpy().astype(np.int64)


def numbers_of(frame: pl.DataFrame, columns: Sequence[str], label: str, path: Path) -> NDArray[np.float64]:
    """Return columns of text as float64 ``[rows, columns]``; `MISSING` cells are NaN.

    Raises
    ------
    DataError
        There is no column, or a cell is no finite number.
    """
    if not columns:
        raise DataError("a table has no column of an individual", where=str(path))
    if not frame.height:
        return np.empty((0, len(columns)))
    cells = pl.concat([frame[column] for column in columns])  # one column, so that many cost no more than few
    values = cells.cast(pl.Float64, strict=False).to_numpy()
    finite = np.isfinite(values)
    bad = ~finite & ~cells.fill_null("").is_in(MISSING).to_numpy() if not finite.all() else ~finite
    if bad.any():
        column, row = divmod(int(bad.argmax()), frame.height)
        raise DataError(
            "a cell is no finite number",
            where=f"{frame[label][row]}, column {columns[column]} of {path}",
            got=repr(frame[columns[column]][row]),
            wanted="a number, or NA where it was not measured; a column that is no individual must have "
            "a name such as strand, length or gene_name, and stand before the individuals",
        )
    return np.ascontiguousarray(values.reshape(len(columns), frame.height).T)
