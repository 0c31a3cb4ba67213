"""How much of a gene's expression the variants of its window explain, in people that models learn from.

No model of the window can be expected to correlate with measurements by more than sqrt(h2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.console import progress
from glm2x.evaluation.metrics import Array, benjamini_hochberg
from glm2x.evaluation.tables import gene_rows
from glm2x.reml import p_of_zero, project, relationship_eigen, reml

SIGNIFICANT_FDR = 0.05
MIN_PEOPLE = 20
"""With fewer people to learn from h2 is not estimated."""


@dataclass(frozen=True)
class Heritability:
    """The share of variance that a window's variants explain, of G genes; NaN where not estimated.

    Parameters
    ----------
    h2
        Float [G], by REML, in [0, 1).
    p
        Float [G], of the likelihood ratio against h2 = 0.
    people
        How many people to learn from there are.
    """

    h2: Array
    p: Array
    people: int

    @property
    def significant(self) -> NDArray[np.bool_]:
        """Bool [G]: h2 is above 0 at BH FDR < 0.05 over the genes."""
        return np.asarray(benjamini_hochberg(self.p) < SIGNIFICANT_FDR)

    def accuracy(self, pearson: Array) -> Array:
        """Return r / sqrt(h2) where h2 is significant, else NaN; float [G]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.significant, pearson / np.sqrt(self.h2), np.nan)


def heritabilities(
    cohort: Cohort, split: Split, values: Array, genes: Sequence[str], window: int
) -> Heritability:
    """Estimate h2 of each gene in the split's training and validation people.

    Parameters
    ----------
    values
        Float [genes of the cohort, individuals], the target; NaN where not measured.
    genes
        The G genes; those that the cohort does not hold have none.
    window
        bp: variants in ``[tss - window/2, tss + window/2)``.
    """
    fit = cohort.individual_index((*split.train, *split.validation))
    found = np.full((2, len(genes)), np.nan)
    rows = [(g, row) for g, row in enumerate(gene_rows(cohort, genes)) if row is not None]
    if len(fit) >= MIN_PEOPLE:
        with progress("heritability", len(rows), "genes") as bar:
            for g, row in rows:
                here = fit[np.isfinite(values[row, fit])]
                if len(here) >= MIN_PEOPLE:
                    dosage = cohort.dosages(cohort.gene_ids[row], window).dosage[here]
                    found[:, g] = estimate(dosage, values[row, here])
                cohort.give_back()
                bar.advance(1)
    return Heritability(found[0], found[1], len(fit))


def estimate(dosage: NDArray[np.float32], target: Array) -> tuple[float, float]:
    """Return h2 of a gene and its p (see `glm2x.reml`); NaN where nothing varies.

    Parameters
    ----------
    dosage
        Float [people, variants].
    target
        Float [people], all finite.
    """
    varies = dosage.max(axis=0, initial=-np.inf) > dosage.min(axis=0, initial=np.inf)
    z = dosage[:, varies].astype(np.float64)
    y = target - target.mean()
    if z.shape[1] == 0 or float(y @ y) <= 1e-20 * float(target @ target):
        return float("nan"), float("nan")
    projected = project(*relationship_eigen((z - z.mean(axis=0)) / z.std(axis=0)), y)
    h2 = reml(projected)
    return h2, p_of_zero(h2, projected)
