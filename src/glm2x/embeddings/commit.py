"""How a shard comes into an embedding store: aside, renamed, and then its index, which is the commit."""

from __future__ import annotations

import errno
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from torch import Tensor

from glm2x.embeddings.index import index_path, sync_folder, write_rows
from glm2x.embeddings.shard import (
    as_bytes,
    checksums,
    damaged,
    map_shard,
    shard_path,
    start_in,
    tensor_bytes,
    write_tensor,
)
from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError
from glm2x.files import write_aside
from glm2x.place import Place
from glm2x.storage import Mark
from glm2x.url import Url


def commit_shard(folder: Place, spec: StoreSpec, name: str, keys: Sequence[str], values: Tensor) -> list[int]:
    """Write a shard and its index; return the CRC-32 of each haplotype that lies there.

    A shard that lies there without an index is taken as it is if it holds these values, and replaced if
    not.

    Parameters
    ----------
    values
        [n, rows, width] in the spec's dtype, contiguous, on the CPU.

    Raises
    ------
    DataError
        The disk is full, the store may not be written to, or a symbolic link lies in the shard's place.
    """
    if isinstance(folder, Url):
        return _commit_until_equal(folder, spec, name, keys, values)
    path, index = shard_path(folder, name), index_path(folder, name)
    if path.is_symlink() or index.is_symlink():
        raise damaged(path, got="a symbolic link", wanted="a file, or nothing yet")
    try:
        placed, crc32 = _commit(path, index, spec, keys, values, replace=True)
        while placed != _inode(path):  # another process put its own there, which may be rounded otherwise
            placed, crc32 = _commit(path, index, spec, keys, values, replace=False)
        return crc32
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise DataError(
            "the embedding store may not be written to",
            where=str(folder),
            got=str(error),
            do="use a copy that may, or ask its owner; reading it needs no such permission",
        ) from error


def _commit_until_equal(
    folder: Url, spec: StoreSpec, name: str, keys: Sequence[str], values: Tensor
) -> list[int]:
    """Do in object storage what `commit_shard` does: there, a state of an object has a mark."""
    path, index = shard_path(folder, name), index_path(folder, name)
    crc32, mark = _send(path, index, spec, keys, values, replace=True)
    while mark != _mark(path):  # another process put its own there, which may be rounded otherwise
        crc32, mark = _send(path, index, spec, keys, values, replace=False)
    return crc32


def _send(
    path: Url, index: Url, spec: StoreSpec, keys: Sequence[str], values: Tensor, *, replace: bool
) -> tuple[list[int], Mark]:
    """Send a shard, unless a whole one is there, and index what is there; return its checksums and mark."""
    crc32, there = checksums(as_bytes(values)), _sent(path, spec, len(keys))
    if there is None or (replace and there[0] != crc32):
        there = crc32, path.put(tensor_bytes(values))
    with write_aside(index, force=True) as aside:
        write_rows(aside, keys, there[0])
    return there


def _sent(path: Url, spec: StoreSpec, haplotypes: int) -> tuple[list[int], Mark] | None:
    """Return the checksums of what lies in a shard's place, and its mark; None where it is no whole shard."""
    try:
        content, status = path.read()
    except FileNotFoundError:
        return None
    try:
        start = start_in(content, path, spec, haplotypes)
    except DataError:
        return None
    size = spec.bytes_of_one
    values = (content[first : first + size] for first in range(start, len(content), size))
    return [zlib.crc32(one) for one in values], status.mark


def _mark(path: Url) -> Mark | None:
    try:
        return path.stat().mark
    except FileNotFoundError:
        return None


def _commit(
    path: Path,
    index: Path,
    spec: StoreSpec,
    keys: Sequence[str],
    values: Tensor,
    *,
    replace: bool,
) -> tuple[int | None, list[int]]:
    """Put a shard in its place and index what lies there; return the number of its file, and checksums.

    Parameters
    ----------
    replace
        Whether whole shards that hold other values are replaced, too.
    """
    with write_aside(index, force=True) as aside:
        aside.touch()  # while it lies there, `gc` knows that the shard is in hand
        inode, crc32 = _inode(path), _stored(path, spec, len(keys))
        if crc32 is None or (replace and crc32 != checksums(as_bytes(values))):
            with ThreadPoolExecutor(1) as pool:
                with write_aside(path, force=True) as shard:
                    write_tensor(shard, values)
                    inode = _inode(shard)
                    computed = pool.submit(checksums, as_bytes(values))  # while the disk is waited for
                sync_folder(path.parent)
                crc32 = computed.result()
        write_rows(aside, keys, crc32)
    return inode, crc32


def _stored(path: Path, spec: StoreSpec, haplotypes: int) -> list[int] | None:
    """Return the checksums of what lies in a shard's place; None where it is no whole shard."""
    if not path.exists():
        return None
    try:
        return checksums(map_shard(path, spec, haplotypes).bytes)
    except DataError:
        return None


def _inode(path: Path) -> int | None:
    """Return the number of the file that lies at a path; a file keeps it when it is renamed."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
