"""What a phase trains on and is judged by: (gene, person) samples with their observed expression."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.files import read_text
from glm2x.genome.genes import unversioned
from glm2x.seal import digest

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target
    from glm2x.training.strategies import Phase

REFERENCE = -1  # stands for the reference window where an individual's column in the cohort is expected
SMALLEST_SD = 1e-6
FLOOR_SHARE = 0.1  # of the median gene's SD: a gene that varies less counts as varying this much


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
        float32 [G]: standard deviation (n - 1) of the target over training people, at least a tenth
        of the median over the genes that vary; 1 where they do not differ, or where there are fewer
        than two.
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

    def digest(self) -> str:
        """Return the SHA-256 of who and what is in it: genes, people and observed values."""
        content = hashlib.sha256("\n".join(self.genes).encode())
        for part in (self.gene, self.individual, self.observed):
            content.update(np.ascontiguousarray(part).tobytes())
        return content.hexdigest()

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

    def digest(self) -> str:
        """Return the SHA-256 of the samples that are trained on and validated with."""
        return digest([None if part is None else part.digest() for part in (self.train, self.validation)])

    def genes(self) -> set[str]:
        """Return the genes that are trained on or validated with."""
        parts = [part for part in (self.train, self.validation) if part is not None]
        return {part.genes[part.gene[rows[0]]] for part in parts for rows in part.by_gene()}


@dataclass(frozen=True)
class Spread:
    """How much the target of each gene varies between people.

    Attributes
    ----------
    sd
        float32 [G]; see `Samples.gene_sd`.
    without
        Genes that do not vary (SD at most 1e-6, or fewer than two people measured): their SD is 1.
    floored
        Genes that vary less than a tenth of the median gene: their SD is that tenth. The loss divides
        by the square of it, and a gene that hardly varies would outweigh all others.
    """

    sd: NDArray[np.float32]
    without: int
    floored: int

    @classmethod
    def over(cls, values: NDArray[np.float64]) -> Spread:
        """Return the spread of values [G, P], NaN = not measured, over people."""
        measured = ~np.isnan(values)
        count = measured.sum(axis=1)
        mean = np.where(measured, values, 0).sum(axis=1) / np.maximum(count, 1)
        squares = np.where(measured, (values - mean[:, None]) ** 2, 0).sum(axis=1)
        sd = np.sqrt(squares / np.maximum(count - 1, 1))
        varies = sd > SMALLEST_SD
        floor = FLOOR_SHARE * float(np.median(sd[varies])) if varies.any() else 0.0
        low = varies & (sd < floor)
        used = np.where(varies, np.maximum(sd, floor), 1.0).astype(np.float32)
        return cls(used, without=int((~varies).sum()), floored=int(low.sum()))


def phase_data(phase: Phase, cohort: Cohort, split: Split, target: Target) -> PhaseData:
    """Return the samples of a phase.

    A reference phase trains on the seen genes of its list without the split's
    `reference_validation` genes (and those whose windows overlap theirs) and is validated on those.
    A personal phase trains on the seen genes of its list in the training people and is validated on
    the validation people.

    Raises
    ------
    DataError
        The gene list names no seen gene, or nothing is left to train on.
    """
    genes, counts = choose_genes(phase.genes, split.seen, cohort.gene_ids)
    people = cohort.individual_index(split.train)
    spread = Spread.over(target.values[cohort.gene_index(genes)][:, people])
    sd = dict(zip(genes, spread.sd, strict=True))
    if phase.data == "personal":
        train = _personal(genes, people, sd, cohort, target)
        others = cohort.individual_index(split.validation)
        validation = _personal(genes, others, sd, cohort, target)
    else:
        held_out = set(split.reference_validation)
        left_out = held_out | set(split.reference_excluded)
        train = _reference(tuple(g for g in genes if g not in left_out), sd, cohort, target)
        counts["genes_overlapping_validation"] = len(set(genes) & set(split.reference_excluded))
        validation = _reference(tuple(g for g in genes if g in held_out), sd, cohort, target)
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
        # one sample a gene has no differences, so that no SD counts in a reference phase
        "genes_without_spread": spread.without if phase.data == "personal" else 0,
        "genes_with_floored_spread": spread.floored if phase.data == "personal" else 0,
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
    text = read_text(wanted, kind="gene list")
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
    sd: dict[str, np.float32],
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
        gene_sd=_sd_of(genes, sd),
        missing=int((~measured).sum()),
    )


def _reference(genes: tuple[str, ...], sd: dict[str, np.float32], cohort: Cohort, target: Target) -> Samples:
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
        gene_sd=_sd_of(genes, sd),
        missing=int((~measured).sum()),
    )


def _sd_of(genes: tuple[str, ...], sd: dict[str, np.float32]) -> NDArray[np.float32]:
    return np.array([sd[gene] for gene in genes], dtype=np.float32)
