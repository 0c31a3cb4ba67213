"""Haplotypes of one window: copy the reference, then scatter the alternative bases into it.

This is all that stands between a genotype table and a personal sequence; no FASTA is written.
Windows of `-` genes are kept already reverse-complemented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.genes import Gene, window_interval
from glm2x.genome.haplotypes.length_changes import Splice, fill_around, splice_of
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.sequence import N, complement, reverse_complement


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
    return _stretch(contig, gene, *window_interval(gene.tss, window))


class HaplotypeWindow:
    """A gene's window and the means to build any haplotype of it.

    What a haplotype carries is a *pattern*, bool ``[width]``: one bit a column that reaches into the
    window, then one for each place where some people are heterozygous with unknown phase.

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
        The slice of the contig's columns that the pattern begins with. Where haplotypes are shorter than
        the reference it reaches beyond the window, which is filled with what lies there.
    width
        The length of a pattern.
    one_pattern_one_sequence
        Whether different patterns are different sequences: so with SNPs alone.
    """

    def __init__(self, contig: NDArray[np.uint8], variants: PhasedVariants, gene: Gene, window: int) -> None:
        self.gene = gene
        self.reference = reference_window(contig, gene, window)
        self.reference.setflags(write=False)
        reach = _reach(variants, gene.tss, window)
        self.columns = reach.columns
        carried = variants.carried(reach.columns)
        places = _changes(variants, reach.columns)
        masks = _masks(variants, reach.columns, places)
        self.width = len(places) + len(masks)
        self.one_pattern_one_sequence = variants.only_snps
        # one row a haplotype, so that the path taken once a haplotype reads a few consecutive bytes
        table = np.concatenate([carried, *(who[None] for _, _, who in masks)]) if masks else carried
        self._bits = np.packbits(np.ascontiguousarray(table.T), axis=1)
        self._splices: tuple[tuple[int, Splice], ...] = ()
        self._base = self.reference
        self._cut = window // 2
        start = reach.start
        if reach.spliced:
            self._base = _stretch(contig, gene, reach.start, reach.end)
            self._base.setflags(write=False)
            self._cut = gene.tss - start if gene.strand == "+" else reach.end - gene.tss
            splices = tuple(
                (j, splice_of(p.at - start, p.removed, p.put, gene.tss - start, len(self._base), gene.strand))
                for j, p in enumerate(places)
                if len(p.removed) != len(p.put)
            )
            # in the order of the gene's direction, which tells two insertions at one place apart
            self._splices = splices if gene.strand == "+" else splices[::-1]
        self._scatter(places, masks, start, gene.strand)

    def carried(self, row: int) -> NDArray[np.bool_]:
        """Return a haplotype's pattern, bool ``[width]``; row ``2 i + h - 1``."""
        return np.unpackbits(self._bits[row], count=self.width).view(np.bool_)

    def patterns(self) -> NDArray[np.uint8]:
        """Return the patterns of all haplotypes, bit-packed: uint8 ``[2 individuals, ceil(width / 8)]``."""
        return self._bits

    def haplotype(self, row: int, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return one haplotype's uint8 codes ``[window]``, into `out` where it is given."""
        return self.apply(self.carried(row), out)

    def haplotypes(
        self, rows: Sequence[int] | NDArray[np.integer], out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Return some haplotypes' uint8 codes ``[rows, window]``, into `out` where it is given."""
        return self.apply_all(self._bits[np.asarray(rows, dtype=np.intp)], out)

    def apply_all(self, packed: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return the sequences of some patterns at once, uint8 codes ``[rows, window]``.

        Parameters
        ----------
        packed
            Bit-packed, uint8 ``[rows, ceil(width / 8)]``.
        out
            Written to where it is given.
        """
        if out is None:
            out = np.empty((len(packed), len(self.reference)), dtype=np.uint8)
        patterns = np.unpackbits(packed, axis=1, count=self.width).view(np.bool_)
        if self._splices:
            for pattern, row in zip(patterns, out, strict=True):
                self.apply(pattern, row)
            return out
        chosen = patterns if self._column is None else patterns[:, self._column]
        out[:] = self.reference
        row, place = np.divmod(np.flatnonzero(chosen), max(len(self._offset), 1))
        out[row, self._offset[place]] = self._letter[place]
        return out

    def apply(self, pattern: NDArray[np.bool_], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return the sequence of a pattern, uint8 codes ``[window]``, into `out` where it is given."""
        spliced = [splice for j, splice in self._splices if pattern[j]]
        if spliced:
            if out is None:
                out = np.empty_like(self.reference)
            base = self._base.copy()
            self._write(base, pattern)
            fill_around(base, spliced, self._cut, out)
            return out
        if out is None:
            out = self.reference.copy()
        else:
            out[:] = self.reference
        if self._splices:
            base = self._base.copy()
            self._write(base, pattern)
            half = len(out) // 2
            out[:] = base[self._cut - half : self._cut + half]
            return out
        self._write(out, pattern)
        return out

    def _write(self, codes: NDArray[np.uint8], pattern: NDArray[np.bool_]) -> None:
        """Write the bases that take the place of as many."""
        chosen = pattern if self._column is None else pattern[self._column]
        codes[self._offset[chosen]] = self._letter[chosen]

    def _scatter(
        self,
        places: list[_Change],
        masks: list[tuple[int, int, NDArray[np.bool_]]],
        start: int,
        strand: str,
    ) -> None:
        """Lay out every base that is written in place: where, which letter, and by which bit.

        Masks stand last, so that N is what remains where both are written.
        """
        offset: list[int] = []
        letter: list[NDArray[np.uint8]] = []
        column: list[int] = []
        for j, place in enumerate(places):
            if len(place.removed) == len(place.put):
                offset += range(place.at - start, place.at - start + len(place.put))
                letter.append(place.put)
                column += [j] * len(place.put)
        for j, (first, last, _) in enumerate(masks, start=len(places)):
            offset += range(first - start, last - start)
            letter.append(np.full(last - first, N, dtype=np.uint8))
            column += [j] * (last - first)
        offsets = np.asarray(offset, dtype=np.intp)
        letters = np.concatenate(letter) if letter else np.zeros(0, dtype=np.uint8)
        columns = np.asarray(column, dtype=np.intp)
        inside = (offsets >= 0) & (offsets < len(self._base))
        offsets, letters, columns = offsets[inside], letters[inside], columns[inside]
        if strand == "-":
            offsets, letters = len(self._base) - 1 - offsets, complement(letters)
        self._offset, self._letter = offsets, letters
        one_each = np.array_equal(columns, np.arange(self.width))
        self._column: NDArray[np.intp] | None = None if one_each else columns


@dataclass(frozen=True)
class _Change:
    """What a column does, on the forward strand: bases from `at` on are removed, others put there."""

    at: int
    removed: NDArray[np.uint8]
    put: NDArray[np.uint8]


@dataclass(frozen=True)
class _Reach:
    """The stretch of a contig, 0-based, that some haplotype of a window is made of, and its columns."""

    start: int
    end: int
    columns: slice
    spliced: bool


def _reach(variants: PhasedVariants, tss: int, window: int) -> _Reach:
    """Return how far from the TSS a window takes its bases: beyond its own where deletions shorten it."""
    half = window // 2
    start, end = window_interval(tss, window)
    while True:
        # an insertion that is told by the base behind it masks the last base of the window
        columns = variants.columns_touching(start, end if variants.only_snps else end + 1)
        gained = variants.alt.between(columns).lengths - variants.ref.between(columns).lengths
        changing = np.flatnonzero(gained)
        if not changing.size:
            # a column that only touches the window from the left changes nothing in it
            return _Reach(start, end, columns, spliced=False)
        position = variants.position[columns]
        carried = variants.carried(columns)[changing].T
        lost = np.where(gained < 0, -gained, 0)[changing]
        left = carried @ np.where(position[changing] < tss, lost, 0)
        # a deletion over the TSS counts on both sides
        right = carried @ np.where(
            (position + variants.ref.between(columns).lengths)[changing] > tss, lost, 0
        )
        wanted = (tss - half - int(left.max(initial=0)), tss + half + int(right.max(initial=0)))
        if wanted[0] >= start and wanted[1] <= end:
            return _Reach(start, end, columns, spliced=True)
        start, end = min(start, wanted[0]), max(end, wanted[1])


def _changes(variants: PhasedVariants, columns: slice) -> list[_Change]:
    """Return what each column does, without the base that only shows the place."""
    refs, alts = variants.ref.between(columns), variants.alt.between(columns)
    position = variants.position[columns].tolist()
    changes = []
    for j, at in enumerate(position):
        ref = refs.codes[refs.start[j] : refs.start[j + 1]]
        alt = alts.codes[alts.start[j] : alts.start[j + 1]]
        if len(ref) != len(alt) and ref[0] == alt[0]:
            at, ref, alt = at + 1, ref[1:], alt[1:]
        elif len(ref) != len(alt) and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        changes.append(_Change(at, ref, alt))
    return changes


def _masks(
    variants: PhasedVariants, columns: slice, places: list[_Change]
) -> list[tuple[int, int, NDArray[np.bool_]]]:
    """Return the stretches that are N in people of unknown phase: first base, end, bool ``[2 individuals]``.

    It is the bases that the allele would replace; for an insertion the base before it, and at the very
    beginning of a contig the one behind.
    """
    where, who = variants.unphased(columns)
    merged: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for j, rows in zip(where.tolist(), who, strict=True):
        place = places[j]
        first = place.at if len(place.removed) else max(place.at - 1, 0)
        key = (first, first + max(len(place.removed), 1))
        merged[key] = merged[key] | rows if key in merged else rows
    return [(first, last, rows) for (first, last), rows in merged.items()]


def _stretch(contig: NDArray[np.uint8], gene: Gene, start: int, end: int) -> NDArray[np.uint8]:
    """Return uint8 codes of ``[start, end)``, 0-based, N beyond the contig, in the gene's direction."""
    codes = np.full(end - start, N, dtype=np.uint8)
    inside_start, inside_end = max(start, 0), min(end, len(contig))
    if inside_start < inside_end:
        codes[inside_start - start : inside_end - start] = contig[inside_start:inside_end]
    return reverse_complement(codes) if gene.strand == "-" else codes
