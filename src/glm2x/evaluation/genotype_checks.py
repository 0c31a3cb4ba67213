"""Checks of predictions against genotypes: equal sequences have equal predictions, others need not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.evaluation.check import Check, not_run, some
from glm2x.evaluation.metrics import NULL_RATIO
from glm2x.evaluation.tables import Cell, CellRow, gene_rows, is_baseline
from glm2x.genome.genes import window_interval

LOOKED_AT = 2_000
"""Genes of a cell that are looked at, at most, evenly spaced."""

EQUAL = 0.1
"""Predictions of equal sequences may differ by this share of the gene's SD (numbers of low precision)."""

MANY = 0.5
"""A model of which more of the predictions of genes are null does not tell people apart."""

_NOT_OF_SEQUENCE = ("training-mean", "genotype-pcs")
_OF_ANOTHER_WINDOW = ("informed-", "ridge-")
"""Baselines whose variants or features may be of more than the window that their file says."""


def genotype_checks(
    cells: Sequence[Cell], cohort: Cohort | None, window: int | None, *, strict: bool
) -> tuple[Check, ...]:
    """Run both checks on the first cell.

    Parameters
    ----------
    window
        The largest that a file or the split says, bp.
    strict
        Whether every file says its window: then no model may see more.
    """
    names = ("same_sequence", "differing_sequence")
    if cohort is None or window is None:
        lacks = "--cohort" if cohort is None else "a file or a split that says the window"
        return tuple(not_run(name, lacks, leak=name == names[0]) for name in names)
    cell = cells[0]
    groups = _all_groups(cell, cohort, window)
    rows = [row for row in cell.rows if row.key.model not in _NOT_OF_SEQUENCE]
    if not groups or not rows:
        lacks = "genes with variants, and a model of sequence or genotype"
        return tuple(not_run(name, lacks, leak=name == names[0]) for name in names)
    return _same_sequence(rows, groups, window, strict), _differing_sequence(rows, groups)


@dataclass(frozen=True)
class _Groups:
    """People of a cell by their two haplotypes of one gene's window.

    Parameters
    ----------
    gene
        The gene's number in the cell.
    columns
        Int [k], people of the cell whom the cohort holds.
    group
        Int [k]: two people have the same number where both have the same first and the same second
        haplotype: a model may be told to see one of them.
    """

    gene: int
    columns: NDArray[np.int64]
    group: NDArray[np.int64]


def _all_groups(cell: Cell, cohort: Cohort, window: int) -> list[_Groups]:
    """Return the groups of each gene in whose window somebody differs from somebody."""
    of_person = {name: row for row, name in enumerate(cohort.individuals)}
    known = [(column, of_person[name]) for column, name in enumerate(cell.individuals) if name in of_person]
    if len(known) < 2:
        return []
    columns, people = (np.array(side, dtype=np.int64) for side in zip(*known, strict=True))
    contigs = set(cohort.manifest["counts"]["columns"])
    found = []
    rows = [(g, row) for g, row in enumerate(gene_rows(cohort, cell.genes)) if row is not None]
    for at in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(np.int64)):
        g, row = rows[at]
        if cohort.genes[row].contig in contigs:
            group = _haplotype_pairs(cohort, row, window)[people]
            cohort.give_back()
            if len(np.unique(group)) > 1:
                found.append(_Groups(g, columns, group))
    return found


def _haplotype_pairs(cohort: Cohort, row: int, window: int) -> NDArray[np.int64]:
    """Return a number of the first and second haplotype of each individual: int [individuals]."""
    gene = cohort.genes[row]
    variants = cohort.variants(gene.contig)
    # Deletions shorten a window, which is then filled from beyond its ends.
    start, end = window_interval(gene.tss, window if variants.only_snps else 2 * window)
    columns = variants.columns_touching(start, end)
    _, unphased = variants.unphased(columns)
    bits = np.packbits(np.concatenate([variants.carried(columns), unphased]).T, axis=1)
    if bits.shape[1] == 0:
        return np.zeros(len(cohort.individuals), dtype=np.int64)
    whole = np.ascontiguousarray(bits).view(np.dtype((np.void, bits.shape[1])))[:, 0]
    _, haplotype = np.unique(whole, return_inverse=True)
    first, second = haplotype[0::2].astype(np.int64), haplotype[1::2]
    return np.asarray(first * (second.max() + 1) + second)


def _same_sequence(rows: Sequence[CellRow], groups: Sequence[_Groups], window: int, strict: bool) -> Check:
    """Find models that predict differently of people whose two haplotypes are the same.

    Their people are in another order than the genotypes', or they see more than the window: a stranger's
    may, and baselines with a prior or features; one whose file says its window may not.
    """
    name = "same_sequence"
    wrong, judged, fails = [], 0, False
    for row in rows:
        genes = differ = 0
        for spread, sd in _spreads(row.predicted[0], groups):
            genes += 1
            differ += spread > EQUAL * sd
        row.release()
        judged = max(judged, genes)
        if differ > genes / 10:
            wrong.append(f"{row.label} ({differ} of {genes} genes)")
            fails |= strict and not row.key.model.startswith(_OF_ANOTHER_WINDOW)
    if not judged:
        return Check(name, "not run", f"no two people have the same {window:,} bp", True)
    if wrong:
        detail = (
            f"people with the same two haplotypes of {window:,} bp have different predictions: "
            f"{some(wrong)}; they are in another order than the genotypes, or of more than the window"
        )
        return Check(name, "fail" if fails else "warn", detail, True)
    detail = (
        f"people with the same two haplotypes of {window:,} bp have the same predictions ({judged} genes)"
    )
    return Check(name, "pass", detail, True)


def _spreads(predicted: NDArray[np.float64], groups: Sequence[_Groups]) -> Iterator[tuple[float, float]]:
    """Give the SD of predictions within groups of two and more, and of all, of each gene that has both."""
    for one in groups:
        values = predicted[one.gene, one.columns]
        kept = np.isfinite(values)
        values = values[kept]
        _, group, size = np.unique(one.group[kept], return_inverse=True, return_counts=True)
        shared = size[group] > 1
        sd = float(values.std()) if len(values) else 0.0
        if not shared.any() or sd < 1e-9 * (1 + abs(float(values.mean()))):
            continue
        mean = np.bincount(group, values) / size
        yield float(np.sqrt(np.mean((values - mean[group])[shared] ** 2))), sd


def _differing_sequence(rows: Sequence[CellRow], groups: Sequence[_Groups]) -> Check:
    """Find models whose predictions are null for most genes though people's sequences differ.

    Linear baselines are null where they find no signal; embeddings that do not differ between
    haplotypes make any other model so.
    """
    name = "differing_sequence"
    models = [row for row in rows if not is_baseline(row.key.model)]
    if not models:
        return not_run(name, "a model that is no linear baseline", leak=False)
    constant = []
    for row in models:
        predicted, observed = row.predicted[0], row.observed[0]
        null = judged = 0
        for one in groups:
            both = np.isfinite(predicted[one.gene]) & np.isfinite(observed[one.gene])
            if both.sum() > 1:
                sd = observed[one.gene, both].std()
                judged += 1
                null += bool(predicted[one.gene, both].std() < NULL_RATIO * sd)
        row.release()
        if judged and null > MANY * judged:
            constant.append(f"{row.label} ({null} of {judged} genes)")
    if constant:
        detail = f"people differ in sequence and have the same predictions: {some(constant)}"
        return Check(name, "warn", detail, False)
    detail = f"predictions differ where sequences do ({len(groups)} genes with different people)"
    return Check(name, "pass", detail, False)
