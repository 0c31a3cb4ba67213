"""Expression with a known truth: genetics, covariates, populations and noise, each kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glm2x.simulate.effects import Effects, draw_effects
from glm2x.simulate.settings import Settings

_BASE, _BASE_SD = 6.0, 1.0  # of the genes' means, on the scale of log2(x + 1)

Array = NDArray[np.float64]


class GeneVariants(NamedTuple):
    """The variants of a gene's window: float32 ``[individuals, variants]``, and int64 ``[variants]`` bp."""

    dosage: NDArray[np.float32]
    distance: NDArray[np.int64]


@dataclass(frozen=True)
class Expression:
    """Expression, and the parts that it is the sum of; arrays are float64 ``[genes, individuals]``.

    Attributes
    ----------
    base
        float64 ``[genes]``.
    effects
        The causal variants of each gene.
    cis
        What they add up to.
    grammar
        What the shared grammar adds.
    covariates, covariate_effects
        float64 ``[covariates, individuals]`` and ``[genes, covariates]``.
    population
        What an individual's population adds that is not genetic.
    noise
        Shared between genes and not.
    """

    base: Array
    effects: tuple[Effects, ...]
    cis: Array
    grammar: Array
    covariates: Array
    covariate_effects: Array
    population: Array
    noise: Array

    @property
    def genetic(self) -> Array:
        """What can be known from an individual's DNA: no predictor from DNA is better."""
        return self.cis + self.grammar

    @property
    def values(self) -> Array:
        """The expression."""
        others = self.covariate_effects @ self.covariates + self.population
        return self.base[:, None] + self.genetic + others + self.noise


def draw_expression(
    genes: Sequence[GeneVariants],
    settings: Settings,
    rng: np.random.Generator,
    *,
    population: NDArray[np.int64] | None = None,
    grammar: Array | None = None,
) -> Expression:
    """Draw the expression of people whose genotypes are known.

    Genetics and noise have variance 1 together in expectation; covariates and populations add to that.
    The noise is normal. Its shared part is one number a person that moves all genes alike.

    Parameters
    ----------
    genes
        The variants of each; all of the same individuals.
    population
        int64 ``[individuals]``, from 0 (default: one population).
    grammar
        float64 ``[genes, individuals]``: what the shared grammar adds (default: nothing).
    """
    people = genes[0].dosage.shape[0]
    shape = (len(genes), people)
    population = np.zeros(people, dtype=np.int64) if population is None else population
    effects = tuple(draw_effects(gene.dosage, gene.distance, settings, rng) for gene in genes)
    cis = np.array([e.genetic_value(gene.dosage) for e, gene in zip(effects, genes, strict=True)])
    count = settings.covariates
    size = np.sqrt(settings.covariate_variance / count) if count else 0.0
    shifts = rng.normal(size=(len(genes), int(population.max()) + 1)) * np.sqrt(settings.population_variance)
    shared = np.sqrt(settings.shared_noise) * rng.normal(size=people)
    own = np.sqrt(1.0 - settings.shared_noise) * rng.normal(size=shape)
    return Expression(
        base=_BASE + _BASE_SD * rng.normal(size=len(genes)),
        effects=effects,
        cis=cis,
        grammar=np.zeros(shape) if grammar is None else grammar,
        covariates=rng.normal(size=(count, people)),
        covariate_effects=size * rng.normal(size=(len(genes), count)),
        population=shifts[:, population],
        noise=np.sqrt(1.0 - settings.h2) * (shared + own),
    )
