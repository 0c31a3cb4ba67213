"""A person's embedding of a gene as one vector: what a linear model can be fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings.plan import keys_of
from glm2x.embeddings.store import Store
from glm2x.errors import DataError


class Pooled:
    """The mean over tokens, and over a person's two haplotypes.

    Each unique haplotype is read once, straight from the mapped file where it lies on this machine.

    Parameters
    ----------
    store
        Holds the haplotypes; of tokens, bins or means.
    cohort
        Whose haplotypes.
    individuals
        Of whom vectors are wanted.
    """

    def __init__(self, store: Store, cohort: Cohort, individuals: Sequence[str]) -> None:
        self._store = store
        self._count = len(cohort.individuals)
        self._people = cohort.individual_index(individuals)
        self._dictionary = HaplotypeDictionary(cohort, store.spec.window)

    def gene(self, gene: str) -> NDArray[np.float32]:
        """Return the vectors, float32 [individuals of the cohort, width]; NaN for whom none is wanted.

        Raises
        ------
        DataError
            The store lacks haplotypes of the gene.
        """
        haplotypes = self._dictionary.gene(gene)
        rows, index = np.unique(haplotypes.index[self._people], return_inverse=True)
        keys = keys_of(haplotypes, rows.tolist())
        lacking = self._store.missing(keys)
        if lacking:
            raise DataError(
                f"the embedding store lacks {len(lacking):,} of a gene's {len(keys):,} haplotypes",
                where=f"{self._store.folder}, {gene}",
                do="glm2x embed plan with this cohort, these genes and people, then glm2x embed run",
            )
        each = np.stack([values.float().mean(dim=0).numpy() for values in self._store.read_each(keys)])
        vectors = np.full((self._count, each.shape[1]), np.nan, dtype=np.float32)
        vectors[self._people] = each[index.reshape(-1, 2)].mean(axis=1)
        return vectors
