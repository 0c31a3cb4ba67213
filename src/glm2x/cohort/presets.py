"""How splits are made: random people, the published lists, lists of one's own; genes by block with a gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import UsageError
from glm2x.files import read_list
from glm2x.genome.genes import Gene, require_window, unversioned

PRESETS = {
    "s250": "250 random people to train on (the last 40 of them choose epochs), the rest to test on",
    "published-50-100": "the published 50 training and 100 test people and 200 genes, where present",
}


@dataclass(frozen=True)
class People:
    """Three lists of individuals and how they came about."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    preset: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class GeneSets:
    """Two sets of genes whose windows do not overlap, and the genes between them."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]
    gap: tuple[str, ...]


def make_split(
    cohort: Cohort,
    people: People,
    *,
    window: int,
    genes: Sequence[str] | None = None,
    unseen_share: float = 0.0,
    reference_validation_share: float = 0.15,
    seed: int = 0,
) -> Split:
    """Freeze people and genes into a split.

    Parameters
    ----------
    window
        The longest window in bp that will be used: no window of one gene set overlaps one of the other.
    genes
        The genes to take (default: all of the cohort).
    unseen_share
        The share of genes held out as one contiguous block.
    reference_validation_share
        The share of the seen genes on which phases that train on the reference choose their epoch.
    """
    require_window(window)
    if not 0 <= seed < 2**32:
        raise UsageError("a seed lies between 0 and 2^32", got=str(seed))
    chosen = [cohort.gene(name) for name in genes] if genes is not None else list(cohort.genes)
    unseen = hold_out_blocks(chosen, unseen_share, window, seed)
    outside = set(unseen.outside)
    seen = [gene for gene in chosen if gene.gene in outside]
    held = hold_out_blocks(seen, reference_validation_share, window, seed)
    return Split(
        train=people.train,
        validation=people.validation,
        test=people.test,
        seen=unseen.outside,
        unseen=unseen.inside,
        reference_validation=held.inside,
        reference_excluded=held.gap,
        preset=people.preset,
        seed=seed,
        cohort_digest=cohort.digest,
        window=window,
        excluded_genes=dict.fromkeys(unseen.gap, "its window overlaps a window of an unseen gene"),
    )


def hold_out_blocks(genes: Sequence[Gene], share: float, window: int, seed: int) -> GeneSets:
    """Hold out whole contigs, and one block of neighbours on another for what remains of the share.

    Of all such blocks those that cost the fewest genes in the gap around them are kept, and one of
    them is drawn. Random genes would share their windows: with 64 kb windows, 90.5 % of the unseen
    genes of a random split overlap a training window.

    Raises
    ------
    UsageError
        The share is not in ``[0, 1)``, or nothing would be left.
    """
    if not 0 <= share < 1:
        raise UsageError("a share of the genes lies between 0 and 1", got=str(share), wanted="such as 0.15")
    random = np.random.default_rng(seed)
    contigs = sorted({gene.contig for gene in genes})
    inside: list[Gene] = []
    gap: list[Gene] = []
    count = round(share * len(genes))
    for contig in random.permutation(contigs) if len(contigs) > 1 else contigs:
        here = sorted((g for g in genes if g.contig == contig), key=lambda g: (g.tss, g.gene))
        remaining = count - len(inside)
        if 0 < len(here) <= remaining:
            inside += here
        elif remaining:
            block, near = _block(here, remaining, window, random)
            inside, gap = inside + block, gap + near
    taken = {gene.gene for gene in (*inside, *gap)}
    outside = tuple(g.gene for g in genes if g.gene not in taken)
    if not outside:
        raise UsageError(
            "holding out so many genes leaves none to train on",
            got=f"{count} of {len(genes)} genes, and {len(gap)} in the gap of {window:,} bp around them",
            do="hold out a smaller share (--unseen-share, --reference-validation-share)",
        )
    return GeneSets(tuple(g.gene for g in inside), outside, tuple(g.gene for g in gap))


def _block(
    here: Sequence[Gene], count: int, window: int, random: np.random.Generator
) -> tuple[list[Gene], list[Gene]]:
    """Draw one of the runs of `count` neighbours that have the fewest others within a window; return both."""
    tss = np.asarray([gene.tss for gene in here])
    firsts = np.arange(len(here) - count + 1)
    lasts = firsts + count - 1
    starts = np.searchsorted(tss, tss[firsts] - window, side="right")
    ends = np.searchsorted(tss, tss[lasts] + window, side="left")
    cheapest = np.flatnonzero(ends - starts == (ends - starts).min())
    drawn = cheapest[int(random.integers(len(cheapest)))]
    first, last, start, end = (int(places[drawn]) for places in (firsts, lasts, starts, ends))
    return list(here[first : last + 1]), [*here[start:first], *here[last + 1 : end]]


def random_people(
    cohort: Cohort, *, train: int, validation: int, seed: int = 0, preset: str = "random"
) -> People:
    """Draw training people at random; the last `validation` of them choose epochs, the rest are tested.

    The order is ``numpy.random.RandomState(seed).permutation(people)`` over the people who have
    expression, in the cohort's order. Where the table of people names families, the members of a
    family follow one another and are on one side, so that a side may hold a few people more.
    """
    measured = np.isfinite(cohort.expression).any(axis=0)
    names = [cohort.individuals[i] for i in np.flatnonzero(measured)]
    if not (0 <= validation < train < len(names) and 0 <= seed < 2**32):
        raise UsageError(
            "these numbers of people make no split",
            where=str(cohort.folder),
            got=f"{train} to train on, {validation} of them to choose epochs with, seed {seed}; "
            f"{len(names)} people with expression",
            wanted="0 <= validation < train < people with expression",
            do="--train-count and --validation-count with other numbers",
        )
    order = [names[i] for i in np.random.RandomState(seed).permutation(len(names))]
    families = _families(cohort)
    order = sorted(order, key=_first_of_family(order, families))
    sides: list[list[str]] = [[], [], []]
    wanted = (train - validation, validation, len(order))
    side = 0
    for i, name in enumerate(order):
        begins = i == 0 or families.get(name, name) != families.get(order[i - 1], order[i - 1])
        while begins and len(sides[side]) >= wanted[side]:
            side += 1
        sides[side].append(name)
    return People(tuple(sides[0]), tuple(sides[1]), tuple(sides[2]), preset)


def _families(cohort: Cohort) -> dict[str, str]:
    """Return the family of each person who has one in the table of people."""
    if "family" not in cohort.people.columns:
        return {}
    rows = cohort.people.select("individual", "family").drop_nulls().iter_rows()
    return {name: f"family {family}" for name, family in rows}


def _first_of_family(order: Sequence[str], families: dict[str, str]) -> Callable[[str], int]:
    """Return a sort key that lets everybody follow the first member of the family."""
    place: dict[str, int] = {}
    for i, name in enumerate(order):
        place.setdefault(families.get(name, name), i)
    return lambda name: place[families.get(name, name)]


def preset_people(cohort: Cohort, preset: str) -> People:
    """Return the people of a preset (`UsageError` for one that is unknown or that the cohort cannot fill)."""
    if preset == "s250":
        return random_people(cohort, train=250, validation=40, preset=preset)
    if preset == "published-50-100":
        return published_people(cohort)
    raise UsageError(
        f"no preset is called {preset}",
        wanted="; ".join(f"{name}: {text}" for name, text in PRESETS.items()),
    )


def published_people(cohort: Cohort) -> People:
    """Return the published lists as far as the cohort has their people, and say who is missing."""
    lists = {side: _packaged(f"published-{side}.txt") for side in ("train-50", "test-100")}
    known = set(cohort.individuals)
    found = {side: tuple(name for name in names if name in known) for side, names in lists.items()}
    warnings = tuple(
        f"{len(found[side])} of the {len(names)} published {side.split('-')[0]} people are in the cohort"
        for side, names in lists.items()
        if len(found[side]) < len(names)
    )
    if not found["train-50"] or not found["test-100"]:
        raise UsageError(
            "the cohort holds none of the published people",
            where=str(cohort.folder),
            wanted="GEUVADIS individuals such as " + ", ".join(lists["train-50"][:2]),
            do="another preset, or --train and --test with lists of your own",
        )
    return People(found["train-50"], (), found["test-100"], "published-50-100", warnings)


def published_genes(cohort: Cohort) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the published 200 genes that the cohort has, or None (all) where it has none; and warnings."""
    published = _packaged("published-genes-200.txt")
    by_stem = {unversioned(name): name for name in cohort.gene_ids}
    found = tuple(by_stem[unversioned(name)] for name in published if unversioned(name) in by_stem)
    if not found:
        return None, ("none of the published 200 genes is in the cohort: all its genes are taken",)
    warning = f"{len(found)} of the {len(published)} published genes are in the cohort"
    return found, (warning,) if len(found) < len(published) else ()


def listed_people(cohort: Cohort, train: Path, test: Path, validation: Path | None = None) -> People:
    """Read lists of individuals, one a line (`DataError` for somebody whom the cohort has not)."""
    people = People(
        read_list(train), read_list(validation) if validation else (), read_list(test), preset="lists"
    )
    cohort.individual_index([*people.train, *people.validation, *people.test])
    return people


def _packaged(name: str) -> tuple[str, ...]:
    return tuple((resources.files("glm2x.cohort") / "lists" / name).read_text().split())
