"""Phased variants of one contig, bit-packed: one bit a haplotype and allele.

A *column* is one alternative base at one position. A haplotype carries at most one column of a
position (for each haplotype the first record that carries an ALT wins, as in bcftools), so
applying columns in any order gives the same haplotype. An unphased heterozygote is a column
whose alternative base is N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.sequence import N


@dataclass(frozen=True)
class PhasedVariants:
    """The columns of one contig and who carries them.

    Attributes
    ----------
    contig
        The contig's name.
    position
        int64 ``[columns]``, 0-based, ascending.
    ref, alt
        uint8 codes ``[columns]``, on the forward strand.
    bits
        uint8 ``[2 * individuals, ceil(columns / 8)]``, most significant bit first. Row ``2 i + h - 1``
        is haplotype h (1 or 2) of individual i.
    """

    contig: str
    position: NDArray[np.int64]
    ref: NDArray[np.uint8]
    alt: NDArray[np.uint8]
    bits: NDArray[np.uint8]

    def __post_init__(self) -> None:
        columns = len(self.position)
        assert self.ref.shape == self.alt.shape == (columns,)
        assert self.bits.shape[1] == -(-columns // 8)

    def columns_between(self, start: int, end: int) -> slice:
        """Return the columns whose position lies in ``[start, end)``, 0-based."""
        first, last = np.searchsorted(self.position, (start, end))
        return slice(int(first), int(last))

    def carried(self, columns: slice) -> NDArray[np.bool_]:
        """Return who carries what, bool ``[2 * individuals, columns]``."""
        byte = columns.start // 8
        skip = columns.start - 8 * byte
        count = columns.stop - columns.start
        packed = self.bits[:, byte : -(-columns.stop // 8)]
        return np.unpackbits(packed, axis=1, count=skip + count)[:, skip:].view(np.bool_)

    def dosage(self, columns: slice) -> NDArray[np.float32]:
        """Return how many of two haplotypes carry each column, float32 ``[individuals, columns]``.

        Columns of unphased heterozygotes (alternative base N) count as they stand: see `is_known`.
        """
        carried = self.carried(columns).view(np.uint8)
        return (carried[0::2] + carried[1::2]).astype(np.float32)

    def is_known(self, columns: slice) -> NDArray[np.bool_]:
        """Return which columns have a real alternative base, bool ``[columns]``."""
        return np.asarray(self.alt[columns] != N)
