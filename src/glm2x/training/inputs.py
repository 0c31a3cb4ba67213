"""What a model takes of haplotypes: their letters as codes, or their embeddings from a store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.place import Place

Part = tuple[str, NDArray[np.int64] | None]  # a gene, and rows of its unique haplotypes; None: the reference
KEPT_GENES = 4_096
AT_ONCE = 64  # windows whose letters are made together to be looked up


class GeneSource(Protocol):
    """One gene's haplotypes, each unique one once."""

    @property
    def window(self) -> int:
        """Base pairs of a window."""

    @property
    def reference(self) -> NDArray[np.uint8]:
        """The reference window in the gene's direction, codes uint8 [L]."""

    @property
    def index(self) -> NDArray[np.int64]:
        """int64 [individuals, 2]: the unique haplotype that is a person's haplotype 1 and 2."""

    def codes(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Return unique haplotypes, codes uint8 [len(rows), L]; all of them without `rows`."""


class HaplotypeSource(Protocol):
    """Where haplotypes come from: the haplotype dictionary of a cohort."""

    def gene(self, gene: str, /) -> GeneSource:
        """Return one gene's haplotypes."""


class Inputs(Protocol):
    """Gives a model its inputs, a haplotype a row."""

    def gene(self, gene: str, /) -> GeneSource:
        """Return one gene's haplotypes, to know who has which."""

    def of(self, parts: Sequence[Part], /) -> Tensor:
        """Return haplotypes of several genes in one tensor, [H, ...], in the order of the parts."""


class Codes:
    """Inputs of backbones that are trained: letters, uint8 [H, L]."""

    def __init__(self, source: HaplotypeSource) -> None:
        self._source = source

    def gene(self, gene: str, /) -> GeneSource:
        """Return one gene's haplotypes."""
        return self._source.gene(gene)

    def of(self, parts: Sequence[Part], /) -> Tensor:
        """Return codes, uint8 [H, L]."""
        found = [self._codes(gene, rows) for gene, rows in parts]
        codes = found[0] if len(found) == 1 else np.concatenate(found)
        return torch.from_numpy(np.require(codes, requirements=["C", "W"]))

    def _codes(self, name: str, rows: NDArray[np.int64] | None) -> NDArray[np.uint8]:
        gene = self._source.gene(name)
        return gene.reference[None] if rows is None else gene.codes(rows)


class Embeddings:
    """Inputs of the heads on genomic language models: what a store holds, [H, rows, width] in its dtype.

    Each haplotype is copied once, from the mapped file, or what object storage sent, into the batch.

    Parameters
    ----------
    source
        Whose haplotypes; their letters are what the store is asked by.
    store
        Holds them.
    """

    def __init__(self, source: HaplotypeSource, store: Store) -> None:
        self._source = source
        self.store = store
        self._keys = lru_cache(KEPT_GENES)(self._keys_of)

    def gene(self, gene: str, /) -> GeneSource:
        """Return one gene's haplotypes."""
        return self._source.gene(gene)

    def of(self, parts: Sequence[Part], /) -> Tensor:
        """Return embeddings, [H, rows, width].

        Raises
        ------
        DataError
            The store lacks some.
        """
        return self.store.gather([key for gene, rows in parts for key in self._of(gene, rows)])

    def require(self, parts: Sequence[Part]) -> None:
        """Look for haplotypes before anything is computed with them.

        Raises
        ------
        DataError
            The store lacks some.
        """
        lacking = [(gene, len(self.store.missing(self._of(gene, rows)))) for gene, rows in parts]
        genes = list(dict.fromkeys(gene for gene, count in lacking if count))
        if genes:
            raise DataError(
                f"the embedding store lacks {sum(count for _, count in lacking):,} of the haplotypes needed",
                where=str(self.store.folder),
                got=f"{len(genes)} of {len({gene for gene, _ in parts})} genes are not complete, "
                f"such as {genes[0]}",
                do="glm2x embed plan with this cohort, these genes and people, then glm2x embed run",
            )

    def _of(self, name: str, rows: NDArray[np.int64] | None) -> list[str]:
        if rows is None:
            return [sequence_key(self._source.gene(name).reference)]
        keys = self._keys(name)
        return [keys[row] for row in rows]

    def _keys_of(self, name: str) -> list[str]:
        """Return the keys of a gene's unique haplotypes."""
        gene = self._source.gene(name)
        rows = np.arange(gene.index.max() + 1)
        return [
            sequence_key(codes)
            for start in range(0, len(rows), AT_ONCE)
            for codes in gene.codes(rows[start : start + AT_ONCE])
        ]


def inputs_of(source: HaplotypeSource, store: Place | str | None) -> Inputs:
    """Return a store's embeddings of the haplotypes, or, without one, their letters."""
    return Codes(source) if store is None else Embeddings(source, Store.open(store))
