"""How much of a gene's expression the variants of its window explain, in people that models learn from.

No model of the window can be expected to correlate with measurements by more than sqrt(h2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.console import progress
from glm2x.evaluation.metrics import Array, benjamini_hochberg
from glm2x.evaluation.tables import gene_rows

SIGNIFICANT_FDR = 0.05
MIN_PEOPLE = 20
"""With fewer people to learn from h2 is not estimated."""

_GRID: Array = np.linspace(0.0, 0.99, 34)
_UPPER = 0.9999
_MANY = 200  # genes that take longer than a second


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
        for g, row in _shown(rows):
            here = fit[np.isfinite(values[row, fit])]
            if len(here) >= MIN_PEOPLE:
                dosage = cohort.dosages(cohort.gene_ids[row], window).dosage[here]
                found[:, g] = reml(dosage, values[row, here])
    return Heritability(found[0], found[1], len(fit))


def _shown(rows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Give the rows, and show how far they are where there are seconds of work."""
    if len(rows) < _MANY:
        yield from rows
        return
    with progress("heritability", len(rows)) as bar:
        for row in rows:
            yield row
            bar.advance()


def reml(dosage: NDArray[np.float32], target: Array) -> tuple[float, float]:
    """Return h2 under y ~ N(mu, s2 (h2 K + (1 - h2) I)), by REML, and its p; NaN where nothing varies.

    K = Z Z' / variants of the standardised dosages (VanRaden 2008, with variances scaled to one); REML
    of Patterson and Thompson (1971), profiled over s2, in the eigenvectors of K (Kang et al. 2008). With
    fewer variants than people only the eigenvalues that are not 0 are computed, from Z'Z. p is that of
    the likelihood ratio, half of a chi-square's with one degree of freedom (Self and Liang 1987), 1
    where h2 is 0.

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
    people, variants = z.shape
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    if variants < people:
        values, vectors = np.linalg.eigh(z.T @ z / variants)
        kept = values > 1e-9 * values[-1]
        values = values[kept]
        squares = (vectors[:, kept].T @ (z.T @ y)) ** 2 / (values * variants)
    else:
        values, vectors = np.linalg.eigh(z @ z.T / variants)
        kept = values > 1e-9 * values[-1]
        values = values[kept]
        squares = (vectors[:, kept].T @ y) ** 2
    rest = max(float(y @ y) - float(squares.sum()), 0.0)
    on_grid = _likelihood(_GRID, values, squares, rest, people - 1)
    best = int(np.argmax(on_grid))
    low = float(_GRID[max(best - 1, 0)])
    high = float(_GRID[best + 1]) if best + 1 < len(_GRID) else _UPPER
    found = minimize_scalar(
        lambda h2: -float(_likelihood(np.array([h2]), values, squares, rest, people - 1)[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-5},
    )
    better = -found.fun > on_grid[best]  # the bounded search never tries its ends
    h2 = float(found.x) if better else float(_GRID[best])
    ratio = 2 * (max(-float(found.fun), float(on_grid[best])) - float(on_grid[0]))
    return h2, float(0.5 * stats.chi2.sf(ratio, 1)) if h2 > 0 else 1.0


def _likelihood(h2: Array, values: Array, squares: Array, rest: float, degrees: int) -> Array:
    """Return the restricted log-likelihood at some h2, profiled over the total variance, up to a constant.

    `values` are the m eigenvalues that are not 0, `squares` the target's squares in their eigenvectors,
    `rest` its sum of squares in the other directions.
    """
    others = degrees - len(values)
    explained = h2[:, None] * values + (1.0 - h2[:, None])
    total = ((squares / explained).sum(axis=1) + rest / (1.0 - h2)) / degrees
    likelihood: Array = -0.5 * (
        degrees * np.log(total) + np.log(explained).sum(axis=1) + others * np.log(1.0 - h2)
    )
    return likelihood
