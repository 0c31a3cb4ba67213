"""Who has a piece of work in hand, in object storage: an object that its process renews while it lives.

There are no locks that a system frees. So what a process does not renew for `LEASE` seconds, by the storage's
own clock, is anybody's to take: one of them gets it. A process that was held up for longer loses its lease
without knowing; two then do the same work and write the same, which costs time and no more.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import Event, Thread
from uuid import uuid4

from glm2x.errors import DataError
from glm2x.storage import Mark
from glm2x.url import Url

LEASE = 120.0  # seconds
RENEWED = LEASE / 6  # seconds after which it is written again


@contextmanager
def leased(place: Url) -> Iterator[bool]:
    """Give whether this process may work on what a place stands for; it is claimed until the block ends."""
    content = f"{platform.node()} {os.getpid()} {uuid4().hex}\n".encode()
    mark = _taken(place, content)
    if mark is None:
        yield False
        return
    ended = Event()
    thread = Thread(target=_renew, args=(place, content, mark, ended), daemon=True)
    thread.start()
    try:
        yield True
    finally:
        ended.set()
        thread.join()
        with suppress(FileNotFoundError, DataError):  # it then ends by its age
            if place.read_bytes().startswith(content):
                place.unlink(missing_ok=True)


def held(folder: Url) -> int:
    """Return how many leases in a folder are those of living processes, as far as can be told."""
    leases = folder.written()
    try:
        return sum(_is_held(place, modified) for place, modified in leases)
    except DataError:  # who may not write there is not told the time
        return len(leases)


def _taken(place: Url, content: bytes) -> Mark | None:
    """Return the state of a lease that is ours now; None where it is another's."""
    try:
        there = place.stat()
    except FileNotFoundError:
        there = None
    try:
        if there is None:
            return place.create(content)
        return None if _is_held(place, there.st_mtime) else place.replace(content, there.mark)
    except FileExistsError:  # another was quicker
        return None


def _renew(place: Url, content: bytes, mark: Mark, ended: Event) -> None:
    """Write a lease again and again, each time another content, until it is ended or another's."""
    times = 0
    while not ended.wait(RENEWED):
        times += 1
        try:
            mark = place.replace(content + f"{times}\n".encode(), mark)
        except FileExistsError:
            return
        except DataError:
            continue  # the storage cannot be reached: the work goes on, and the next time may be better


def _is_held(place: Url, modified: float) -> bool:
    return _now(place.parent) - modified < LEASE


def _now(folder: Url) -> float:
    """Return the time by the storage's clock, which a process asks for once."""
    return time.monotonic() + _ahead(folder)


@lru_cache(maxsize=16)
def _ahead(folder: Url) -> float:
    return folder.clock() - time.monotonic()
