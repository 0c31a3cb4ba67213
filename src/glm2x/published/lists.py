"""The lists that a published configuration names: where they lie, and the split that they imply."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.freeze import make_split
from glm2x.cohort.gene_sets import chosen_genes, overlapping
from glm2x.cohort.people import People, measured, some
from glm2x.cohort.split import Split
from glm2x.errors import DataError, UsageError
from glm2x.files import read_list
from glm2x.genome.genes import index_of_names, unversioned
from glm2x.published.config import PublishedConfig

PRESET = "published-lists"  # the split's name of how its people were chosen


@dataclass(frozen=True)
class Place:
    """Where a path of a published configuration was looked for.

    Attributes
    ----------
    written
        As the configuration has it.
    found
        The first that exists, None where none does.
    tried
        All places, in order.
    """

    written: str
    found: Path | None
    tried: tuple[Path, ...]

    @property
    def looked_at(self) -> str:
        """The places, in words."""
        return ", ".join(os.path.normpath(path) for path in self.tried)

    def __str__(self) -> str:
        """Return the path that was found, from the working folder where it lies in it, else as written."""
        if self.found is None:
            return self.written
        whole, here = self.found.resolve(), Path.cwd()
        return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)


def locate(config: PublishedConfig, written: str) -> Place:
    """Look for a path of a configuration.

    The published scripts run in the folder above that of the configurations, and their paths are seen
    from there. Looked at are the working folder, that folder, and the configuration's own.
    """
    folder = config.path.resolve().parent
    bases = (Path.cwd(), folder.parent, folder)
    tried = tuple(dict.fromkeys(base / written for base in bases))
    found = next((path for path in tried if path.exists()), None)
    return Place(written, found, tried)


def published_split(config: PublishedConfig, cohort: Cohort) -> tuple[Split, tuple[str, ...]]:
    """Return the split that a configuration's lists imply, and what there is to say of it.

    Everybody whom ``train_sample`` names is trained on, ``test_sample`` tested; an empty ``train_sample``
    is everybody else (published: everybody). There are no validation people, and no gene validates a
    reference phase: the published method has neither. Genes are on the sides of the cohort's partition
    table; where it has none, those of ``selected_gene`` are taken, all as seen.

    Raises
    ------
    DataError
        A list is not there, or no list.
    UsageError
        Nobody of a list is in the cohort with expression, or somebody stands in both.
    """
    test, notes = _people(config, cohort, "test_sample", config.test)
    if config.train:
        train, more = _people(config, cohort, "train_sample", config.train)
    else:
        train = tuple(name for name in measured(cohort) if name not in set(test))
        more = [f"train_sample is empty: all {len(train)} people who are not in test_sample are trained on"]
    notes += more
    genes: tuple[str, ...] | None = None
    sides = dict(zip(cohort.gene_ids, cohort.gene_sides, strict=True))
    if any(cohort.gene_sides):
        notes.append("genes are on the sides of the cohort's own table (split train: seen, test: unseen)")
    elif config.genes:
        genes, more = _genes(config, cohort)
        notes += more
    made = make_split(
        cohort,
        People(train, (), test, PRESET),
        window=config.window,
        genes=genes,
        published_sides=sides if any(cohort.gene_sides) else None,
        reference_validation_share=0.0,
    )
    notes.append("nobody validates, neither people nor genes, as published: a phase keeps its last epoch")
    near = overlapping(map(cohort.gene, made.unseen), map(cohort.gene, made.seen), config.window)
    if near:
        notes.append(
            f"{len(near)} of {len(made.unseen)} unseen genes have a {config.window:,} bp window that "
            "overlaps a seen gene's, as published: evaluate fails its check windows_overlap"
        )
    return made, tuple(notes)


def _read(config: PublishedConfig, key: str, written: str) -> tuple[str, ...]:
    place = locate(config, written)
    if place.found is None:
        raise DataError(
            f"the list of {key} does not exist",
            where=f"{written} of {config.path}",
            got=f"looked at {place.looked_at}",
            wanted="one name a line",
            do="put it there; or leave --cohort out, and make a split with glm2x split",
        )
    return read_list(place.found)


def _people(
    config: PublishedConfig, cohort: Cohort, key: str, written: str
) -> tuple[tuple[str, ...], list[str]]:
    """Return those of a list who are in the cohort and have expression, and who is not or has none."""
    if not written:
        return (), [f"{key} is empty: nobody is tested"]
    names = _read(config, key, written)
    known, with_expression = set(cohort.individuals), set(measured(cohort))
    absent = [name for name in names if name not in known]
    without = [name for name in names if name in known and name not in with_expression]
    kept = tuple(name for name in names if name in with_expression)
    notes = [
        f"{len(left)} of the {len(names)} people of {key} {what}: {some(left)}"
        for left, what in ((absent, "are not in the cohort"), (without, "have no expression"))
        if left
    ]
    if not kept:
        raise UsageError(
            f"nobody of {key} is in the cohort with expression",
            where=f"{written} of {config.path}",
            got=f"{len(names)} people such as {names[0]}",
            wanted=f"people such as {', '.join(cohort.individuals[:2])}",
            do="a cohort of these people",
        )
    return kept, notes


def _genes(config: PublishedConfig, cohort: Cohort) -> tuple[tuple[str, ...] | None, list[str]]:
    """Return the genes of the list that the cohort has, and what there is to say of the others."""
    names = _read(config, "selected_gene", config.genes)
    known = index_of_names(cohort.gene_ids)
    here = [name for name in names if name in known or unversioned(name) in known]
    if not here:
        return None, [
            f"none of the {len(names)} genes of selected_gene is in the cohort: all its genes are taken"
        ]
    genes, said = chosen_genes(cohort, here)
    return genes, [f"{len(genes)} of the {len(names)} genes of selected_gene are in the cohort", *said]


def missing_lists(config: PublishedConfig) -> Sequence[str]:
    """Return a sentence for each list that a configuration names and that is nowhere."""
    lists = {"selected_gene": config.genes, "train_sample": config.train, "test_sample": config.test}
    places = {key: locate(config, written) for key, written in lists.items() if written}
    return [
        f"{key} {place.written} does not exist; looked at {place.looked_at}"
        for key, place in places.items()
        if place.found is None
    ]
