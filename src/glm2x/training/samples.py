"""What a phase trains on and is judged by: (gene, person) samples with their observed expression."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.files import require_file
from glm2x.genome.genes import unversioned

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target
    from glm2x.training.strategies import Phase

REFERENCE = -1  # stands for the reference window where an individual's column in the cohort is expected
SMALLEST_SD = 1e-6


@dataclass(frozen=True)
class Samples:
    """N samples, grouped by gene.

    Attributes
    ----------
    genes
        Identifiers of the G genes.
    gene
        int64 [N], ascending: position in `genes`.
    individual
        int64 [N]: the person's column in the cohort, or `REFERENCE`.
    observed
        float32 [N]: the target.
    gene_sd
        float32 [G]: standard deviation (n - 1) of the target over training people; 1 where they do
        not differ, or where there are fewer than two.
    missing
        How many samples were left out because their target was not measured.
    """

    genes: tuple[str, ...]
    gene: NDArray[np.int64]
    individual: NDArray[np.int64]
    observed: NDArray[np.float32]
    gene_sd: NDArray[np.float32]
    missing: int

    def __len__(self) -> int:
        return len(self.gene)

    def by_gene(self) -> list[NDArray[np.int64]]:
        """Return, for each gene that has any, the rows of its samples."""
        rows = np.arange(len(self), dtype=np.int64)
        return [part for part in np.split(rows, np.flatnonzero(np.diff(self.gene)) + 1) if len(part)]


@dataclass(frozen=True)
class PhaseData:
    """A phase's samples; `counts` says what was taken and what was left out."""

    train: Samples
    validation: Samples | None
    counts: dict[str, int]


def phase_data(phase: Phase, cohort: Cohort, split: Split, target: Target) -> PhaseData:
    """Return the samples of a phase.

    A reference phase trains on the seen genes of its list without the split's
    `reference_validation` genes (and those whose windows overlap theirs) and is validated on
    those; a personal phase trains on the seen
    genes of its list in the training people and is validated on the validation people.

    Raises
    ------
    DataError
        The gene list names no seen gene, or nothing is left to train on.
    """
    genes, counts = choose_genes(phase.genes, split.seen, cohort.gene_ids)
    people = cohort.individual_index(split.train)
    if phase.data == "personal":
        train = _personal(genes, people, people, cohort, target)
        others = cohort.individual_index(split.validation)
        validation = _personal(genes, others, people, cohort, target)
    else:
        held_out = set(split.reference_validation)
        left_out = held_out | set(split.reference_excluded)
        train = _reference(tuple(g for g in genes if g not in left_out), people, cohort, target)
        counts["genes_overlapping_validation"] = len(set(genes) & set(split.reference_excluded))
        validation = _reference(tuple(g for g in genes if g in held_out), people, cohort, target)
    if not len(train):
        raise DataError(
            f"nothing is left for the {phase.name} phase to train on",
            got=f"{len(genes)} genes, {len(people)} training people, {train.missing} targets not measured",
            do="check the split, the gene list and the expression of the training people",
        )
    counts |= {
        "train_genes": len(train.by_gene()),
        "train_samples": len(train),
        "train_samples_not_measured": train.missing,
        "genes_without_spread": int((train.gene_sd == 1).sum()) if phase.data == "personal" else 0,
        "validation_genes": len(validation.by_gene()),
        "validation_samples": len(validation),
        "validation_samples_not_measured": validation.missing,
    }
    return PhaseData(train, validation if len(validation) else None, counts)


def choose_genes(
    wanted: str, seen: tuple[str, ...], known: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the seen genes of a list, in the split's order, and counts of what was left out.

    Parameters
    ----------
    wanted
        ``all``, or a file with one gene a line (blank lines and ``#`` comments are passed over;
        versions such as ``.12`` are ignored on both sides).
    seen, known
        The split's seen genes; all genes of the cohort.

    Raises
    ------
    DataError
        No such file, or none of its genes is a seen gene.
    """
    if wanted == "all":
        return seen, {}
    text = require_file(wanted, kind="gene list").read_text()
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    listed = {unversioned(line) for line in lines if line}
    chosen = tuple(gene for gene in seen if unversioned(gene) in listed)
    if not chosen:
        raise DataError(
            "the gene list names none of the split's seen genes",
            where=str(Path(wanted)),
            got=f"{len(listed)} genes, such as {min(listed, default='(none)')}",
            wanted=f"some of {len(seen)} genes, such as {seen[0] if seen else '(none)'}",
            do="give another list, or all",
        )
    in_cohort = listed & {unversioned(gene) for gene in known}
    counts = {
        "listed_genes": len(listed),
        "listed_genes_not_in_cohort": len(listed - in_cohort),
        "listed_genes_not_seen": len(in_cohort) - len(chosen),
    }
    return chosen, counts


def _personal(
    genes: tuple[str, ...],
    individuals: NDArray[np.int64],
    training: NDArray[np.int64],
    cohort: Cohort,
    target: Target,
) -> Samples:
    """Return every gene in every individual whose target was measured."""
    values = target.values[cohort.gene_index(genes)]
    observed = values[:, individuals]
    measured = ~np.isnan(observed)
    gene, column = np.nonzero(measured)
    return Samples(
        genes=genes,
        gene=gene.astype(np.int64),
        individual=individuals[column].astype(np.int64),
        observed=observed[measured].astype(np.float32),
        gene_sd=_spread(values[:, training]),
        missing=int((~measured).sum()),
    )


def _reference(
    genes: tuple[str, ...], training: NDArray[np.int64], cohort: Cohort, target: Target
) -> Samples:
    """Return one sample a gene: the reference window and the gene's reference target."""
    rows = cohort.gene_index(genes)
    observed = target.reference[rows]
    measured = ~np.isnan(observed)
    gene = np.flatnonzero(measured).astype(np.int64)
    return Samples(
        genes=genes,
        gene=gene,
        individual=np.full(len(gene), REFERENCE, dtype=np.int64),
        observed=observed[measured].astype(np.float32),
        gene_sd=_spread(target.values[rows][:, training]),
        missing=int((~measured).sum()),
    )


def _spread(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the standard deviation of each row without NaN, [G, P] -> [G]; 1 where there is none."""
    measured = ~np.isnan(values)
    count = measured.sum(axis=1)
    mean = np.where(measured, values, 0).sum(axis=1) / np.maximum(count, 1)
    squares = np.where(measured, (values - mean[:, None]) ** 2, 0).sum(axis=1)
    spread = np.sqrt(squares / np.maximum(count - 1, 1))
    return np.where(spread > SMALLEST_SD, spread, 1.0).astype(np.float32)
