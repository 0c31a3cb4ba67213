"""Simulated contigs: random letters, genes on them, and the variants that people carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.genes import Gene, window_interval
from glm2x.genome.sequence import decode
from glm2x.simulate.coalescent import simulate_sites
from glm2x.simulate.people import People, let_siblings_inherit
from glm2x.simulate.settings import Settings

INDEL_SHARE = 0.12  # of the variants, with --variant-kind all
_LONGEST = 30  # bp that an indel adds or removes
_MARGIN = 1_000  # bp between the outermost windows and the ends of a contig


@dataclass(frozen=True)
class Contig:
    """One contig of the cohort.

    Attributes
    ----------
    name
        Of the contig.
    codes
        uint8 ``[length]``, the reference.
    genes
        In the order of their TSSs.
    position
        int64 ``[variants]``, 0-based position of the first base of `ref`, ascending, each once.
    ref, alt
        The alleles of each variant, on the forward strand. An indel's begin with the base before it, and
        the bases of a deletion hold no other variant.
    haplotypes
        bool ``[variants, 2 individuals]``: who carries `alt`; 2 i and 2 i + 1 are those of individual i.
    """

    name: str
    codes: NDArray[np.uint8]
    genes: tuple[Gene, ...]
    position: NDArray[np.int64]
    ref: tuple[str, ...]
    alt: tuple[str, ...]
    haplotypes: NDArray[np.bool_]

    def window(self, gene: Gene, window: int) -> slice:
        """Return the variants whose position lies in a gene's window."""
        start, end = np.searchsorted(self.position, window_interval(gene.tss, window))
        return slice(int(start), int(end))

    def dosage(self, columns: slice) -> NDArray[np.float32]:
        """Return float32 ``[individuals, variants]``: the alternative alleles that each carries."""
        carried = self.haplotypes[columns]
        return np.add(carried[:, ::2], carried[:, 1::2], dtype=np.float32).T


def make_contigs(settings: Settings, people: People, rng: np.random.Generator) -> list[Contig]:
    """Draw every contig; genes are shared out evenly, the first contigs have one more."""
    digits = len(str(settings.genes))
    names = [f"GENE{g + 1:0{digits}}" for g in range(settings.genes)]
    groups = np.array_split(np.arange(settings.genes), settings.contigs)
    return [
        _make_contig(f"sim{c + 1}", [names[g] for g in group.tolist()], settings, people, rng)
        for c, group in enumerate(groups)
    ]


def _make_contig(
    name: str, names: list[str], settings: Settings, people: People, rng: np.random.Generator
) -> Contig:
    margin = settings.window // 2 + _MARGIN
    length = 2 * margin + (len(names) - 1) * settings.gap
    codes = rng.integers(0, 4, length, dtype=np.uint8)
    strands = rng.integers(0, 2, len(names)).tolist()
    genes = tuple(
        Gene(gene, name, margin + g * settings.gap, "-" if strand else "+")
        for g, (gene, strand) in enumerate(zip(names, strands, strict=True))
    )
    # the reference is one more haplotype, of the first population
    sizes = [2 * size for size in people.sizes]
    sizes[0] += 1
    sites = simulate_sites(
        sizes,
        length,
        diversity=settings.diversity,
        recombination=settings.recombination,
        fst=settings.fst,
        rng=rng,
    )
    carried = sites.derived[:, 1:] != sites.derived[:, :1]
    let_siblings_inherit(carried, sites.position, length, people, rng)
    counts = carried.sum(axis=1)
    varies = (counts > 0) & (counts < carried.shape[1])
    position, carried = sites.position[varies], carried[varies]
    ref, alt = _draw_alleles(codes, position, settings.variant_kind == "all", rng)
    return Contig(name, codes, genes, position, ref, alt, carried)


def _draw_alleles(
    codes: NDArray[np.uint8], position: NDArray[np.int64], with_indels: bool, rng: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Draw what each variant changes; an indel that has no room before the next variant is a SNP."""
    other = (codes[position] + rng.integers(1, 4, len(position), dtype=np.uint8)) % 4
    ref, alt = list(decode(codes[position])), list(decode(other))
    if not with_indels:
        return tuple(ref), tuple(alt)
    room = np.diff(position, append=len(codes)) - 1  # bases between a variant and the next one
    chosen = np.flatnonzero(rng.random(len(position)) < INDEL_SHARE)
    sizes = np.minimum(rng.geometric(0.3, len(chosen)), _LONGEST).tolist()
    deleted = (rng.random(len(chosen)) < 0.5).tolist()
    for i, size, gone in zip(chosen.tolist(), sizes, deleted, strict=True):
        if room[i] <= size:
            continue
        here = int(position[i])
        before = decode(codes[here : here + 1])
        inside = codes[here + 1 : here + 1 + size] if gone else rng.integers(0, 4, size, dtype=np.uint8)
        longer = before + decode(inside)
        ref[i], alt[i] = (longer, before) if gone else (before, longer)
    return tuple(ref), tuple(alt)
