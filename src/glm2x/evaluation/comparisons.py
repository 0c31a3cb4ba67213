"""One row of the report against another: the same genes, the same people, paired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glm2x.evaluation.metrics import (
    MIN_INDIVIDUALS,
    Array,
    benjamini_hochberg,
    masked_pearson,
    pearson_p,
    pieces,
)
from glm2x.evaluation.tables import CellRow, is_baseline
from glm2x.evaluation.uncertainty import (
    Draws,
    Interval,
    PeopleMoments,
    bootstrap_pearson,
    mean_interval,
)
from glm2x.files import give_back, mapped

REFERENCE_MODELS = ("elastic-net", "ridge", "gblup")
"""What every row is compared with: with few people elastic net is the weak one, so it is not enough."""

_EDGE = 1e-8


@dataclass(frozen=True)
class Comparison:
    """Row `a` against row `b` on the genes and people that both have.

    Parameters
    ----------
    genes
        Bool [G], the genes of the cell that both have.
    individuals
        Int [G], people of each gene.
    people
        How many individuals there are in all.
    pearson_a, pearson_b
        Float [G], mean over seeds, NaN outside `genes`.
    pearson_ab
        Float [G], correlation of the two predictions.
    t, p, fdr
        Float [G], Williams's test of the two r (see `williams` on several seeds), and its p over the
        genes after Benjamini-Hochberg.
    interval
        Difference of the mean r.
    """

    a: str
    b: str
    genes: NDArray[np.bool_]
    individuals: NDArray[np.int64]
    people: int
    pearson_a: Array
    pearson_b: Array
    pearson_ab: Array
    t: Array
    p: Array
    fdr: Array
    interval: Interval

    def share_better(self, sign: int) -> float:
        """Return the share of genes where a (sign 1) or b (sign -1) is better at BH FDR < 0.05."""
        if not self.genes.any():
            return float("nan")
        difference = sign * (self.pearson_a - self.pearson_b)
        return float(((self.fdr < 0.05) & (difference > 0)).sum() / self.genes.sum())


def choose_pairs(rows: Sequence[CellRow]) -> list[tuple[CellRow, CellRow]]:
    """Return the pairs to compare, each once.

    Every row against elastic net, ridge and GBLUP where they are present (of the same number of
    training people, where there are several). Models that are no baselines are compared with each
    other too, a stranger's with ours, and each strategy of a model with those before it: reference,
    personal, reference-then-personal.
    """
    pairs: list[tuple[CellRow, CellRow]] = []
    for at, row in enumerate(rows):
        rivals = [other for name in REFERENCE_MODELS for other in _of_size(rows, name, row)]
        if not is_baseline(row.key.model):
            rivals += [
                other for other in rows[:at] if row.key.model == other.key.model and _alike(row, other)
            ]
            rivals += [other for other in rows if row.key.model != other.key.model and _alike(row, other)]
        for other in rivals:
            if other is not row and not any(a is other and b is row for a, b in pairs):
                pairs.append((row, other))
    return pairs


def _alike(row: CellRow, other: CellRow) -> bool:
    """Whether the other is no baseline either, and both are of as many people as far as they say it."""
    sizes = {row.key.train_individuals, other.key.train_individuals} - {None}
    return not is_baseline(other.key.model) and len(sizes) < 2


def _of_size(rows: Sequence[CellRow], model: str, row: CellRow) -> list[CellRow]:
    found = [other for other in rows if other.key.model == model]
    same = [other for other in found if other.key.train_individuals == row.key.train_individuals]
    return same or (found if len(found) == 1 else [])


class PeopleDraws:
    """Correlations in draws of people, kept while one cell is evaluated (the same rows meet many times).

    Parameters
    ----------
    scratch
        A folder on whose disk they are kept; without it they are kept in memory.
    """

    def __init__(self, draws: Draws, scratch: Path | None = None) -> None:
        self.draws, self._scratch = draws, scratch
        self._kept: dict[str, tuple[NDArray[np.bool_], NDArray[np.float32] | mmap]] = {}

    def keep(self, row: CellRow, mask: NDArray[np.bool_]) -> None:
        """Keep those of a row over `mask`, float32 [G, D]."""
        if self._scratch is None:
            values = np.concatenate([part for _, part in drawn_pearson(row, mask, self.draws)])
            self._kept[row.label] = (mask, values)
            return
        path = self._scratch / f"draws-{len(self._kept)}-{id(self)}"
        with path.open("wb") as file:
            for _, part in drawn_pearson(row, mask, self.draws):
                file.write(part.data)
        self._kept[row.label] = (mask, mapped(path))
        path.unlink()  # its room is free when this cell is done

    def of(self, row: CellRow, mask: NDArray[np.bool_]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Give r over `mask` in each draw, the mean over replicates: some genes, float32 [genes, D]."""
        if row.label not in self._kept:
            self.keep(row, mask)
        known, values = self._kept[row.label]
        if not np.array_equal(known, mask):
            yield from drawn_pearson(row, mask, self.draws)
            return
        draws = len(self.draws.individuals)
        whole = np.frombuffer(values, np.float32).reshape(-1, draws) if isinstance(values, mmap) else values
        for genes in pieces(len(mask), draws):
            yield genes, whole[genes]
            if isinstance(values, mmap):
                give_back(values)


def drawn_pearson(
    row: CellRow, mask: NDArray[np.bool_], draws: Draws
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Give r over `mask` in each draw of people, the mean over replicates: some genes, float32 [genes, D]."""
    for genes in pieces(len(mask), len(draws.individuals)):
        here = mask[genes]
        total = np.zeros((len(draws.individuals), len(here)))
        for predicted, observed in zip(row.predicted, row.observed, strict=True):
            total += bootstrap_pearson(predicted[genes], observed[genes], here, draws.individuals)
        mean = (total / len(row.replicates)).astype(np.float32)
        yield genes, np.ascontiguousarray(mean.T)


def moments(drawn: Iterable[tuple[slice, NDArray[np.float32]]], genes: NDArray[np.bool_]) -> PeopleMoments:
    """Return what draws say of the mean over `genes`, bool [G], as they come."""
    return PeopleMoments(part[genes[these]].astype(np.float64).T for these, part in drawn)


def compare(a: CellRow, b: CellRow, people: PeopleDraws) -> Comparison:
    """Compare two rows of a cell."""
    mask = a.mask & b.mask
    r_a, null_a = mean_pearson(a, mask)
    r_b, null_b = mean_pearson(b, mask)
    genes = np.isfinite(r_a) & np.isfinite(r_b)
    r_ab = np.where(genes, _prediction_correlation(a, b, mask), np.nan)
    n = mask.sum(axis=1)
    r_a, r_b = np.where(genes, r_a, np.nan), np.where(genes, r_b, np.nan)
    t, p = williams(r_a, r_b, r_ab, n, null_a=null_a, null_b=null_b)
    both = zip(people.of(a, mask), people.of(b, mask), strict=True)
    parts = ((x[genes[these]].astype(np.float64) - y[genes[these]]).T for (these, x), (_, y) in both)
    return Comparison(
        a=a.label,
        b=b.label,
        genes=genes,
        individuals=n.astype(np.int64),
        people=int(mask[genes].any(axis=0).sum()),
        pearson_a=r_a,
        pearson_b=r_b,
        pearson_ab=r_ab,
        t=t,
        p=p,
        fdr=benjamini_hochberg(p),
        interval=mean_interval((r_a - r_b)[genes], PeopleMoments(parts), people.draws.take(genes)),
    )


def williams(
    r_a: Array,
    r_b: Array,
    r_ab: Array,
    n: NDArray[np.int64],
    *,
    null_a: NDArray[np.bool_] | None = None,
    null_b: NDArray[np.bool_] | None = None,
) -> tuple[Array, Array]:
    """Return Williams's t and its two-sided p for two correlations that share the measured variable.

    Williams (1959), the test that Steiger (Psychological Bulletin 87, 1980, equation 7) recommends::

        t = (r_a - r_b) sqrt((n - 1) (1 + r_ab) / (2 (n - 1) / (n - 3) det R + m^2 (1 - r_ab)^3))

    with m the mean of r_a and r_b, det R = 1 - r_a^2 - r_b^2 - r_ab^2 + 2 r_a r_b r_ab, and n - 3
    degrees of freedom. Where one prediction is null, its r is 0 by rule and not estimated: then the
    test is that of the other's r being 0. Where both are, p = 1. r_ab is kept 1e-8 from -1 and 1,
    where t is 0 / 0.

    For rows of several seeds the three r are means over seeds (r_ab over pairs of seeds), and the
    test takes them for those of single predictions. Means over seeds vary less than that, so the
    test then finds less, not more, than 5 % by chance. How far seeds differ is not in it.

    Parameters
    ----------
    r_a, r_b
        Float [G], of each prediction with the measurements.
    r_ab
        Float [G], of the two predictions.
    n
        Int [G], people; p is NaN with fewer than 4.
    """
    degrees = np.maximum(n - 3, 1)
    r_ab = np.clip(r_ab, _EDGE - 1, 1 - _EDGE)
    determinant = np.maximum(1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab, 0.0)
    mean = (r_a + r_b) / 2
    below = 2 * (n - 1) / degrees * determinant + mean**2 * (1 - r_ab) ** 3
    above = (n - 1) * (1 + r_ab)
    difference = r_a - r_b
    # Two predictions that are the same: no difference, and 0 / 0.
    same = np.abs(difference) < 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(same, 0.0, difference * np.sqrt(above / below))
    p = 2 * stats.t.sf(np.abs(t), degrees)
    if null_a is not None and null_b is not None:
        one = null_a ^ null_b
        other = np.where(null_a, r_b, r_a)
        with np.errstate(divide="ignore"):
            single = np.sign(difference) * np.abs(other) * np.sqrt(np.maximum(n - 2, 1) / (1 - other**2))
        t = np.where(one, single, np.where(null_a & null_b, 0.0, t))
        p = np.where(one, pearson_p(other, n), np.where(null_a & null_b, 1.0, p))
    unknown = (n <= MIN_INDIVIDUALS) | np.isnan(difference)
    return np.where(unknown, np.nan, t), np.where(unknown, np.nan, p)


def mean_pearson(row: CellRow, mask: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Return r over `mask`, the mean over replicates, and where all replicates are null."""
    each = [masked_pearson(x, y, mask) for x, y in zip(row.predicted, row.observed, strict=True)]
    return np.mean([r for r, _ in each], axis=0), np.all([null for _, null in each], axis=0)


def _prediction_correlation(a: CellRow, b: CellRow, mask: NDArray[np.bool_]) -> Array:
    """Return the correlation of two rows' predictions, the mean over pairs of replicates; 0 for constants."""
    total = np.zeros(len(mask))
    for x in a.predicted:
        for y in b.predicted:
            r, _ = masked_pearson(x, y, mask)
            total += np.nan_to_num(r)
    return total / (len(a.predicted) * len(b.predicted))
