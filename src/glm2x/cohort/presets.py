"""How splits are made: random people, the published lists, lists of one's own; genes by block with a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, UsageError
from glm2x.files import require_file
from glm2x.genome.genes import Gene, unversioned

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
    chosen = [cohort.gene(name) for name in genes] if genes is not None else list(cohort.genes)
    unseen = hold_out_block(chosen, unseen_share, window, seed)
    seen = [gene for gene in chosen if gene.gene in set(unseen.outside)]
    held = hold_out_block(seen, reference_validation_share, window, seed)
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


def hold_out_block(genes: Sequence[Gene], share: float, window: int, seed: int) -> GeneSets:
    """Hold out neighbouring genes such that few others fall into the gap around them.

    Of all runs of ``round(share * genes)`` neighbours on one contig, those that cost the fewest genes
    in the gap are kept, and one of them is drawn. Random genes would share their windows: with 64 kb
    windows, 90.5 % of the unseen genes of a random split overlap a training window.

    Raises
    ------
    UsageError
        No contig has that many genes.
    """
    count = round(share * len(genes))
    if count == 0:
        return GeneSets((), tuple(g.gene for g in genes), ())
    best: list[tuple[list[Gene], list[Gene]]] = []
    for contig in sorted({gene.contig for gene in genes}):
        here = sorted((g for g in genes if g.contig == contig), key=lambda g: (g.tss, g.gene))
        tss = np.asarray([gene.tss for gene in here])
        for first in range(len(here) - count + 1):
            last = first + count - 1
            near = (tss > tss[first] - window) & (tss < tss[last] + window)
            near[first : last + 1] = False
            gap = [gene for gene, is_near in zip(here, near, strict=True) if is_near]
            if best and len(gap) > len(best[0][1]):
                continue
            if best and len(gap) < len(best[0][1]):
                best.clear()
            best.append((here[first : last + 1], gap))
    if not best:
        raise UsageError(
            f"no contig has {count} genes to hold out as one block",
            got=f"{len(genes)} genes, share {share}",
            do="hold out a smaller share",
        )
    inside, gap = best[int(np.random.default_rng(seed).integers(len(best)))]
    taken = {gene.gene for gene in (*inside, *gap)}
    return GeneSets(
        tuple(g.gene for g in inside),
        tuple(g.gene for g in genes if g.gene not in taken),
        tuple(g.gene for g in gap),
    )


def random_people(
    cohort: Cohort, *, train: int, validation: int, seed: int = 0, preset: str = "random"
) -> People:
    """Draw training people at random; the last `validation` of them choose epochs, the rest are tested.

    The order is ``numpy.random.RandomState(seed).permutation(people)`` over the people who have
    expression, in the cohort's order.
    """
    measured = np.isfinite(cohort.expression).any(axis=0)
    names = [cohort.individuals[i] for i in np.flatnonzero(measured)]
    if not 0 <= validation < train < len(names):
        raise UsageError(
            "there are too few people for this split",
            where=str(cohort.folder),
            got=f"{len(names)} people with expression",
            wanted=f"more than {train} ({train} to train on, {validation} of them to choose epochs with)",
            do="--train-count and --validation-count with smaller numbers",
        )
    order = [names[i] for i in np.random.RandomState(seed).permutation(len(names))]
    return People(
        tuple(order[: train - validation]),
        tuple(order[train - validation : train]),
        tuple(order[train:]),
        preset,
    )


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


def read_list(path: Path | str) -> tuple[str, ...]:
    """Read names, one a line; blank lines and lines that start with ``#`` are passed over."""
    path = require_file(path, kind="list")
    lines = (line.strip() for line in path.read_text().splitlines())
    names = tuple(line for line in lines if line and not line.startswith("#"))
    if not names:
        raise DataError("a list holds no name", where=str(path), wanted="one name a line")
    return names


def _packaged(name: str) -> tuple[str, ...]:
    return tuple((resources.files("glm2x.cohort") / "lists" / name).read_text().split())
