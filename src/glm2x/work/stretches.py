"""Genes in stretches of the genome: neighbours read the same variants, and lie in one shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm2x.cohort.cohort import Cohort


@dataclass(frozen=True)
class Stretch:
    """Genes of one contig, by TSS.

    Attributes
    ----------
    contig
    start, end
        The TSS of the first and of the last, 0-based.
    genes
    """

    contig: str
    start: int
    end: int
    genes: tuple[str, ...]

    def __str__(self) -> str:
        many = f"{len(self.genes):,} genes" if len(self.genes) > 1 else "1 gene"
        return f"{self.contig}:{self.start + 1:,}-{self.end + 1:,} ({many}, from {self.genes[0]})"


def stretches(cohort: Cohort, genes: Sequence[str], each: int) -> list[Stretch]:
    """Return genes in stretches of `each` at most, contigs in the order in which `genes` has them."""
    by_contig: dict[str, list[tuple[int, str]]] = {}
    for gene in genes:
        place = cohort.gene(gene)
        by_contig.setdefault(place.contig, []).append((place.tss, gene))
    found = []
    for contig, placed in by_contig.items():
        placed.sort()
        for first in range(0, len(placed), each):
            part = placed[first : first + each]
            found.append(Stretch(contig, part[0][0], part[-1][0], tuple(gene for _, gene in part)))
    return found
