"""Where each haplotype of an embedding store lies, in memory: 28 bytes a haplotype, found by bisection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.embeddings.key import DIGITS

_AT_ONCE = 16_384  # keys that are texts at the same time
_HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Places:
    """N haplotypes in S shards, each once, by ascending key.

    Attributes
    ----------
    shards
        Names of the S shards.
    haplotypes
        int64 [S]: how many each holds, those included that are found in another.
    high, low
        uint64 [N]: both halves of the keys.
    shard, row
        int32 [N]: position in `shards`, and row in it. Of several, the shard whose name comes first.
    crc32
        uint32 [N]: of the haplotype's bytes there.
    """

    shards: tuple[str, ...]
    haplotypes: NDArray[np.int64]
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    shard: NDArray[np.int32]
    row: NDArray[np.int32]
    crc32: NDArray[np.uint32]

    @classmethod
    def none(cls) -> Places:
        """Return the places of an empty store."""
        halves, numbers = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int32)
        crc32 = np.empty(0, dtype=np.uint32)
        return cls((), np.empty(0, dtype=np.int64), halves, halves, numbers, numbers, crc32)

    def with_rows(self, rows: pl.DataFrame) -> Places:
        """Return the places with those of index rows (shard, key, row, crc32), whole shards, added.

        Rows of shards that are known are passed over.
        """
        rows = rows.filter(~pl.col("shard").is_in(list(self.shards)))
        if not rows.height:
            return self
        counted = rows.group_by("shard", maintain_order=True).len()
        number = np.repeat(np.arange(counted.height), counted["len"].to_numpy()) + len(self.shards)
        high, low = _halves(rows["key"])
        names = (*self.shards, *counted["shard"])
        high, low = np.concatenate([self.high, high]), np.concatenate([self.low, low])
        shard = np.concatenate([self.shard, number.astype(np.int32)])
        row = np.concatenate([self.row, rows["row"].to_numpy().astype(np.int32)])
        crc32 = np.concatenate([self.crc32, rows["crc32"].to_numpy().astype(np.uint32)])
        haplotypes = np.concatenate([self.haplotypes, counted["len"].to_numpy().astype(np.int64)])
        order = np.argsort(high, kind="stable")
        if (np.diff(high[order]) == 0).any():
            rank = np.argsort(np.argsort(np.array(names)))
            order = np.lexsort((rank[shard], low, high))
            first = np.ones(len(order), dtype=bool)
            first[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
            order = order[first]
        return Places(names, haplotypes, high[order], low[order], shard[order], row[order], crc32[order])

    def locate(self, keys: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint32]]:
        """Return shard, row and CRC-32 of each key, [len(keys)]; shard and row are -1 where there is none.

        Raises
        ------
        ValueError
            One has not the form of a key.
        """
        require_keys(keys)
        high, low = _halves(keys)
        at = np.searchsorted(self.high, high)
        shard = np.full(len(keys), -1, dtype=np.int32)
        row = np.full(len(keys), -1, dtype=np.int32)
        crc32 = np.zeros(len(keys), dtype=np.uint32)
        open_ = np.arange(len(keys))
        while len(open_):  # again only for keys that share their first half with another
            open_ = open_[at[open_] < len(self.high)]
            open_ = open_[self.high[at[open_]] == high[open_]]
            found = open_[self.low[at[open_]] == low[open_]]
            shard[found], row[found] = self.shard[at[found]], self.row[at[found]]
            crc32[found] = self.crc32[at[found]]
            open_ = open_[self.low[at[open_]] != low[open_]]
            at[open_] += 1
        return shard, row, crc32


def require_keys(keys: Sequence[str]) -> None:
    """Raise `ValueError` where something has not the form of a key."""
    strange = next((key for key in keys if len(key) != DIGITS or not _HEXADECIMAL.issuperset(key)), None)
    if strange is not None:
        raise ValueError(f"{strange!r} is no key: those have {DIGITS} hexadecimal digits, see sequence_key")


def _halves(keys: Sequence[str] | pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return both halves of keys as numbers whose order is that of the keys, uint64 [len(keys)]."""
    parts = (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))
    content = b"".join(bytes.fromhex("".join(part)) for part in parts)
    both = np.frombuffer(content, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])
