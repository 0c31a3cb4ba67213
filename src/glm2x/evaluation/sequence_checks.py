"""Checks of the windows that models see: paralogues, strand and centre, and the share of N."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.sketch import alike, kmer_sketch
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.window import HaplotypeWindow, reference_window
from glm2x.genome.sequence import N

ALIKE = 0.1
"""Windows that share more than this of their k-mers; unrelated ones of 64 kb share about 0.02."""

SKETCHED = 64_000
"""bp around the TSS that are compared, at most."""

REPEATED = 20
"""A k-mer in more windows than this is a repeat of the genome."""

CHECKED_WINDOWS = 20
"""How many genes of each strand strand_and_centre looks at, evenly spaced."""

MUCH_N = 0.1


def sequence_checks(cohort: Cohort | None, split: Split | None, window: int) -> tuple[Check, ...]:
    """Run the checks of windows of `window` bp."""
    return (
        _paralogues(cohort, split, min(window, SKETCHED)),
        _strand_and_centre(cohort, window),
        _share_of_n(cohort, window),
    )


def _sequenced(cohort: Cohort | None) -> list[Gene] | str:
    """Return the genes on contigs with a reference, or what is lacking."""
    if cohort is None:
        return "--cohort"
    if not cohort.has_reference:
        return "a cohort built with a reference"
    held = set(cohort.manifest["reference_contigs"])
    genes = [gene for gene in cohort.genes if gene.contig in held]
    return genes or "a gene on a contig with a reference"


def _paralogues(cohort: Cohort | None, split: Split | None, window: int) -> Check:
    """Find unseen genes whose window is much like a seen gene's elsewhere: what it has was learnt there."""
    name = "paralogues"
    genes = _sequenced(cohort)
    if isinstance(genes, str) or cohort is None or split is None:
        return not_run(name, genes if isinstance(genes, str) else "--split", leak=False)
    if not split.unseen:
        return Check(name, "pass", "the split has no unseen genes", False)
    sides = {
        side: [gene for gene in genes if split.gene_split(gene.gene) == side] for side in ("unseen", "seen")
    }
    sketches = {
        side: [kmer_sketch(reference_window(cohort.reference(gene.contig), gene, window)) for gene in found]
        for side, found in sides.items()
    }
    pairs = [
        (share, sides["unseen"][i], sides["seen"][j])
        for i, j, share in alike(sketches["unseen"], sketches["seen"], threshold=ALIKE, most=REPEATED)
        if not _overlap(sides["unseen"][i], sides["seen"][j], window)
    ]
    pairs.sort(key=lambda pair: -pair[0])
    like = {unseen.gene for _, unseen, _ in pairs}
    said = (
        f"{len(like)} of {len(sides['unseen'])} unseen genes have a {window:,} bp window that shares more "
        f"than {100 * ALIKE:.0f} % of its k-mers with that of a seen gene elsewhere"
    )
    if pairs:
        named = [f"{unseen.gene} and {seen.gene} ({100 * share:.0f} %)" for share, unseen, seen in pairs]
        return Check(name, "warn", f"{said}: {some(named)}", False)
    return Check(name, "pass", said, False)


def _overlap(a: Gene, b: Gene, window: int) -> bool:
    return a.contig == b.contig and abs(a.tss - b.tss) < window


def _strand_and_centre(cohort: Cohort | None, window: int) -> Check:
    """Compare haplotypes that carry no alternative allele with windows cut letter by letter.

    On `+` the TSS is at index window / 2 of the contig's letters, on `-` at window / 2 - 1 of the
    complement read backwards.
    """
    name = "strand_and_centre"
    genes = _sequenced(cohort)
    if isinstance(genes, str) or cohort is None:
        return not_run(name, genes if isinstance(genes, str) else "--cohort", leak=True)
    compared, people, wrong = 0, 0, []
    for strand in ("+", "-"):
        here = [gene for gene in genes if gene.strand == strand]
        for at in np.unique(np.linspace(0, len(here) - 1, min(len(here), CHECKED_WINDOWS)).astype(np.int64)):
            gene = here[at]
            made = HaplotypeWindow(cohort.reference(gene.contig), cohort.variants(gene.contig), gene, window)
            bare = np.flatnonzero(~made.patterns().any(axis=1))
            sequence = (
                made.haplotype(int(bare[0])) if bare.size else made.apply(np.zeros(made.width, np.bool_))
            )
            compared, people = compared + 1, people + bool(bare.size)
            if not np.array_equal(sequence, _cut(cohort.reference(gene.contig), gene, window)):
                wrong.append(f"{gene.gene} ({strand})")
    said = (
        f"{compared} windows of both strands, {people} of them of a person who carries REF alone: "
        f"{len(wrong)} differ from the reference cut around the TSS"
    )
    return Check(name, "fail" if wrong else "pass", said + (f": {some(wrong)}" if wrong else ""), True)


def _cut(contig: NDArray[np.uint8], gene: Gene, window: int) -> NDArray[np.uint8]:
    """Cut a window letter by letter, by the definition and by no other code."""
    half = window // 2
    forward = np.arange(gene.tss - half, gene.tss + half)
    codes = (
        np.where(
            (forward >= 0) & (forward < len(contig)), contig[np.clip(forward, 0, max(len(contig) - 1, 0))], N
        )
        if len(contig)
        else np.full(window, N)
    )
    if gene.strand == "+":
        return codes
    return np.where(codes == N, N, 3 - codes)[::-1]


def _share_of_n(cohort: Cohort | None, window: int) -> Check:
    name = "share_of_n"
    genes = _sequenced(cohort)
    if isinstance(genes, str) or cohort is None:
        return not_run(name, genes if isinstance(genes, str) else "--cohort", leak=False)
    shares = [
        float((reference_window(cohort.reference(gene.contig), gene, window) == N).mean()) for gene in genes
    ]
    much = [
        f"{gene.gene} ({100 * share:.0f} %)"
        for share, gene in sorted(zip(shares, genes, strict=True), key=lambda pair: -pair[0])
        if share > MUCH_N
    ]
    without = len(cohort.genes) - len(genes)
    said = (
        f"{len(much)} of {len(genes)} genes have N in more than {100 * MUCH_N:.0f} % of their {window:,} bp"
    )
    said += f": {some(much)}" if much else ""
    said += f"; {without} more lie on contigs without a reference" if without else ""
    return Check(name, "warn" if much or without else "pass", said, False)
