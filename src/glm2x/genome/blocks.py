"""Large arrays of a cohort, checked where they are read: a CRC-32 of each block of a file.

A file of a hundred gigabytes is mapped into memory and read here and there; to read it whole for one checksum
would take longer than the work. `blocks.npz` of a cohort has the checksums of all such files, and a block is
compared with its own when something in it is first read.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError

BLOCK = 1 << 16  # bytes
BLOCKS = "blocks.npz"


def write_blocks(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files of a folder, uint32 one a block, by their names there."""
    np.savez(folder / BLOCKS, **{name: _checksums(folder / name) for name in names})  # type: ignore[arg-type]


def read_blocks(folder: Path, name: str) -> NDArray[np.uint32]:
    """Return the checksums of one file, uint32 one a block.

    Raises
    ------
    DataError
        They are missing or damaged.
    """
    path = folder / BLOCKS
    try:
        with np.load(path, allow_pickle=False) as stored:
            found: NDArray[np.uint32] = stored[name]
    except Exception as error:  # a damaged archive fails in as many ways as it has bytes
        raise damaged(path, f"{type(error).__name__}: {error}", f"the checksums of {name}") from error
    wanted = -(-(folder / name).stat().st_size // BLOCK)
    if found.dtype != np.uint32 or found.shape != (wanted,):
        raise damaged(path, f"{found.dtype}, shape {found.shape} for {name}", f"uint32, shape ({wanted},)")
    return found


class CheckedArray(np.ndarray[Any, np.dtype[np.uint8]]):
    """A uint8 array that is a file mapped into memory; its blocks are compared when they are first read.

    What a slice of its first axis takes out is a plain array, whose blocks were compared; any other key
    compares all blocks. What numpy reads past `__getitem__`, such as the sum of it all, is not compared.
    """

    _whole: _Whole | None = None

    @classmethod
    def of(cls, array: NDArray[np.uint8], path: Path, offset: int, crc32: NDArray[np.uint32]) -> CheckedArray:
        """Return the array that lies in a file from byte `offset` on, with the checksums of its blocks."""
        view = array.view(cls)
        view._whole = _Whole(path, offset, file_of(array), crc32)
        view._whole.require(-offset, 0)  # what says how the bytes are to be read
        return view

    def __getitem__(self, key: Any) -> Any:
        """Return what a slice holds, as a plain array, after its blocks were compared (`DataError`)."""
        if self._whole is not None:
            start, stop = 0, len(self)
            if isinstance(key, slice):
                start, stop, step = key.indices(len(self))
                start, stop = (start, stop) if step > 0 else (stop + 1, start + 1)
            row = self.strides[0]
            if start < stop:
                self._whole.require(start * row, stop * row)
        return np.asarray(self)[key]


class _Whole:
    """Which blocks of a file were found to be what was written."""

    def __init__(self, path: Path, offset: int, file: mmap.mmap | None, crc32: NDArray[np.uint32]) -> None:
        assert file is not None
        self._path, self._offset, self._crc32 = path, offset, crc32
        self._bytes = np.frombuffer(file, dtype=np.uint8)
        self._unread = np.ones(len(crc32), dtype=np.bool_)

    def require(self, start: int, end: int) -> None:
        """Compare the blocks that hold bytes ``[start, end)`` of the array."""
        first, last = (start + self._offset) // BLOCK, -(-(end + self._offset) // BLOCK)
        unread = self._unread[first:last]
        if not unread.any():
            return
        for block in (np.flatnonzero(unread) + first).tolist():
            got = zlib.crc32(self._bytes[block * BLOCK : (block + 1) * BLOCK].data)
            if got != self._crc32[block]:
                at = f"block {block} of {self._path}, from byte {block * BLOCK:,}"
                raise damaged(at, f"CRC-32 {got:08x}", f"CRC-32 {int(self._crc32[block]):08x}")
            self._unread[block] = False


def file_of(array: NDArray[Any]) -> mmap.mmap | None:
    """Return the file whose mapping an array is a part of; None where it is in memory of its own."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def damaged(where: Path | str, got: str, wanted: str) -> DataError:
    """Return the error of a file of a cohort that is not what was written."""
    return DataError(
        "a file of the cohort is damaged",
        where=str(where),
        got=got,
        wanted=wanted,
        do="build the cohort again",
    )


def _checksums(path: Path) -> NDArray[np.uint32]:
    """Return the CRC-32 of each block of a file."""
    found = []
    with path.open("rb") as handle:
        while part := handle.read(BLOCK):
            found.append(zlib.crc32(part))
    return np.asarray(found, dtype=np.uint32)
