"""Haplotypes of a neutral population: a genealogy that changes along the contig, with mutations on it.

The genealogy is the sequentially Markov coalescent of Marjoram and Wall (BMC Genetics 7:16, 2006), SMC':
at a recombination a lineage leaves the tree and comes back to it further up. Populations parted at one
time, and have exchanged nobody since. Times are in units of 2N generations: two lineages of one population
meet at rate 1.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NONE = -1


@dataclass(frozen=True)
class Sites:
    """Where haplotypes differ, and who carries the younger allele.

    Attributes
    ----------
    position
        int64 ``[sites]``, 0-based, ascending, each once.
    derived
        bool ``[sites, haplotypes]``.
    """

    position: NDArray[np.int64]
    derived: NDArray[np.bool_]


def split_time(fst: float) -> float:
    """Return the time at which populations parted for an Fst of ``t / (1 + t)`` (Hudson's, in expectation).

    Two haplotypes of one population meet after 1 on average, of two populations after 1 + t.
    """
    return fst / (1.0 - fst)


def simulate_sites(
    sizes: Sequence[int],
    length: int,
    *,
    diversity: float,
    recombination: float,
    fst: float = 0.0,
    rng: np.random.Generator,
) -> Sites:
    """Draw the haplotypes of one contig.

    Parameters
    ----------
    sizes
        Haplotypes of each population, at least two in all.
    length
        Of the contig, bp.
    diversity
        4 N mu: how many of two haplotypes' bases differ within a population.
    recombination
        4 N r between neighbouring bases.
    fst
        Between any two of the populations, in [0, 1).
    """
    tree = Genealogy(sizes, split_time(fst) if len(sizes) > 1 else 0.0, rng)
    positions: list[int] = []
    carriers: list[int] = []
    here = 0.0
    while here < length:
        # the total is that of the tree between here and the next recombination
        reach = tree.cumulative_length()
        total = float(reach[-1])
        stretch = rng.exponential(2.0 / (recombination * total)) if recombination > 0 else math.inf
        stretch = min(stretch, length - here)
        mutations = int(rng.poisson(diversity / 2.0 * total * stretch))
        if mutations:
            branches = np.searchsorted(reach, rng.random(mutations) * total, side="right")
            positions += (here + rng.random(mutations) * stretch).astype(np.int64).tolist()
            carriers += [tree.below[branch] for branch in branches.tolist()]
        here += stretch
        if here < length:
            tree.recombine(reach)
    place, first = np.unique(np.asarray(positions, dtype=np.int64), return_index=True)
    haplotypes = sum(sizes)
    width = -(-haplotypes // 8)
    packed = b"".join(carriers[i].to_bytes(width, "little") for i in first.tolist())
    bits = np.frombuffer(packed, dtype=np.uint8).reshape(len(place), width)
    derived = np.unpackbits(bits, axis=1, count=haplotypes, bitorder="little").view(np.bool_)
    return Sites(place, derived)


class Genealogy:
    """The tree of all haplotypes at one place, drawn by the coalescent; `recombine` makes it the next one.

    Leaves are 0 to n - 1, population by population; the other n - 1 nodes are the meetings.

    Attributes
    ----------
    below
        The leaves under each node, bit i for leaf i.
    time
        float64 ``[2 n - 1]``, 0 for leaves.
    parent
        int ``[2 n - 1]``, -1 for the root.
    """

    def __init__(self, sizes: Sequence[int], split: float, rng: np.random.Generator) -> None:
        leaves = sum(sizes)
        nodes = 2 * leaves - 1
        self._rng = rng
        self._split = split
        self._sizes = list(sizes)
        self.time = np.zeros(nodes)
        self.parent = np.full(nodes, _NONE, dtype=np.int64)
        self._above = np.full(nodes, np.inf)  # the time of the parent
        self._length = np.zeros(nodes)
        self._children = [(_NONE, _NONE)] * nodes
        self._population = np.full(nodes, _NONE, dtype=np.int64)  # of a node younger than the split
        self._population[:leaves] = np.repeat(np.arange(len(sizes)), sizes)
        self.below = [1 << leaf for leaf in range(leaves)] + [0] * (leaves - 1)
        # when lineages met, ascending: in each population since the split, and before it
        self._met: list[list[float]] = [[] for _ in sizes]
        self._met_before: list[float] = []
        self._grow(leaves)

    def cumulative_length(self) -> NDArray[np.float64]:
        """Return the lengths of the branches above each node, summed up to it, float64 ``[2 n - 1]``."""
        reach: NDArray[np.float64] = np.cumsum(self._length)
        return reach

    def recombine(self, reach: NDArray[np.float64]) -> None:
        """Let the lineage at a random point of the tree leave it and come back where it meets another.

        Parameters
        ----------
        reach
            What `cumulative_length` returns.
        """
        at = self._rng.random() * float(reach[-1])
        branch = int(np.searchsorted(reach, at, side="right"))
        left = float(self.time[branch]) + at - float(reach[branch] - self._length[branch])
        population = int(self._population[branch])
        back = self._meeting(left, population)
        alive = (self.time <= back) & (self._above > back)
        if back < self._split:
            alive &= self._population == population
        found = np.flatnonzero(alive)
        other = int(found[int(self._rng.random() * len(found))])
        if other != branch:  # else it came back to where it left
            self._move(branch, other, back, population)

    def _grow(self, leaves: int) -> None:
        """Draw the first tree."""
        node = leaves
        first = 0
        lineages: list[int] = []
        for population, size in enumerate(self._sizes):
            here = list(range(first, first + size))
            node = self._merge(here, 0.0, self._split, node, population)
            lineages += here
            first += size
        self._merge(lineages, self._split, math.inf, node, _NONE)

    def _merge(self, lineages: list[int], start: float, end: float, node: int, population: int) -> int:
        """Let lineages meet between two times; return the next free node."""
        now = start
        while len(lineages) > 1:
            count = len(lineages)
            now += self._rng.exponential(2.0 / (count * (count - 1)))
            if now >= end:
                break
            pair = []
            for _ in range(2):
                chosen = int(self._rng.random() * len(lineages))
                lineages[chosen], lineages[-1] = lineages[-1], lineages[chosen]
                pair.append(lineages.pop())
            self.time[node] = now
            self._population[node] = population
            self._children[node] = (pair[0], pair[1])
            self.below[node] = self.below[pair[0]] | self.below[pair[1]]
            for child in pair:
                self.parent[child] = node
                self._measure(child)
            self._meetings(now, population).append(now)
            lineages.append(node)
            node += 1
        return node

    def _meetings(self, time: float, population: int) -> list[float]:
        return self._met[population] if time < self._split else self._met_before

    def _meeting(self, start: float, population: int) -> float:
        """Return when a lineage that floats from `start` meets one of the tree, its own included."""
        waiting = self._rng.exponential()
        now = start
        if now < self._split:
            met = self._met[population]
            passed = bisect_right(met, now)
            lineages = self._sizes[population] - passed
            for until in (*met[passed:], self._split):
                if waiting < (until - now) * lineages:
                    return now + waiting / lineages
                waiting -= (until - now) * lineages
                now = until
                lineages -= 1
        met = self._met_before
        passed = bisect_right(met, now)
        lineages = sum(self._sizes) - sum(map(len, self._met)) - passed
        for until in met[passed:]:
            if waiting < (until - now) * lineages:
                break
            waiting -= (until - now) * lineages
            now = until
            lineages -= 1
        return now + waiting / lineages

    def _move(self, branch: int, other: int, back: float, population: int) -> None:
        """Cut the lineage above `branch` off, and join it to the one above `other` at a time."""
        joint = int(self.parent[branch])
        first, second = self._children[joint]
        sibling = second if first == branch else first
        if other == joint:
            other = sibling  # whose branch it is once the joint is gone
        cut = self.below[branch]
        above = int(self.parent[joint])
        self._attach(sibling, joint, above)
        while above != _NONE:
            self.below[above] &= ~cut
            above = int(self.parent[above])
        old = float(self.time[joint])
        self._meetings(old, int(self._population[joint])).remove(old)
        above = int(self.parent[other])
        self.time[joint] = back
        self._population[joint] = population if back < self._split else _NONE
        self._children[joint] = (branch, other)
        self._attach(joint, other, above)
        self.parent[other] = joint
        self.below[joint] = cut | self.below[other]
        while above != _NONE:
            self.below[above] |= cut
            above = int(self.parent[above])
        insort(self._meetings(back, population), back)
        for node in (branch, sibling, other, joint):
            self._measure(node)

    def _attach(self, node: int, instead_of: int, above: int) -> None:
        """Make a node the child of the one above in the place of another, or the root."""
        self.parent[node] = above
        if above != _NONE:
            first, second = self._children[above]
            self._children[above] = (node, second) if first == instead_of else (first, node)

    def _measure(self, node: int) -> None:
        above = int(self.parent[node])
        root = above == _NONE
        self._above[node] = np.inf if root else self.time[above]
        self._length[node] = 0.0 if root else self.time[above] - self.time[node]
