"""The variants of a contig on disk: written as they come, read window by window.

::

    {contig}.parquet         position (0-based), ref, alt, unphased (whether it has a row in the third file)
    {contig}.npy             uint8 [columns, ceil(2 individuals / 8)]
    {contig}.unphased.npy    uint8 [rows, ceil(2 individuals / 8)]

A window is one stretch of consecutive bytes in each array, so that mapped into memory it touches
nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.genome.sequence import encode
from glm2x.genome.variants import Alleles, PhasedVariants

_ROWS_AT_ONCE = 65_536  # of the table, before they leave Python objects for polars
_SCHEMA = {"position": pl.Int64, "ref": pl.String, "alt": pl.String, "unphased": pl.Boolean}


class VariantsWriter:
    """Writes the columns of one contig in ascending order; little stays in memory but their table.

    Parameters
    ----------
    folder
        Where the three files go.
    contig
        Their name.
    individuals
        How many people there are.
    """

    def __init__(self, folder: Path, contig: str, individuals: int) -> None:
        self._folder = folder
        self._contig = contig
        self._individuals = individuals
        self._bits = _Rows(folder / f"{contig}.npy", -(-2 * individuals // 8))
        self._unphased = _Rows(folder / f"{contig}.unphased.npy", -(-2 * individuals // 8))
        self._rows: list[tuple[int, str, str, bool]] = []
        self._tables: list[pl.DataFrame] = [pl.DataFrame(schema=_SCHEMA)]

    def add(
        self,
        position: int,
        ref: str,
        alt: str,
        carried: NDArray[np.bool_],
        unphased: NDArray[np.bool_] | None = None,
    ) -> None:
        """Append one column: who carries it, and who does unphased, bool ``[2 individuals]``."""
        self._rows.append((position, ref, alt, unphased is not None))
        self._bits.add(carried)
        if unphased is not None:
            self._unphased.add(unphased)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._tabulate()

    def finish(self) -> PhasedVariants:
        """Close the files and return what they hold, mapped into memory."""
        self._tabulate()
        pl.concat(self._tables).write_parquet(self._folder / f"{self._contig}.parquet")
        self._bits.finish()
        self._unphased.finish()
        self.close()
        return open_variants_of(self._folder, self._contig, self._individuals)

    def close(self) -> None:
        """Close the files as they are; without `finish` they say that they hold nothing."""
        self._bits.close()
        self._unphased.close()

    def _tabulate(self) -> None:
        if self._rows:
            self._tables.append(pl.DataFrame(self._rows, schema=_SCHEMA, orient="row"))
            self._rows = []


class _Rows:
    """A two-dimensional `.npy` of bits that grows row by row."""

    def __init__(self, path: Path, width: int) -> None:
        self._width = width
        self._count = 0
        self._file: IO[bytes] = path.open("wb")
        self._header()

    def add(self, row: NDArray[np.bool_]) -> None:
        self._file.write(np.packbits(row).tobytes())
        self._count += 1

    def finish(self) -> None:
        self._file.seek(0)
        self._header()

    def close(self) -> None:
        self._file.close()

    def _header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so that it can be written over
        shape = {"descr": "|u1", "fortran_order": False, "shape": (self._count, self._width)}
        np.lib.format.write_array_header_1_0(self._file, shape)


def open_variants_of(folder: Path, contig: str, individuals: int) -> PhasedVariants:
    """Open what a `VariantsWriter` wrote; genotypes are mapped into memory, the table is read.

    Raises
    ------
    DataError
        A file is missing or damaged, or they do not belong together.
    """
    path = folder / f"{contig}.parquet"
    table = read_parquet(path)
    if dict(table.schema) != _SCHEMA:
        raise _damaged(path, f"columns {', '.join(table.columns)}", f"columns {', '.join(_SCHEMA)}")
    unphased = np.flatnonzero(table["unphased"].to_numpy())
    width = -(-2 * individuals // 8)
    return PhasedVariants(
        contig,
        individuals,
        table["position"].to_numpy(),
        _alleles(table["ref"]),
        _alleles(table["alt"]),
        map_array(folder / f"{contig}.npy", (len(table), width)),
        unphased,
        map_array(folder / f"{contig}.unphased.npy", (len(unphased), width)),
    )


def map_array(path: Path, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Map a uint8 array of a cohort into memory; of one dimension where no shape is wanted of it.

    Raises
    ------
    DataError
        It is missing, damaged, or of another shape.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _damaged(path, str(error), "an array of numpy's .npy format") from error
    if array.dtype != np.uint8 or (array.ndim != 1 if shape is None else array.shape != shape):
        wanted = "one dimension" if shape is None else f"shape {shape}"
        raise _damaged(path, f"{array.dtype}, shape {array.shape}", f"uint8, {wanted}")
    return np.asarray(array)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a table of a cohort (`DataError` where it cannot be)."""
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(path, str(error), "a Parquet table") from error


def _alleles(texts: pl.Series) -> Alleles:
    start = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(texts.str.len_bytes().to_numpy(), out=start[1:])
    joined = texts.str.join("").item() if len(texts) else ""
    return Alleles(encode(joined), start)


def _damaged(path: Path, got: str, wanted: str) -> DataError:
    return DataError(
        "a file of the cohort is damaged",
        where=str(path),
        got=got,
        wanted=wanted,
        do="build the cohort again",
    )
