"""Phased variants of one contig, bit-packed: one row an allele, one bit a haplotype.

A *column* (of the table people x variants) is one alternative allele at one place, and stands once. For
each haplotype the first record that carries an ALT wins, as in bcftools, so that what a haplotype
carries never overlaps, and applying its columns in any order gives the same sequence. Who is
heterozygous with unknown phase is kept beside the bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.sequence import decode, encode


def trim_shared(ref: str, alt: str) -> tuple[int, str, str]:
    """Return what changes between two alleles: the bases before it, the bases removed and those put there.

    Shared bases are trimmed off the front, then off the end: ``ACGT>AT`` is ``(1, "CG", "")``.
    """
    front = 0
    shorter = min(len(ref), len(alt))
    while front < shorter and ref[front] == alt[front]:
        front += 1
    back = 0
    while back < shorter - front and ref[-1 - back] == alt[-1 - back]:
        back += 1
    return front, ref[front : len(ref) - back], alt[front : len(alt) - back]


@dataclass(frozen=True)
class Alleles:
    """Many alleles of any length, one after the other.

    Attributes
    ----------
    codes
        uint8 codes of all, joined.
    start
        int64 ``[alleles + 1]``: where each begins, and where the last ends.
    """

    codes: NDArray[np.uint8]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Alleles:
        """Join alleles given as letters."""
        start = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(text) for text in texts], out=start[1:])
        return cls(encode("".join(texts)), start)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length of each allele in bp, int64 ``[alleles]``."""
        return np.diff(self.start)

    def text(self, j: int) -> str:
        """Return the letters of one allele."""
        return decode(self.codes[self.start[j] : self.start[j + 1]])

    def between(self, columns: slice) -> Alleles:
        """Return some of them, as views."""
        start = self.start[columns.start : columns.stop + 1]
        return Alleles(self.codes[start[0] : start[-1]], start - start[0])


@dataclass(frozen=True)
class PhasedVariants:
    """The columns of one contig and who carries them.

    Attributes
    ----------
    contig
        The contig's name.
    individuals
        How many people there are.
    position
        int64 ``[columns]``, 0-based position of the first base of `ref`, ascending.
    ref, alt
        The alleles on the forward strand, without the bases they share, except one before (or after)
        where else one of the two would be empty.
    bits
        uint8 ``[columns, ceil(2 individuals / 8)]``, most significant bit first. Bit ``2 i + h - 1``
        is haplotype h (1 or 2) of individual i.
    unphased_columns
        int64, ascending: the columns that somebody carries on one haplotype without it being known which.
    unphased_bits
        uint8 ``[len(unphased_columns), ceil(2 individuals / 8)]``: who, both haplotypes of a person, but for
        one that an earlier record has settled there. In `bits` they carry nothing of that record.
    """

    contig: str
    individuals: int
    position: NDArray[np.int64]
    ref: Alleles
    alt: Alleles
    bits: NDArray[np.uint8]
    unphased_columns: NDArray[np.int64]
    unphased_bits: NDArray[np.uint8]

    def __post_init__(self) -> None:
        columns = len(self.position)
        assert len(self.ref) == len(self.alt) == columns
        assert self.bits.shape == (columns, -(-2 * self.individuals // 8))
        assert self.unphased_bits.shape == (len(self.unphased_columns), self.bits.shape[1])

    @classmethod
    def of(
        cls,
        contig: str,
        columns: Sequence[tuple[int, str, str]],
        carried: NDArray[np.bool_],
        unphased: NDArray[np.bool_] | None = None,
    ) -> PhasedVariants:
        """Put variants together in memory.

        Parameters
        ----------
        columns
            Position (0-based), REF and ALT of each, ascending.
        carried
            bool ``[columns, 2 individuals]``.
        unphased
            bool ``[columns, 2 individuals]`` (default: nobody).
        """
        individuals = carried.shape[1] // 2
        if unphased is None:
            unphased = np.zeros_like(carried)
        some = np.flatnonzero(unphased.any(axis=1))
        return cls(
            contig,
            individuals,
            np.asarray([position for position, _, _ in columns], dtype=np.int64),
            Alleles.of([ref for _, ref, _ in columns]),
            Alleles.of([alt for _, _, alt in columns]),
            np.packbits(carried, axis=1),
            some,
            np.packbits(unphased[some], axis=1),
        )

    @cached_property
    def only_snps(self) -> bool:
        """Whether every column is one base in the place of one."""
        return not bool(np.any(self.ref.lengths != 1) or np.any(self.alt.lengths != 1))

    @cached_property
    def _reached(self) -> NDArray[np.int64]:
        """How far the columns up to each one reach, int64 ``[columns]``, 0-based end."""
        return np.maximum.accumulate(self.position + self.ref.lengths)

    def columns_between(self, start: int, end: int) -> slice:
        """Return the columns whose position lies in ``[start, end)``, 0-based."""
        first, last = np.searchsorted(self.position, (start, end))
        return slice(int(first), int(last))

    def columns_touching(self, start: int, end: int) -> slice:
        """Return the columns from the first whose REF reaches into ``[start, end)``, 0-based."""
        if self.only_snps:
            return self.columns_between(start, end)
        first = int(np.searchsorted(self._reached, start, side="right"))
        return slice(first, max(first, int(np.searchsorted(self.position, end))))

    def carried(self, columns: slice) -> NDArray[np.bool_]:
        """Return who carries what, bool ``[columns, 2 individuals]``; unphased heterozygotes nothing."""
        bits = np.unpackbits(self.bits[columns], axis=1, count=2 * self.individuals)
        return bits.view(np.bool_)

    def unphased(self, columns: slice) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the columns among `columns` that have unphased heterozygotes, and who these are.

        Returns
        -------
        int64 ``[k]``, counted from the first of `columns`, and bool ``[k, 2 individuals]``.
        """
        first, last = np.searchsorted(self.unphased_columns, (columns.start, columns.stop))
        bits = np.unpackbits(self.unphased_bits[first:last], axis=1, count=2 * self.individuals)
        return self.unphased_columns[first:last] - columns.start, bits.view(np.bool_)

    def dosage(self, columns: slice) -> NDArray[np.float32]:
        """Return how many of two haplotypes carry each column, float32 ``[individuals, columns]``.

        An unphased heterozygote carries one, whichever it is; one that a record before has phased, that one.
        """
        carried = self.carried(columns).view(np.uint8)
        dosage = carried[:, 0::2] + carried[:, 1::2]
        where, who = self.unphased(columns)
        dosage[where] = np.maximum(dosage[where], who[:, 0::2] | who[:, 1::2])
        return np.ascontiguousarray(dosage.T, dtype=np.float32)

    def reference_differs(self, contig: NDArray[np.uint8], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for which of some columns the reference does not hold REF, bool ``[len(columns)]``.

        Parameters
        ----------
        contig
            uint8 codes of the whole contig.
        columns
            int64: which columns are compared.
        """
        differs = np.zeros(len(columns), dtype=np.bool_)
        for i, column in enumerate(columns):
            ref = self.ref.codes[self.ref.start[column] : self.ref.start[column + 1]]
            there = contig[self.position[column] : self.position[column] + len(ref)]
            differs[i] = len(there) != len(ref) or bool(np.any(there != ref))
        return differs
