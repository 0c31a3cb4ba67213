"""Large text, plain or gzipped, in blocks of whole lines: memory does not grow with the file."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from glm2x.errors import DataError
from glm2x.files import require_file

BLOCK = 1 << 23  # bytes of text that are read and parsed at once
LONGEST_LINE = 1 << 28

_BOM = b"\xef\xbb\xbf"
_GCT = b"#1.2"  # the first line of the matrix format of GTEx; the second holds its rows and columns


def text_blocks(path: Path | str, *, kind: str, size: int = BLOCK) -> Iterator[bytes]:
    r"""Yield a file's text in blocks that end with a line, blank lines left out, line ends ``\n``.

    Raises
    ------
    DataError
        The file is missing, cannot be decompressed, is not UTF-8 text, or has a line without end.
    """
    path = require_file(path, kind=kind)
    rest = b""
    for number, raw in enumerate(_reads(path, kind, size)):
        if b"\0" in raw:
            raise _not_text(path, kind, "bytes of zero")
        block = raw.removeprefix(_BOM) if number == 0 else raw
        cut = block.rfind(b"\n") + 1
        if cut:
            block, rest = rest + block[:cut], block[cut:]
            if whole := _tidy(block, path, kind):
                yield whole
        else:
            rest += block
        if len(rest) > LONGEST_LINE:
            raise _not_text(path, kind, f"a line of more than {LONGEST_LINE >> 20} MB")
    if whole := _tidy(rest + b"\n", path, kind):
        yield whole


@dataclass(frozen=True)
class Delimited:
    """A table of text whose header has been read.

    Attributes
    ----------
    path, kind
        The file, and what a message calls it.
    columns
        The names in its header, each once.
    declared
        The rows and columns of numbers that the lead lines of a GCT promise, else None.
    """

    path: Path
    kind: str
    columns: tuple[str, ...]
    declared: tuple[int, int] | None
    _separator: bytes
    _quoted: bool
    _blocks: Iterator[bytes]

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in frames of text, once; empty cells are null.

        Raises
        ------
        DataError
            The file is damaged, or a row has another number of columns than the header.
        """
        for block in self._blocks:
            if b"##" in block:
                block = re.sub(rb"(?m)^##.*\n", b"", block)
            if block:
                yield self._parse(block)

    def frame(self) -> pl.DataFrame:
        """Return all rows at once, see `frames`."""
        empty = pl.DataFrame(schema=dict.fromkeys(self.columns, pl.String))
        return pl.concat([empty, *self.frames()])

    def _parse(self, block: bytes) -> pl.DataFrame:
        rows, between = block.count(b"\n"), len(self.columns) - 1
        if (self._quoted and b'"' in block) or block.count(self._separator) != rows * between:
            self._refuse_uneven(block)
        try:
            frame = pl.read_csv(
                block,
                has_header=False,
                separator=self._separator.decode(),
                quote_char='"' if self._quoted else None,
                schema=dict.fromkeys(self.columns, pl.String),
            )
        except pl.exceptions.PolarsError as error:
            self._refuse_uneven(block)
            raise DataError(
                f"the {self.kind} cannot be read as a table",
                where=str(self.path),
                got=str(error).splitlines()[0],
                wanted="rows of cells, quoted wholly or not at all",
            ) from error
        assert frame.shape == (rows, between + 1)
        return frame

    def _refuse_uneven(self, block: bytes) -> None:
        """Raise at the first row that has not as many cells as the header."""
        for line in block.splitlines():
            if self._quoted and line.count(b'"') % 2:
                raise DataError(
                    f"a quote is not closed in the {self.kind}",
                    where=f"the row of {line[:40].decode(errors='replace')!r} in {self.path}",
                    wanted="each cell within one line",
                )
            cells = len(_cells(line, self._separator, self._quoted))
            if cells != len(self.columns):
                raise DataError(
                    "a row of a table has another number of columns than its header",
                    where=f"the row of {line[:40].decode(errors='replace')!r} in {self.path}",
                    got=f"{cells} columns",
                    wanted=f"{len(self.columns)}",
                    do="the file may be cut short: copy or download it again",
                )


def open_delimited(path: Path | str, *, kind: str) -> Delimited:
    """Open a table of tab-, comma- or space-separated text, plain or gzipped, and read its header.

    Tabs separate where the header has one. Lines that start with ``##`` are comments; the two lead
    lines of a GCT are passed over. Cells of comma-separated files may be quoted, and those of
    tab-separated ones where their header is.

    Raises
    ------
    DataError
        The file is missing, damaged or empty, or a column's name stands twice.
    """
    path = Path(path)
    blocks = text_blocks(path, kind=kind)
    lead: list[bytes] = []  # the header, and the two lines of a GCT before it
    rest = b""
    wanted = 1
    for block in blocks:
        for match in re.finditer(rb".*\n", block):
            line = match[0][:-1]
            if line.startswith(b"##"):
                continue
            lead.append(line)
            wanted = 3 if lead[0].strip() == _GCT else 1
            if len(lead) == wanted:
                rest = block[match.end() :]
                break
        if len(lead) == wanted:
            break
    else:
        raise DataError(f"the {kind} is empty", where=str(path), wanted="a header and rows")
    header = lead[-1]
    separator = next((mark for mark in (b"\t", b",", b" ") if mark in header), b"\t")
    quoted = separator == b"," or b'"' in header
    columns = tuple(_cells(header, separator, quoted))
    refuse_repeats(columns, "column", path)
    declared = _declared(lead[1], path) if wanted == 3 else None
    return Delimited(path, kind, columns, declared, separator, quoted, chain([rest] if rest else [], blocks))


def refuse_repeats(names: Iterable[str], kind: str, path: Path) -> None:
    """Raise `DataError` for the first name that stands twice."""
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise DataError(
            f"the {kind} {repeated} stands twice in one table", where=str(path), wanted="each once"
        )


def column_named(columns: Collection[str], *names: str) -> str | None:
    """Return the first column that is called one of `names`, whatever its case, with or without a ``#``."""
    by_name = {column.lstrip("#").strip().lower(): column for column in reversed(list(columns))}
    return next((by_name[name] for name in names if name in by_name), None)


def _reads(path: Path, kind: str, size: int) -> Iterator[bytes]:
    """Yield what a file holds, decompressed where it is gzip (bgzip is)."""
    try:
        with path.open("rb") as plain:
            packed = plain.peek(2)[:2] == b"\x1f\x8b"
            with gzip.open(plain) if packed else plain as handle:
                while raw := handle.read(size):
                    yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"the {kind} is damaged or cut short",
            where=str(path),
            got=str(error),
            do="copy or download it again",
        ) from error
    except OSError as error:
        raise DataError(f"the {kind} cannot be read", where=str(path), got=str(error)) from error


def _tidy(block: bytes, path: Path, kind: str) -> bytes:
    r"""Return lines that end with ``\n`` and are not blank; they must be UTF-8."""
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as error:
            line = block.count(b"\n", 0, error.start)
            bad = block.split(b"\n")[line][:40].decode(errors="replace")
            raise _not_text(path, kind, f"{error.reason} in the line of {bad!r}") from error
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n\n" in block:
        block = re.sub(rb"\n{2,}", b"\n", block)
    return block.removeprefix(b"\n")


def _not_text(path: Path, kind: str, got: str) -> DataError:
    return DataError(
        f"the {kind} is not text", where=str(path), got=got, wanted="UTF-8 text, plain or gzipped"
    )


def _cells(line: bytes, separator: bytes, quoted: bool) -> list[str]:
    text = line.decode()
    if not quoted:
        return text.split(separator.decode())
    try:
        return next(csv.reader([text], delimiter=separator.decode()))
    except csv.Error:  # a cell of more than 128 kB
        return text.split(separator.decode())


def _declared(line: bytes, path: Path) -> tuple[int, int]:
    numbers = line.split()[:2]
    if len(numbers) != 2 or not all(number.isdigit() and len(number) < 10 for number in numbers):
        raise DataError(
            "the second line of a GCT does not say how many rows and columns it has",
            where=str(path),
            got=repr(line[:40].decode()),
            wanted="two whole numbers",
        )
    return int(numbers[0]), int(numbers[1])
