"""What lies in an embedding store and is of no use, removed."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from glm2x.embeddings.index import INDEX, index_path, merge, read_index
from glm2x.embeddings.key import is_name
from glm2x.embeddings.shard import SHARDS, SUFFIX, data_start, shard_path
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.place import Place, names_in
from glm2x.url import Url

_PARTIAL = re.compile(r"\.(?P<name>.+)\.partial-(?P<host>.+)-(?P<process>\d+)")  # see `files.write_aside`
_ABANDONED = 86_400  # seconds, after which what another machine began is given up


@dataclass(frozen=True)
class Collected:
    """What was done about a store.

    Attributes
    ----------
    removed
        Files, by their path in the store.
    bytes
        What these had.
    forgotten
        Shards that the index named and that are not there: it names them no longer.
    in_hand
        Unfinished files of processes that are alive, or of other machines: left alone. In object storage,
        shards that no index names and that are not a day old.
    """

    removed: tuple[str, ...]
    bytes: int
    forgotten: tuple[str, ...]
    in_hand: tuple[str, ...]


def collect(store: Store) -> Collected:
    """Remove what killed processes left and what the store holds twice; forget shards that are gone.

    Removed are unfinished files of processes that are dead, shards without an index that nobody has in
    hand, and shards all of whose haplotypes are in others. Others may write and read meanwhile.

    Raises
    ------
    DataError
        A file of the index is damaged.
    """
    folder = store.folder
    there = _shards(folder)
    partials = {path: _is_in_hand(path) for path in _partials(folder)}
    rows, _ = read_index(folder)  # after the shards: what is committed meanwhile is in it
    indexed = set(rows["shard"].unique())
    forgotten = _gone(folder, indexed)
    redundant = _redundant(store, rows.filter(~pl.col("shard").is_in(forgotten)))
    if forgotten or redundant:
        merge(folder, without=[*forgotten, *redundant])
    orphans = {shard_path(folder, name): name for name in there if name not in indexed}
    young = _young(folder) if orphans else frozenset()
    removed, size = [], 0
    unfinished = [path for path, is_in_hand in partials.items() if not is_in_hand]
    for path in [*unfinished, *orphans, *(shard_path(folder, name) for name in redundant)]:
        if path in young or (path in orphans and _is_being_committed(folder, orphans[path])):
            continue  # looked at last: removing the ones before may have taken long
        try:
            size += path.lstat().st_size
            path.unlink()
        except FileNotFoundError:  # another process removed it
            continue
        removed.append(_name_in(folder, path))
    store.refresh()
    in_hand = {path for path, is_in_hand in partials.items() if is_in_hand} | (young & orphans.keys())
    return Collected(
        tuple(sorted(removed)),
        size,
        tuple(forgotten),
        tuple(sorted(_name_in(folder, path) for path in in_hand)),
    )


def _shards(folder: Place) -> list[str]:
    """Return the names of the shards that lie there, indexed or not."""
    try:
        names = names_in(folder / SHARDS)
    except FileNotFoundError:  # nothing was written yet
        return []
    return sorted(
        n.removesuffix(SUFFIX) for n in names if n.endswith(SUFFIX) and is_name(n.removesuffix(SUFFIX))
    )


def _gone(folder: Place, indexed: set[str]) -> list[str]:
    """Return those of the indexed shards that do not lie there."""
    if isinstance(folder, Url):  # where to look for each would be a request
        return sorted(indexed - set(_shards(folder)))
    return sorted(name for name in indexed if not shard_path(folder, name).exists())


def _young(folder: Place) -> frozenset[Place]:
    """Return the shards in object storage that a process may yet index: nothing else says so there."""
    if not isinstance(folder, Url):
        return frozenset()
    now = folder.clock()
    return frozenset(path for path, written in (folder / SHARDS).written() if now - written < _ABANDONED)


def _name_in(folder: Place, path: Place) -> str:
    return str(path).removeprefix(f"{folder}/")


def _redundant(store: Store, rows: pl.DataFrame) -> list[str]:
    """Return shards that may go: each of their keys is in another one that stays. The smallest go first."""
    shared = rows.filter(pl.col("key").is_duplicated())["shard"].unique().to_list()
    whole = rows.filter(pl.col("shard").is_in([name for name in shared if _is_whole(store, rows, name)]))
    copies = dict(whole.group_by("key").len().iter_rows())
    shards = (
        whole.group_by("shard").agg("key").sort(pl.col("key").list.len(), "shard", descending=[False, True])
    )
    going = []
    for shard, keys in shards.iter_rows():
        if all(copies[key] > 1 for key in keys):
            going.append(shard)
            for key in keys:
                copies[key] -= 1
    return going


def _is_whole(store: Store, rows: pl.DataFrame, shard: str) -> bool:
    try:
        data_start(shard_path(store.folder, shard), store.spec, rows.filter(pl.col("shard") == shard).height)
    except DataError:
        return False
    return True


def _partials(folder: Place) -> Iterator[Path]:
    """Give the unfinished files of a store: in its folder and in those in it."""
    if isinstance(folder, Url):
        return  # where there is nothing unfinished to be seen
    for inside in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
        for path in inside.iterdir():
            if _PARTIAL.fullmatch(path.name) and not path.is_dir():
                yield path


def _is_in_hand(partial: Path) -> bool:
    """Whether an unfinished file may still be finished."""
    found = _PARTIAL.fullmatch(partial.name)
    assert found is not None
    if found["host"] != platform.node():
        try:
            return time.time() - partial.lstat().st_mtime < _ABANDONED
        except FileNotFoundError:
            return True
    try:
        os.kill(int(found["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _is_being_committed(folder: Place, shard: str) -> bool:
    """Whether a shard's index is there by now, or is being written; it is begun before the shard."""
    path = index_path(folder, shard)
    if isinstance(folder, Url):
        return path.exists()
    begun = (folder / INDEX).glob(f".{path.name}.partial-*")
    return any(_is_in_hand(partial) for partial in begun) or path.exists()
