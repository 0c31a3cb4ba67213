"""The haplotype dictionary: every gene's unique haplotypes, and who has which.

A person's prediction is the mean over two haplotypes, so all work on sequences is done once a
unique haplotype and gathered through ``index [individuals, 2]``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.genome.haplotypes.window import HaplotypeWindow

KEPT_BYTES = 256_000_000
PASSING_BYTES = 8_000_000
"""Enough where genes are asked for one after the other, and not again."""


class GeneHaplotypes:
    """The unique haplotypes of one gene in a window.

    Attributes
    ----------
    gene, window
        The gene's identifier and the window's length in bp.
    reference
        uint8 codes ``[window]``, in the gene's direction.
    """

    def __init__(self, window: HaplotypeWindow) -> None:
        self._window = window
        self.gene = window.gene.gene
        self.window = len(window.reference)
        self.reference = window.reference

    @property
    def nbytes(self) -> int:
        """About how many bytes it holds."""
        return self.window + 3 * self._window.patterns().nbytes + 16 * len(self._window.patterns())

    @property
    def n_unique(self) -> int:
        """How many different sequences the cohort has."""
        return len(self._unique[0])

    @property
    def index(self) -> NDArray[np.int64]:
        """The row of haplotypes 1 and 2 among the unique ones, int64 ``[individuals, 2]``."""
        return self._unique[1]

    @cached_property
    def _unique(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """One pattern of each sequence, bit-packed, and who has which; a reference needs neither."""
        patterns, inverse = np.unique(self._window.patterns(), axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        if not self._window.one_pattern_one_sequence:
            whole = (self._window.apply_all(pattern[None]) for pattern in patterns)
            keys = np.asarray([blake2b(sequence.data).hexdigest() for sequence in whole])
            _, first, same = np.unique(keys, return_index=True, return_inverse=True)
            patterns, inverse = patterns[first], same[inverse]
        return patterns, inverse.reshape(-1, 2).astype(np.int64)

    def codes(self, rows: Sequence[int] | NDArray[np.integer] | None = None) -> NDArray[np.uint8]:
        """Return the sequences of some unique haplotypes (default: all), uint8 ``[rows, window]``."""
        packed = self._unique[0] if rows is None else self._unique[0][np.asarray(rows, dtype=np.intp)]
        return self._window.apply_all(packed)


class HaplotypeDictionary:
    """The unique haplotypes of a cohort's genes in windows of one length.

    Genes that were asked for are kept, the latest longest. It may be used by several threads, and sent to
    another process.

    Parameters
    ----------
    cohort
        A cohort with a reference.
    window
        Length in bp, even.
    kept_bytes
        How much is kept, beside the latest gene.
    """

    def __init__(self, cohort: Cohort, window: int, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.cohort = cohort
        self.window = window
        self.kept_bytes = kept_bytes
        self._kept: OrderedDict[str, GeneHaplotypes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def gene(self, gene: str) -> GeneHaplotypes:
        """Return the unique haplotypes of a gene (`DataError` for an unknown one)."""
        with self._lock:
            if gene not in self._kept:
                self._kept[gene] = GeneHaplotypes(self.window_of(gene))
                self._bytes += self._kept[gene].nbytes
            self._kept.move_to_end(gene)
            while self._bytes > self.kept_bytes and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
            return self._kept[gene]

    def window_of(self, gene: str) -> HaplotypeWindow:
        """Return the means to build single haplotypes of a gene."""
        place = self.cohort.gene(gene)
        return HaplotypeWindow(
            self.cohort.reference(place.contig), self.cohort.variants(place.contig), place, self.window
        )

    def __getstate__(self) -> tuple[Cohort, int, int]:
        """Leave out what is kept, and the lock."""
        return self.cohort, self.window, self.kept_bytes

    def __setstate__(self, state: tuple[Cohort, int, int]) -> None:
        """Begin with nothing kept."""
        cohort, window, kept_bytes = state
        self.__init__(cohort, window, kept_bytes=kept_bytes)  # type: ignore[misc]
