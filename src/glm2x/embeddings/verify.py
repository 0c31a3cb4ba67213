"""Every byte of an embedding store, compared with its checksum."""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

from glm2x.embeddings.index import read_index
from glm2x.embeddings.key import shard_name
from glm2x.embeddings.shard import data_start, shard_path
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.place import local_copy
from glm2x.progress import Progress, silent

_AT_ONCE = 4_000_000  # bytes
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Problem:
    """Something that is not what was written.

    Attributes
    ----------
    shard
        Its name.
    key, row
        The haplotype; None where it is the whole shard.
    what
        What is wrong, in words.
    """

    shard: str
    key: str | None
    row: int | None
    what: str


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what is wrong.

    Attributes
    ----------
    shards, haplotypes, bytes
        How many the index names, and how many bytes their values have.
    problems
        In the order of shards and rows.
    """

    shards: int
    haplotypes: int
    bytes: int
    problems: tuple[Problem, ...]


def verify(store: Store, progress: Progress = silent) -> Verification:
    """Read all that the index of a store names, and compare it with the checksums there.

    The files are read, and not mapped: a disk that cannot read is a problem among the others. From object
    storage a few at a time are copied to this machine. Shards without index are none, see `gc.collect`.

    Parameters
    ----------
    progress
        Counts shards.

    Raises
    ------
    DataError
        A file of the index is damaged.
    """
    rows, _ = read_index(store.folder)
    grouped = rows.group_by("shard", maintain_order=True).agg("key", "crc32")
    problems: list[Problem] = []
    with progress("verify", grouped.height, "shards") as counter, ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(lambda shard: _verify_shard(store, *shard), grouped.iter_rows()):
            problems += found
            counter.advance(message=f"{len(problems)} problems" if problems else "")
    return Verification(grouped.height, rows.height, rows.height * store.spec.bytes_of_one, tuple(problems))


def _verify_shard(store: Store, shard: str, keys: list[str], crc32: list[int]) -> list[Problem]:
    if shard_name(keys) != shard:
        return [
            Problem(shard, None, None, "the index names other haplotypes than the shard was written with")
        ]
    path, problems = shard_path(store.folder, shard), []
    try:
        start = data_start(path, store.spec, len(keys))
        with local_copy(path) as file, file.open("rb", buffering=0) as handle:
            handle.seek(start)
            for row, (key, wanted) in enumerate(zip(keys, crc32, strict=True)):
                got = _crc32(handle, store.spec.bytes_of_one)
                if got != wanted:
                    what = f"its bytes have the CRC-32 {got:08x}, and were written with {wanted:08x}"
                    problems.append(Problem(shard, key, row, what))
    except DataError as error:
        return [
            Problem(shard, None, None, f"{error.got}, wanted {error.wanted}" if error.wanted else error.what)
        ]
    except OSError as error:
        problems.append(Problem(shard, None, None, f"the file cannot be read: {error}"))
    return problems


def _crc32(handle: BinaryIO, size: int) -> int:
    """Return the CRC-32 of the next `size` bytes of a file."""
    value = 0
    while size > 0:
        part = handle.read(min(size, _AT_ONCE))
        if not part:
            raise OSError("it ends too early")
        value = zlib.crc32(part, value)
        size -= len(part)
    return value
