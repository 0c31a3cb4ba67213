"""Reading phased SNPs from VCF or BCF: every record is applied, or counted with its first example.

The rules are those of ``bcftools consensus -H {1,2}pIu -i 'type="snp"'``, except where the
package states otherwise: an unphased heterozygote is N, and a haploid call is haplotype 1's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.genome.sequence import N, decode, encode
from glm2x.genome.variants import PhasedVariants
from glm2x.genome.vcf_file import VariantCounts, open_variants, read_records, row_order, site, unsorted

_ANY_OTHER = ("<NON_REF>", "<*>")  # of gVCFs: no allele of its own, read as the reference
_BLOCK = 4096  # columns transposed at a time


def read_variants(
    path: Path | str,
    *,
    individuals: Sequence[str],
    contigs: Mapping[str, NDArray[np.uint8]],
    unphased: Literal["mask", "error"] = "mask",
) -> tuple[dict[str, PhasedVariants], VariantCounts]:
    """Read the phased SNPs of some individuals in one pass over a VCF.

    Parameters
    ----------
    path
        VCF, VCF.gz or BCF, sorted by position. No index is needed.
    individuals
        Who is read; they become the rows, in this order.
    contigs
        By contig name as in the VCF, the reference's uint8 codes. Records of other contigs are counted.
    unphased
        What an unphased heterozygote becomes: N (`mask`) or an error.

    Returns
    -------
    The variants of each contig that has a record, and what was counted.

    Raises
    ------
    DataError
        The file is missing, truncated, unsorted or holds no genotypes; a REF differs from the reference;
        an individual is not in it; a genotype has more than two alleles.
    """
    path = Path(path)
    reader = open_variants(path, individuals)
    order = row_order(reader.samples, individuals, path)
    counts = VariantCounts()
    found: dict[str, PhasedVariants] = {}
    columns: _ContigColumns | None = None
    for record in read_records(reader, path):
        if columns is None or columns.contig != record.CHROM:
            if columns is not None:
                found[columns.contig] = columns.finish()
                columns = None
            if record.CHROM in found:
                raise unsorted(path, record, "the contig came before")
            if record.CHROM not in contigs:
                counts.add("other_contig", site(record))
                continue
            columns = _ContigColumns(
                record.CHROM, contigs[record.CHROM], order, individuals, path, counts, unphased
            )
        columns.add(record)
    if columns is not None:
        found[columns.contig] = columns.finish()
    return found, counts


class _ContigColumns:
    """Collects the columns of one contig, record after record, in blocks that are bit-packed."""

    def __init__(
        self,
        contig: str,
        reference: NDArray[np.uint8],
        order: NDArray[np.intp],
        individuals: Sequence[str],
        path: Path,
        counts: VariantCounts,
        unphased: Literal["mask", "error"],
    ) -> None:
        self.contig = contig
        self.reference = reference
        self.order = order
        self.individuals = individuals
        self.path = path
        self.counts = counts
        self.unphased = unphased
        rows = 2 * len(individuals)
        self.position: list[int] = []
        self.ref: list[int] = []
        self.alt: list[int] = []
        self._open_columns: list[NDArray[np.bool_]] = []
        self._packed: list[NDArray[np.uint8]] = []
        # 0-based position up to which a haplotype's sequence is settled by an earlier record
        self._settled = np.zeros(rows, dtype=np.int64)
        self._last = -1

    def add(self, record: Any) -> None:
        """Apply one record, or count why not."""
        position = record.start
        if position < self._last:
            raise unsorted(self.path, record, f"after position {self._last + 1:,}")
        if position > self._last and len(self._open_columns) >= _BLOCK:
            self._pack(_BLOCK)
        self._last = position
        substitutions = self._substitutions(record)
        if substitutions is None:
            return
        alleles, unphased = self._alleles(record, [n for n, s in enumerate(substitutions, 1) if s is None])
        masked = np.repeat(unphased.any(axis=1), 2) if unphased is not None else None
        carries = alleles > 0 if masked is None else (alleles > 0) | masked
        free = self._settled <= position
        if not free.all():
            blocked = carries & ~free
            if blocked.any():
                self.counts.add("overlapping", site(record), int(blocked.sum()))
            carries &= free
        numbered = [(n, *s) for n, s in enumerate(substitutions, start=1) if s is not None]
        for number, offset, ref, alt in numbered:
            self._column(position + offset, ref, alt, (alleles == number) & free)
        if unphased is not None:
            for offset, ref in dict.fromkeys((offset, ref) for _, offset, ref, _ in numbered):
                changing = [number for number, place, *_ in numbered if place == offset]
                who = np.isin(unphased, changing).any(axis=1)
                self._column(position + offset, ref, int(N), np.repeat(who, 2) & free)
        self._settled[carries] = position + len(record.REF)
        self.counts.add("applied" if carries.any() else "not_carried", site(record))

    def finish(self) -> PhasedVariants:
        """Return the contig's variants, the columns in order of position."""
        self._pack(len(self._open_columns))
        rows = len(self._settled)
        position = np.asarray(self.position, dtype=np.int64)
        bits = np.concatenate(self._packed, axis=1) if self._packed else np.zeros((rows, 0), dtype=np.uint8)
        ref, alt = np.asarray(self.ref, dtype=np.uint8), np.asarray(self.alt, dtype=np.uint8)
        order = np.argsort(position, kind="stable")
        if np.any(order[1:] < order[:-1]):  # a base trimmed off the front of a REF moved a column right
            unpacked = np.unpackbits(bits, axis=1, count=len(position))
            bits = np.packbits(unpacked[:, order], axis=1)
            position, ref, alt = position[order], ref[order], alt[order]
        return PhasedVariants(self.contig, position, ref, alt, bits)

    def _column(self, position: int, ref: int, alt: int, carried: NDArray[np.bool_]) -> None:
        """Append a column, or add its carriers to the one that says the same; drop one nobody carries."""
        if not carried.any():
            return
        for back in range(1, len(self._open_columns) + 1):
            if self.position[-back] < position:
                break
            if self.position[-back] == position and self.alt[-back] == alt:
                self._open_columns[-back] |= carried
                return
        self.position.append(position)
        self.ref.append(ref)
        self.alt.append(alt)
        self._open_columns.append(carried)

    def _pack(self, count: int) -> None:
        if count:
            block = np.stack(self._open_columns[:count], axis=1)
            self._packed.append(np.packbits(block, axis=1))
            del self._open_columns[:count]

    def _substitutions(self, record: Any) -> list[tuple[int, int, int] | None] | None:
        """Return for each ALT (offset, reference code, alternative code), None for a stand-in of any other.

        None instead of the list where the record is no SNP.
        """
        ref = record.REF.upper()
        alts = [alt.upper() for alt in record.ALT]
        reason = _not_snp(ref, alts)
        if reason:
            self.counts.add(reason, site(record))
            return None
        codes = encode(ref)
        there = self.reference[record.start : record.start + len(ref)]
        if len(there) == len(codes) and np.any((there != codes) & (there == N)):
            self.counts.add("reference_unknown", site(record))
            return None
        if len(there) != len(codes) or np.any(there != codes):
            raise DataError(
                "a record's REF differs from the reference FASTA",
                where=f"{record.CHROM}:{record.POS:,} of {self.path}",
                got=f"REF {ref} where the FASTA has {decode(there) or 'no base (its end)'}",
                wanted="genotypes called against this very reference",
                do="use the FASTA named in the VCF's ##reference line (and make its .fai anew where the "
                "FASTA is younger), or bcftools norm --check-ref x",
            )
        result: list[tuple[int, int, int] | None] = []
        for alt in alts:
            if alt in _ANY_OTHER:
                result.append(None)
                continue
            offset = next(i for i in range(len(ref)) if ref[i] != alt[i])
            result.append((offset, int(codes[offset]), int(encode(alt[offset])[0])))
        return result

    def _alleles(
        self, record: Any, as_reference: Sequence[int]
    ) -> tuple[NDArray[np.int16], NDArray[np.int16] | None]:
        """Return the allele of every haplotype, and the alleles of unphased heterozygotes.

        Alleles numbered in `as_reference` are read as the reference.

        Returns
        -------
        int16 ``[2 * individuals]``; missing alleles are the reference (0) and counted, and so is the
        second haplotype of a haploid call. int16 ``[individuals, 2]``, 0 for everybody who is no
        unphased heterozygote, or None where nobody is.
        """
        try:
            genotypes = record.genotype.array()[self.order]
        except Exception as error:  # cyvcf2 raises bare Exception where FORMAT has no GT
            raise DataError(
                "a record has no genotypes (no GT in its FORMAT)",
                where=f"{record.CHROM}:{record.POS:,} of {self.path}",
                wanted="a VCF with phased genotypes",
            ) from error
        ploidy = genotypes.shape[1] - 1
        if ploidy > 2:
            raise DataError(
                f"a genotype has {ploidy} alleles",
                where=f"{record.CHROM}:{record.POS:,} of {self.path}",
                wanted="diploid or haploid genotypes",
            )
        pairs = genotypes[:, :2].copy()
        if ploidy == 1:
            pairs[:, 1] = -2  # cyvcf2's mark of an allele that is not there
        if pairs.max(initial=0) > len(record.ALT):
            raise DataError(
                "a genotype names an allele that its record has not",
                where=f"{site(record)} of {self.path}",
                got=f"allele {pairs.max()}",
                wanted=f"at most {len(record.ALT)}",
                do="the file is damaged: copy or download it again, or mend the record",
            )
        if as_reference:
            pairs[np.isin(pairs, as_reference)] = 0
        heterozygotes: NDArray[np.int16] | None = None
        if not genotypes[:, -1].all():
            # half-missing with an ALT (./1): which haplotype has it is as unknown as for 0/1
            unphased = (genotypes[:, -1] == 0) & (pairs[:, 0] != pairs[:, 1]) & (pairs[:, 1] != -2)
            unphased &= (pairs > 0).any(axis=1)
            if unphased.any():
                self._unphased(record, unphased)
                heterozygotes = np.where(unphased[:, None], pairs, 0).clip(min=0).astype(np.int16)
        if pairs.min() < 0:
            missing = (pairs == -1).any(axis=1)
            if heterozygotes is not None:
                missing &= ~heterozygotes.any(axis=1)
            self._count_genotypes("missing", record, missing)
            self._count_genotypes("haploid", record, (pairs[:, 1] == -2) & ~missing)
            pairs[pairs < 0] = 0
        if heterozygotes is not None:
            pairs[heterozygotes.any(axis=1)] = 0
        return pairs.reshape(-1), heterozygotes

    def _unphased(self, record: Any, who: NDArray[np.bool_]) -> None:
        self._count_genotypes("unphased", record, who)
        if self.unphased == "error":
            raise DataError(
                "an unphased heterozygous genotype",
                where=f"{self._example(record, who)} of {self.path}",
                got=f"{int(who.sum())} unphased at this record",
                wanted="phased genotypes (0|1)",
                do="phase the file (e.g. SHAPEIT5), or give --unphased mask to read them as N",
            )

    def _count_genotypes(self, fate: str, record: Any, who: NDArray[np.bool_]) -> None:
        if who.any():
            self.counts.add(f"{fate}_genotypes", self._example(record, who), int(who.sum()))

    def _example(self, record: Any, who: NDArray[np.bool_]) -> str:
        return f"{self.individuals[int(who.argmax())]} at {site(record)}"


def _not_snp(ref: str, alts: list[str]) -> str:
    """Return why a record is skipped, or nothing where each of its ALTs is a SNP after trimming."""
    alts = [alt for alt in alts if alt not in _ANY_OTHER]
    if not alts:
        return "no_alt"
    if any(alt == "*" or alt[0] in "<[]." or "[" in alt or "]" in alt for alt in alts):
        return "symbolic"
    if any(len(alt) != len(ref) for alt in alts):
        return "indel"
    if any(set(allele) - set("ACGT") for allele in alts):
        return "not_acgt"
    differing = [sum(a != b for a, b in zip(ref, alt, strict=True)) for alt in alts]
    if any(count != 1 for count in differing):
        return "mnp"
    return ""
