"""The named ways to make a split, and how people and genes are frozen into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.gene_sets import GeneSets, hold_out_blocks, hold_out_contigs, hold_out_published
from glm2x.cohort.partition import GeneSide
from glm2x.cohort.people import (
    People,
    Relatives,
    fraction_people,
    full_people,
    population_out,
    published_people,
    random_people,
)
from glm2x.cohort.split import Split
from glm2x.errors import UsageError
from glm2x.genome.genes import require_window

PRESETS = {
    "s250": "250 random people to learn from (the last 40 of them choose epochs), the rest to test on",
    "published-50-100": "the published 50 training and 100 test people and 200 genes, where present",
    "fraction": "a random share of each population to learn from, the rest to test on",
    "few-shot": "as fraction, then n of those people only, drawn several times; one set of test people",
    "leave-one-population-out": "one population to test on, everybody else to learn from",
    "full": "everybody to learn from and nobody to test on: for a model that another cohort tests",
}

_TAKES = {
    "fraction": {"train_share", "validation_share"},
    "few-shot": {"train_share", "validation_share"},
    "leave-one-population-out": {"population", "validation_share"},
    "full": {"validation_share"},
}


def preset_people(
    cohort: Cohort,
    preset: str,
    *,
    train_share: float | None = None,
    validation_share: float | None = None,
    population: str | None = None,
    seed: int = 0,
    relatives: Relatives = "together",
) -> People:
    """Return the people of a preset; for ``few-shot`` those of the base from which is drawn.

    Parameters
    ----------
    train_share
        Of ``fraction`` and ``few-shot``: the share of people that are learnt from (0.8).
    validation_share
        The share of the people that are learnt from who choose epochs (0).
    population
        Of ``leave-one-population-out``: whom to test.
    seed
        Of the people drawn; ``s250`` is always that of seed 0.
    relatives
        ``together`` keeps relatives on one side, where they can be told.

    Raises
    ------
    UsageError
        The preset is unknown, does not take an option, lacks one, or cannot be filled by the cohort.
    """
    if preset not in PRESETS:
        raise UsageError(
            f"no preset is called {preset}",
            wanted="; ".join(f"{name}: {text}" for name, text in PRESETS.items()),
        )
    given = {"train_share": train_share, "validation_share": validation_share, "population": population}
    strange = [key for key, value in given.items() if value is not None and key not in _TAKES.get(preset, ())]
    if strange:
        option = "--" + strange[0].replace("_", "-")
        taking = [name for name, keys in _TAKES.items() if strange[0] in keys]
        raise UsageError(f"{option} does not go with {preset}", wanted=f"{option} with {', '.join(taking)}")
    if preset == "s250":
        return random_people(cohort, train=250, validation=40, preset=preset, relatives=relatives)
    if preset == "published-50-100":
        return published_people(cohort)
    validation = validation_share or 0.0
    if preset == "full":
        return full_people(cohort, validation_share=validation, seed=seed, relatives=relatives)
    if preset == "leave-one-population-out":
        if population is None:
            raise UsageError("leave-one-population-out needs a population", do="add --population NAME")
        return population_out(cohort, population, validation_share=validation, seed=seed, relatives=relatives)
    return fraction_people(
        cohort,
        train_share=0.8 if train_share is None else train_share,
        validation_share=validation,
        seed=seed,
        preset=preset,
        relatives=relatives,
    )


def make_split(
    cohort: Cohort,
    people: People,
    *,
    window: int,
    genes: Sequence[str] | None = None,
    unseen_share: float = 0.0,
    unseen_contigs: Sequence[str] = (),
    published_sides: Mapping[str, GeneSide | None] | None = None,
    reference_validation_share: float = 0.15,
    seed: int = 0,
) -> Split:
    """Freeze people and genes into a split.

    Parameters
    ----------
    window
        The longest window in bp that will be used: no window of one gene set overlaps one of the other,
        unless `published_sides` has it so.
    genes
        The genes to take (default: all of the cohort).
    unseen_share
        The share of genes held out as one contiguous block.
    unseen_contigs
        Instead: the contigs whose genes are held out, with or without ``chr``.
    published_sides
        Without either of those: the side of each gene in a published table. Their windows may overlap.
    reference_validation_share
        The share of the seen genes on which phases that train on the reference choose their epoch.
    """
    require_window(window)
    if not 0 <= seed < 2**32:
        raise UsageError("a seed lies between 0 and 2^32", got=str(seed))
    if unseen_contigs and unseen_share:
        raise UsageError("--unseen-share and --unseen-contigs are two ways to hold out genes", do="give one")
    chosen = [cohort.gene(name) for name in genes] if genes is not None else list(cohort.genes)
    reason = "its window overlaps a window of an unseen gene"
    unseen: GeneSets
    if unseen_contigs:
        unseen = hold_out_contigs(chosen, unseen_contigs)
    elif published_sides is not None and not unseen_share:
        unseen, reason = hold_out_published(chosen, published_sides), "the published table gives it no side"
    else:
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
        excluded_genes=dict.fromkeys(unseen.gap, reason),
        relatives=people.relatives,
    )
