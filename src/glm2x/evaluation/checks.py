"""Leak checks: what would make a result better than it is, as far as table, cohort and split show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.gene_sets import overlapping
from glm2x.cohort.split import Split
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.controls import refitted_to_permuted
from glm2x.evaluation.fitting_checks import fitted_with_test_people, genes_chosen
from glm2x.evaluation.genotype_checks import genotype_checks
from glm2x.evaluation.relatives import relatives_across_sides
from glm2x.evaluation.sequence_checks import sequence_checks
from glm2x.evaluation.signal_check import expression_follows_genotypes
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import DEFAULT_WINDOW, Cell, largest_window
from glm2x.evaluation.target_checks import observed_between_rows, observed_of_cohort, transductive_target

SAMPLED_VARIANTS = 1_000
"""How many variants of a contig are compared with the reference, evenly spaced."""


def run_checks(
    table: Table,
    cells: Sequence[Cell],
    *,
    cohort: Cohort | None,
    split: Split | None,
) -> tuple[Check, ...]:
    """Run every check that the inputs allow; the others say `not run` and what they lack."""
    window = largest_window(table, split)
    return (
        _two_sides(table, "people_on_two_sides", "individual"),
        _two_sides(table, "genes_on_two_sides", "gene"),
        _split_labels(table, split),
        relatives_across_sides(table.people, cohort, split),
        _overlapping_windows(table, cohort, split),
        _reference_mismatch(cohort),
        observed_between_rows(table),
        observed_of_cohort(table, cohort, split),
        _same_rows(cells),
        _same_window(table),
        _same_cohort(table, cohort, split),
        transductive_target(table.metadata, cohort, split),
        _published_preset(split),
        genes_chosen(table, cohort, split),
        fitted_with_test_people(table, split),
        refitted_to_permuted(table),
        expression_follows_genotypes(cohort, window or DEFAULT_WINDOW),
        *genotype_checks(cells, cohort, window, strict=_all_say_their_window(table)),
        *sequence_checks(cohort, split, window or DEFAULT_WINDOW),
    )


def _all_say_their_window(table: Table) -> bool:
    return bool(table.sources) and all(said.window is not None for _, said in table.sources)


def _two_sides(table: Table, name: str, column: Literal["individual", "gene"]) -> Check:
    """Find people (or genes) whom the table puts on two sides.

    Draws of one base have the same genes and test people, so that nobody who is tested in one of them
    may be learnt from in another. Of draws that do not say their base, each is looked at alone.
    """
    side = f"{column}_split"
    known = (table.people if column == "individual" else table.genes).filter(pl.col(side).is_not_null())
    if known.height == 0:
        return not_run(name, f"the column {side}", leak=True)
    total = known[column].n_unique()
    both = _more_than_one(known, side, column, "draw")
    if both:
        return Check(name, "fail", f"{len(both)} of {total} have more than one {side}: {some(both)}", True)
    if table.metadata.family is not None:
        learnt = known.with_columns(pl.col(side).replace("validation", "train"))
        both = _more_than_one(learnt, side, column)
        if both:
            detail = f"{len(both)} of {total} are on different sides in draws of one base: {some(both)}"
            return Check(name, "fail", detail, True)
    return Check(name, "pass", f"each of {total} has one {side}", True)


def _more_than_one(frame: pl.DataFrame, side: str, column: str, *within: str) -> list[str]:
    sides = frame.group_by(column, *within).agg(pl.col(side).n_unique())
    return sides.filter(pl.col(side) > 1)[column].unique().sort().to_list()


def _split_labels(table: Table, split: Split | None) -> Check:
    """Find rows whose sides in the table are not those of the split.

    Draws of one base share their genes and test people; whom one of them learns from may be on no
    side of another.
    """
    name = "split_labels"
    if split is None:
        return not_run(name, "--split", leak=True)
    wrong = []
    for frame, column, side, of in (
        (table.people, "individual", "individual_split", split.individual_split),
        (table.genes, "gene", "gene_split", split.gene_split),
    ):
        labels = frame.select(column, side, pl.col("draw").is_not_null()).drop_nulls().unique()
        for who, said, drawn in labels.sort(column, side).iter_rows():
            frozen = of(who)
            another_draw = column == "individual" and (drawn or split.draw is not None)
            if said != frozen and not (another_draw and "test" not in (said, frozen)):
                wrong.append(f"{who} ({said} in the table, {frozen or 'absent'} in the split)")
    if wrong:
        return Check(name, "fail", f"{len(wrong)} sides differ from the split's: {some(wrong)}", True)
    return Check(name, "pass", "the sides in the table are the split's", True)


def _overlapping_windows(table: Table, cohort: Cohort | None, split: Split | None) -> Check:
    name = "windows_overlap"
    if cohort is None or split is None:
        return not_run(name, "--cohort and --split", leak=True)
    if not split.unseen:
        return Check(name, "pass", "the split has no unseen genes", True)
    window = largest_window(table, split) or split.window
    near = overlapping(map(cohort.gene, split.unseen), map(cohort.gene, split.seen), window)
    said = f"{len(near)} of {len(split.unseen)} unseen genes have a {window:,} bp window that overlaps"
    if near:
        return Check(name, "fail", f"{said} a training gene's: {some(near)}", True)
    return Check(name, "pass", f"{said} a training gene's", True)


def _reference_mismatch(cohort: Cohort | None) -> Check:
    name = "reference_mismatch"
    if cohort is None:
        return not_run(name, "--cohort", leak=True)
    if not cohort.has_reference:
        return not_run(name, "a cohort built with a reference", leak=True)
    held = set(cohort.manifest["reference_contigs"])
    contigs = sorted({gene.contig for gene in cohort.genes})
    compared, wrong = 0, []
    for contig in filter(held.__contains__, contigs):
        variants, reference = cohort.variants(contig), cohort.reference(contig)
        count = len(variants.position)
        columns = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_VARIANTS)).astype(np.int64))
        differs = columns[variants.reference_differs(reference, columns)]
        compared += len(columns)
        # 1-based, as a VCF has them.
        wrong += [f"{contig}:{at + 1:,}" for at in variants.position[differs].tolist()]
    absent = [contig for contig in contigs if contig not in held]
    without = f"; no reference of {some(absent)}" if absent else ""
    if not compared:
        return Check(name, "not run", f"no variant lies on a contig with a reference{without}", True)
    said = f"{compared:,} variants compared with the reference (at most {SAMPLED_VARIANTS:,} a contig)"
    if wrong:
        return Check(name, "fail", f"{said}: REF differs for {len(wrong):,}: {some(wrong)}{without}", True)
    return Check(name, "pass", f"{said}: REF is the reference's base for all{without}", True)


def _same_rows(cells: Sequence[Cell]) -> Check:
    """Find rows of the report that were not made on the same genes and people.

    Draws learn from different people, so that the cell of training people says nothing there.
    """
    name = "same_genes_and_people"
    uneven = []
    for cell in cells:
        drawn = any(replicate.draw >= 0 for row in cell.rows for replicate in row.replicates)
        if drawn and not cell.name.endswith("new_individual"):
            continue
        masks = {}
        for row in cell.rows:
            masks[row.label] = row.mask
            row.release()
        union = np.any(list(masks.values()), axis=0)
        whole = int(union.sum())
        short = [
            f"{label} {int(mask.sum())}{_absent(mask, union)}"
            for label, mask in masks.items()
            if mask.sum() < whole
        ]
        if short:
            uneven.append(f"{cell.name}: of {whole} pairs of gene and individual {some(short, 5)}")
    if uneven:
        detail = "not all models were evaluated on the same; " + "; ".join(uneven)
        return Check(name, "warn", detail + "; comparisons use what both have", False)
    return Check(name, "pass", "all models were evaluated on the same genes and people", False)


def _absent(mask: NDArray[np.bool_], union: NDArray[np.bool_]) -> str:
    """Say how many people and genes a row lacks altogether."""
    lacks = [
        f"{int((union.any(axis=axis) & ~mask.any(axis=axis)).sum())} {what}"
        for axis, what in ((0, "people"), (1, "genes"))
        if (union.any(axis=axis) & ~mask.any(axis=axis)).any()
    ]
    return f" (without {' and '.join(lacks)})" if lacks else ""


def _same_window(table: Table) -> Check:
    name = "same_window"
    windows = sorted({m.window for _, m in table.sources if m.window is not None})
    if not windows:
        return not_run(name, "files that say their window", leak=False)
    if len(windows) > 1:
        said = ", ".join(f"{window:,}" for window in windows)
        return Check(name, "warn", f"models saw windows of different length: {said} bp", False)
    silent = sum(m.window is None for _, m in table.sources)
    if silent:
        return Check(
            name, "warn", f"{silent} files do not say their window; the others: {windows[0]:,} bp", False
        )
    return Check(name, "pass", f"all files: {windows[0]:,} bp", False)


def _same_cohort(table: Table, cohort: Cohort | None, split: Split | None) -> Check:
    name = "same_cohort"
    said = {m.cohort_digest for _, m in table.sources} | {table.metadata.cohort_digest}
    if cohort is not None:
        said.add(cohort.digest)
    if split is not None:
        said.add(split.cohort_digest)
    digests = sorted(digest for digest in said if digest)
    if not digests:
        return not_run(name, "files that say their cohort", leak=False)
    if len(digests) > 1:
        short = ", ".join(digest[:12] for digest in digests)
        return Check(name, "warn", f"tables, cohort and split name different cohorts: {short}", False)
    return Check(name, "pass", f"cohort {digests[0][:12]}", False)


def _published_preset(split: Split | None) -> Check:
    name = "published_preset"
    if split is None:
        return not_run(name, "--split", leak=False)
    if split.preset.startswith("published"):
        detail = f"{split.preset}: its people and genes were chosen, and looked at, before this study"
        return Check(name, "warn", detail, False)
    return Check(name, "pass", f"the preset is {split.preset}", False)
