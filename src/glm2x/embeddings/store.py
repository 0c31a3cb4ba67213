"""The embedding store: what a genomic language model makes of haplotypes, by what their sequence is.

A folder of immutable shards and an index, in which a file's appearance is the commit;
docs/formats/embedding-store.md is the authority on it. Several processes may write to it and read it at
once: equal keys have equal names, a shard is written aside and renamed, and its index after it. What a
process that is killed leaves is never read, and `gc` removes it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

import numpy as np
import polars as pl
import torch
from torch import Tensor

from glm2x.embeddings.cache import Cache
from glm2x.embeddings.commit import commit_shard
from glm2x.embeddings.description import STORE, read_description, write_description
from glm2x.embeddings.fetch import Fetcher
from glm2x.embeddings.index import ROWS, index_path, list_files, merge, read_files, read_index
from glm2x.embeddings.key import sequence_key, shard_name
from glm2x.embeddings.places import Places, require_keys
from glm2x.embeddings.shard import DTYPES, Mapped, as_bytes, map_shard, shard_path
from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError
from glm2x.place import Place, place
from glm2x.url import Url

__all__ = ["Store", "sequence_key", "shard_name"]

READ_TOGETHER = 256_000_000  # bytes of haplotypes that are read ahead from object storage
MOST_MAPPED = 2_048  # shards at the same time; a process may have 65,530 maps by default


class Store:
    """A store that was opened.

    Several threads may read at once. Nothing keeps files open: shards are mapped into memory, the last
    `MOST_MAPPED` that were read stay so, and a view keeps its own mapped. From object storage each reading
    is a request, unless shards are copied to this machine (`glm2x.embeddings.cache`).

    Attributes
    ----------
    folder
        Where it lies.
    spec
        What its embeddings were made with.
    """

    def __init__(self, folder: Place, spec: StoreSpec) -> None:
        self.folder = folder
        self.spec = spec
        self._mapped: OrderedDict[str, Mapped] = OrderedDict()
        self._cache = Cache.of(folder, spec) if isinstance(folder, Url) else None
        self._fetcher = Fetcher(folder, spec) if isinstance(folder, Url) and self._cache is None else None
        self._mapping, self._looking = Lock(), Lock()
        self._places, self._files = Places.none(), frozenset[str]()
        self._written: dict[str, pl.DataFrame] = {}  # rows that are not among the places yet
        self.refresh()

    @classmethod
    def create(cls, folder: Place | str, spec: StoreSpec) -> Store:
        """Return a store with this spec, made where there is none.

        Raises
        ------
        DataError
            There is one with another spec, of another format version, or damaged.
        UsageError
            The folder holds other things.
        """
        folder = place(folder)
        if not (folder / STORE).exists():
            write_description(folder, spec)
        store = cls.open(folder)
        spec.require_same(store.spec, str(folder))
        return store

    @classmethod
    def open(cls, folder: Place | str) -> Store:
        """Open a store, also one that may not be written to.

        Raises
        ------
        DataError
            There is none, it is of another format version, or its description or index is damaged.
        """
        folder = place(folder)
        return cls(folder, read_description(folder))

    def refresh(self) -> None:
        """Look at the index again: other processes may have written, merged or removed.

        Raises
        ------
        DataError
            A file of it is damaged.
        """
        with self._looking:
            files = list_files(self.folder)
            if self._files <= files:
                try:
                    self._place_written()
                    self._places = self._places.with_rows(read_files(self.folder, files - self._files))
                    self._files = files
                    return
                except FileNotFoundError:
                    pass  # merged meanwhile
            rows, self._files = read_index(self.folder)
            self._written.clear()
            self._places = Places.none().with_rows(rows)

    def __contains__(self, key: str) -> bool:
        return bool(self._known().locate([key])[0][0] >= 0)

    def __len__(self) -> int:
        return len(self._known().row)

    def has_shard(self, name: str) -> bool:
        """Whether a shard is stored by now, whoever wrote it; the index is read only where that can tell."""
        if index_path(self.folder, name).is_file():
            return True
        if not shard_path(self.folder, name).is_file():
            return False
        self.refresh()  # its index was merged, or a killed process left the shard without one
        return name in self._places.shards

    def gone(self) -> list[str]:
        """Return the shards that the index names and that are not there."""
        there = {path.stem for path in shard_path(self.folder, "").parent.glob("*")}
        return sorted(set(self._known().shards) - there)

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Return those of the keys that the store does not hold, in their order, each once."""
        asked = list(dict.fromkeys(keys))
        return [
            key
            for key, shard in zip(asked, self._known().locate(asked)[0].tolist(), strict=True)
            if shard < 0
        ]

    def read(self, key: str) -> Tensor:
        """Return what the store holds of one haplotype, [rows, width] in its dtype.

        It is a view of the file's pages, and no copy; when it is first read, they are compared with their
        checksum. What is written to it is seen by this process alone, and by later reads in it.

        Raises
        ------
        DataError
            The store does not hold it, or its shard is damaged.
        """
        if self._fetcher is not None:
            return self.gather([key])[0]
        name, haplotypes, row, crc32 = self._find([key])[0]
        mapped = self._map(name, haplotypes)
        mapped.require(row, crc32)
        return mapped.values[row]

    def read_each(self, keys: Sequence[str]) -> Iterator[Tensor]:
        """Give what the store holds of haplotypes, as `read`, one after the other."""
        if self._fetcher is None:
            yield from (self.read(key) for key in keys)
            return
        together = max(1, READ_TOGETHER // self.spec.bytes_of_one)
        for start in range(0, len(keys), together):
            yield from self.gather(keys[start : start + together])

    def gather(self, keys: Sequence[str], out: Tensor | None = None) -> Tensor:
        """Return what the store holds of haplotypes, [n, rows, width] in its dtype, in their order.

        Each is copied once, from the file's pages to where it belongs in the batch, in the caller's thread:
        more of them are limited by the same memory.

        Parameters
        ----------
        keys
            A key may stand there several times.
        out
            Written to and returned where it is given: contiguous, on the CPU, pinned or not. A new batch
            costs more than what is put into it.

        Raises
        ------
        DataError
            The store does not hold some, or a shard is damaged.
        """
        shape = (len(keys), self.spec.rows, self.spec.width)
        if out is None:
            out = torch.empty(shape, dtype=DTYPES[self.spec.dtype])
        assert out.shape == shape
        assert out.dtype == DTYPES[self.spec.dtype]
        assert out.is_contiguous()
        if not keys:
            return out
        found, target = self._find(keys), as_bytes(out)
        if self._fetcher is not None:
            try:
                self._fetcher.read(found, target)
            except FileNotFoundError:  # `gc` removed a shard whose haplotypes are in another
                self._fetcher.read(self._find(keys), target)
            return out
        for there, (name, haplotypes, row, crc32) in zip(target, found, strict=True):
            mapped = self._map(name, haplotypes)
            np.copyto(there, mapped.bytes[row])
            mapped.require(row, crc32, there)
        return out

    def write_shard(self, keys: Sequence[str], values: Tensor) -> str:
        """Write haplotypes as one shard and return its name; the last thing to appear is its index.

        One that is there is left alone. Where a killed process left a shard without index, it is taken as
        it is if it holds these values, and replaced if not.

        Parameters
        ----------
        keys
            Each once.
        values
            [n, rows, width] in the spec's dtype; from the CPU it is written without another copy.

        Raises
        ------
        DataError
            The disk is full, or the store may not be written to.
        ValueError
            A key stands there twice, or has not the form of one.
        """
        keys = list(keys)
        require_keys(keys)
        if not keys or len(set(keys)) != len(keys):
            raise ValueError("a shard holds at least one haplotype, and each once")
        assert values.shape == (len(keys), self.spec.rows, self.spec.width)
        assert values.dtype == DTYPES[self.spec.dtype]
        name = shard_name(keys)
        indexed = index_path(self.folder, name).is_file() or self._is_known(name)
        if not indexed or not shard_path(self.folder, name).is_file():
            crc32 = commit_shard(self.folder, self.spec, name, keys, values.detach().cpu().contiguous())
            with self._mapping:
                self._mapped.pop(name, None)
            if self._fetcher is not None:
                self._fetcher.forget(name)
            with self._looking:
                if not self._is_known(name):
                    columns = {"shard": name, "key": keys, "row": range(len(keys)), "crc32": crc32}
                    self._written[name] = pl.DataFrame(columns, schema=ROWS)
                    self._files |= {index_path(self.folder, name).name}
        elif not self._is_known(name):
            self.refresh()  # another process has written it
        return name

    def consolidate(self) -> int:
        """Merge the index files into one; return how many there were. Others may write and read meanwhile."""
        merged = merge(self.folder)
        self.refresh()
        return merged

    def _known(self) -> Places:
        """Return the places of all that is known."""
        if self._written:
            with self._looking:
                self._place_written()
        return self._places

    def _place_written(self) -> None:
        """Put what was written among the places, all at once: that takes as long as they are many."""
        if self._written:
            self._places = self._places.with_rows(pl.concat(self._written.values()))
            self._written.clear()

    def _is_known(self, name: str) -> bool:
        return name in self._written or name in self._places.shards

    def _find(self, keys: Sequence[str]) -> list[tuple[str, int, int, int]]:
        """Return shard, haplotypes in it, row and CRC-32 of each key (`DataError` where some are lacking)."""
        found = self._lookup(keys)
        if found is None or any(not self._is_there(name) for name in {name for name, *_ in found}):
            self.refresh()  # written, or in another shard, since it was last looked at
            found = self._lookup(keys)
        if found is None:
            missing = self.missing(keys)
            raise DataError(
                f"the embedding store lacks {len(missing):,} of {len(set(keys)):,} haplotypes",
                where=str(self.folder),
                got=f"none with key {missing[0]}",
                do=f"glm2x embed plan and glm2x embed run {self.folder} make what is missing",
            )
        return found

    def _lookup(self, keys: Sequence[str]) -> list[tuple[str, int, int, int]] | None:
        places = self._known()
        shard, row, crc32 = places.locate(keys)
        if (shard < 0).any():
            return None
        haplotypes = places.haplotypes[shard].tolist()
        names = [places.shards[number] for number in shard.tolist()]
        return list(zip(names, haplotypes, row.tolist(), crc32.tolist(), strict=True))

    def _is_there(self, name: str) -> bool:
        if name in self._mapped or (self._fetcher is not None and name in self._fetcher):
            return True
        return shard_path(self.folder, name).exists()

    def _map(self, name: str, haplotypes: int) -> Mapped:
        """Return a shard mapped into memory; the one that was not read for longest makes room for it."""
        with self._mapping:
            mapped = self._mapped.get(name)
            if mapped is None:
                mapped = self._mapped[name] = self._mapped_anew(name, haplotypes)
                if len(self._mapped) > MOST_MAPPED:
                    self._mapped.popitem(last=False)
            else:
                self._mapped.move_to_end(name)
            return mapped

    def _mapped_anew(self, name: str, haplotypes: int) -> Mapped:
        if isinstance(self.folder, Url):
            assert self._cache is not None
            return self._cache.map(name, haplotypes)
        return map_shard(shard_path(self.folder, name), self.spec, haplotypes)
