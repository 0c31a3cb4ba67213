"""Genes in two sets whose windows do not overlap: a block with a gap, whole contigs, the published sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glm2x.cohort.cohort import Cohort
from glm2x.errors import UsageError
from glm2x.genome.genes import Gene, GeneSide, match_contigs


@dataclass(frozen=True)
class GeneSets:
    """Genes that are held out (`inside`), the others, and those on neither side."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    gap: tuple[str, ...]


def hold_out_blocks(genes: Sequence[Gene], share: float, window: int, seed: int) -> GeneSets:
    """Hold out whole contigs, and one block of neighbours on another for what remains of the share.

    Of all such blocks those that cost the fewest genes in the gap around them are kept, and one of
    them is drawn. Random genes would share their windows: with 64 kb windows, 90.5 % of the unseen
    genes of a random split overlap a training window.

    Raises
    ------
    UsageError
        The share is not in ``[0, 1)``, or nothing would be left.
    """
    if not 0 <= share < 1:
        raise UsageError("a share of the genes lies between 0 and 1", got=str(share), wanted="such as 0.15")
    random = np.random.default_rng(seed)
    contigs = sorted({gene.contig for gene in genes})
    inside: list[Gene] = []
    gap: list[Gene] = []
    count = round(share * len(genes))
    for contig in random.permutation(contigs) if len(contigs) > 1 else contigs:
        here = sorted((g for g in genes if g.contig == contig), key=lambda g: (g.tss, g.gene))
        remaining = count - len(inside)
        if 0 < len(here) <= remaining:
            inside += here
        elif remaining:
            block, near = _block(here, remaining, window, random)
            inside, gap = inside + block, gap + near
    taken = {gene.gene for gene in (*inside, *gap)}
    outside = tuple(g.gene for g in genes if g.gene not in taken)
    if not outside:
        raise UsageError(
            "holding out so many genes leaves none to train on",
            got=f"{count} of {len(genes)} genes, and {len(gap)} in the gap of {window:,} bp around them",
            do="hold out a smaller share (--unseen-share, --reference-validation-share)",
        )
    return GeneSets(tuple(g.gene for g in inside), outside, tuple(g.gene for g in gap))


def _block(
    here: Sequence[Gene], count: int, window: int, random: np.random.Generator
) -> tuple[list[Gene], list[Gene]]:
    """Draw one of the runs of `count` neighbours that have the fewest others within a window; return both."""
    tss = np.asarray([gene.tss for gene in here])
    firsts = np.arange(len(here) - count + 1)
    lasts = firsts + count - 1
    starts = np.searchsorted(tss, tss[firsts] - window, side="right")
    ends = np.searchsorted(tss, tss[lasts] + window, side="left")
    cheapest = np.flatnonzero(ends - starts == (ends - starts).min())
    drawn = cheapest[int(random.integers(len(cheapest)))]
    first, last, start, end = (int(places[drawn]) for places in (firsts, lasts, starts, ends))
    return list(here[first : last + 1]), [*here[start:first], *here[last + 1 : end]]


def hold_out_contigs(genes: Sequence[Gene], contigs: Sequence[str]) -> GeneSets:
    """Hold out the genes of whole contigs, named as the cohort does or with or without ``chr``.

    Raises
    ------
    UsageError
        There is no gene on one of the contigs, or none anywhere else.
    """
    available = sorted({gene.contig for gene in genes})
    matched = match_contigs(contigs, available)
    unknown = [name for name in contigs if name not in matched]
    if unknown:
        raise UsageError(
            "no gene lies on a contig that is to be held out",
            got=", ".join(unknown),
            wanted=f"some of {', '.join(available)}",
            do="--unseen-contigs with contigs of the genes that are taken",
        )
    held = set(matched.values())
    outside = tuple(gene.gene for gene in genes if gene.contig not in held)
    if not outside:
        raise UsageError(
            "holding out these contigs leaves no gene to train on",
            got=", ".join(contigs),
            wanted=f"not all of {', '.join(available)}",
        )
    return GeneSets(tuple(gene.gene for gene in genes if gene.contig in held), outside, ())


def hold_out_published(genes: Sequence[Gene], sides: Mapping[str, GeneSide | None]) -> GeneSets:
    """Hold out the genes that a published table calls unseen; those of which it says nothing are the gap.

    Windows of the two sides may overlap: see `overlapping`.

    Raises
    ------
    UsageError
        No gene is seen.
    """
    of = {
        side: tuple(g.gene for g in genes if sides.get(g.gene) == side) for side in ("seen", "unseen", None)
    }
    if not of["seen"]:
        raise UsageError(
            "by the table's sides no gene is left to train on",
            got=f"{len(of['unseen'])} unseen genes, {len(of[None])} without a side",
            do="other --genes, or another preset",
        )
    return GeneSets(of["unseen"], of["seen"], of[None])


def overlapping(unseen: Iterable[Gene], seen: Iterable[Gene], window: int) -> list[str]:
    """Return the unseen genes whose window of so many bp overlaps a seen gene's."""
    tss: dict[str, list[int]] = {}
    for gene in seen:
        tss.setdefault(gene.contig, []).append(gene.tss)
    places = {contig: np.sort(np.asarray(values)) for contig, values in tss.items()}

    def near(gene: Gene) -> bool:
        here = places.get(gene.contig, np.zeros(0))
        first, end = np.searchsorted(here, (gene.tss - window + 1, gene.tss + window))
        return bool(end > first)

    return [gene.gene for gene in unseen if near(gene)]


def chosen_genes(cohort: Cohort, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the cohort's genes of a list, each once, and what there is to say of those named twice."""
    genes = [cohort.gene(name).gene for name in names]
    once = tuple(dict.fromkeys(genes))
    first: dict[str, str] = {}
    twice = [
        (first[gene], name)
        for name, gene in zip(names, genes, strict=True)
        if first.setdefault(gene, name) != name
    ]
    if not twice:
        return once, ()
    a, b = twice[0]
    return once, (
        f"{len(twice)} genes of the list stand there twice, by two names (first: {a} and {b}): taken once",
    )
