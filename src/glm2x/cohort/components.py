"""Genotype principal components: from the cohort's covariates, else from its genotypes."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError

COMPUTED = 3  # components, where the cohort has none
_TOGETHER = 512  # people
FEWEST_VARIANTS = 20_000  # below this, one region's linkage is taken for ancestry

# `genotype_PC1`, `PC1`, and QTLtools' `/some/path/genotypes_1_1_svd_PC1`; not `genes_1_1_svd_PC1`.
_NAME = re.compile(r"(?:.*/)?(?:genotypes?_(?:\w+_)?)?PC\d+", re.IGNORECASE)


def component_names(covariate_names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those covariates that are genotype PCs by their name, in the order given."""
    return tuple(name for name in covariate_names if _NAME.fullmatch(name))


def genotype_components(
    cohort: Cohort, fitted: NDArray[np.int64], window: int
) -> tuple[NDArray[np.float64], str]:
    """Return the genotype PCs of everyone in a cohort, and one sentence that says where they are from.

    Parameters
    ----------
    cohort
        Its covariates called ``genotype_PC1``, ``PC1`` and so on are used as they are. Where it has
        none, three are computed from the variants in the windows of all its genes, each once.
    fitted : int64
        Rows of the people that baselines are fitted on. Means, variances and axes come from them
        only; everyone else is projected.
    window
        Window of a gene, bp.

    Returns
    -------
    float64 [individuals, components], str

    Raises
    ------
    DataError
        A PC is missing for somebody; or there are neither PCs among the covariates nor 20,000
        variants to compute them from.
    """
    names = component_names(cohort.covariate_names)
    if not names:
        return _computed(cohort, fitted, window)
    rows = [cohort.covariate_names.index(name) for name in names]
    components = cohort.covariates[rows].T
    missing = ~np.isfinite(components)
    if missing.any():
        person, column = np.argwhere(missing)[0]
        raise DataError(
            f"{missing.any(axis=1).sum()} individuals lack a genotype PC",
            where=f"covariate {names[column]} of individual {cohort.individuals[person]}",
            wanted="a number",
            do="complete the covariates and build the cohort again, or leave genotype-pcs out of --models",
        )
    return components, f"genotype-pcs: the covariates {', '.join(names)}"


def _computed(cohort: Cohort, fitted: NDArray[np.int64], window: int) -> tuple[NDArray[np.float64], str]:
    """Principal components by the relationship matrix, summed gene by gene to keep memory small."""
    people = len(cohort.individuals)
    relationship = np.zeros((people, len(fitted)))
    used = 0
    done: dict[str, int] = {}  # contig -> first position not yet counted: windows overlap
    for gene in sorted(cohort.genes, key=lambda gene: (gene.contig, gene.tss)):
        variants = cohort.dosages(gene.gene, window)
        cohort.give_back()
        new = variants.position >= done.get(gene.contig, 0)
        done[gene.contig] = gene.tss + window // 2
        dosage = variants.dosage[:, new].astype(np.float64)
        deviation = dosage[fitted].std(axis=0)
        dosage = dosage[:, deviation > 0]
        standardised = (dosage - dosage[fitted].mean(axis=0)) / deviation[deviation > 0]
        others = standardised[fitted].T
        for start in range(0, people, _TOGETHER):  # the matrix of a large cohort is not to be there twice
            these = slice(start, start + _TOGETHER)
            relationship[these] += standardised[these] @ others
        used += standardised.shape[1]
    if used < FEWEST_VARIANTS:
        raise DataError(
            "the cohort has no genotype PCs among its covariates, and too few variants to compute them",
            where=f"the windows of {len(cohort.genes):,} genes, {window:,} bp each",
            got=f"{used:,} variants that vary among the people fitted",
            wanted=f"covariates called genotype_PC1, genotype_PC2, ..., or {FEWEST_VARIANTS:,} variants",
            do="build the cohort with --covariates, or leave genotype-pcs out of --models",
        )
    values, vectors = np.linalg.eigh(relationship[fitted])
    top = slice(-1, -1 - min(COMPUTED, len(fitted) - 1), -1)
    components = relationship @ vectors[:, top] / np.sqrt(values[top])
    # An eigenvector's sign is arbitrary: the largest entry is made positive, on every machine.
    largest = np.abs(components[fitted]).argmax(axis=0)
    components *= np.sign(components[fitted][largest, np.arange(components.shape[1])])
    source = f"{components.shape[1]} computed from {used:,} variants of the people fitted"
    return components, f"genotype-pcs: {source}"
