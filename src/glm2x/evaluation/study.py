"""What cohort and split say of the genes and people of an evaluation, in the order of a cell's axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.components import genotype_components
from glm2x.cohort.split import Split
from glm2x.cohort.tables import known_of
from glm2x.errors import Glm2xError
from glm2x.evaluation.heritability import MIN_PEOPLE, Heritability, heritabilities
from glm2x.evaluation.metrics import UNKNOWN, Array
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import DEFAULT_WINDOW, gene_rows, largest_window
from glm2x.evaluation.target_checks import target_values
from glm2x.evaluation.uncertainty import gene_blocks
from glm2x.prediction_metadata import PredictionMetadata


@dataclass(frozen=True)
class Study:
    """A cohort beside a table.

    Parameters
    ----------
    window
        bp: the largest that a file or the split says, else 64,000.
    components
        Float [individuals of the cohort, C], genotype PCs, or None where there are none.
    components_from
        Where they are from, or why there are none.
    genes
        The names of the genes of which `heritability` is, as the table has them.
    heritability
        Of those genes, or None where it was not estimated.
    heritability_lacks
        Why not; empty where it was.
    """

    cohort: Cohort | None
    window: int
    components: Array | None = None
    components_from: str = "needs --cohort"
    genes: tuple[str, ...] = ()
    heritability: Heritability | None = None
    heritability_lacks: str = "needs --cohort and --split"

    def blocks(self, genes: Sequence[str]) -> NDArray[np.int64]:
        """Return each gene's block; a gene without a position is a block of its own."""
        blocks = np.arange(len(genes), dtype=np.int64)
        if self.cohort is None:
            return blocks
        rows = gene_rows(self.cohort, genes)
        found = {g: self.cohort.genes[row] for g, row in enumerate(rows) if row is not None}
        known = found.values()
        blocks[list(found)] = len(genes) + gene_blocks(
            [f.contig for f in known], [f.tss for f in known], self.window
        )
        return blocks

    def families(self, individuals: Sequence[str]) -> NDArray[np.int64]:
        """Return each individual's family as a number; one without a family is a family of its own."""
        named = people_column(self.cohort, "family")
        return _codes([named.get(name) or f"\0{name}" for name in individuals])

    def populations(self, individuals: Sequence[str]) -> NDArray[np.int64] | None:
        """Return each individual's population as a number (`UNKNOWN` = none), or None when nobody has one."""
        named = people_column(self.cohort, "population")
        found = [named.get(name) for name in individuals]
        if not any(found):
            return None
        return np.where([name is None for name in found], UNKNOWN, _codes([name or "" for name in found]))

    def members(self, individuals: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """Return of each population, by name, the places of its people in the list; empty without any."""
        named = people_column(self.cohort, "population")
        found = [named.get(name) for name in individuals]
        return {
            population: np.array([i for i, name in enumerate(found) if name == population])
            for population in sorted({name for name in found if name})
        }

    def components_of(self, individuals: Sequence[str]) -> Array | None:
        """Return the genotype PCs of some people, float [P, C], NaN for those without, or None."""
        if self.components is None or self.cohort is None:
            return None
        row_of = {name: row for row, name in enumerate(self.cohort.individuals)}
        rows = np.array([row_of.get(name, -1) for name in individuals])
        return np.where((rows >= 0)[:, None], self.components[rows], np.nan)

    def heritability_of(self, genes: Sequence[str]) -> Heritability | None:
        """Return h2 of some genes, or None."""
        if self.heritability is None:
            return None
        at = {gene: g for g, gene in enumerate(self.genes)}
        order = np.array([at[gene] for gene in genes], dtype=np.int64)
        return Heritability(self.heritability.h2[order], self.heritability.p[order], self.heritability.people)

    def heritability_summary(self) -> dict[str, Any]:
        """Return what `metrics.json` says of h2."""
        if self.heritability is None:
            return {"genes": 0, "why": self.heritability_lacks}
        known = np.isfinite(self.heritability.h2)
        return {
            "genes": int(known.sum()),
            "significant": int(self.heritability.significant.sum()),
            "mean_h2": float(self.heritability.h2[known].mean()),
            "individuals": self.heritability.people,
        }


def make_study(table: Table, cohort: Cohort | None, split: Split | None) -> Study:
    """Compute what one evaluation needs of its cohort: genotype PCs, and h2 of every gene of the table.

    Both are of the split's training and validation people; PCs without a split are of everybody.
    """
    window = largest_window(table, split) or DEFAULT_WINDOW
    if cohort is None:
        return Study(None, window)
    components, source = _components(cohort, split, window)
    genes = tuple(table.gene_names)
    heritability, lacks = None, "needs --split"
    if split is not None:
        heritability, lacks = _heritability(table.metadata, cohort, split, genes, window)
    return Study(cohort, window, components, source, genes, heritability, lacks)


def _components(cohort: Cohort, split: Split | None, window: int) -> tuple[Array | None, str]:
    fitted = np.arange(len(cohort.individuals))
    try:
        if split is not None:
            fitted = np.sort(cohort.individual_index((*split.train, *split.validation)))
        components, source = genotype_components(cohort, fitted, window)
    except Glm2xError as error:
        return None, error.what
    return components, source.removeprefix("genotype-pcs: ")


def _heritability(
    metadata: PredictionMetadata, cohort: Cohort, split: Split, genes: Sequence[str], window: int
) -> tuple[Heritability | None, str]:
    values = target_values(metadata, cohort, split)
    if isinstance(values, str):
        return None, f"the target {values}"
    try:
        found = heritabilities(cohort, split, values, genes, window)
    except Glm2xError as error:
        return None, error.what
    if not np.isfinite(found.h2).any():
        return None, f"no gene with variants and {MIN_PEOPLE} people to learn from"
    return found, ""


def people_column(cohort: Cohort | None, column: Literal["population", "family"]) -> dict[str, str]:
    """Return what a column of the people table says of each individual; nothing where there is none."""
    return {} if cohort is None else known_of(cohort.people, column)


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
