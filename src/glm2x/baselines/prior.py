"""A prior on each variant's effect: its variance by what is known of the variant, learnt over all genes.

The effect of variant j on gene g (of a standard deviation of its dosage) is normal with a variance
proportional to ``w_j = exp(x_j' theta)``: x_j are the variant's covariates, and theta is shared by all
genes. The scale is each gene's own, by its h2. So a gene's target is
``y ~ N(mu, s2 (h2 K + (1 - h2) I))`` with ``K = Z diag(w) Z' / sum(w)``, and theta maximises the sum over
genes of the restricted log-likelihood, each at its best h2 (an empirical Bayes estimate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData, standardise
from glm2x.reml import project, relationship_eigen, reml, restricted_likelihood

# log(1 + distance / knot): the power of the decay may differ on the two sides of the larger knot.
KNOTS = (1_000, 100_000)
DISTANCES = tuple(f"log(1 + distance / {knot // 1000} kb)" for knot in KNOTS)
SCORE = "score"

_START = -1.0  # of each coefficient of a distance; that of a score starts at 0
# Of a coefficient's own prior, N(0, SPREAD^2): hardly felt by the hundreds of genes that decide, it keeps
# theta finite where there are too few.
SPREAD = 2.0
_ENOUGH = 0.02  # gain in log-likelihood, over all genes, below which another step changes nothing
_MOST_STEPS = 30


class Evidence(NamedTuple):
    """What one gene says of theta: float, and float64 [covariates].

    gain : restricted log-likelihood above that of h2 = 0, where theta plays no part
    gradient : its derivative
    """

    gain: float
    gradient: NDArray[np.float64]


class PriorGene(NamedTuple):
    """What the prior learns from a gene: data of nobody but the people fitted.

    data : whose `prior` is not looked at
    covariates : float64 [variants, covariates]
    """

    data: GeneData
    covariates: NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """The log variance of a variant's effect, linear in its covariates.

    Parameters
    ----------
    names
        Of the covariates.
    coefficients
        One a covariate.
    genes
        How many it was learnt from.
    """

    names: tuple[str, ...]
    coefficients: tuple[float, ...]
    genes: int

    def variances(self, covariates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the prior variances of variants up to a common factor, float64 [variants]."""
        return _variances(covariates, np.array(self.coefficients))

    def __str__(self) -> str:
        far = covariates_of(np.array([0, 1_000, 10_000, 100_000]), None)
        relative = np.exp(far @ np.array(self.coefficients[: len(KNOTS)]))
        shares = ", ".join(f"{value:.2g}" for value in relative[1:])
        said = (
            f"the prior variance of an effect 1, 10 and 100 kb from the TSS is {shares} of that at the TSS "
            f"(learnt from {self.genes:,} genes)"
        )
        if SCORE in self.names:
            said += (
                f"; ten times fewer variants with so high a score: times {np.exp(self.coefficients[-1]):.2g}"
            )
        return said


def covariates_of(distance: NDArray[np.int64], score: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return the covariates of variants, float64 [variants, covariates].

    Parameters
    ----------
    distance : int64 [variants]
        Position - TSS, bp.
    score : float64 [variants], optional
        As `scores.MatchedScores.covariate` gives it.
    """
    columns = [np.log1p(np.abs(distance) / knot) for knot in KNOTS]
    return np.column_stack(columns if score is None else [*columns, score])


def evidence(gene: PriorGene, coefficients: NDArray[np.float64]) -> Evidence:
    """Return what a gene says of the coefficients, float64 [covariates]."""
    weight = _variances(gene.covariates, coefficients)
    data = gene.data
    design = standardise(GeneData(data.gene, data.dosage_fit, data.target_fit, data.dosage, prior=weight))
    nothing = Evidence(0.0, np.zeros(len(coefficients)))
    if design is None:
        return nothing
    people, variants = design.fit.shape
    values, vectors = relationship_eigen(design.fit)
    target = project(values, vectors, design.target)
    h2 = reml(target)
    if h2 == 0.0:
        return nothing
    best, null = restricted_likelihood(np.array([h2, 0.0]), target)
    variance = h2 * values + 1.0 - h2
    total = float(np.sum(target.along**2 / variance)) + target.rest / (1.0 - h2)
    dual = vectors @ (target.along / variance)  # less what every variant's dosage is orthogonal to
    # h2 is at its best, so that theta's derivative is that at fixed h2; K's share of variant j is z_j z_j'.
    raised = (people - 1) * (design.fit.T @ dual) ** 2 / total
    expected = np.sum((vectors.T @ design.fit) ** 2 / variance[:, None], axis=0)
    share = h2 * (raised - expected) / (2.0 * variants)
    covariates = gene.covariates[design.kept]
    mean = covariates.T @ (weight[design.kept] / weight[design.kept].sum())
    return Evidence(float(best - null), covariates.T @ share - mean * share.sum())


def learn_prior(
    genes: Callable[[], Iterable[PriorGene]],
    count: int,
    names: Sequence[str],
    each: Callable[[Iterable[PriorGene], NDArray[np.float64]], Iterator[Evidence]],
) -> Prior:
    """Return the prior of the highest marginal likelihood over genes.

    BFGS from an inverse power of the distance, its first step by the genes' scores (Berndt et al. 1974);
    some ten passes over the genes.

    Parameters
    ----------
    genes
        Called once a pass: what is read for one gene need not be kept for the next.
    count
        How many they are.
    names
        Of the covariates.
    each
        Gives the `evidence` of each gene.
    """
    from scipy.optimize import minimize

    @lru_cache(maxsize=1)
    def at(theta: tuple[float, ...]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Return the gain over all genes, its gradient, and the sum of the genes' outer products of it."""
        here = np.array(theta)
        gain, gradient, products = 0.0, np.zeros(len(here)), np.zeros((len(here), len(here)))
        for one in each(genes(), here):
            gain += one.gain
            gradient += one.gradient
            products += np.outer(one.gradient, one.gradient)
        return gain, gradient, products

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        gain, gradient, _ = at(tuple(theta))
        return 0.5 * float(theta @ theta) / SPREAD**2 - gain, theta / SPREAD**2 - gradient

    start = np.array([0.0 if name == SCORE else _START for name in names])
    _, _, products = at(tuple(start))
    inverse = np.linalg.inv(products + np.eye(len(start)) / SPREAD**2)
    reached = np.inf

    def stop(intermediate_result: Any) -> None:
        nonlocal reached
        previous, reached = reached, float(intermediate_result.fun)
        if previous - reached < _ENOUGH:
            raise StopIteration

    found = minimize(
        loss,
        start,
        jac=True,
        method="BFGS",
        callback=stop,
        options={
            "hess_inv0": (inverse + inverse.T) / 2,  # symmetric but for rounding, and scipy wants it so
            "maxiter": _MOST_STEPS,
        },
    )
    theta = np.asarray(found.x)
    return Prior(tuple(names), tuple(float(value) for value in theta), count)


def _variances(covariates: NDArray[np.float64], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    log = covariates @ coefficients
    # Relative to the largest, and never zero: a variance of zero has no standardised dosage.
    return np.asarray(np.exp(np.maximum(log - log.max(initial=-np.inf), -50.0)))
