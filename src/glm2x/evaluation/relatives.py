"""Close relatives on two sides of a split, from the people table or from genotypes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.relatives import Alike, alike_pairs, table_families


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
    named = table_families(people)
    sides = [{named[name] for name in side if name in named} for side in (fitted, tested)]
    without = sorted(name for name in fitted | tested if name not in named)
    return Families(tuple(sorted(sides[0] & sides[1])), tuple(without))


def related_pairs(cohort: Cohort, fitted: Iterable[str], tested: Iterable[str]) -> Alike:
    """Return pairs of a fitted and a test individual (in this order) that are close relatives."""
    fitted, tested = set(fitted), set(tested)
    found = alike_pairs(cohort, fitted | tested)
    across = [pair for pair in found.pairs if (pair[0] in fitted) != (pair[1] in fitted)]
    pairs = tuple((a, b, s) if a in fitted else (b, a, s) for a, b, s in across)
    return Alike(pairs, found.unjudged, found.variants)
