"""Parquet tables that say what they are: the digest of a file's bytes, in its own metadata.

Parquet has no checksum of its own that polars writes: a bit that flips in a compressed page may be another
number. The key `KEY` holds the SHA-256 of the file, taken with zeros in the place of that digest. A file
without it is somebody else's, or of an earlier version, and is believed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from glm2x.errors import DataError

if TYPE_CHECKING:
    import polars as pl

KEY = "glm2x.content"
_EMPTY = b"0" * 64  # where the digest goes, in hexadecimal
_MARK = KEY.encode() + b"\x18\x40"  # in Thrift's compact protocol: a text of 64 bytes follows
_MAGIC = b"PAR1"
_TAIL = 8  # bytes: the length of the footer, and `_MAGIC`
_AT_ONCE = 1 << 20  # bytes


def write_table(
    frame: pl.DataFrame | pl.LazyFrame,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Write a table as parquet, with metadata and the digest of the file.

    Parameters
    ----------
    frame
        A lazy one is written piece by piece.
    path
        The file; whoever needs it aside gives such a path (`glm2x.files.write_aside`).
    options
        As of ``write_parquet`` of polars.
    """
    import polars as pl

    said = {**(metadata or {}), KEY: _EMPTY.decode()}
    if isinstance(frame, pl.DataFrame):
        frame.write_parquet(path, metadata=said, **options)
    else:
        frame.sink_parquet(path, metadata=said, **options)
    with path.open("r+b") as handle:
        at = _place(handle)
        assert at is not None
        found = _digest(handle, at)
        handle.seek(at)
        handle.write(found)


def require_whole(
    path: Path, *, where: str | None = None, do: str = "make it again, or restore it from a copy"
) -> None:
    """Compare a parquet file with the digest in it, where it has one.

    Parameters
    ----------
    where
        What it is a copy of, for the message.

    Raises
    ------
    DataError
        It is not what was written.
    """
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as handle:
        at = _place(handle)
        if at is None:
            return
        handle.seek(at)
        said, found = handle.read(len(_EMPTY)), _digest(handle, at)
    if said != found:
        raise DataError(
            f"{path.name} was changed after it was made: its digest is another",
            where=where or str(path),
            got=found[:12].decode(),
            wanted=said[:12].decode("ascii", "replace"),
            do=f"{do}; where another program changed it on purpose, take {KEY} out of its metadata",
        )


def _place(handle: BinaryIO) -> int | None:
    """Return where the digest of a file stands; None where it has none, or is no parquet."""
    size = handle.seek(0, os.SEEK_END)
    if size < _TAIL:
        return None
    handle.seek(size - _TAIL)
    tail = handle.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > size - _TAIL:
        return None
    start = size - _TAIL - length
    handle.seek(start)
    footer = handle.read(length)
    at = footer.find(_MARK)
    at += len(_MARK)
    return start + at if len(_MARK) <= at <= length - len(_EMPTY) else None


def _digest(handle: BinaryIO, at: int) -> bytes:
    """Return the digest of a file with zeros from `at` on, in hexadecimal."""
    found = hashlib.sha256()
    handle.seek(0)
    left = at
    while left and (part := handle.read(min(left, _AT_ONCE))):
        found.update(part)
        left -= len(part)
    found.update(_EMPTY)
    handle.seek(at + len(_EMPTY))
    while part := handle.read(_AT_ONCE):
        found.update(part)
    return found.hexdigest().encode()
