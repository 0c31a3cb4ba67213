"""Haplotypes of a store in object storage: of shards only what is asked for is read, in few requests."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from glm2x.embeddings.shard import damaged, data_start, shard_path
from glm2x.embeddings.spec import StoreSpec
from glm2x.url import Url

THREADS = 8
AT_ONCE = 64_000_000  # bytes that a thread asks for together; they are in memory twice until they are copied


class Fetcher:
    """Reads shards of a store; of each the header once.

    Parameters
    ----------
    folder
        The store.
    spec
        Its spec.
    """

    def __init__(self, folder: Url, spec: StoreSpec) -> None:
        self._folder, self._spec = folder, spec
        self._starts: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        """Whether a shard was read from."""
        return name in self._starts

    def forget(self, name: str) -> None:
        """Look at a shard's header again when it is next read from."""
        self._starts.pop(name, None)

    def read(self, found: Sequence[tuple[str, int, int, int]], target: NDArray[np.uint8]) -> None:
        """Copy haplotypes to where they belong.

        Parameters
        ----------
        found
            Of each: its shard, how many haplotypes that holds, the row in it, and the CRC-32 of its bytes.
        target
            uint8 [len(found), bytes of one].

        Raises
        ------
        FileNotFoundError
            A shard is gone that was read from before; it is forgotten.
        DataError
            A shard is gone or damaged, or the storage cannot be reached.
        """
        shards: dict[tuple[str, int], dict[tuple[int, int], list[int]]] = {}
        for position, (name, haplotypes, row, crc32) in enumerate(found):
            shards.setdefault((name, haplotypes), {}).setdefault((row, crc32), []).append(position)
        each = max(1, AT_ONCE // self._spec.bytes_of_one)
        tasks = []
        for (name, haplotypes), positions in shards.items():
            rows = sorted(positions)
            for first in range(0, len(rows), each):
                part = {row: positions[row] for row in rows[first : first + each]}
                tasks.append((name, haplotypes, part))
        if len(tasks) == 1:
            self._copy(*tasks[0], target)
            return
        with ThreadPoolExecutor(min(THREADS, len(tasks) or 1)) as pool:
            for done in [pool.submit(self._copy, *task, target) for task in tasks]:
                done.result()

    def _copy(
        self, name: str, haplotypes: int, rows: dict[tuple[int, int], list[int]], target: NDArray[np.uint8]
    ) -> None:
        path, size = shard_path(self._folder, name), self._spec.bytes_of_one
        start = self._starts.get(name)
        if start is None:
            start = self._starts[name] = data_start(path, self._spec, haplotypes)
        try:
            contents = path.ranges([start + row * size for row, _ in rows], size)
        except FileNotFoundError:
            self.forget(name)
            raise
        for ((row, crc32), positions), content in zip(rows.items(), contents, strict=True):
            if len(content) != size:
                raise damaged(path, got=f"{len(content):,} bytes of a haplotype", wanted=f"{size:,}")
            got = zlib.crc32(content)
            if got != crc32:
                raise damaged(path, got=f"CRC-32 {got:08x} of haplotype {row}", wanted=f"CRC-32 {crc32:08x}")
            for position in positions:
                target[position] = np.frombuffer(content, dtype=np.uint8)
