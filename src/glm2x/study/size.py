"""How many windows a study has, and how many of them are unique: counted in a cohort, or on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.genome.haplotypes.window import HaplotypeWindow

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.progress import Progress

MOST_COUNTED = 500
"""Genes in which haplotypes are counted; of more, so many are drawn."""

# Unique haplotypes of a gene at 64 kb by number of haplotypes. 300 and 716: people of GEUVADIS, common
# variants times two and a half for rare ones; 980,000: the estimate for a biobank.
_LAW = ((2.0, 2.0), (300.0, 150.0), (716.0, 480.0), (980_000.0, 13_000.0))
_LAW_MAF = ((2.0, 2.0), (300.0, 110.0), (716.0, 300.0), (980_000.0, 2_500.0))
LAW_MAF = 0.001
# medians of 716 haplotypes, common variants, relative to those of 64 kb
_BY_WINDOW = ((11_000.0, 21 / 192), (64_000.0, 1.0), (196_608.0, 600 / 192))


@dataclass(frozen=True)
class Size:
    """The windows of a study.

    Attributes
    ----------
    genes, people, window
        How many, and base pairs.
    unique
        Different sequences over all genes, each gene's reference included.
    source
        In words, where `unique` is from.
    """

    genes: int
    people: int
    window: int
    unique: int
    source: str

    @property
    def windows(self) -> int:
        """Windows without a dictionary: two a person and gene, and a gene's reference."""
        return self.genes * (2 * self.people + 1)

    def of_genes(self, genes: int) -> Size:
        """Return the size of as many genes, with as many unique haplotypes each."""
        return Size(genes, self.people, self.window, round(self.unique * genes / self.genes), self.source)


def counted(
    cohort: Cohort,
    window: int,
    genes: Sequence[str],
    individuals: Sequence[str],
    progress: Progress,
    *,
    min_maf: float = 0.0,
    seed: int = 0,
) -> Size:
    """Count the unique haplotypes of genes in people.

    Of more than `MOST_COUNTED` genes so many are drawn, and the others taken to be like them.

    Parameters
    ----------
    min_maf
        Leave out variants whose minor allele is rarer than that among these people, as a cohort built of
        filtered genotypes would.

    Raises
    ------
    DataError
        A gene or person is not in the cohort, or the cohort has no reference.
    """
    rows = cohort.gene_index(genes)
    people = cohort.individual_index(individuals)
    dictionary = HaplotypeDictionary(cohort, window)
    drawn = rows
    if len(rows) > MOST_COUNTED:
        drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_COUNTED])
    haplotypes = (2 * people[:, None] + np.arange(2)).ravel()
    unique = 0
    with progress("haplotypes", len(drawn)) as bar:
        for row in drawn.tolist():
            unique += count_unique(dictionary.window_of(cohort.gene_ids[row]), haplotypes, min_maf)
            bar.advance(1)
    source = f"counted in {len(rows):,} genes"
    if len(drawn) < len(rows):
        source = f"counted in {len(drawn):,} of {len(rows):,} genes"
    if min_maf:
        source += f", minor alleles of {min_maf:g} or more"
    return Size(len(rows), len(people), window, round(unique * len(rows) / len(drawn)), source)


def count_unique(window: HaplotypeWindow, haplotypes: NDArray[np.intp], min_maf: float = 0.0) -> int:
    """Return how many different patterns a gene's haplotypes have, the reference's among them.

    Parameters
    ----------
    haplotypes
        Rows: person i's are 2 i and 2 i + 1.
    """
    patterns = np.unpackbits(window.patterns()[haplotypes], axis=1, count=window.width)
    if min_maf > 0:
        carried = patterns.mean(axis=0)
        patterns = patterns[:, np.minimum(carried, 1 - carried) >= min_maf]
    packed = np.packbits(np.concatenate([patterns, np.zeros_like(patterns[:1])]), axis=1)
    return len(np.unique(packed, axis=0)) if packed.shape[1] else 1


def on_paper(genes: int, people: int, window: int, *, min_maf: float = 0.0) -> Size:
    """Return the size of a study of which there is no cohort yet.

    The number of unique haplotypes is read off a curve through real and estimated numbers, on
    logarithmic scales: a factor of two either way.
    """
    haplotypes = 2.0 * people
    law = _LAW_MAF if min_maf >= LAW_MAF else _LAW
    each = _interpolated(haplotypes, law) * _interpolated(float(window), _BY_WINDOW)
    each = min(max(each, 1.0), haplotypes)
    source = "on paper, within a factor of two"
    if min_maf >= LAW_MAF:
        source += f", minor alleles of {LAW_MAF:g} or more"
    return Size(genes, people, window, round(genes * (each + 1)), source)


def _interpolated(x: float, knots: Sequence[tuple[float, float]]) -> float:
    """Return a curve's height, straight between its knots on logarithmic scales, and beyond them."""
    at, height = np.log([k[0] for k in knots]), np.log([k[1] for k in knots])
    i = int(np.clip(np.searchsorted(at, np.log(x)) - 1, 0, len(at) - 2))
    slope = (height[i + 1] - height[i]) / (at[i + 1] - at[i])
    return float(np.exp(height[i] + slope * (np.log(x) - at[i])))
