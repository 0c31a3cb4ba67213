"""How alike people are by their genotypes, and which pairs are close relatives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.tables import known_of
from glm2x.console import progress
from glm2x.genome.haplotypes.variants import PhasedVariants

MIN_VARIANTS = 20_000
"""On fewer variants whole populations look like one family."""

THRESHOLD = 0.125
"""Similarity of first cousins, in units in which a person and itself have 1."""

MIN_POPULATION = 10
"""Within fewer people, the population's mean holds too much of the relatives themselves."""

MAX_POPULATION = 50_000
"""Larger ones are not judged: n people take n^2 / 2 x `MIN_VARIANTS` products, many minutes at this size."""

_WORK = 10_000_000_000_000  # n^2 x variants: beyond it variants are thinned evenly, not below MIN_VARIANTS
_TILE = 2**25  # float32 sums that a pass over the variants keeps: 128 MB
_PIECE = 2**24  # float32 dosages that are read at a time: 64 MB

Pair = tuple[str, str, float]


@dataclass(frozen=True)
class Alike:
    """Pairs of one population that are more alike than the threshold.

    Attributes
    ----------
    pairs
        Both individuals, in the cohort's order, and their similarity; the closest pair first.
    unjudged
        People of no family of the table whom genotypes were not asked about, sorted: their population
        is unknown (and others' are not), or of fewer than `MIN_POPULATION` or more than
        `MAX_POPULATION`, or the cohort does not hold them.
    variants
        How many variants it is judged from; below `MIN_VARIANTS` nothing is.
    """

    pairs: tuple[Pair, ...]
    unjudged: tuple[str, ...]
    variants: int


def alike_pairs(cohort: Cohort, among: Collection[str]) -> Alike:
    """Return the pairs of people of one population who are close relatives by their genotypes.

    Similarity is the mean over variants of the product of dosages standardised within the population
    (a genomic relationship, VanRaden 2008), plus 1 / (n - 1): among n people who are no relatives,
    taking their mean off leaves -1 / (n - 1). Populations are the whole cohort's: a pair is as alike
    whoever else is asked for. Where the table names none, everybody is of one. A pair of which the
    table of people names both families is left out: the table decides.

    Memory does not grow with the square of a population: similarities are summed in tiles, in float32.
    Where n^2 x variants passes 10^13 (10,800 people with 85,000 variants), variants are thinned
    evenly, to no fewer than `MIN_VARIANTS`.

    Parameters
    ----------
    among
        Both of a pair are among these.
    """
    contigs = sorted({gene.contig for gene in cohort.genes})
    every = [cohort.variants(contig) for contig in contigs]
    count = sum(len(variants.position) for variants in every)
    if count < MIN_VARIANTS:
        return Alike((), (), count)
    names, chosen = cohort.individuals, set(among)
    populations = _populations(cohort)
    judged = [group for group in populations if MIN_POPULATION <= len(group) <= MAX_POPULATION]
    family = known_of(cohort.people, "family")
    unjudged = chosen - {names[i] for group in judged for i in group} - family.keys()
    step = _thinning(max(map(len, judged), default=0), count)
    pairs = [
        (names[a], names[b], similarity)
        for a, b, similarity in _similar(every, judged, step, len(names))
        if names[a] in chosen and names[b] in chosen and not (names[a] in family and names[b] in family)
    ]
    used = sum(-(-len(variants.position) // step) for variants in every)
    return Alike(tuple(sorted(pairs, key=lambda pair: -pair[2])), tuple(sorted(unjudged)), used)


def _populations(cohort: Cohort) -> list[NDArray[np.int64]]:
    """Return the rows of each population's people; where the table names none, of everybody.

    Those of unknown population are in none, where others' are known.
    """
    population = known_of(cohort.people, "population")
    if not population:
        return [np.arange(len(cohort.individuals))]
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(cohort.individuals):
        if name in population:
            rows.setdefault(population[name], []).append(i)
    return [np.array(rows[name]) for name in sorted(rows)]


def _thinning(people: int, variants: int) -> int:
    """Return k, where every k-th variant is used."""
    affordable = max(MIN_VARIANTS, _WORK // max(people, 1) ** 2)
    return max(1, variants // affordable)


def _similar(
    every: Sequence[PhasedVariants], groups: Sequence[NDArray[np.int64]], step: int, people: int
) -> Iterator[tuple[int, int, float]]:
    """Give each pair above the threshold and its similarity, a few tiles of a group's matrix at a time."""
    passes = list(_passes([len(group) for group in groups]))
    pieces = sum(len(_starts(len(variants.position), step, people)) for variants in every)
    with progress("relatives by their genotypes", len(passes) * pieces, "pieces") as bar:
        for tiles in passes:
            yield from _of_tiles(every, groups, tiles, step, people, bar.advance)


def _of_tiles(
    every: Sequence[PhasedVariants],
    groups: Sequence[NDArray[np.int64]],
    tiles: Sequence[tuple[int, int, int]],
    step: int,
    people: int,
    advance: Callable[[], object],
) -> Iterator[tuple[int, int, float]]:
    sums = [np.zeros((end - start, len(groups[k]) - start), np.float32) for k, start, end in tiles]
    counts = dict.fromkeys((k for k, _, _ in tiles), 0)
    for dosage in _dosages(every, step, people):
        standard = {k: _standardised(dosage[groups[k]]) for k in counts}
        for total, (k, start, end) in zip(sums, tiles, strict=True):
            total += standard[k][start:end] @ standard[k][start:].T
        for k, z in standard.items():
            counts[k] += z.shape[1]
        advance()
    for total, (k, start, _) in zip(sums, tiles, strict=True):
        total /= max(counts[k], 1)
        total += 1 / (len(groups[k]) - 1)
        for a, b in np.argwhere(np.triu(total, 1) > THRESHOLD):
            yield int(groups[k][start + a]), int(groups[k][start + b]), float(total[a, b])


def _passes(sizes: Sequence[int]) -> Iterator[list[tuple[int, int, int]]]:
    """Give the tiles (group, first row, end) of each pass: the rows' products with all that follow them."""
    tiles: list[tuple[int, int, int]] = []
    room = _TILE
    for k, size in enumerate(sizes):
        start = 0
        while start < size:
            width = size - start
            if room < width and tiles:
                yield tiles
                tiles, room = [], _TILE
            rows = min(width, max(1, room // width))
            tiles.append((k, start, start + rows))
            room -= rows * width
            start += rows
    if tiles:
        yield tiles


def _standardised(dosage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the columns that vary with mean 0 and variance 1, float32 [people, columns]."""
    spread = dosage.std(axis=0)
    varies = spread > 0
    return np.asarray((dosage[:, varies] - dosage[:, varies].mean(axis=0)) / spread[varies])


def _starts(count: int, step: int, people: int) -> range:
    """Return where the pieces of so many columns begin."""
    return range(0, count, max(1, _PIECE // people) * step)


def _dosages(every: Sequence[PhasedVariants], step: int, people: int) -> Iterator[NDArray[np.float32]]:
    """Give the dosages of every `step`-th variant, float32 [individuals, columns], a piece at a time."""
    for variants in every:
        count = len(variants.position)
        starts = _starts(count, step, people)
        for start in starts:
            end = min(start + starts.step, count)
            if step == 1:
                yield variants.dosage(slice(start, end))
            else:
                single = [variants.dosage(slice(j, j + 1)) for j in range(start, end, step)]
                yield np.concatenate(single, axis=1)
