"""Haplotypes of one window: copy the reference, then scatter the alternative bases into it.

This is all that stands between a genotype table and a personal sequence; no FASTA is written.
Windows of `-` genes are kept already reverse-complemented.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.genes import Gene, window_interval
from glm2x.genome.sequence import N, complement, reverse_complement
from glm2x.genome.variants import PhasedVariants


def reference_window(contig: NDArray[np.uint8], gene: Gene, window: int) -> NDArray[np.uint8]:
    """Cut a gene's window out of its contig.

    Parameters
    ----------
    contig
        uint8 codes of the whole contig, forward strand.
    gene
        Its TSS comes to index ``window / 2`` (on `-`: ``window / 2 - 1``).
    window
        Length in bp, even.

    Returns
    -------
    uint8 codes ``[window]``, N beyond the contig, reverse-complemented for `-` genes.
    """
    start, end = window_interval(gene.tss, window)
    codes = np.full(window, N, dtype=np.uint8)
    inside_start, inside_end = max(start, 0), min(end, len(contig))
    if inside_start < inside_end:
        codes[inside_start - start : inside_end - start] = contig[inside_start:inside_end]
    return reverse_complement(codes) if gene.strand == "-" else codes


class HaplotypeWindow:
    """A gene's window and the means to build any haplotype of it.

    Parameters
    ----------
    contig
        uint8 codes of the gene's contig.
    variants
        The phased variants of that contig.
    gene, window
        The gene, and the window's length in bp.

    Attributes
    ----------
    reference
        uint8 codes ``[window]`` in the gene's direction.
    columns
        The slice of the contig's variant columns inside the window.
    """

    def __init__(self, contig: NDArray[np.uint8], variants: PhasedVariants, gene: Gene, window: int) -> None:
        start, end = window_interval(gene.tss, window)
        self.gene = gene
        self.reference = reference_window(contig, gene, window)
        self.reference.setflags(write=False)
        self.columns = variants.columns_between(start, end)
        offset = variants.position[self.columns] - start
        alt = np.asarray(variants.alt[self.columns])
        if gene.strand == "-":
            offset, alt = window - 1 - offset, complement(alt)
        self.offset: NDArray[np.intp] = np.asarray(offset, dtype=np.intp)
        self.alt: NDArray[np.uint8] = alt
        # views for the path taken once a haplotype: the window's bytes of every row, and how many
        # leading bits of the first byte belong to the columns before the window
        byte = self.columns.start // 8
        self._skip = self.columns.start - 8 * byte
        self._bits = np.ascontiguousarray(variants.bits[:, byte : -(-self.columns.stop // 8)])

    def carried(self, row: int) -> NDArray[np.bool_]:
        """Return which columns a haplotype carries, bool ``[columns]``; row ``2 i + h - 1``."""
        bits = np.unpackbits(self._bits[row], count=self._skip + len(self.offset))
        return bits[self._skip :].view(np.bool_)

    def carried_by_all(self) -> NDArray[np.bool_]:
        """Return who carries what, bool ``[2 * individuals, columns]``."""
        bits = np.unpackbits(self._bits, axis=1, count=self._skip + len(self.offset))
        return bits[:, self._skip :].view(np.bool_)

    def haplotype(self, row: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return one haplotype's uint8 codes ``[window]``, into `out` where it is given."""
        return self.apply(self.carried(row), out)

    def apply(self, carried: NDArray[np.bool_], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return the sequence that carries exactly the columns of `carried`, bool ``[columns]``."""
        if out is None:
            out = self.reference.copy()
        else:
            out[:] = self.reference
        out[self.offset[carried]] = self.alt[carried]
        return out
