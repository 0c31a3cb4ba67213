"""Reading the tables that people bring: expression (phenotype BED), individuals, covariates.

Each is joined by name later; nothing here depends on the order of columns or rows.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.files import require_file
from glm2x.genome.genes import Gene

# columns that stand between `end` and the individuals in the BED dialects of FastQTL, QTLtools and tensorQTL
ANNOTATIONS = frozenset(
    {"gene", "gene_id", "gid", "pid", "id", "phenotype_id", "trait", "gene_name", "name"}
    | {"length", "score", "info", "group", "grp", "group_id", "strand", "biotype", "gene_type"}
)

_TAB = b"\t"


@dataclass(frozen=True)
class ExpressionTable:
    """Expression as it was read; `values` is float64 ``[genes, individuals]``, NaN = not measured."""

    genes: tuple[Gene, ...]
    individuals: tuple[str, ...]
    values: NDArray[np.float64]


def read_phenotype_bed(path: Path | str, genotyped: Collection[str] = ()) -> ExpressionTable:
    """Read a phenotype BED (FastQTL, QTLtools, tensorQTL), plain or gzipped.

    Columns: ``#chr start end identifier``, annotations such as ``strand``, then one column an
    individual. The TSS is `start` (0-based), the same base as `end` (1-based). A column with an
    annotation's name is an individual where `genotyped` has one of that name.

    Raises
    ------
    DataError
        The file is missing or damaged, has no strand column, repeats a gene or an individual, a
        row spans more than its TSS, or a value is no number.
    """
    path = require_file(path, kind="phenotype BED")
    frame = _read_tsv(path)
    names = frame.columns
    if len(names) < 5 or [n.lstrip("#").lower() for n in names[1:3]] != ["start", "end"]:
        raise DataError(
            "the expression file does not look like a phenotype BED",
            where=str(path),
            got=f"columns {', '.join(names[:5])}",
            wanted="#chr start end gene [strand ...] and one column an individual",
        )
    people = [name for name in names[4:] if name in genotyped or name.lower() not in ANNOTATIONS]
    strands = [name for name in names[4:] if name.lower() == "strand" and name not in people]
    if not strands:
        raise DataError(
            "the phenotype BED has no strand column, and a gene's direction decides its sequence",
            where=str(path),
            got=f"columns {', '.join(names[: 4 + len(names[4:]) - len(people)])}",
            wanted="a column named strand holding + or -",
            do="add the column from the annotation that the expression was counted with",
        )
    if not len(frame):
        raise DataError("the phenotype BED has no gene", where=str(path), wanted="one row a gene")
    start = _integers(frame, names[1], path)
    end = _integers(frame, names[2], path)
    wide = np.flatnonzero(end - start != 1)
    if wide.size:
        row = int(wide[0])
        raise DataError(
            f"{wide.size} rows of the phenotype BED span more than their TSS",
            where=f"{frame[names[3]][row]} in {path}",
            got=f"{start[row]:,}-{end[row]:,}",
            wanted="start = TSS (0-based) and end = start + 1",
            do="write the TSS into start and end",
        )
    strand_values = frame[strands[0]].to_list()
    odd = next((i for i, s in enumerate(strand_values) if s not in ("+", "-")), None)
    if odd is not None:
        raise DataError(
            "a strand is neither + nor -",
            where=f"{frame[names[3]][odd]} in {path}",
            got=repr(strand_values[odd]),
            wanted="+ or -",
        )
    genes = tuple(
        Gene(str(identifier), str(contig), int(tss), strand)
        for identifier, contig, tss, strand in zip(
            frame[names[3]], frame[names[0]], start, strand_values, strict=True
        )
    )
    _refuse_repeats([g.gene for g in genes], "gene", path)
    return ExpressionTable(genes, tuple(people), _numbers(frame, people, names[3], path))


def read_individuals(path: Path | str) -> pl.DataFrame:
    """Read a table of people: `individual` and, where given, `population` and `family` (tab-separated)."""
    path = require_file(path, kind="table of individuals")
    frame = _read_tsv(path)
    if "individual" not in frame.columns:
        raise DataError(
            "the table of individuals has no column named individual",
            where=str(path),
            got=f"columns {', '.join(frame.columns[:6])}",
            wanted="individual, and optionally population and family",
        )
    _refuse_repeats(frame["individual"].to_list(), "individual", path)
    return frame.select("individual", *(c for c in ("population", "family") if c in frame.columns))


def read_covariates(path: Path | str) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64]]:
    """Read covariates, one a row, one column an individual (FastQTL, QTLtools, tensorQTL).

    Returns
    -------
    Names of the covariates, names of the individuals, float64 ``[covariates, individuals]``.
    """
    path = require_file(path, kind="covariates file")
    frame = _read_tsv(path)
    people = frame.columns[1:]
    names = tuple(str(name) for name in frame[frame.columns[0]])
    _refuse_repeats(names, "covariate", path)
    return names, tuple(people), _numbers(frame, people, frame.columns[0], path)


def _read_tsv(path: Path) -> pl.DataFrame:
    """Read every column as text; lines of ``##`` are comments, and empty ones are passed over."""
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            "a compressed table is damaged or cut short",
            where=str(path),
            got=str(error),
            do="copy or download it again",
        ) from error
    lines = [line.rstrip(b"\r") for line in text.split(b"\n")]
    lines = [line for line in lines if line and not line.startswith(b"##")]
    if not lines:
        raise DataError("a table is empty", where=str(path))
    columns = lines[0].count(_TAB)
    uneven = next((i for i, line in enumerate(lines) if line.count(_TAB) != columns), None)
    if uneven is not None:
        raise DataError(
            "a row of a table has another number of columns than its header",
            where=f"the row of {lines[uneven][:40].decode(errors='replace')!r} in {path}",
            got=f"{lines[uneven].count(_TAB) + 1} columns",
            wanted=f"{columns + 1}",
            do="the file may be cut short: copy or download it again",
        )
    _refuse_repeats(lines[0].decode(errors="replace").removeprefix("\ufeff").split("\t"), "column", path)
    try:
        return pl.read_csv(io.BytesIO(b"\n".join(lines)), separator="\t", infer_schema=False, quote_char=None)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "a table is not text", where=str(path), got=str(error).splitlines()[0], wanted="UTF-8"
        ) from error


def _integers(frame: pl.DataFrame, column: str, path: Path) -> NDArray[np.int64]:
    values = frame[column].cast(pl.Int64, strict=False)
    if values.null_count():
        row = int(values.is_null().arg_max() or 0)
        raise DataError(
            f"column {column} holds something that is no whole number",
            where=f"row {row + 1} of {path}",
            got=repr(frame[column][row]),
        )
    return values.to_numpy().astype(np.int64)


def _numbers(frame: pl.DataFrame, people: list[str], label: str, path: Path) -> NDArray[np.float64]:
    """Return the people's columns as float64 ``[rows, people]``; NA and empty cells are NaN."""
    if not people:
        raise DataError("a table has no column of an individual", where=str(path))
    values = np.empty((frame.height, len(people)), dtype=np.float64)
    for j, name in enumerate(people):
        text = frame[name]
        missing = text.is_null() | text.is_in(["NA", "NaN", "nan", "", "."])
        numbers = text.cast(pl.Float64, strict=False)
        bad = (numbers.is_null() | ~numbers.is_finite().fill_null(False)) & ~missing
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(
                "a cell is no finite number",
                where=f"{frame[label][row]}, column {name} of {path}",
                got=repr(text[row]),
                wanted="a number, or NA where it was not measured; a column that is no individual must be "
                "one of " + ", ".join(sorted(ANNOTATIONS)),
            )
        values[:, j] = numbers.fill_null(float("nan")).to_numpy()
        values[missing.to_numpy(), j] = np.nan
    return values


def _refuse_repeats(names: list[str] | tuple[str, ...], kind: str, path: Path) -> None:
    seen: set[str] = set()
    repeated = next((n for n in names if n in seen or seen.add(n)), None)  # type: ignore[func-returns-value]
    if repeated is not None:
        raise DataError(
            f"the {kind} {repeated} stands twice in one table", where=str(path), wanted="each once"
        )
