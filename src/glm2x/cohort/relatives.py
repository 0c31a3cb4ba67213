"""Who is related to whom, from the table of people or from genotypes; and the groups that stay together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.similarity import MIN_POPULATION, MIN_VARIANTS, THRESHOLD, Pair, alike_pairs
from glm2x.cohort.tables import known_of

FIRST_DEGREE = THRESHOLD * 2**1.5
"""Between grandparents (0.25) and parents (0.5): such pairs stay together, however large their group."""

SUSPICIOUS = 0.1
"""A group of more than this share of the people (and of more than `MIN_POPULATION`) is no family."""

_STEP = 2**0.5  # by which the threshold rises within a group that is too large
_TWINS = THRESHOLD * 2**2.5  # 0.71: nobody but the same person, or twins


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


def group_relatives(cohort: Cohort, names: Sequence[str]) -> Groups:
    """Return who must stay together: families of the table, and who is alike by genotype.

    Groups are the connected components of both. In one that is too large for a family, as mixed
    populations make them, only the closest pairs of genotypes count: see `_closest`.
    """
    family = known_of(cohort.people, "family")
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
    kept = _closest(names, links, alike.pairs, suspicious)
    if kept:
        sizes = sorted((len(group) for group in _components(names, _who(kept))), reverse=True)
        said.append(
            f"{len(kept)} pairs of relatives (from {alike.variants:,} variants) kept on one side, "
            f"in {len(sizes)} groups, the largest of {sizes[0]} people"
        )
    elif not alike.pairs:
        said.append(f"no relatives among {len(names)} people, from {alike.variants:,} variants")
    if len(kept) < len(alike.pairs):
        said.append(_chained(names, links, alike.pairs, kept))
    if alike.unjudged:
        said.append(
            f"{len(alike.unjudged)} people of unknown, very small or very large populations not judged"
        )
    return Groups(_labels(names, [*links, *_who(kept)]), tuple(said))


def _who(pairs: Iterable[Pair]) -> list[tuple[str, str]]:
    """Return who is alike, without how much."""
    return [(a, b) for a, b, _ in pairs]


def _chained(
    names: Sequence[str], links: Sequence[tuple[str, str]], pairs: Sequence[Pair], kept: Sequence[Pair]
) -> str:
    """Say which groups were too large for a family, and how many of their pairs are not kept together."""
    label = _labels(names, [*links, *_who(pairs)])
    loosened = {label[a] for a, _, _ in set(pairs) - set(kept)}
    sizes = Counter(of for of in label.values() if of in loosened)
    *others, last = (str(size) for size in sorted(sizes.values(), reverse=True))
    chained = sum(label[a] in loosened for a, _, _ in pairs)
    return (
        f"{chained} pairs above {THRESHOLD:g} chain {', '.join(others)}{' and ' if others else ''}{last} of "
        f"{len(names)} people, which is no family: the {len(pairs) - len(kept)} least alike of them are not "
        "kept on one side (a table of people with populations or families settles it)"
    )


def _closest(
    names: Sequence[str],
    links: Sequence[tuple[str, str]],
    pairs: Sequence[Pair],
    largest: float,
    least: float = THRESHOLD,
) -> list[Pair]:
    """Return the pairs that keep people together: all of them, but in too large groups the closest.

    There the threshold rises by steps until no group has more than `largest` people, or relatives of
    the first degree alone make it up. A group of which most pairs are so close is no chain of
    relatives but a population apart from the others, whose strangers are as alike as its median pair:
    there the threshold rises above that.

    Parameters
    ----------
    names
        The people who are looked at.
    links
        Pairs who are together whatever genotypes say.
    least
        `pairs` are more alike than this.
    """
    kept: list[Pair] = []
    group_of = _labels(names, [*links, *_who(pairs)])
    inside: dict[str, list[Pair]] = {}
    for pair in pairs:
        inside.setdefault(group_of[pair[0]], []).append(pair)
    members: dict[str, list[str]] = {label: [] for label in inside}
    for name, label in group_of.items():
        if label in members:
            members[label].append(name)
    tied: dict[str, list[tuple[str, str]]] = {}
    for link in links:
        tied.setdefault(group_of[link[0]], []).append(link)
    for label, here in inside.items():
        group = members[label]
        dense = len(here) > len(group) * (len(group) - 1) / 4
        if len(group) <= largest or least >= _TWINS or (least >= FIRST_DEGREE and not dense):
            kept += here
        else:
            above = least * _STEP
            if dense:
                above = max(above, median(similarity for *_, similarity in here) + THRESHOLD)
            closer = [pair for pair in here if pair[2] > above]
            kept += _closest(group, tied.get(label, []), closer, largest, above)
    return kept


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
