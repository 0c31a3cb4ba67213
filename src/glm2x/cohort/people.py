"""Whom a split trains on and tests: drawn at random, by population, or from lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.relatives import group_relatives, table_families
from glm2x.errors import UsageError
from glm2x.files import read_list

Relatives = Literal["together", "ignore"]

IGNORED = "relatives were not looked at"
_SHOWN = 3


@dataclass(frozen=True)
class People:
    """Three lists of individuals and how they came about.

    Attributes
    ----------
    train, validation, test
        Individuals.
    preset
        The name of the way they were chosen.
    relatives
        What was done about relatives, in a sentence; None for lists, which are taken as they are.
    warnings
        What the user should know.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    preset: str
    relatives: str | None = None
    warnings: tuple[str, ...] = ()


def random_people(
    cohort: Cohort,
    *,
    train: int,
    validation: int,
    seed: int = 0,
    preset: str = "random",
    relatives: Relatives = "together",
    stratify: bool = False,
) -> People:
    """Draw people to learn from at random; the last `validation` of them choose epochs, the rest are tested.

    The order is ``numpy.random.RandomState(seed).permutation(people)`` over the people who have
    expression, in the cohort's order. With ``relatives="together"`` relatives follow one another and
    are on one side, so that a side may hold a few people more.

    Parameters
    ----------
    train
        How many are learnt from, those who choose epochs included.
    stratify
        Give each side its share of each population of the table of people.
    """
    names = _measured(cohort)
    _require_seed(seed)
    if not 0 <= validation < train < len(names):
        raise UsageError(
            "these numbers of people make no split",
            where=str(cohort.folder),
            got=f"{train} to train on, {validation} of them to choose epochs with; "
            f"{len(names)} people with expression",
            wanted="0 <= validation < train < people with expression",
            do="other numbers (--train-count, --validation-count) or shares (--train-share, "
            "--validation-share), or another preset",
        )
    groups, said = _groups(cohort, names, relatives)
    wanted = (train - validation, validation, len(names) - train)
    sides = _draw(cohort, names, wanted, groups, seed, stratify=stratify)
    return _people(sides, preset, said, cohort)


def fraction_people(
    cohort: Cohort,
    *,
    train_share: float = 0.8,
    validation_share: float = 0.0,
    seed: int = 0,
    preset: str = "fraction",
    relatives: Relatives = "together",
) -> People:
    """Draw a share of the people to learn from, evenly from each population; the rest are tested.

    Parameters
    ----------
    train_share
        Of the people with expression: those who are learnt from.
    validation_share
        Of those: who choose epochs.
    """
    _require_share(train_share, "--train-share", least=0)
    _require_share(validation_share, "--validation-share")
    train = round(train_share * len(_measured(cohort)))
    return random_people(
        cohort,
        train=train,
        validation=round(validation_share * train),
        seed=seed,
        preset=preset,
        relatives=relatives,
        stratify=True,
    )


def population_out(
    cohort: Cohort,
    population: str,
    *,
    validation_share: float = 0.0,
    seed: int = 0,
    relatives: Relatives = "together",
) -> People:
    """Test one population on what is learnt from all others.

    People whose population is unknown, and those of a family (of the table of people) that has
    members in the population, are on no side. Genotypes do not tell relatives of two populations.
    """
    _require_share(validation_share, "--validation-share")
    _require_seed(seed)
    populations = _populations(cohort)
    names = _measured(cohort)
    test = [name for name in names if populations.get(name) == population]
    others = [name for name in names if populations.get(name, population) != population]
    if not test or not others:
        counts = {p: sum(populations.get(n) == p for n in names) for p in sorted({*populations.values()})}
        raise UsageError(
            f"population {population} cannot be left out",
            where=str(cohort.folder),
            got=", ".join(f"{name} {count}" for name, count in counts.items())
            or "a cohort whose table of people names no population",
            wanted="one of several populations, of people with expression",
            do="--population with one of these, or build the cohort with --individuals TABLE",
        )
    warnings = []
    if unknown := len(names) - len(test) - len(others):
        warnings.append(f"{unknown} people of unknown population are on no side")
    if relatives == "together":
        family = table_families(cohort.people)
        tested = {family[name] for name in test if name in family}
        kin = [name for name in others if family.get(name) in tested]
        others = [name for name in others if name not in set(kin)]
        if kin:
            warnings.append(
                f"{len(kin)} people of families with members in {population} are on no side: {_some(kin)}"
            )
    sides, said = _validated(cohort, others, validation_share, relatives, seed)
    return _people((*sides, test), "leave-one-population-out", said, cohort, tuple(warnings))


def full_people(
    cohort: Cohort, *, validation_share: float = 0.0, seed: int = 0, relatives: Relatives = "together"
) -> People:
    """Learn from everybody who has expression and test nobody: for a model that another cohort tests."""
    _require_share(validation_share, "--validation-share")
    _require_seed(seed)
    sides, said = _validated(cohort, _measured(cohort), validation_share, relatives, seed)
    return People(tuple(sides[0]), tuple(sides[1]), (), "full", said)


def published_people(cohort: Cohort) -> People:
    """Return the published lists as far as the cohort has their people, and say who is missing."""
    lists = {side: packaged(f"published-{side}.txt") for side in ("train-50", "test-100")}
    known = set(cohort.individuals)
    found = {side: tuple(name for name in names if name in known) for side, names in lists.items()}
    warnings = []
    for side, names in lists.items():
        if absent := [name for name in names if name not in known]:
            warnings.append(
                f"{len(found[side])} of the {len(names)} published {side.split('-')[0]} people are in the "
                f"cohort; {len(absent)} are absent: {_some(absent)}"
            )
    if not found["train-50"] or not found["test-100"]:
        raise UsageError(
            "the cohort holds none of the published people",
            where=str(cohort.folder),
            got="; ".join(warnings),
            wanted="GEUVADIS individuals such as " + ", ".join(lists["train-50"][:2]),
            do="another preset, or --train and --test with lists of your own",
        )
    return People(found["train-50"], (), found["test-100"], "published-50-100", warnings=tuple(warnings))


def listed_people(cohort: Cohort, train: Path, test: Path, validation: Path | None = None) -> People:
    """Read lists of individuals, one a line (`DataError` for somebody whom the cohort has not)."""
    people = People(
        read_list(train), read_list(validation) if validation else (), read_list(test), preset="lists"
    )
    cohort.individual_index([*people.train, *people.validation, *people.test])
    return people


def packaged(name: str) -> tuple[str, ...]:
    """Return the names of a list that comes with the package."""
    return tuple((resources.files("glm2x.cohort") / "lists" / name).read_text().split())


def _validated(
    cohort: Cohort, names: list[str], validation_share: float, relatives: Relatives, seed: int
) -> tuple[list[list[str]], str]:
    """Divide people to learn from into training and validation people, evenly from each population."""
    validation = round(validation_share * len(names))
    if len(names) - validation < 1:
        raise UsageError(
            "nobody is left to train on",
            where=str(cohort.folder),
            got=f"{len(names)} people with expression, {validation} of them to choose epochs with",
            wanted="at least one to train on",
            do="another cohort, or a smaller --validation-share",
        )
    if not validation:
        return [names, []], "all people who are learnt from are on one side"
    groups, said = _groups(cohort, names, relatives)
    wanted = (len(names) - validation, validation)
    return _draw(cohort, names, wanted, groups, seed, stratify=True), said


def _groups(cohort: Cohort, names: Sequence[str], relatives: Relatives) -> tuple[dict[str, str], str]:
    """Return the group of each person who has relatives, and what there is to say."""
    if relatives == "ignore":
        return {}, IGNORED
    found = group_relatives(cohort, names)
    return found.of, "; ".join(found.said)


def _draw(
    cohort: Cohort,
    names: Sequence[str],
    wanted: Sequence[int],
    groups: Mapping[str, str],
    seed: int,
    *,
    stratify: bool,
) -> list[list[str]]:
    """Fill the sides one after the other with random people; a group is on the side of its first member."""
    order = [names[i] for i in np.random.RandomState(seed).permutation(len(names))]
    if stratify:
        order = _evenly(order, _populations(cohort))
    order = sorted(order, key=_first_of_group(order, groups))
    sides: list[list[str]] = [[] for _ in wanted]
    side = 0
    for i, name in enumerate(order):
        begins = i == 0 or groups.get(name, name) != groups.get(order[i - 1], order[i - 1])
        while begins and side < len(sides) - 1 and len(sides[side]) >= wanted[side]:
            side += 1
        sides[side].append(name)
    return sides


def _evenly(order: Sequence[str], populations: Mapping[str, str]) -> list[str]:
    """Reorder people so that every beginning of the order holds about the same share of each population."""
    sizes: dict[str | None, int] = {}
    ranks = []
    for name in order:
        population = populations.get(name)
        ranks.append((sizes.get(population, 0), population))
        sizes[population] = sizes.get(population, 0) + 1
    quantile = [(rank + 0.5) / sizes[population] for rank, population in ranks]
    return [order[i] for i in sorted(range(len(order)), key=quantile.__getitem__)]


def _first_of_group(order: Sequence[str], groups: Mapping[str, str]) -> Callable[[str], int]:
    """Return a sort key that lets everybody follow the first member of the group."""
    place: dict[str, int] = {}
    for i, name in enumerate(order):
        place.setdefault(groups.get(name, name), i)
    return lambda name: place[groups.get(name, name)]


def _people(
    sides: Sequence[Sequence[str]], preset: str, said: str, cohort: Cohort, warnings: tuple[str, ...] = ()
) -> People:
    train, validation, test = (tuple(side) for side in sides)
    if not train or not test:
        raise UsageError(
            f"groups of relatives leave nobody to {'test' if train else 'train on'}",
            where=str(cohort.folder),
            got=f"{len(train)} training, {len(validation)} validation, {len(test)} test people; {said}",
            do="other numbers or shares of people, or --relatives ignore",
        )
    return People(train, validation, test, preset, said, warnings)


def _measured(cohort: Cohort) -> list[str]:
    """Return the people who have expression of some gene, in the cohort's order."""
    measured = np.isfinite(cohort.expression).any(axis=0)
    return [cohort.individuals[i] for i in np.flatnonzero(measured)]


def _populations(cohort: Cohort) -> dict[str, str]:
    """Return the population of each person for whom the table of people names one."""
    if "population" not in cohort.people.columns:
        return {}
    rows = cohort.people.select("individual", "population").drop_nulls().iter_rows()
    return {name: str(population) for name, population in rows}


def _require_share(share: float, option: str, least: float | None = None) -> None:
    """Raise `UsageError` where a share is not in ``[0, 1)``, or not above `least`."""
    if not 0 <= share < 1 or (least is not None and share <= least):
        raise UsageError(
            f"{option} is a share of the people, between 0 and 1", got=str(share), wanted="such as 0.1"
        )


def _require_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UsageError("a seed lies between 0 and 2^32", got=str(seed))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
