"""What ``bcftools consensus -H {1,2}pIu -i 'type="snp"'`` makes of a VCF record, for many people at once.

The rules are wholly those of bcftools 1.16, found by running it and held by property tests; they are
not the cohort's (`glm2x.genome.vcf.read`), which masks what is ambiguous instead:

- A record counts when each ALT is a SNP (``AC>GC`` is one) or says "reference" (``<*>``, ``<NON_REF>``), and
  one is a SNP. Everything else is passed over.
- A phased genotype puts its first allele on haplotype 1 and its second on haplotype 2. An unphased one puts
  the IUPAC letter of all its known alleles on both; where somebody in the file has three alleles, an
  unphased pair counts as phased. A missing allele is the reference.
- A haploid call stands on both haplotypes where everybody in the file is haploid at that record, and on
  haplotype 1 alone where somebody is diploid.
- Of overlapping records, the first that a haplotype carries wins. Only what is carried is compared with
  the FASTA.
- The letters written have the case of the FASTA's base at POS.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.genome.consensus.text import ContigText
from glm2x.genome.counts import Counts
from glm2x.genome.vcf.file import site

IUPAC = ".ACMGRSVTWYHKDBN"  # by bits: A 1, C 2, G 4, T 8
_BITS = {letter: bits for bits, letter in enumerate(IUPAC) if bits}
_REFERENCE_ALT = {"<*>", "<NON_REF>"}
_BLOCK_BYTES = 64 << 20  # of unpacked carriers before they are packed


class NarrowRecordError(Exception):
    """What a record writes depends on the most alleles that anybody has there, and not everybody is read.

    bcftools looks at the last place of a genotype for its phase. Where somebody has more alleles, that
    place is empty in the others, and counts as phased: a haploid call then stands on haplotype 1 alone,
    and an unphased diploid one is taken as phased.
    """


class Carriers:
    """Who writes which byte where in one contig; the bits lie in an open file.

    Attributes
    ----------
    offset
        int64 ``[columns]``, into the bytes of the contig's text.
    letter
        uint8 ``[columns]``, the byte to write there.
    rows
        Twice the number of individuals; row ``2 i + h - 1`` is haplotype h of individual i.
    """

    def __init__(
        self,
        offset: NDArray[np.int64],
        letter: NDArray[np.uint8],
        rows: int,
        bits: NDArray[np.uint8],
    ) -> None:
        self.offset = offset
        self.letter = letter
        self.rows = rows
        self._bits = bits  # [blocks, rows, bytes of a block]

    def of(self, rows: Sequence[int]) -> Iterator[NDArray[np.intp]]:
        """Yield the columns each of some rows carries, intp ``[carried]``, row after row."""
        packed = np.ascontiguousarray(self._bits[:, list(rows), :].transpose(1, 0, 2))
        for row in packed:
            yield np.flatnonzero(np.unpackbits(row.reshape(-1), count=len(self.offset)).view(np.bool_))


class CarrierWriter:
    """Collects the columns of one contig and writes their carriers, bit-packed, to an open file.

    Parameters
    ----------
    spill
        A binary file, open for reading and writing; blocks are appended to it.
    rows
        Twice the number of individuals.
    """

    def __init__(self, spill: IO[bytes], rows: int) -> None:
        self._spill = spill
        self._start = spill.seek(0, 2)
        block = max(8, min(4096, _BLOCK_BYTES // max(rows, 1) // 8 * 8))
        self._open = np.zeros((block, rows), dtype=np.bool_)
        self._filled = 0
        self._blocks = 0
        self._offset = array("q")
        self._letter = array("B")

    def column(self, offset: int, letter: int, carried: NDArray[np.bool_]) -> None:
        """Append one column: `letter` at `offset` of the rows `carried`, bool ``[rows]``."""
        if self._filled == len(self._open):
            self._pack()
        self._open[self._filled] = carried
        self._filled += 1
        self._offset.append(offset)
        self._letter.append(letter)

    def finish(self) -> Carriers:
        """Return the contig's carriers; the file must stay open as long as they are used."""
        if self._filled:
            self._pack()
        self._spill.flush()
        block, rows = self._open.shape
        shape = (self._blocks, rows, block // 8)
        bits = (
            np.memmap(self._spill, dtype=np.uint8, mode="r", offset=self._start, shape=shape)
            if self._blocks
            else np.zeros(shape, dtype=np.uint8)
        )
        offset = np.frombuffer(self._offset.tobytes(), dtype=np.int64)
        letter = np.frombuffer(self._letter.tobytes(), dtype=np.uint8)
        return Carriers(offset, letter, rows, bits)

    def _pack(self) -> None:
        self._open[self._filled :] = False
        self._spill.write(np.packbits(np.ascontiguousarray(self._open.T), axis=1).tobytes())
        self._blocks += 1
        self._filled = 0


class ContigRecords:
    """Turns the records of one contig, in order, into columns.

    Parameters
    ----------
    text
        The contig as it stands in the reference.
    order
        intp ``[individuals]``, index into the reader's people.
    individuals
        Their names, for messages.
    everybody
        Whether the reader gives all people of the file, and not only `individuals`.
    out
        Where the columns go.
    counts
        What became of records and genotypes.
    path
        The variant file, for messages.
    """

    def __init__(
        self,
        text: ContigText,
        *,
        order: NDArray[np.intp],
        individuals: Sequence[str],
        everybody: bool,
        out: CarrierWriter,
        counts: Counts,
        path: Any,
    ) -> None:
        self._text = text
        self._order = order
        self._in_order = np.array_equal(order, np.arange(len(order)))
        self._individuals = individuals
        self._everybody = everybody
        self._out = out
        self._counts = counts
        self._path = path
        # 0-based last position that an applied record covers, of each row and of any
        self._frozen = np.full(2 * len(individuals), -1, dtype=np.int64)
        self._frozen_max = -1

    def add(self, record: Any) -> None:
        """Apply one record, or count why not."""
        ref, alts = record.REF, record.ALT
        reason = _passed_over(ref, alts)
        if not reason and record.start >= self._text.length:
            reason = "beyond_the_contig"
        genotypes = None if reason else self._genotypes(record)
        if genotypes is None:
            self._counts.add(reason or "no_genotypes", site(record))
            return
        choice, strings = self._choices(record, genotypes)
        free = self._free(record, choice)
        applied = False
        for number, string in enumerate(strings, start=1):
            who = choice == number
            if free is not None:
                who &= free
            if who.any():
                applied |= self._apply(record, string, who)
        self._counts.add("applied" if applied else "not_carried", site(record))

    def finish(self) -> Carriers:
        """Return the contig's carriers."""
        return self._out.finish()

    def _genotypes(self, record: Any) -> NDArray[np.int16] | None:
        """Return int16 ``[individuals, ploidy + 1]`` as cyvcf2 has it, or None where there is no GT."""
        try:
            genotypes: NDArray[np.int16] = record.genotype.array()
        except Exception as error:  # cyvcf2 raises bare Exception
            if "GT" not in (record.FORMAT or []):
                return None
            raise DataError(
                "the genotypes of a record cannot be read",
                where=f"{site(record)} of {self._path}",
                got=str(error),
                do="copy or download the file again",
            ) from error
        if not self._in_order or len(genotypes) != len(self._order):
            genotypes = genotypes[self._order]
        if genotypes[:, :-1].max() > len(record.ALT):
            raise DataError(
                "a genotype names an allele that its record does not have",
                where=f"{site(record)} of {self._path}",
                got=f"allele {genotypes[:, :-1].max()} of {len(record.ALT)} ALT",
                do="bcftools view says what else is wrong with the file; make it again",
            )
        return genotypes

    def _choices(self, record: Any, genotypes: NDArray[np.int16]) -> tuple[NDArray[np.int16], list[str]]:
        """Return which string each row writes, and the strings.

        Returns
        -------
        int16 ``[2 * individuals]``, 0 for the reference, else 1 + the index into the strings; and these:
        the ALTs, then letters for several alleles.
        """
        ploidy = genotypes.shape[1] - 1
        strings = list(record.ALT)
        pairs = genotypes[:, :2]
        if ploidy == 2 and genotypes.min() >= 0 and genotypes[:, 2].all():
            return pairs.reshape(-1), strings  # nearly every record of phased genotypes
        unphased = genotypes[:, -1] == 0
        if ploidy == 1:
            if not self._everybody and genotypes[:, 0].max() > 0:
                raise NarrowRecordError
            unphased = np.ones(len(genotypes), dtype=np.bool_)
        elif ploidy > 2:
            # bcftools looks at the last allele's sign, and an allele that is not there looks phased to it
            unphased &= genotypes[:, -2] != -2
        if pairs.min() < 0:
            self._count_genotypes("missing", record, (genotypes[:, :-1] == -1).any(axis=1))
        choice: NDArray[np.int16] = np.maximum(pairs, 0)
        if ploidy == 1:
            choice = np.repeat(choice[:, :1], 2, axis=1)
            self._count_genotypes("haploid_on_both", record, genotypes[:, 0] > 0)
        elif unphased.any():
            heterozygous = unphased & (genotypes[:, :-1] != genotypes[:, :1]).any(axis=1)
            if ploidy > 2:
                heterozygous = unphased
            if heterozygous.any():
                if not self._everybody and ploidy == 2:
                    raise NarrowRecordError
                choice = choice.copy()
                self._combine(record, genotypes[:, :-1], heterozygous, choice, strings)
        if ploidy > 1:
            self._count_genotypes("haploid_on_first", record, (pairs[:, 1] == -2) & (pairs[:, 0] > 0))
        return choice.reshape(-1), strings

    def _combine(
        self,
        record: Any,
        alleles: NDArray[np.int16],
        who: NDArray[np.bool_],
        choice: NDArray[np.int16],
        strings: list[str],
    ) -> None:
        """Give the people `who` the letters that stand for all their alleles, on both haplotypes."""
        held = np.zeros(len(alleles), dtype=np.int64)
        for column in alleles.T:
            held |= np.where(column >= 0, np.int64(1) << np.maximum(column, 0), 0)
        ambiguous = np.zeros(len(alleles), dtype=np.bool_)
        for key in np.unique(held[who]).tolist():
            here = who & (held == key)
            numbers = [n for n in range(len(record.ALT) + 1) if key >> n & 1]
            number, letters = _letters(record, numbers)
            if letters:
                strings.append(letters)
                number = len(strings)
                if letters.upper() not in {record.REF.upper(), *(a.upper() for a in record.ALT)}:
                    ambiguous |= here
            choice[here] = number
        self._count_genotypes("unphased_as_iupac", record, ambiguous)

    def _free(self, record: Any, choice: NDArray[np.int16]) -> NDArray[np.bool_] | None:
        """Return the rows that no earlier record covers here, or None for all."""
        if record.start > self._frozen_max:
            return None
        free: NDArray[np.bool_] = self._frozen < record.start
        blocked = (choice > 0) & ~free
        if blocked.any():
            self._counts.add("overlapping_haplotypes", site(record), int(blocked.sum()))
        return free

    def _apply(self, record: Any, string: str, who: NDArray[np.bool_]) -> bool:
        """Write one string into the rows `who`; False where it stands for the reference."""
        start, ref = record.start, record.REF
        last = start + len(ref) - 1
        if record.end != last + 1:
            raise DataError(
                "a SNP's INFO/END disagrees with its REF",
                where=f"{site(record)} of {self._path}",
                got=f"END {record.end:,}",
                wanted=f"END {last + 1:,}, or none",
                do="bcftools annotate -x INFO/END",
            )
        if string.startswith("<"):
            if string.upper() not in _REFERENCE_ALT:
                raise DataError(
                    f"the symbolic allele {string} of a SNP is carried, and has no letters",
                    where=f"{site(record)} of {self._path}",
                    wanted="A, C, G, T, N, <*> or <NON_REF>",
                    do="leave it out: bcftools view -e 'ALT~\"<.*>\"'",
                )
            self._freeze(who, last)
            return False
        last = min(last, self._text.length - 1)
        there = self._text.letters(start, last + 1)
        if there.upper() != ref[: len(there)].upper():
            raise DataError(
                "a record's REF differs from the reference FASTA",
                where=f"{site(record)} of {self._path}",
                got=f"REF {ref} where the FASTA has {there}",
                wanted="genotypes called against this very reference",
                do="use the FASTA named in the VCF's ##reference line, or bcftools norm --check-ref x",
            )
        written = string.lower() if there[0].islower() else string.upper()
        for place, (old, new) in enumerate(zip(there, written, strict=False)):
            if old != new:
                self._out.column(self._text.offset(start + place), ord(new), who)
        self._freeze(who, last)
        return True

    def _freeze(self, who: NDArray[np.bool_], last: int) -> None:
        self._frozen[who] = last  # only rows that are free come here
        self._frozen_max = max(self._frozen_max, last)

    def _count_genotypes(self, fate: str, record: Any, who: NDArray[np.bool_]) -> None:
        if who.any():
            example = f"{self._individuals[int(who.argmax())]} at {site(record)}"
            self._counts.add(f"{fate}_genotypes", example, int(who.sum()))


def _passed_over(ref: str, alts: list[str]) -> str:
    """Return why ``type="snp"`` leaves a record out, or nothing."""
    if not alts:
        return "no_alt"
    if len(ref) == 1 and len(alts) == 1 and len(alts[0]) == 1 and alts[0] in "ACGTN":
        return "no_alt" if ref == alts[0] else ""
    kinds = {_kind(ref, alt) for alt in alts} - {"reference"}
    if kinds == {"snp"}:
        return ""
    return next((kind for kind in ("symbolic", "indel", "mnp") if kind in kinds), "no_alt")


def _kind(ref: str, alt: str) -> str:
    """Return what htslib calls an ALT: snp, reference, or one of the kinds that are left out."""
    if alt == "*":
        return "symbolic"
    if len(ref) == len(alt) == 1:
        return "reference" if alt in (".", "X", ref) else "snp"
    if alt in _REFERENCE_ALT or alt.startswith("<X>"):
        return "reference"
    if alt[0] in "<[]" or alt[-1] in "[]":
        return "symbolic"
    if len(ref) != len(alt):
        return "indel"
    differing = sum(a != b for a, b in zip(ref.upper(), alt.upper(), strict=True))
    return ("reference", "snp")[differing] if differing < 2 else "mnp"


def _letters(record: Any, numbers: list[int]) -> tuple[int, str]:
    """Return what an unphased genotype writes: an allele's number, and letters where it is no one allele.

    Parameters
    ----------
    record
        The record.
    numbers
        The allele numbers of the genotype, without repeats.
    """
    alleles = {n: record.ALT[n - 1] if n else record.REF for n in numbers}
    plain = {n: a.upper() for n, a in alleles.items() if all(letter in _BITS for letter in a.upper())}
    if not any(plain):  # no ALT that has letters: the first ALT there is, or the reference
        return next((n for n in numbers if n), 0), ""
    bits = [0] * len(record.REF)
    for allele in plain.values():
        for place, letter in enumerate(allele):
            bits[place] |= _BITS[letter]
    return 0, "".join(IUPAC[b] for b in bits)
