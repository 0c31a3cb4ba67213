"""Shards of a store in object storage, copied whole to a disk of this machine when they are first used.

The variable `VARIABLE` names the folder. Copies are told apart by their store and the state of their shard;
processes may share them, and whoever likes may delete them.
"""

from __future__ import annotations

import os
from pathlib import Path

from glm2x.embeddings.shard import SUFFIX, Mapped, damaged, map_shard, shard_path
from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError
from glm2x.files import write_aside
from glm2x.seal import digest
from glm2x.url import Url

VARIABLE = "GLM2X_CACHE"


class Cache:
    """Copies of a store's shards.

    Parameters
    ----------
    folder
        Where the copies of all stores lie.
    store
        Where the store lies.
    spec
        Its spec.
    """

    def __init__(self, folder: Path, store: Url, spec: StoreSpec) -> None:
        self._folder = folder / digest([str(store), spec.digest])[:32]
        self._store, self._spec = store, spec

    @classmethod
    def of(cls, store: Url, spec: StoreSpec) -> Cache | None:
        """Return the cache that the environment names, if it names one."""
        named = os.environ.get(VARIABLE)
        return cls(Path(named), store, spec) if named else None

    def map(self, name: str, haplotypes: int) -> Mapped:
        """Map a shard's copy into memory, which is made where there is none, or a damaged one.

        Raises
        ------
        DataError
            The shard is gone or damaged, the storage cannot be reached, or the disk is full.
        """
        shard = shard_path(self._store, name)
        try:
            mark = shard.stat().mark
        except FileNotFoundError as error:
            raise damaged(shard, got="no such file", wanted="the shard that the index names") from error
        copy = self._folder / f"{name}-{digest([mark.e_tag, mark.version])[:16]}{SUFFIX}"
        if copy.is_file():
            try:
                return map_shard(copy, self._spec, haplotypes)
            except DataError:
                pass  # cut, or not ours
        with write_aside(copy, force=True) as aside:
            shard.fetch(aside)
        try:
            return map_shard(copy, self._spec, haplotypes)
        except DataError as error:
            raise damaged(shard, got=error.got, wanted=error.wanted) from error
