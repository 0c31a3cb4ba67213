"""Close relatives on two sides of a split, from the people table or from genotypes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort

MIN_VARIANTS = 20_000
"""On fewer variants whole populations look like one family."""

THRESHOLD = 0.125
"""Similarity of first cousins, in units in which a person and itself have 1."""

MIN_POPULATION = 10
"""Within fewer people, taking the population's mean off makes everybody unlike."""

_CHUNK = 4_096


@dataclass(frozen=True)
class Related:
    """Pairs of a fitted and a test individual that are more alike than the threshold.

    Parameters
    ----------
    pairs
        Both individuals and their similarity, the closest first.
    unjudged
        People of populations with fewer than `MIN_POPULATION` people, sorted.
    variants
        How many variants it is judged from; below `MIN_VARIANTS` nothing is.
    """

    pairs: tuple[tuple[str, str, float], ...]
    unjudged: tuple[str, ...]
    variants: int
    threshold: float = THRESHOLD


@dataclass(frozen=True)
class Families:
    """What the people table says of families.

    Parameters
    ----------
    both
        Families with a fitted and a test individual, sorted.
    without
        Fitted and test people of whom the table names no family, sorted.
    """

    both: tuple[str, ...]
    without: tuple[str, ...]


def split_families(people: pl.DataFrame, fitted: set[str], tested: set[str]) -> Families:
    """Return the families on both sides, and the people without a family."""
    named: dict[str, str] = {}
    if "family" in people.columns:
        named = dict(people.select("individual", pl.col("family").cast(pl.String)).drop_nulls().iter_rows())
    sides = [{named[name] for name in side if name in named} for side in (fitted, tested)]
    without = sorted(name for name in fitted | tested if name not in named)
    return Families(tuple(sorted(sides[0] & sides[1])), tuple(without))


def related_pairs(cohort: Cohort, fitted: Iterable[str], tested: Iterable[str]) -> Related:
    """Return pairs of a fitted and a test individual of one population that are close relatives.

    Similarity is the mean over variants of the product of dosages standardised within the population
    (a genomic relationship, VanRaden 2008). Without populations everybody is one.
    """
    fitted, tested = set(fitted), set(tested)
    contigs = sorted({gene.contig for gene in cohort.genes})
    variants = sum(int(cohort.variants(contig).is_known(slice(None)).sum()) for contig in contigs)
    if variants < MIN_VARIANTS:
        return Related((), (), variants)
    chosen = np.array(
        [i for i, name in enumerate(cohort.individuals) if name in fitted | tested], dtype=np.int64
    )
    groups = _populations(cohort.people, chosen)
    judged = [group for group in groups if len(group) >= MIN_POPULATION]
    names = cohort.individuals
    unjudged = sorted(names[i] for group in groups if len(group) < MIN_POPULATION for i in group)
    pairs = []
    for group, similarity in zip(judged, _similarity(cohort, contigs, judged), strict=True):
        for a, b in np.argwhere(np.triu(similarity, 1) > THRESHOLD):
            first, second = names[group[a]], names[group[b]]
            if (first in fitted) != (second in fitted):
                one, other = (first, second) if first in fitted else (second, first)
                pairs.append((one, other, float(similarity[a, b])))
    return Related(tuple(sorted(pairs, key=lambda pair: -pair[2])), tuple(unjudged), variants)


def _populations(people: pl.DataFrame, chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the columns of each population's chosen people; those without one are one population."""
    if "population" not in people.columns:
        return [chosen]
    population = np.array([str(value) for value in people["population"].to_list()])[chosen]
    return [chosen[population == name] for name in np.unique(population)]


def _similarity(
    cohort: Cohort, contigs: list[str], groups: list[NDArray[np.int64]]
) -> list[NDArray[np.float64]]:
    """Return each group's mean product of standardised dosages, float [people, people]."""
    sums = [np.zeros((len(group), len(group))) for group in groups]
    counts = [0] * len(groups)
    for dosage in _dosages(cohort, contigs):
        for k, group in enumerate(groups):
            part = dosage[group]
            spread = part.std(axis=0)
            z = (part - part.mean(axis=0))[:, spread > 0] / spread[spread > 0]
            sums[k] += z @ z.T
            counts[k] += z.shape[1]
    return [total / max(count, 1) for total, count in zip(sums, counts, strict=True)]


def _dosages(cohort: Cohort, contigs: list[str]) -> Iterator[NDArray[np.float32]]:
    """Give the dosages of known variants, float32 [individuals, up to `_CHUNK`], a piece at a time."""
    for contig in contigs:
        variants = cohort.variants(contig)
        for start in range(0, len(variants.position), _CHUNK):
            columns = slice(start, min(start + _CHUNK, len(variants.position)))
            yield variants.dosage(columns)[:, variants.is_known(columns)]
