"""People drawn at random, by population, or everybody: relatives kept on one side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.people import People, Relatives, measured, some
from glm2x.cohort.relatives import group_relatives
from glm2x.cohort.tables import known_of
from glm2x.errors import UsageError

IGNORED = "relatives were not looked at"


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
    names = measured(cohort)
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
    alone = _draw(cohort, names, wanted, {}, seed, stratify=stratify) if groups else sides
    moved = sum(len(set(side) - set(other)) for side, other in zip(alone, sides, strict=True))
    warnings = []
    if moved:
        own = "; --relatives ignore gives the protocol's own lists" if preset == "s250" else ""
        warnings.append(f"{moved} people moved to another side to keep relatives together{own}")
    return _people(sides, preset, said, cohort, tuple(warnings))


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
    train = round(train_share * len(measured(cohort)))
    return random_people(
        cohort,
        train=train,
        validation=_judges(validation_share, train),
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
    _require_seed(seed)
    populations = known_of(cohort.people, "population")
    names = measured(cohort)
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
    warnings, said = [], []
    if unknown := len(names) - len(test) - len(others):
        warnings.append(f"{unknown} people of unknown population are on no side")
    if relatives == "together":
        family = known_of(cohort.people, "family")
        tested = {family[name] for name in test if name in family}
        kin = {name for name in others if family.get(name) in tested}
        if kin:
            shown = some([name for name in others if name in kin])
            warnings.append(
                f"{len(kin)} people of families with members in {population} are on no side: {shown}"
            )
        others = [name for name in others if name not in kin]
        if not others:
            raise UsageError(
                f"families leave nobody to train on where {population} is tested",
                where=str(cohort.folder),
                got=warnings[-1],
                wanted="people of other populations, and of families without members in it",
                do="--relatives ignore, or correct the families of the table of people",
            )
        told = (
            f"no family of the table of people has members in {population} and among those learnt from"
            if family
            else "the table of people names no family"
        )
        said.append(f"{told}, and genotypes do not tell relatives of two populations")
    sides, more = _validated(cohort, others, validation_share, relatives, seed)
    return _people(
        (*sides, test), "leave-one-population-out", "; ".join([*said, *more]), cohort, tuple(warnings)
    )


def full_people(
    cohort: Cohort, *, validation_share: float = 0.0, seed: int = 0, relatives: Relatives = "together"
) -> People:
    """Learn from everybody who has expression and test nobody: for a model that another cohort tests."""
    _require_seed(seed)
    sides, said = _validated(cohort, measured(cohort), validation_share, relatives, seed)
    said = said or ("everybody is on one side",)
    return People(tuple(sides[0]), tuple(sides[1]), (), "full", "; ".join(said))


def _judges(share: float, people: int) -> int:
    """Return how many of the people who are learnt from choose epochs."""
    _require_share(share, "--validation-share")
    count = round(share * people)
    if share and not count:
        raise UsageError(
            "--validation-share leaves nobody to choose epochs with",
            got=f"{share:g} of {people} people",
            do="a larger share, or 0",
        )
    return count


def _validated(
    cohort: Cohort, names: list[str], validation_share: float, relatives: Relatives, seed: int
) -> tuple[list[list[str]], tuple[str, ...]]:
    """Divide people to learn from into training and validation people, evenly from each population.

    Also what there is to say of relatives among them: nothing where all are on one side.
    """
    validation = _judges(validation_share, len(names))
    if len(names) - validation < 1:
        raise UsageError(
            "nobody is left to train on",
            where=str(cohort.folder),
            got=f"{len(names)} people with expression, {validation} of them to choose epochs with",
            wanted="at least one to train on",
            do="another cohort, or a smaller --validation-share",
        )
    if not validation:
        return [names, []], (IGNORED,) if relatives == "ignore" else ()
    groups, said = _groups(cohort, names, relatives)
    wanted = (len(names) - validation, validation)
    return _draw(cohort, names, wanted, groups, seed, stratify=True), (said,)


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
        order = _evenly(order, known_of(cohort.people, "population"))
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


def _require_share(share: float, option: str, least: float | None = None) -> None:
    """Raise `UsageError` where a share is not in ``[0, 1)``, or not above `least`."""
    if not 0 <= share < 1 or (least is not None and share <= least):
        raise UsageError(
            f"{option} is a share of the people, between 0 and 1", got=str(share), wanted="such as 0.1"
        )


def _require_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UsageError("a seed lies between 0 and 2^32", got=str(seed))
