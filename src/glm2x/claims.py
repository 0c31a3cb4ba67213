"""Who has a piece of work in hand: a lock on a file, which the system frees when its process ends.

In object storage there are none: see `glm2x.leases`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glm2x.leases import held, leased
from glm2x.place import Place
from glm2x.url import Url

CLAIMS = "claims"
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN)


@contextmanager
def claimed(folder: Place, name: str) -> Iterator[bool]:
    """Give whether this process may work on a piece; it is claimed until the block ends, or the process.

    Two that work on the same one write the same file: a file system without locks costs time, no more.
    """
    if isinstance(folder, Url):
        with leased(folder / CLAIMS / name) as mine:
            yield mine
        return
    claims = folder / CLAIMS
    claims.mkdir(exist_ok=True)
    path = claims / name
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)  # a link could lead anywhere
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                yield False
                return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def claims(folder: Place) -> int:
    """Return how many pieces processes have in hand; what killed ones have left is not counted."""
    if isinstance(folder, Url):
        return held(folder / CLAIMS)
    return sum(_is_locked(path) for path in (folder / CLAIMS).glob("*"))


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:  # done meanwhile
        return False
    except OSError as error:
        return error.errno in _TAKEN
    return False
