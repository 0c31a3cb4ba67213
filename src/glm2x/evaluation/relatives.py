"""Close relatives on two sides of a split, from the people table or from genotypes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.similarity import MIN_VARIANTS, THRESHOLD, Alike, alike_pairs
from glm2x.cohort.split import Split
from glm2x.cohort.tables import known_of
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.learnt import learnt_people


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
    named = known_of(people, "family")
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


def relatives_across_sides(frame: pl.DataFrame, cohort: Cohort | None, split: Split | None) -> Check:
    """Find test people whose relatives somebody's model learnt from: in any draw (`frame`: a table's people).

    Those whom draws learnt from are the split's training and validation people, and whom rows label so.
    """
    name = "relatives_across_sides"
    if cohort is None or split is None:
        return not_run(name, "--cohort and --split", leak=True)
    tested = set(split.test)
    fitted = {*split.train, *split.validation}
    silent = 0
    for one in learnt_people(frame, split):
        fitted |= {*one.train, *one.validation}
        silent += not one.complete
    named = split_families(cohort.people, fitted, tested)
    families = (
        f"{len(named.both)} families are on both sides (people table): {some(named.both)}"
        if named.both
        else "no family of the people table is on both sides"
    )
    if not named.without:
        found = Check(name, "fail" if named.both else "pass", families, True)
    else:
        found = _by_genotype(name, cohort, fitted, tested)
        people = len(fitted | tested)
        if len(named.without) < people:  # families of some do not speak for the others
            detail = (
                f"{families}, and {len(named.without)} of {people} people have none there; {found.detail}"
            )
            found = Check(name, "fail" if named.both else found.status, detail, True)
    if not silent or split.draw is None:  # a base holds all whom its draws learnt from
        return found
    detail = (
        f"{found.detail}; the table does not label all whom {silent} other draws learnt from: "
        "give their base as --split"
    )
    return Check(name, "warn" if found.status == "pass" else found.status, detail, True)


def _by_genotype(name: str, cohort: Cohort, fitted: set[str], tested: set[str]) -> Check:
    found = related_pairs(cohort, fitted, tested)
    if found.variants < MIN_VARIANTS:
        detail = (
            f"not judged: {found.variants:,} variants, and relatives are told apart from "
            f">= {MIN_VARIANTS:,} only; "
            "a people table with a family column settles it"
        )
        return Check(name, "warn", detail, True)
    unjudged = (
        f"; {len(found.unjudged)} people of unknown, very small or very large populations not judged"
        if found.unjudged
        else ""
    )
    if found.pairs:
        said = [f"{a} and {b} ({similarity:.2f})" for a, b, similarity in found.pairs]
        detail = (
            f"{len(said)} pairs of a fitted and a test individual are more alike than "
            f"{THRESHOLD:g} within their population, from {found.variants:,} variants: "
            f"{some(said)}{unjudged}"
        )
        return Check(name, "fail", detail, True)
    detail = (
        f"no fitted and test individual are more alike than {THRESHOLD:g}, from {found.variants:,} variants"
    )
    return Check(name, "warn" if found.unjudged else "pass", detail + unjudged, True)
