"""People and genes from lists: one's own, and those of the published benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.people import People, measured, some
from glm2x.errors import UsageError
from glm2x.files import read_list
from glm2x.genome.genes import unversioned

_GENES = "published-genes-200.txt"


def listed_people(cohort: Cohort, train: Path, test: Path, validation: Path | None = None) -> People:
    """Read lists of individuals, one a line; those who have no expression are left out with a warning.

    Raises
    ------
    DataError
        A file is missing or no list, or names somebody whom the cohort has not.
    UsageError
        Nobody of a list has expression.
    """
    files = {"train": train, "validation": validation, "test": test}
    lists = {side: read_list(file) if file is not None else () for side, file in files.items()}
    cohort.individual_index([name for names in lists.values() for name in names])
    found: dict[str, tuple[str, ...]] = {}
    warnings: list[str] = []
    for side, names in lists.items():
        found[side], said = _with_expression(cohort, names, f"{side} people")
        warnings += said
        if names and not found[side]:
            raise UsageError(
                f"nobody of the list of {side} people has expression",
                where=str(files[side]),
                got=f"{len(names)} people such as {names[0]}",
                wanted=f"people with expression in {cohort.folder}",
                do="another list; glm2x predict takes people without expression",
            )
    return People(found["train"], found["validation"], found["test"], "lists", warnings=tuple(warnings))


def published_people(cohort: Cohort) -> People:
    """Return the published lists as far as the cohort has their people and expression, and who is missing.

    Raises
    ------
    UsageError
        It has none of one of the two lists.
    """
    lists = {side: packaged(f"published-{side}.txt") for side in ("train-50", "test-100")}
    known = set(cohort.individuals)
    found: dict[str, tuple[str, ...]] = {}
    warnings = []
    for side, names in lists.items():
        kind = f"published {side.split('-')[0]} people"
        here = [name for name in names if name in known]
        if absent := [name for name in names if name not in known]:
            warnings.append(
                f"{len(here)} of the {len(names)} {kind} are in the cohort; "
                f"{len(absent)} are absent: {some(absent)}"
            )
        found[side], said = _with_expression(cohort, here, kind)
        warnings += said
    if not found["train-50"] or not found["test-100"]:
        raise UsageError(
            "the cohort holds none of the published people",
            where=str(cohort.folder),
            got="; ".join(warnings),
            wanted="GEUVADIS individuals such as " + ", ".join(lists["train-50"][:2]),
            do="another preset, or --train and --test with lists of your own",
        )
    return People(found["train-50"], (), found["test-100"], "published-50-100", warnings=tuple(warnings))


def published_genes(cohort: Cohort) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the genes of the published preset, None for all of the cohort's, and what there is to say.

    The published 200 are the list of the personal phase: a reference phase trains on more, and the
    unseen genes are not among them. Where the cohort knows the sides of its genes, all are taken.
    Where it knows none, the 200 that it has are, else all.
    """
    published = packaged(_GENES)
    by_stem = {unversioned(name): name for name in cohort.gene_ids}
    found = tuple(by_stem[unversioned(name)] for name in published if unversioned(name) in by_stem)
    if not found:
        return None, ("none of the published 200 genes is in the cohort: all its genes are taken",)
    if any(cohort.gene_sides):
        return None, (
            f"all genes are taken, on the sides of the cohort's own table; {len(found)} of the "
            f"{len(published)} published genes are in the cohort, and are the list of a personal phase: in "
            f"a training configuration, genes: {{personal: {_packaged(_GENES)}}}",
        )
    warning = f"{len(found)} of the {len(published)} published genes are in the cohort"
    return found, (warning,) if len(found) < len(published) else ()


def packaged(name: str) -> tuple[str, ...]:
    """Return the names of a list that comes with the package."""
    return tuple(Path(_packaged(name)).read_text().split())


def _packaged(name: str) -> str:
    return str(resources.files("glm2x.cohort") / "lists" / name)


def _with_expression(
    cohort: Cohort, names: Sequence[str], kind: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who has expression, and a sentence that names who has none."""
    known = set(measured(cohort))
    without = [name for name in names if name not in known]
    said = f"{len(without)} of {len(names)} {kind} have no expression and are on no side: {some(without)}"
    return tuple(name for name in names if name in known), (said,) if without else ()
