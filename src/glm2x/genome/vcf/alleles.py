"""What the alleles of a record are: a substitution, a change of length, or nothing that can be applied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from glm2x.genome.haplotypes.variants import trim_shared

VariantKind = Literal["snp", "all"]

_REFERENCE = ("<NON_REF>", "<*>")  # of gVCFs: no allele of its own, read as the reference
_BASES = frozenset("ACGT")


@dataclass(frozen=True)
class Allele:
    """One ALT that can be applied, in its smallest form.

    Attributes
    ----------
    number
        Its number in the record, from 1.
    position
        0-based, of the first base of `ref`.
    ref, alt
        Without shared bases, but for one beside the place where one of the two would be empty.
    anchored
        Whether it only adds or removes bases behind its record's first base: such a record may follow
        another one at the same place.
    """

    number: int
    position: int
    ref: str
    alt: str
    anchored: bool

    @property
    def inserts(self) -> bool:
        """Whether it makes the sequence longer."""
        return len(self.alt) > len(self.ref)


@dataclass(frozen=True)
class RecordAlleles:
    """What can be applied of a record, and why the rest cannot.

    Attributes
    ----------
    alleles
        The ALTs that are applied; empty where the record is passed over.
    reason
        Why the record is passed over, or nothing.
    skipped
        Numbers of ALTs that are passed over beside others that are not, by the reason.
    """

    alleles: tuple[Allele, ...] = ()
    reason: str = ""
    skipped: dict[int, str] | None = None


def record_alleles(position: int, ref: str, alts: Sequence[str], kind: VariantKind) -> RecordAlleles:
    """Look at the alleles of a record.

    Parameters
    ----------
    position
        0-based.
    ref, alts
        As they stand in the record; case is ignored.
    kind
        `snp`: the record counts only if each of its ALTs is a SNP after trimming, which is what bcftools
        calls ``TYPE="snp"``. `all`: every ALT of letters counts.
    """
    ref = ref.upper()
    reasons: dict[int, str] = {}
    alleles: list[Allele] = []
    for number, alt in enumerate(alts, start=1):
        alt = alt.upper()
        if alt in _REFERENCE:
            continue
        reason = _reason(ref, alt, kind)
        if reason:
            reasons[number] = reason
        elif ref != alt:
            alleles.append(_allele(number, position, ref, alt))
    if kind == "snp" and reasons:
        order = ("symbolic", "indel", "not_acgt", "mnp")
        return RecordAlleles(reason=min(reasons.values(), key=order.index))
    if not alleles:
        return RecordAlleles(reason=next(iter(reasons.values()), "no_alt"))
    return RecordAlleles(tuple(alleles), skipped=reasons or None)


def _reason(ref: str, alt: str, kind: VariantKind) -> str:
    """Return why an ALT is not applied, or nothing."""
    if not alt or alt == "*" or alt[0] == "<" or not {".", "[", "]"}.isdisjoint(alt):
        return "symbolic"
    if kind == "snp" and len(alt) != len(ref):
        return "indel"
    if not _BASES.issuperset(ref) or not _BASES.issuperset(alt):
        return "not_acgt"
    if kind == "snp" and sum(a != b for a, b in zip(ref, alt, strict=True)) != 1:
        return "mnp"
    return ""


def _allele(number: int, position: int, ref: str, alt: str) -> Allele:
    offset, removed, put = trim_shared(ref, alt)
    anchored = bool(not removed or not put) and offset > 0
    if removed and put:
        return Allele(number, position + offset, removed, put, anchored)
    if offset:
        base = ref[offset - 1]
        return Allele(number, position + offset - 1, base + removed, base + put, anchored)
    base = ref[len(removed)]
    return Allele(number, position, removed + base, put + base, anchored)
