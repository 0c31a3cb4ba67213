"""A grammar that all genes share: motifs that add to a gene's expression, the more the nearer to its TSS.

A motif counts wherever it or its reverse complement stands in a gene's window. What a haplotype adds is the
sum over these places of the motif's weight times ``exp(-distance / decay)``. A variant that makes or breaks
one changes expression: by the same rule in every gene, so that it can be learnt from other genes, or from
reference sequences alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.genes import Gene, window_interval
from glm2x.genome.sequence import decode, encode, reverse_complement
from glm2x.simulate.genotypes import Contig

MOTIFS = 8
MOTIF_LENGTH = 6
DECAY = 10_000.0  # bp

_PLACES = 4 ** np.arange(MOTIF_LENGTH - 1, -1, -1)


@dataclass(frozen=True)
class Grammar:
    """Motifs and their weights.

    Attributes
    ----------
    motifs
        On either strand; no two are each other's reverse complement.
    weights
        float64 ``[motifs]``, what one place right at the TSS of one haplotype adds to expression.
    """

    motifs: tuple[str, ...]
    weights: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Grammar:
        """Draw different motifs, and weights of both signs."""
        motifs: list[str] = []
        taken: set[int] = set()
        while len(motifs) < MOTIFS:
            codes = rng.integers(0, 4, MOTIF_LENGTH, dtype=np.uint8)
            words = {_word(codes), _word(reverse_complement(codes))}
            if not words & taken:
                motifs.append(decode(codes))
                taken |= words
        # none is so weak that nothing could be learnt of it
        weights = rng.choice([-1.0, 1.0], MOTIFS) * rng.uniform(0.5, 1.5, MOTIFS)
        return cls(tuple(motifs), weights)

    def times(self, factor: float) -> Grammar:
        """Return the same motifs with other weights."""
        return Grammar(self.motifs, self.weights * factor)

    def table(self) -> NDArray[np.float64]:
        """Return the weight of each word of six letters, float64 ``[4096]``."""
        table = np.zeros(4**MOTIF_LENGTH)
        for motif, weight in zip(self.motifs, self.weights.tolist(), strict=True):
            codes = encode(motif)
            table[_word(codes)] = table[_word(reverse_complement(codes))] = weight
        return table


@dataclass(frozen=True)
class GrammarOfGene:
    """What the grammar makes of one gene.

    Attributes
    ----------
    reference
        Of one reference haplotype.
    haplotypes
        float64 ``[haplotypes]``: what each adds to that.
    effects
        float64 ``[variants of the window]``: what each adds alone.
    """

    reference: float
    haplotypes: NDArray[np.float64]
    effects: NDArray[np.float64]


def score(table: NDArray[np.float64], codes: NDArray[np.uint8], weight: NDArray[np.float64]) -> float:
    """Return the sum over the places of all motifs.

    Parameters
    ----------
    table
        What `Grammar.table` returns.
    codes
        uint8 ``[bases]``, no N.
    weight
        float64 ``[bases]``, of a motif that begins there.
    """
    words = _words(codes)
    return float(table[words] @ weight[: len(words)])


def apply_grammar(grammar: Grammar, contig: Contig, gene: Gene, window: int) -> GrammarOfGene:
    """Return what the grammar makes of the haplotypes of a gene.

    Variants far enough from each other that no motif holds two of them change the sum independently; the
    others are taken together, as each haplotype has them. Distances are those of the reference; an inserted
    base stands where the base before it does.
    """
    table = grammar.table()
    columns = contig.window(gene, window)
    start, end = window_interval(gene.tss, window)
    places = np.arange(start, end)
    reference = score(table, contig.codes[start:end], _weight(places, gene.tss, start, end))
    carried = contig.haplotypes[columns]
    position = contig.position[columns]
    reach = position + np.array([len(ref) for ref in contig.ref[columns]], dtype=np.int64)
    # a motif that holds the last base of one and the first of the next spans next - reach + 2 bases
    apart = np.flatnonzero(position[1:] - reach[:-1] > MOTIF_LENGTH - 2) + 1
    clusters = [cluster for cluster in np.split(np.arange(len(position)), apart) if len(cluster)]
    snp = [len(ref) == len(alt) for ref, alt in zip(contig.ref[columns], contig.alt[columns], strict=True)]
    snps = np.array([one[0] for one in clusters if len(one) == 1 and snp[one[0]]], dtype=np.int64)
    effects = np.zeros(len(position))
    effects[snps] = _alone(table, contig, columns.start + snps, gene.tss, (start, end))
    haplotypes = effects @ carried
    for cluster in clusters:
        if len(cluster) == 1 and snp[cluster[0]]:
            continue
        local = _Local(contig, columns.start + cluster, gene.tss, (start, end), table)
        plain = local.score(np.zeros(len(cluster), dtype=np.bool_))
        effects[cluster] = [local.score(row) - plain for row in np.eye(len(cluster), dtype=np.bool_)]
        combinations, which = np.unique(carried[cluster].T, axis=0, return_inverse=True)
        haplotypes += np.array([local.score(row) - plain for row in combinations])[which.reshape(-1)]
    return GrammarOfGene(reference, haplotypes, effects)


def no_grammar(contig: Contig, gene: Gene, window: int) -> GrammarOfGene:
    """Return what a grammar of no weight makes of a gene: nothing."""
    columns = contig.window(gene, window)
    return GrammarOfGene(0.0, np.zeros(contig.haplotypes.shape[1]), np.zeros(columns.stop - columns.start))


def _alone(
    table: NDArray[np.float64],
    contig: Contig,
    snps: NDArray[np.int64],
    tss: int,
    window: tuple[int, int],
) -> NDArray[np.float64]:
    """Return what each of some SNPs adds that no motif holds together with another, float64 ``[snps]``."""
    around = contig.position[snps][:, None] + np.arange(1 - MOTIF_LENGTH, MOTIF_LENGTH)
    weight = _weight(around[:, :MOTIF_LENGTH], tss, *window)
    codes = contig.codes[around]
    plain = (table[_words(codes)] * weight).sum(axis=1)
    codes[:, MOTIF_LENGTH - 1] = encode("".join(contig.alt[i] for i in snps.tolist()))
    changed: NDArray[np.float64] = (table[_words(codes)] * weight).sum(axis=1) - plain
    return changed


class _Local:
    """The bases around a few neighbouring variants, as somebody has them."""

    def __init__(
        self,
        contig: Contig,
        variants: NDArray[np.int64],
        tss: int,
        window: tuple[int, int],
        table: NDArray[np.float64],
    ) -> None:
        self._tss, self._window, self._table = tss, window, table
        self._alt = [encode(contig.alt[i]) for i in variants.tolist()]
        self._ref = [encode(contig.ref[i]) for i in variants.tolist()]
        self._at = contig.position[variants].tolist()
        self._start = self._at[0] - MOTIF_LENGTH + 1
        end = self._at[-1] + len(self._ref[-1]) + MOTIF_LENGTH - 1
        self._between = []
        here = self._start
        for at, ref in zip(self._at, self._ref, strict=True):
            self._between.append(contig.codes[here:at])
            here = at + len(ref)
        self._rest = contig.codes[here:end]

    def score(self, carried: NDArray[np.bool_]) -> float:
        """Return the sum over the motifs around, for who carries these variants."""
        codes: list[NDArray[np.uint8]] = []
        places: list[NDArray[np.int64]] = []
        here = self._start
        for at, ref, alt, has, before in zip(
            self._at, self._ref, self._alt, carried.tolist(), self._between, strict=True
        ):
            allele = alt if has else ref
            codes += [before, allele]
            places += [np.arange(here, at), at + np.minimum(np.arange(len(allele)), len(ref) - 1)]
            here = at + len(ref)
        codes.append(self._rest)
        places.append(np.arange(here, here + len(self._rest)))
        weight = _weight(np.concatenate(places), self._tss, *self._window)
        return score(self._table, np.concatenate(codes), weight)


def _weight(places: NDArray[np.int64], tss: int, start: int, end: int) -> NDArray[np.float64]:
    """Return the weight of a motif that begins at each place; 0 where it is not wholly in the window."""
    inside = (places >= start) & (places <= end - MOTIF_LENGTH)
    weight: NDArray[np.float64] = np.where(inside, np.exp(-np.abs(places - tss) / DECAY), 0.0)
    return weight


def _words(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the number of the word that begins at each base, int64 ``[..., bases - 5]``."""
    places = np.lib.stride_tricks.sliding_window_view(codes, MOTIF_LENGTH, axis=-1)
    words: NDArray[np.int64] = places @ _PLACES
    return words


def _word(codes: NDArray[np.uint8]) -> int:
    return int(_words(codes)[0])
