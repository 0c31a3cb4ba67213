"""Long texts to files, past the kernel's page cache where the system can do it.

A run writes far more than memory holds. The kernel's copy of it costs twice: the memory it first has to find
and fill (measured at twice the time of everything else together), and what it pushes out of memory for the
sake of files that nobody reads again soon. Linux takes whole blocks straight from our memory (``O_DIRECT``)
where they lie in memory as they lie in the file; what comes before the first and after the last whole block
goes the usual way, and so does everything on a file system that knows no other, such as one in memory.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray

BLOCK = mmap.PAGESIZE  # no disk has larger blocks
_DIRECT = getattr(os, "O_DIRECT", 0)
_LEAST = 1 << 20  # bytes below which waiting for the disk costs more than a copy


def aligned_bytes(size: int, place: int) -> NDArray[np.uint8]:
    """Return uint8 ``[size]``, not set, that lies in memory as it will lie in a file.

    Parameters
    ----------
    size
        In bytes.
    place
        Where in the file its first byte will be.
    """
    memory = np.empty(size + BLOCK, dtype=np.uint8)
    start = (place - memory.ctypes.data) % BLOCK
    return memory[start : start + size]


def append(file: IO[bytes], content: NDArray[np.uint8]) -> None:
    """Append bytes to an unbuffered file, the whole blocks among them past the page cache.

    Parameters
    ----------
    file
        Opened for writing with ``buffering=0``, at its end.
    content
        uint8, contiguous; from `aligned_bytes`, or all of it goes the usual way.
    """
    before = -file.tell() % BLOCK
    whole = (len(content) - before) // BLOCK * BLOCK
    if whole < _LEAST or content[before:].ctypes.data % BLOCK:
        _write(file, content)
        return
    _write(file, content[:before])
    with _past_the_cache(file):
        _write(file, content[before : before + whole])
    _write(file, content[before + whole :])


@contextmanager
def _past_the_cache(file: IO[bytes]) -> Iterator[None]:
    """Write directly in the block, where the file system can."""
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    try:
        fcntl.fcntl(file, fcntl.F_SETFL, flags | _DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    try:
        yield
    finally:
        fcntl.fcntl(file, fcntl.F_SETFL, flags)


def _write(file: IO[bytes], content: NDArray[np.uint8]) -> None:
    view = content.data
    while len(view):  # a single call writes 2 GB at most
        try:
            view = view[file.write(view) :]
        except OSError as error:
            flags = fcntl.fcntl(file, fcntl.F_GETFL)
            if error.errno != errno.EINVAL or not flags & _DIRECT:
                raise
            # blocks of another size, or a write that ended within one: the rest goes the usual way
            fcntl.fcntl(file, fcntl.F_SETFL, flags & ~_DIRECT)
