"""Records of one contig become columns: every record is applied, or counted with its first example.

The rules are those of ``bcftools consensus -H {1,2}pIu`` (with ``-i 'type="snp"'`` for SNPs alone), except
where the package states otherwise: an unphased heterozygote is N, a haploid call is haplotype 1's,
and symbolic alleles are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.genome.counts import Counts
from glm2x.genome.haplotypes.storage import VariantsWriter
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.sequence import N, decode, encode
from glm2x.genome.vcf.alleles import Allele, RecordAlleles, VariantKind, record_alleles
from glm2x.genome.vcf.file import site, unsorted

Unphased = Literal["mask", "error"]

_CODE = {"A": 0, "C": 1, "G": 2, "T": 3}


@dataclass
class _Column:
    """A column that later records at its place may still add carriers to."""

    position: int
    ref: str
    alt: str
    carried: NDArray[np.bool_]
    unphased: NDArray[np.bool_] | None


@dataclass
class _Claim:
    """Haplotypes that an applied record has settled up to its last base, and whether it inserted there."""

    last: int
    carried: NDArray[np.bool_]
    inserted: bool


class ContigColumns:
    """Turns the records of one contig, in order, into columns of a `VariantsWriter`.

    Parameters
    ----------
    contig
        Its name in the cohort.
    reference
        uint8 codes of the whole contig, or None where there is no reference to compare REF with.
    individuals
        Their names, in the order of the rows.
    order
        intp ``[individuals]``, index into the reader's people; None where it is the same order.
    out
        Where the columns go.
    counts
        What became of records and genotypes.
    path
        The variant file, for messages.
    kind
        Which variants are applied.
    unphased
        What an unphased heterozygote becomes: N (`mask`) or an error.
    """

    def __init__(
        self,
        contig: str,
        reference: NDArray[np.uint8] | None,
        *,
        individuals: Sequence[str],
        order: NDArray[np.intp] | None,
        out: VariantsWriter,
        counts: Counts,
        path: Path,
        kind: VariantKind = "snp",
        unphased: Unphased = "mask",
    ) -> None:
        self.contig = contig
        self._reference = reference
        self._individuals = individuals
        self._order = order
        self._out = out
        self._counts = counts
        self._path = path
        self._kind = kind
        self._unphased = unphased
        self._last = -1
        self._open: list[_Column] = []
        self._claims: list[_Claim] = []

    def add(self, record: Any) -> None:
        """Apply one record, or count why not."""
        position = record.start
        if position < 0:  # POS 0, the telomere: no base of the contig
            self._count("before_contig", record)
            return
        if position <= self._last:
            if position < self._last:
                raise unsorted(self._path, record, f"after position {self._last + 1:,}")
        elif self._open:
            self._close_before(position)
        self._last = position
        if self._claims:
            self._claims = [claim for claim in self._claims if claim.last >= position]
        ref, alts = record.REF, record.ALT
        if self._open or self._claims or not self._add_plain_snp(record, position, ref, alts):
            self._add(record, record_alleles(position, ref, alts, self._kind))

    def finish(self) -> PhasedVariants:
        """Write what is open and return the contig's variants."""
        self._close_before(None)
        return self._out.finish()

    def _add_plain_snp(self, record: Any, position: int, ref: str, alts: Sequence[str]) -> bool:
        """Apply what nearly every record of a phased cohort is; False where this one is anything else."""
        if len(alts) != 1:
            return False
        alt = alts[0]
        code = _CODE.get(ref, -1)
        if code < 0 or alt not in _CODE or alt == ref:
            return False
        reference = self._reference
        if reference is not None and not (position < len(reference) and reference[position] == code):
            return False
        genotypes = self._genotypes(record)
        # unsigned, what is missing is large: 0 and 1 are left, for two alleles and the mark of phase
        if genotypes.shape[1] != 3 or genotypes.view(np.uint16).max() > 1 or not genotypes[:, 2].all():
            return False
        carried = (genotypes[:, :2] != 0).reshape(-1)
        if carried.any():
            self._open.append(_Column(position, ref, alt, carried, None))
            self._claims.append(_Claim(position, carried, inserted=False))
            self._count("applied", record)
        else:
            self._count("not_carried", record)
        return True

    def _add(self, record: Any, found: RecordAlleles) -> None:
        if found.reason:
            self._count(found.reason, record)
            return
        if not self._matches_reference(record):
            self._count("reference_unknown", record)
            return
        numbers = [allele.number for allele in found.alleles]
        haplotypes, heterozygotes = self._alleles(record, numbers, found.skipped or {})
        settled = self._taken(record.start, behind=False)
        behind = self._taken(record.start, behind=True)
        fates = set()
        claims = []
        for allele in found.alleles:
            carried = haplotypes == allele.number
            unphased = np.zeros_like(carried)
            if heterozygotes is not None:
                unphased = np.repeat((heterozygotes == allele.number).any(axis=1), 2)
            column = self._open_column(allele)
            wanted = carried | unphased
            carried = carried & ~(behind if allele.anchored else settled)
            unphased = unphased & ~settled
            carries = carried | unphased
            blocked = int((wanted & ~carries).sum())
            if blocked:
                self._count("overlapping", record, blocked)
                fates.add("overlapping")
            if carries.any():
                self._carry(column, allele, carried, unphased if unphased.any() else None)
                claims.append(_Claim(record.start + len(record.REF) - 1, carries, allele.inserts))
                fates.add("applied")
        self._claims += claims
        if "applied" in fates or not fates:
            self._count("applied" if fates else "not_carried", record)

    def _taken(self, position: int, *, behind: bool) -> NDArray[np.bool_]:
        """Return the haplotypes that an earlier record has settled here, bool ``[2 individuals]``.

        `behind`: what only changes bases behind this one may follow a record that ends on it, unless that
        one inserts.
        """
        taken = np.zeros(2 * len(self._individuals), dtype=np.bool_)
        for claim in self._claims:
            if not (behind and claim.last == position and not claim.inserted):
                taken |= claim.carried
        return taken

    def _open_column(self, allele: Allele) -> _Column | None:
        """Return the open column that says the same, as another record at this place may have."""
        same = (allele.position, allele.ref, allele.alt)
        return next((c for c in self._open if (c.position, c.ref, c.alt) == same), None)

    def _carry(
        self,
        column: _Column | None,
        allele: Allele,
        carried: NDArray[np.bool_],
        unphased: NDArray[np.bool_] | None,
    ) -> None:
        """Add carriers to a column, or open one."""
        if column is None:
            self._open.append(_Column(allele.position, allele.ref, allele.alt, carried, unphased))
            return
        column.carried = column.carried | carried
        if unphased is not None:
            column.unphased = unphased if column.unphased is None else column.unphased | unphased

    def _close_before(self, position: int | None) -> None:
        """Write the open columns before a position (None: all), in order."""
        self._open.sort(key=lambda column: column.position)  # trimming moves some to the right
        closed = 0
        for column in self._open:
            if position is not None and column.position >= position:
                break
            self._out.add(column.position, column.ref, column.alt, column.carried, column.unphased)
            closed += 1
        del self._open[:closed]

    def _matches_reference(self, record: Any) -> bool:
        """Whether REF is what the reference has; False where that is N, an error where it is another base."""
        if self._reference is None:
            return True
        codes = encode(record.REF)
        there = self._reference[record.start : record.start + len(codes)]
        if len(there) == len(codes):
            differs = there != codes
            if not differs.any():
                return True
            if (there[differs] == N).all():
                return False
        raise DataError(
            "a record's REF differs from the reference FASTA",
            where=f"{site(record)} of {self._path}",
            got=f"REF {_short(record.REF)} where the FASTA has {_short(decode(there)) or 'nothing: its end'}",
            wanted="genotypes called against this very reference",
            do="use the FASTA named in the VCF's ##reference line, or bcftools norm --check-ref x",
        )

    def _genotypes(self, record: Any) -> NDArray[np.int16]:
        """Return int16 ``[individuals, ploidy + 1]`` as cyvcf2 has it: alleles, then whether phased."""
        try:
            genotypes: NDArray[np.int16] = record.genotype.array()
        except Exception as error:  # cyvcf2 raises bare Exception where FORMAT has no GT
            raise DataError(
                "a record has no genotypes (no GT in its FORMAT), or none that can be read",
                where=f"{site(record)} of {self._path}",
                got=str(error),
                wanted="a VCF with phased genotypes",
            ) from error
        return genotypes if self._order is None else genotypes[self._order]

    def _alleles(
        self, record: Any, applied: Sequence[int], skipped: dict[int, str]
    ) -> tuple[NDArray[np.int16], NDArray[np.int16] | None]:
        """Return the allele of every haplotype, and the alleles of unphased heterozygotes.

        Returns
        -------
        int16 ``[2 * individuals]``; missing alleles, and those that are not among `applied`, are the
        reference (0) and counted, and so is the second haplotype of a haploid call. int16
        ``[individuals, 2]``, 0 for everybody who is no unphased heterozygote, or None where nobody is.
        """
        genotypes = self._genotypes(record)
        ploidy = genotypes.shape[1] - 1
        if ploidy > 2 or ploidy < 1:
            raise DataError(
                f"a genotype has {ploidy} alleles",
                where=f"{site(record)} of {self._path}",
                wanted="diploid or haploid genotypes",
            )
        pairs = np.full((len(genotypes), 2), -2, dtype=np.int16)  # -2: cyvcf2's mark of no allele at all
        pairs[:, :ploidy] = genotypes[:, :ploidy]
        if pairs.max(initial=0) > len(record.ALT):
            who = np.asarray((pairs > len(record.ALT)).any(axis=1))
            raise DataError(
                "a genotype names an allele that its record does not have",
                where=f"{self._example(record, who)} of {self._path}",
                got=f"allele {pairs.max()} of {len(record.ALT)}",
                wanted=f"0 to {len(record.ALT)}",
            )
        for number, reason in skipped.items():
            carriers = pairs == number
            if carriers.any():
                self._count(f"{reason}_alleles", record, int(carriers.sum()))
        if len(applied) < len(record.ALT):
            pairs[(pairs > 0) & ~np.isin(pairs, applied)] = 0
        heterozygotes: NDArray[np.int16] | None = None
        if not genotypes[:, -1].all():
            # half-missing with an ALT (./1): which haplotype has it is as unknown as for 0/1
            unphased = (genotypes[:, -1] == 0) & (pairs[:, 0] != pairs[:, 1]) & (pairs[:, 1] != -2)
            unphased &= (pairs > 0).any(axis=1)
            if unphased.any():
                self._count_unphased(record, unphased)
                heterozygotes = np.where(unphased[:, None], pairs, 0).clip(min=0).astype(np.int16)
        if pairs.min(initial=0) < 0:
            missing = (pairs == -1).any(axis=1)
            if heterozygotes is not None:
                missing &= ~heterozygotes.any(axis=1)
            self._count_genotypes("missing", record, missing)
            self._count_genotypes("haploid", record, (pairs[:, 1] == -2) & ~missing)
            pairs[pairs < 0] = 0
        if heterozygotes is not None:
            pairs[heterozygotes.any(axis=1)] = 0
        return pairs.reshape(-1), heterozygotes

    def _count_unphased(self, record: Any, who: NDArray[np.bool_]) -> None:
        self._count_genotypes("unphased", record, who)
        if self._unphased == "error":
            raise DataError(
                "an unphased heterozygous genotype",
                where=f"{self._example(record, who)} of {self._path}",
                got=f"{int(who.sum())} unphased at this record",
                wanted="phased genotypes (0|1)",
                do="phase the file (e.g. SHAPEIT5), or give --unphased mask to read them as N",
            )

    def _count_genotypes(self, fate: str, record: Any, who: NDArray[np.bool_]) -> None:
        if who.any():
            self._counts.add(f"{fate}_genotypes", self._example(record, who), int(who.sum()))

    def _count(self, fate: str, record: Any, count: int = 1) -> None:
        if fate in self._counts.counts:
            self._counts.counts[fate] += count
        else:
            self._counts.add(fate, site(record), count)

    def _example(self, record: Any, who: NDArray[np.bool_]) -> str:
        return f"{self._individuals[int(who.argmax())]} at {site(record)}"


def _short(letters: str) -> str:
    return letters if len(letters) <= 40 else f"{letters[:40]}... ({len(letters):,} bases)"
