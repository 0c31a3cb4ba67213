"""A reference FASTA, read from its first line to its last: no index is needed, and none can be wrong."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glm2x.bgzf import refuse_truncated
from glm2x.errors import DataError
from glm2x.files import require_file
from glm2x.genome.sequence import encode

_CHUNK = 1 << 22  # bytes read at a time
_LETTERS = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv-*.\r\n"


def read_contigs(
    path: Path | str, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, NDArray[np.uint8] | None]]:
    """Yield the contigs of a FASTA in its order; those that are wanted with their sequence.

    Memory holds one contig at a time.

    Parameters
    ----------
    path
        Plain or compressed (gzip, bgzip).
    wanted
        Whether a contig's sequence is wanted, by its name: what stands before the first blank of its header.

    Returns
    -------
    Name, and uint8 codes of the whole contig or None. Lower case is read as upper case, and every letter
    but A, C, G and T as N.

    Raises
    ------
    DataError
        The file is missing, damaged or cut short, is no FASTA, or names a contig twice.
    """
    path = require_file(path, kind="reference FASTA")
    refuse_truncated(path, kind="reference FASTA", may_be_plain_gzip=True)
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    seen: set[str] = set()
    try:
        with gzip.open(path) if compressed else path.open("rb") as handle:
            for header, pieces in _records(handle, path):
                words = header.split(None, 1)
                if not words or header[:1].isspace():
                    raise _no_fasta(path, f"a header without a name: {'>' + header[:40]!r}")
                name = words[0]
                if name in seen:
                    raise DataError(
                        f"contig {name} stands twice in the reference FASTA",
                        where=str(path),
                        wanted="each contig once",
                        do="fetch the reference again",
                    )
                seen.add(name)
                yield name, _sequence(pieces, name, path) if wanted(name) else None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            "the reference FASTA is damaged or cut short",
            where=str(path),
            got=str(error),
            do="fetch it again; what the 1000 Genomes call hs37d5.fa.gz has bytes after its end, which "
            "glm2x download reference mends",
        ) from error
    if not seen:
        raise _no_fasta(path, "no line that begins with >")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _records(handle: _Readable, path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield each header and the bytes up to the next; bytes that are not asked for are passed over."""
    lines = _Lines(handle)
    header = lines.header()
    if header is None:
        raise _no_fasta(path, "a first line that does not begin with >")
    while header is not None:
        try:
            text = header.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _no_fasta(path, f"a header that is not text: {header[:40]!r}") from error
        yield text, lines.sequence()
        for _ in lines.sequence():
            pass
        header = lines.header()


class _Lines:
    """A FASTA in large pieces, told apart into headers and what stands between them."""

    def __init__(self, handle: _Readable) -> None:
        self._handle = handle
        self._rest = handle.read(_CHUNK)

    def header(self) -> bytes | None:
        """Return the header that comes now, without its `>`; None at the end or where there is none."""
        if not self._rest.startswith(b">"):
            return None
        while b"\n" not in self._rest and (more := self._handle.read(_CHUNK)):
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line[1:].rstrip(b"\r")

    def sequence(self) -> Iterator[bytes]:
        """Yield the bytes up to the next header."""
        at_line_start = True
        while self._rest or (more := self._handle.read(_CHUNK)):
            if not self._rest:
                self._rest = more
            if at_line_start and self._rest.startswith(b">"):
                return
            end = self._rest.find(b"\n>")
            piece, self._rest = (self._rest, b"") if end < 0 else (self._rest[:end], self._rest[end + 1 :])
            at_line_start = end >= 0 or piece.endswith(b"\n")
            yield piece


def _sequence(pieces: Iterator[bytes], name: str, path: Path) -> NDArray[np.uint8]:
    codes: list[NDArray[np.uint8]] = []
    for piece in pieces:
        odd = piece.translate(None, delete=_LETTERS)
        if odd:
            raise DataError(
                f"contig {name} of the reference FASTA holds something that is no letter of DNA",
                where=str(path),
                got=repr(odd[:20]),
                wanted="A, C, G, T, N and the IUPAC letters",
                do="fetch the reference again",
            )
        codes.append(encode(piece.translate(None, delete=b"\r\n")))
    if not codes or not sum(len(part) for part in codes):
        raise DataError(f"contig {name} of the reference FASTA is empty", where=str(path))
    return np.concatenate(codes)


def _no_fasta(path: Path, got: str) -> DataError:
    return DataError(
        "the reference is no FASTA",
        where=str(path),
        got=got,
        wanted="lines of > and a contig's name, each followed by its sequence",
    )
