"""Leak checks: what would make a result better than it is, as far as table, cohort and split show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import Target, log_expression, make_target
from glm2x.errors import Glm2xError
from glm2x.evaluation.controls import TOLERANCE, Permuted
from glm2x.evaluation.relatives import MIN_VARIANTS, related_pairs, split_families
from glm2x.evaluation.tables import Cell
from glm2x.genome.genes import unversioned
from glm2x.predictions import Predictions

Status = Literal["pass", "warn", "fail", "not run"]

ROUNDING = 1e-3
"""Two measurements within this (absolute and relative) are the same: a CSV may hold three decimals."""


@dataclass(frozen=True)
class Check:
    """One check's outcome. A failed `leak` check makes the command end with exit code 3."""

    name: str
    status: Status
    detail: str
    leak: bool


def run_checks(
    predictions: Predictions,
    cells: Sequence[Cell],
    permuted: Mapping[str, Mapping[str, Permuted]],
    *,
    cohort: Cohort | None,
    split: Split | None,
) -> tuple[Check, ...]:
    """Run every check that the inputs allow; the others say `not run` and what they lack.

    Parameters
    ----------
    permuted
        By cell and label, mean r with people permuted.
    """
    frame = predictions.frame
    return (
        _two_sides(frame, "people_on_two_sides", "individual", "individual_split"),
        _two_sides(frame, "genes_on_two_sides", "gene", "gene_split"),
        _split_labels(frame, split),
        _relatives(cohort, split),
        _overlapping_windows(predictions, cohort, split),
        _reference_mismatch(cohort),
        _observed_between_rows(frame),
        _observed_of_cohort(predictions, cohort, split),
        _same_rows(cells),
        _same_window(predictions),
        _same_cohort(predictions, cohort, split),
        _transductive(predictions, cohort, split),
        _published_preset(split),
        _permuted(permuted),
    )


def _not_run(name: str, lacks: str, *, leak: bool) -> Check:
    return Check(name, "not run", f"needs {lacks}", leak)


def _some(names: Sequence[object], limit: int = 3) -> str:
    shown = ", ".join(str(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _two_sides(frame: pl.DataFrame, name: str, column: str, side: str) -> Check:
    """Find people (or genes) whom the table puts on two sides of one draw."""
    known = frame.filter(pl.col(side).is_not_null())
    if known.height == 0:
        return _not_run(name, f"the column {side}", leak=True)
    sides = known.group_by(column, "draw").agg(pl.col(side).n_unique())
    both = sides.filter(pl.col(side) > 1)[column].unique().sort().to_list()
    total = known[column].n_unique()
    if both:
        return Check(name, "fail", f"{len(both)} of {total} have more than one {side}: {_some(both)}", True)
    return Check(name, "pass", f"each of {total} has one {side}", True)


def _split_labels(frame: pl.DataFrame, split: Split | None) -> Check:
    """Find rows whose sides in the table are not those of the split."""
    name = "split_labels"
    if split is None:
        return _not_run(name, "--split", leak=True)
    wrong = []
    for column, side, of in (
        ("individual", "individual_split", split.individual_split),
        ("gene", "gene_split", split.gene_split),
    ):
        for who, said in frame.select(column, side).drop_nulls().unique().sort(column).iter_rows():
            frozen = of(who)
            if said != frozen:
                wrong.append(f"{who} ({said} in the table, {frozen or 'absent'} in the split)")
    if wrong:
        return Check(name, "fail", f"{len(wrong)} sides differ from the split's: {_some(wrong)}", True)
    return Check(name, "pass", "the sides in the table are the split's", True)


def _relatives(cohort: Cohort | None, split: Split | None) -> Check:
    name = "relatives_across_sides"
    if cohort is None or split is None:
        return _not_run(name, "--cohort and --split", leak=True)
    fitted = {*split.train, *split.validation}
    tested = set(split.test)
    families = split_families(cohort.people, fitted, tested)
    if families is not None:
        if families:
            return Check(
                name,
                "fail",
                f"{len(families)} families are on both sides (people table): {_some(families)}",
                True,
            )
        return Check(name, "pass", "no family of the people table is on both sides", True)
    found = related_pairs(cohort, fitted, tested)
    if found.variants < MIN_VARIANTS:
        detail = (
            f"not judged: {found.variants:,} variants, and relatives are told apart from "
            f">= {MIN_VARIANTS:,} only; "
            "a people table with a family column settles it"
        )
        return Check(name, "warn", detail, True)
    unjudged = f"; {len(found.unjudged)} people of small populations not judged" if found.unjudged else ""
    if found.pairs:
        said = [f"{a} and {b} ({similarity:.2f})" for a, b, similarity in found.pairs]
        detail = (
            f"{len(said)} pairs of a fitted and a test individual are more alike than "
            f"{found.threshold:g} within their population, from {found.variants:,} variants: "
            f"{_some(said)}{unjudged}"
        )
        return Check(name, "fail", detail, True)
    detail = (
        f"no fitted and test individual are more alike than {found.threshold:g}, "
        f"from {found.variants:,} variants"
    )
    return Check(name, "warn" if found.unjudged else "pass", detail + unjudged, True)


def _overlapping_windows(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    name = "windows_overlap"
    if cohort is None or split is None:
        return _not_run(name, "--cohort and --split", leak=True)
    if not split.unseen:
        return Check(name, "pass", "the split has no unseen genes", True)
    window = max(split.window, predictions.metadata.window or 0)
    seen: dict[str, list[int]] = {}
    for gene in map(cohort.gene, split.seen):
        seen.setdefault(gene.contig, []).append(gene.tss)
    overlapping = [
        gene.gene
        for gene in map(cohort.gene, split.unseen)
        if any(abs(gene.tss - tss) < window for tss in seen.get(gene.contig, ()))
    ]
    said = f"{len(overlapping)} of {len(split.unseen)} unseen genes have a {window:,} bp window that overlaps"
    if overlapping:
        return Check(name, "fail", f"{said} a training gene's: {_some(overlapping)}", True)
    return Check(name, "pass", f"{said} a training gene's", True)


def _reference_mismatch(cohort: Cohort | None) -> Check:
    name = "reference_mismatch"
    if cohort is None:
        return _not_run(name, "--cohort", leak=True)
    if not cohort.has_reference:
        return _not_run(name, "a cohort built with a reference", leak=True)
    return Check(
        name, "pass", "the cohort was built, and a REF that differs from the reference is refused then", True
    )


def _observed_between_rows(frame: pl.DataFrame) -> Check:
    """Find measurements that differ between models: their people are in another order, or their target is."""
    name = "observed_between_models"
    spread = pl.col("observed").max() - pl.col("observed").min()
    allowed = ROUNDING * (1 + pl.col("observed").abs().max())
    pairs = (
        frame.filter(pl.col("observed").is_not_null())
        .group_by("gene", "individual", "draw")
        .agg(spread.alias("spread"), allowed.alias("allowed"))
        .sort("gene", "individual")
    )
    wrong = pairs.filter(pl.col("spread") > pl.col("allowed"))
    if wrong.height:
        said = [f"{g} of {i}" for g, i in wrong.select("gene", "individual").iter_rows()]
        detail = (
            f"{wrong.height} of {pairs.height} measurements differ between rows of the table: {_some(said)}"
        )
        return Check(name, "fail", detail, True)
    return Check(name, "pass", f"all rows agree on {pairs.height} measurements", True)


def _target(predictions: Predictions, cohort: Cohort, split: Split | None) -> Target | str:
    """Return the cohort's target in the table's mode, or why it cannot be made."""
    mode = predictions.metadata.target
    if mode not in ("residual", "residual-all"):
        return f"is not a residual target ({mode or 'unknown'})"
    if split is None:
        return "needs --split"
    try:
        return make_target(cohort, split, "residual" if mode == "residual" else "residual-all")
    except Glm2xError as error:
        return f"cannot be made from the cohort: {error.what}"


def _observed_of_cohort(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    """Compare the table's measurements with the cohort's; a wrong sample order shows here."""
    name = "sample_order"
    if cohort is None:
        return _not_run(name, "--cohort", leak=True)
    mode = predictions.metadata.target
    values = log_expression(cohort)
    if mode in ("residual", "residual-all"):
        target = _target(predictions, cohort, split)
        if isinstance(target, str):
            return Check(name, "not run", f"the {mode} target {target}", True)
        values = target.values
    measured = predictions.frame.filter(pl.col("observed").is_not_null())
    measured = measured.unique(("gene", "individual", "observed"), maintain_order=True)
    rows = {unversioned(gene): row for row, gene in enumerate(cohort.gene_ids)}
    columns = {individual: column for column, individual in enumerate(cohort.individuals)}
    held = [gene for gene in measured["gene"].unique() if unversioned(gene) in rows]
    known = measured.filter(pl.col("gene").is_in(held), pl.col("individual").is_in(list(columns)))
    absent = measured.height - known.height
    if known.height == 0:
        return Check(name, "not run", "none of the table's genes and people are in the cohort", True)
    g = np.array([rows[unversioned(gene)] for gene in known["gene"]])
    i = np.array([columns[individual] for individual in known["individual"]])
    observed, expected = known["observed"].to_numpy(), values[g, i]
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(observed - expected) <= ROUNDING * (1 + np.abs(expected)))
    count = int(wrong.sum())
    if count:
        first = int(wrong.argmax())
        detail = (
            f"{count} of {known.height} measurements are not the cohort's, first {known['gene'][first]} of "
            f"{known['individual'][first]}: {observed[first]:.4g} in the table, "
            f"{expected[first]:.4g} in the cohort"
        )
        if mode == "log":
            return Check(name, "fail", detail, True)
        why = (
            "the table does not say its target"
            if mode is None
            else "the covariates that were kept are not on record"
        )
        return Check(name, "warn", f"{detail}; {why}, so the order of people is not judged", True)
    said = f"{known.height} measurements are the cohort's"
    if absent:
        return Check(name, "warn", f"{said}; {absent} are of genes or people that it does not hold", True)
    return Check(name, "pass", said, True)


def _same_rows(cells: Sequence[Cell]) -> Check:
    """Find rows of the report that were not made on the same genes and people."""
    name = "same_genes_and_people"
    uneven = []
    for cell in cells:
        counts = {row.label: int(row.mask.sum()) for row in cell.rows}
        union = int(np.any([row.mask for row in cell.rows], axis=0).sum())
        short = [f"{label} {count}" for label, count in counts.items() if count < union]
        if short:
            uneven.append(f"{cell.name}: of {union} pairs of gene and individual {_some(short, 5)}")
    if uneven:
        detail = "not all models were evaluated on the same; " + "; ".join(uneven)
        return Check(name, "warn", detail + "; comparisons use what both have", False)
    return Check(name, "pass", "all models were evaluated on the same genes and people", False)


def _same_window(predictions: Predictions) -> Check:
    name = "same_window"
    windows = sorted({m.window for _, m in predictions.sources if m.window is not None})
    if not windows:
        return _not_run(name, "files that say their window", leak=False)
    if len(windows) > 1:
        said = ", ".join(f"{window:,}" for window in windows)
        return Check(name, "warn", f"models saw windows of different length: {said} bp", False)
    silent = sum(m.window is None for _, m in predictions.sources)
    if silent:
        return Check(
            name, "warn", f"{silent} files do not say their window; the others: {windows[0]:,} bp", False
        )
    return Check(name, "pass", f"all files: {windows[0]:,} bp", False)


def _same_cohort(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    name = "same_cohort"
    said = {m.cohort_digest for _, m in predictions.sources} | {predictions.metadata.cohort_digest}
    if cohort is not None:
        said.add(cohort.digest)
    if split is not None:
        said.add(split.cohort_digest)
    digests = sorted(digest for digest in said if digest)
    if not digests:
        return _not_run(name, "files that say their cohort", leak=False)
    if len(digests) > 1:
        short = ", ".join(digest[:12] for digest in digests)
        return Check(name, "warn", f"tables, cohort and split name different cohorts: {short}", False)
    return Check(name, "pass", f"cohort {digests[0][:12]}", False)


def _transductive(predictions: Predictions, cohort: Cohort | None, split: Split | None) -> Check:
    name = "transductive_target"
    mode = predictions.metadata.target
    if mode is None:
        return _not_run(name, "a table that says its target", leak=False)
    reasons = (
        ["coefficients of covariates fitted on everyone, test people included"]
        if mode == "residual-all"
        else []
    )
    if mode == "residual":
        if cohort is None:
            return _not_run(name, "--cohort and --split", leak=False)
        target = _target(predictions, cohort, split)
        if isinstance(target, str):
            return Check(name, "not run", f"the {mode} target {target}", False)
        reasons = list(target.transductive)
    if reasons:
        return Check(name, "warn", f"transductive: {_some(reasons)}", False)
    return Check(name, "pass", f"target {mode}: nothing in it was computed with test people", False)


def _published_preset(split: Split | None) -> Check:
    name = "published_preset"
    if split is None:
        return _not_run(name, "--split", leak=False)
    if split.preset.startswith("published"):
        detail = f"{split.preset}: its people and genes were chosen, and looked at, before this study"
        return Check(name, "warn", detail, False)
    return Check(name, "pass", f"the preset is {split.preset}", False)


def _permuted(permuted: Mapping[str, Mapping[str, Permuted]]) -> Check:
    name = "permuted_people"
    found = [
        (f"{label} in {cell} {control.mean:+.4f}", control)
        for cell, rows in permuted.items()
        for label, control in rows.items()
        if np.isfinite(control.mean)
    ]
    if not found:
        return _not_run(name, "measurements that vary", leak=False)
    far = [said for said, control in found if not control.near_zero]
    if far:
        return Check(name, "warn", f"mean r with people permuted is not near 0: {_some(far)}", False)
    largest = max(abs(control.mean) for _, control in found)
    detail = f"mean r over {found[0][1].permutations:,} permutations is at most {largest:.4f} from 0"
    if largest > TOLERANCE:
        detail += f"; beyond {TOLERANCE}, but within three standard errors"
    return Check(name, "pass", detail, False)
