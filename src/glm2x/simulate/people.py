"""Simulated people: their names, populations and families, and how siblings inherit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.simulate.settings import Settings

_CROSSOVERS = 1e-8  # a base and meiosis


@dataclass(frozen=True)
class People:
    """Who is in the cohort; haplotypes 2 i and 2 i + 1 are those of individual i.

    Attributes
    ----------
    names
        Of the individuals.
    population
        int64 ``[individuals]``, from 0, ascending.
    siblings
        The first individual of each pair of siblings; the next one is the second.
    """

    names: tuple[str, ...]
    population: NDArray[np.int64]
    siblings: tuple[int, ...]

    @property
    def sizes(self) -> list[int]:
        """Individuals of each population."""
        return [int(size) for size in np.bincount(self.population)]

    def table(self) -> pl.DataFrame:
        """Return the table of individuals; siblings are a family, everybody else is one alone."""
        family = np.arange(len(self.names))
        family[np.array(self.siblings, dtype=np.int64) + 1] = self.siblings
        return pl.DataFrame(
            {
                "individual": list(self.names),
                "population": [f"POP{k + 1}" for k in self.population.tolist()],
                "family": [f"F{self.names[i][1:]}" for i in family.tolist()],
            }
        )


def make_people(settings: Settings) -> People:
    """Return the people that the settings ask for, population by population."""
    count = settings.individuals
    population = np.sort(np.arange(count) % settings.populations).astype(np.int64)
    digits = len(str(count))
    names = tuple(f"P{i + 1:0{digits}}" for i in range(count))
    pairs = [i for size, end in _ends(population) for i in range(end - size, end - 1, 2)]
    wanted = round(settings.sibling_share * count / 2)
    return People(names, population, tuple(pairs[:wanted]))


def _ends(population: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the size of each population, and the individual after its last one."""
    sizes = np.bincount(population)
    return list(zip(sizes.tolist(), np.cumsum(sizes).tolist(), strict=True))


def let_siblings_inherit(
    haplotypes: NDArray[np.bool_],
    position: NDArray[np.int64],
    length: int,
    people: People,
    rng: np.random.Generator,
) -> None:
    """Make the haplotypes of each pair of siblings anew, in place.

    The four that were drawn for the two become those of their parents: the first two the one's, the
    others the other's. Each child inherits one of each parent, with crossovers.

    Parameters
    ----------
    haplotypes
        bool ``[sites, 2 individuals]``.
    position
        int64 ``[sites]``.
    length
        Of the contig, bp.
    """
    for first in people.siblings:
        parents = haplotypes[:, 2 * first : 2 * first + 4].copy()
        for child in (first, first + 1):
            for parent in (0, 1):
                crossovers = np.sort(rng.random(rng.poisson(_CROSSOVERS * length)) * length)
                copied = (rng.integers(2) + np.searchsorted(crossovers, position)) % 2
                inherited = np.where(copied == 0, parents[:, 2 * parent], parents[:, 2 * parent + 1])
                haplotypes[:, 2 * child + parent] = inherited
