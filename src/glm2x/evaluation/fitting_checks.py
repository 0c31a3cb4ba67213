"""Checks of how models were fitted and genes chosen, as far as files and labels say it."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.table import Table
from glm2x.genome.genes import unversioned


def fitted_with_test_people(table: Table, split: Split | None) -> Check:
    """Find models that learnt from more people than there are to learn from, and files that do not say.

    Covariates, scalers, penalties and epochs of glm2x's own models are of training and validation
    people alone; of others a table cannot show it. Its own models may come from another split or cohort
    with more people, and are refused then where they know this split's test people: more people warn.
    """
    name = "fitted_with_test_people"
    if split is None:
        return not_run(name, "--split", leak=True)
    silent = [Path(file).name for file, said in table.sources if said.glm2x_version is None]
    people = len(split.train) + len(split.validation)
    if split.draw is None:
        said = table.people.filter(pl.col("train_individuals") > people)
        many = said.select("model", "train_individuals").unique().sort("model", "train_individuals").rows()
        if many:
            named = [f"{model} ({count})" for model, count in many]
            detail = (
                f"{len(many)} models learnt from more people than the split has to learn from ({people}): "
                f"{some(named)}"
            )
            if table.sources and not silent:
                detail += "; the files are glm2x's, so that they were fitted with another split or cohort"
                return Check(name, "warn", detail, True)
            return Check(name, "fail", detail, True)
    if not table.sources:
        return not_run(name, "files that say what made them", leak=True)
    if silent:
        detail = (
            f"{len(silent)} of {len(table.sources)} files do not say with whom covariates, scalers, "
            f"penalties and epochs were fitted: {some(silent)}"
        )
        return Check(name, "warn", detail, True)
    detail = (
        f"all {len(table.sources)} files are glm2x's, whose covariates, scalers, penalties and epochs "
        "are fitted with training and validation people"
    )
    return Check(name, "pass", detail, True)


def genes_chosen(table: Table, cohort: Cohort | None, split: Split | None) -> Check:
    """Say which genes were left out before: who chose them may have looked at test people."""
    name = "genes_chosen"
    if cohort is None or split is None:
        return not_run(name, "--cohort and --split", leak=False)
    known = {unversioned(gene) for gene in (*split.seen, *split.unseen, *split.excluded_genes)}
    left = len({unversioned(gene) for gene in cohort.gene_ids} - known)
    reasons = []
    if left:
        reasons.append(f"the split leaves out {left} of the cohort's {len(cohort.gene_ids)} genes")
    for model, genes in table.genes.group_by("model").agg(pl.col("gene").unique()).sort("model").rows():
        # baselines are fitted to a gene's own people, so that they have no unseen gene
        wanted = {unversioned(gene) for gene in split.seen}
        absent = len(wanted - {unversioned(gene) for gene in genes})
        if absent:
            reasons.append(f"{model} lacks {absent} of {len(wanted)} seen genes")
    if reasons:
        detail = f"{some(reasons, 5)}; whether test people had a part in the choice is not on record"
        return Check(name, "warn", detail, False)
    return Check(
        name, "pass", "every gene of the cohort is in the split, every seen gene in the table", False
    )
