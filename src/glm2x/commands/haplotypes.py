"""`glm2x haplotypes`: a person's two haplotypes of a gene, to look at or to hand to another program."""

from __future__ import annotations

import sys
from pathlib import Path


def haplotypes(cohort: Path, /, *, gene: str, individual: str, window: int = 64_000) -> None:
    """Print two FASTA records in the gene's direction, named INDIVIDUAL_1 and INDIVIDUAL_2.

    Parameters
    ----------
    cohort
        A cohort folder.
    gene
        The gene's identifier, with or without its version.
    individual
        The person.
    window
        Base pairs around the TSS, even.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.dictionary import HaplotypeDictionary
    from glm2x.genome.sequence import decode

    opened = Cohort.open(cohort)
    row = int(opened.individual_index([individual])[0])
    builder = HaplotypeDictionary(opened, window).window_of(gene)
    for haplotype in (1, 2):
        sequence = decode(builder.haplotype(2 * row + haplotype - 1))
        lines = "\n".join(sequence[i : i + 60] for i in range(0, len(sequence), 60))
        sys.stdout.write(f">{individual}_{haplotype}\n{lines}\n")
