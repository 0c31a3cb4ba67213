"""Who is related to whom, from the table of people or from genotypes; and the groups that stay together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.genome.variants import PhasedVariants

MIN_VARIANTS = 20_000
"""On fewer variants whole populations look like one family."""

THRESHOLD = 0.125
"""Similarity of first cousins, in units in which a person and itself have 1."""

MIN_POPULATION = 10
"""Within fewer people, taking the population's mean off makes everybody unlike."""

MAX_POPULATION = 50_000
"""Larger ones are not judged: n people take n^2 / 2 x `MIN_VARIANTS` products, many minutes at this size."""

SUSPICIOUS = 0.1
"""A group of more than this share of the people (and of more than `MIN_POPULATION`) is no family."""

_WORK = 10_000_000_000_000  # n^2 x variants: beyond it variants are thinned evenly, not below MIN_VARIANTS
_TILE = 2**25  # float32 sums that a pass over the variants keeps: 128 MB
_PIECE = 2**24  # float32 dosages that are read at a time: 64 MB


@dataclass(frozen=True)
class Alike:
    """Pairs of one population that are more alike than the threshold.

    Attributes
    ----------
    pairs
        Both individuals, in the cohort's order, and their similarity; the closest pair first.
    unjudged
        People of populations of fewer than `MIN_POPULATION` or more than `MAX_POPULATION`, sorted.
    variants
        How many variants it is judged from; below `MIN_VARIANTS` nothing is.
    """

    pairs: tuple[tuple[str, str, float], ...]
    unjudged: tuple[str, ...]
    variants: int


@dataclass(frozen=True)
class Groups:
    """People who stay on one side.

    Attributes
    ----------
    of
        A label of the group of each person who is in one of two people or more.
    said
        Sentences: how many there are, from what, and what could not be judged.
    """

    of: dict[str, str]
    said: tuple[str, ...]


def table_families(people: pl.DataFrame) -> dict[str, str]:
    """Return the family of each person for whom the table of people names one."""
    if "family" not in people.columns:
        return {}
    return dict(people.select("individual", pl.col("family").cast(pl.String)).drop_nulls().iter_rows())


def alike_pairs(cohort: Cohort, among: Collection[str]) -> Alike:
    """Return the pairs of people of one population who are close relatives by their genotypes.

    Similarity is the mean over variants of the product of dosages standardised within the population
    (a genomic relationship, VanRaden 2008), and populations are the whole cohort's: a pair is as alike
    whoever else is asked for. Without populations everybody is one. A pair of which the table of
    people names both families is left out: the table decides.

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
    populations = _populations(cohort.people)
    judged = [group for group in populations if MIN_POPULATION <= len(group) <= MAX_POPULATION]
    sizes = {int(i): len(group) for group in populations for i in group}
    unjudged = sorted(
        name
        for i, name in enumerate(names)
        if name in chosen and not MIN_POPULATION <= sizes[i] <= MAX_POPULATION
    )
    step = _thinning(max(map(len, judged), default=0), count)
    family = table_families(cohort.people)
    pairs = [
        (names[a], names[b], similarity)
        for a, b, similarity in _similar(every, judged, step, len(names))
        if names[a] in chosen and names[b] in chosen and not (names[a] in family and names[b] in family)
    ]
    used = sum(-(-len(variants.position) // step) for variants in every)
    return Alike(tuple(sorted(pairs, key=lambda pair: -pair[2])), tuple(unjudged), used)


def group_relatives(cohort: Cohort, names: Sequence[str]) -> Groups:
    """Return who must stay together: families of the table, and who is alike by genotype.

    Groups are the connected components of both. One that is too large for a family and that genotypes
    made is taken apart again: mixed populations look so, and are no reason to be on one side.
    """
    family = table_families(cohort.people)
    members: dict[str, list[str]] = {}
    for name in names:
        if name in family:
            members.setdefault(family[name], []).append(name)
    told = [group for group in members.values() if len(group) > 1]
    said = [f"{len(told)} families of several people (table of people) kept on one side"] if family else []
    suspicious = max(MIN_POPULATION, SUSPICIOUS * len(names))
    said += [
        f"family {family[group[0]]} of the table holds {len(group)} of {len(names)} people: is it a family?"
        for group in told
        if len(group) > suspicious
    ]
    links = [pair for group in told for pair in pairwise(group)]
    if all(name in family for name in names):
        return Groups(_labels(names, links), tuple(said))
    alike = alike_pairs(cohort, names)
    if alike.variants < MIN_VARIANTS:
        said.append(
            f"relatives not judged from genotypes: {alike.variants:,} variants, {MIN_VARIANTS:,} needed"
        )
        return Groups(_labels(names, links), tuple(said))
    large = [
        set(group)
        for group in _components(names, [*links, *((a, b) for a, b, _ in alike.pairs)])
        if len(group) > suspicious
    ]
    apart = {name for group in large for name in group}
    kept = [(a, b) for a, b, _ in alike.pairs if a not in apart]  # b is in the same group
    labels = _labels(names, [*links, *kept])
    if kept:
        sizes = sorted((len(group) for group in _components(names, kept)), reverse=True)
        said.append(
            f"{len(kept)} pairs of relatives (from {alike.variants:,} variants) kept on one side, "
            f"in {len(sizes)} groups, the largest of {sizes[0]} people"
        )
    elif not large:
        said.append(f"no relatives among {len(names)} people, from {alike.variants:,} variants")
    for group in large:
        linked = sum(a in group for a, _, _ in alike.pairs)
        if linked:
            said.append(
                f"{linked} pairs above {THRESHOLD:g} chain {len(group)} of {len(names)} people, which is no "
                "family: they are not kept on one side (a table of people with populations or families "
                "settles it)"
            )
    if alike.unjudged:
        said.append(f"{len(alike.unjudged)} people of very small or very large populations not judged")
    return Groups(labels, tuple(said))


def _populations(people: pl.DataFrame) -> list[NDArray[np.int64]]:
    """Return the rows of each population's people; those without one are one population."""
    if "population" not in people.columns:
        return [np.arange(len(people))]
    population = np.array([str(value) for value in people["population"].to_list()])
    return [np.flatnonzero(population == name) for name in np.unique(population)]


def _thinning(people: int, variants: int) -> int:
    """Return k, where every k-th variant is used."""
    affordable = max(MIN_VARIANTS, _WORK // max(people, 1) ** 2)
    return max(1, variants // affordable)


def _similar(
    every: Sequence[PhasedVariants], groups: Sequence[NDArray[np.int64]], step: int, people: int
) -> Iterator[tuple[int, int, float]]:
    """Give each pair above the threshold and its similarity, a few tiles of a group's matrix at a time."""
    for tiles in _passes([len(group) for group in groups]):
        sums = [np.zeros((end - start, len(groups[k]) - start), np.float32) for k, start, end in tiles]
        counts = dict.fromkeys((k for k, _, _ in tiles), 0)
        for dosage in _dosages(every, step, people):
            standard = {k: _standardised(dosage[groups[k]]) for k in counts}
            for total, (k, start, end) in zip(sums, tiles, strict=True):
                total += standard[k][start:end] @ standard[k][start:].T
            for k, z in standard.items():
                counts[k] += z.shape[1]
        for total, (k, start, _) in zip(sums, tiles, strict=True):
            total /= max(counts[k], 1)
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


def _dosages(every: Sequence[PhasedVariants], step: int, people: int) -> Iterator[NDArray[np.float32]]:
    """Give the dosages of every `step`-th variant, float32 [individuals, columns], a piece at a time."""
    width = max(1, _PIECE // people)
    for variants in every:
        count = len(variants.position)
        for start in range(0, count, width * step):
            end = min(start + width * step, count)
            if step == 1:
                yield variants.dosage(slice(start, end))
            else:
                single = [variants.dosage(slice(j, j + 1)) for j in range(start, end, step)]
                yield np.concatenate(single, axis=1)


def _components(names: Sequence[str], links: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the connected components of two people or more, members in the order of `names`."""
    root = {name: name for name in names}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for a, b in links:
        root[find(b)] = find(a)
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(find(name), []).append(name)
    return [group for group in found.values() if len(group) > 1]


def _labels(names: Sequence[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: group[0] for group in _components(names, links) for name in group}
