"""Simulated haplotypes: frequencies, linkage and differences between populations are those of theory."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from glm2x.simulate.coalescent import Genealogy, Sites, simulate_sites, split_time

THETA = 1e-3


def sites(
    sizes: list[int], length: int = 1_000_000, *, recombination: float = 5e-4, fst: float = 0.0, seed: int = 0
) -> Sites:
    rng = np.random.default_rng(seed)
    return simulate_sites(sizes, length, diversity=THETA, recombination=recombination, fst=fst, rng=rng)


def test_a_count_of_carriers_is_as_frequent_as_its_inverse() -> None:
    found = sites([60], 2_000_000)
    counts = np.bincount(found.derived.sum(axis=1), minlength=61)
    assert counts[0] == counts[60] == 0
    # theta L / i sites have i carriers; two million bases know the rarest to some 8 %
    expected = THETA * 2_000_000 / np.arange(1, 60)
    np.testing.assert_allclose(counts[1:6] / expected[:5], 1.0, atol=0.25)
    assert counts[1:].sum() == pytest.approx(expected.sum(), rel=0.05)


def test_two_haplotypes_differ_as_diversity_says() -> None:
    assert len(sites([2], 2_000_000).position) == pytest.approx(2_000, rel=0.1)


def test_positions_ascend_inside_the_contig() -> None:
    found = sites([10], 5_000)
    assert (np.diff(found.position) > 0).all()
    assert found.position.min() >= 0
    assert found.position.max() < 5_000
    assert found.derived.shape == (len(found.position), 10)
    assert found.derived.dtype == np.bool_


def test_without_recombination_one_tree_explains_every_site() -> None:
    """Two sites that show all four gametes cannot be on one tree."""

    def gametes(found: Sites) -> int:
        pairs = combinations(found.derived[:60], 2)
        return max(len({(bool(a), bool(b)) for a, b in zip(x, y, strict=True)}) for x, y in pairs)

    assert gametes(sites([20], 40_000, recombination=0.0)) == 3
    assert gametes(sites([20], 40_000)) == 4


def test_linkage_falls_with_distance() -> None:
    found = sites([200])
    count = found.derived.sum(axis=1)
    common = (count > 20) & (count < 180)
    x = found.derived[common].astype(float)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    r2 = [np.mean((x[:-lag] * x[lag:]).mean(axis=1) ** 2) for lag in (1, 10, 300)]
    assert r2[0] > 0.4 > r2[1] > 0.1 > r2[2]


def test_recombination_is_as_frequent_as_said() -> None:
    """The variance of the sites of two haplotypes (Hudson, Theoretical Population Biology 23, 1983)."""
    rng = np.random.default_rng(0)
    theta, rho, length = 20.0, 10.0, 10_000_000  # of the whole; two mutations are never at one base
    rates = {"diversity": theta / length, "recombination": rho / length}
    counts = [len(simulate_sites([2], length, **rates, rng=rng).position) for _ in range(2_500)]
    x = np.linspace(0, rho, 10_001)
    alike = (rho - x) * (x + 18) / (x * x + 13 * x + 18)
    share = 2 / rho**2 * np.trapezoid(alike, x)
    assert np.mean(counts) == pytest.approx(theta, rel=0.05)
    # 2,500 trials know a variance to some 4 %; with twice the recombination it would be 30 % less
    assert np.var(counts) == pytest.approx(theta + theta**2 * share, rel=0.12)


def hudson_fst(found: Sites, first: int) -> float:
    a, b = found.derived[:, :first], found.derived[:, first:]
    p, q = a.mean(axis=1), b.mean(axis=1)
    within = p * (1 - p) / (a.shape[1] - 1) + q * (1 - q) / (b.shape[1] - 1)
    return float(((p - q) ** 2 - within).sum() / (p * (1 - q) + q * (1 - p)).sum())


@pytest.mark.parametrize("fst", [0.0, 0.1, 0.3])
def test_populations_differ_as_fst_says(fst: float) -> None:
    assert hudson_fst(sites([40, 60], 2_000_000, fst=fst), 40) == pytest.approx(fst, abs=0.025)


def test_the_time_since_the_split_by_hand() -> None:
    # 1 / 4 of what two haplotypes of two populations differ: t = 1 / 3, and t / (1 + t) = 1 / 4
    assert split_time(0.25) == pytest.approx(1 / 3)
    assert split_time(0.0) == 0


@pytest.mark.parametrize("sizes", [[2], [15], [1, 1], [8, 5, 4]])
def test_the_tree_stays_a_tree(sizes: list[int]) -> None:
    rng = np.random.default_rng(1)
    split = 0.4 if len(sizes) > 1 else 0.0
    tree = Genealogy(sizes, split, rng)
    leaves = sum(sizes)
    population = np.repeat(np.arange(len(sizes)), sizes)
    shapes = set()
    for _ in range(300):
        children: dict[int, list[int]] = {}
        for node, above in enumerate(tree.parent.tolist()):
            children.setdefault(above, []).append(node)
        assert len(children.pop(-1)) == 1  # the root
        assert sorted(children) == list(range(leaves, 2 * leaves - 1))
        for above, pair in children.items():
            first, second = pair
            assert tree.time[above] > max(tree.time[first], tree.time[second])
            assert tree.below[above] == tree.below[first] | tree.below[second]
            assert tree.below[first] & tree.below[second] == 0
            if tree.time[above] < split:
                inside = [population[i] for i in range(leaves) if tree.below[above] >> i & 1]
                assert len(set(inside)) == 1
        above = np.maximum(tree.parent, 0)
        length = np.where(tree.parent < 0, 0.0, tree.time[above] - tree.time)
        np.testing.assert_allclose(tree.cumulative_length(), np.cumsum(length), atol=1e-9)
        shapes.add((tuple(tree.parent.tolist()), tuple(tree.time.tolist())))
        tree.recombine(tree.cumulative_length())
    assert len(shapes) > 50


def test_two_lineages_keep_meeting_after_one_unit_of_time() -> None:
    rng = np.random.default_rng(2)
    tree = Genealogy([2], 0.0, rng)
    heights = []
    for _ in range(20_000):
        tree.recombine(tree.cumulative_length())
        heights.append(tree.time.max())
    # recombination is the more frequent the longer the tree, so each tree counts for its stretch: 1 / length
    assert np.average(heights, weights=1 / np.array(heights)) == pytest.approx(1.0, abs=0.05)


def test_the_same_seed_gives_the_same_haplotypes() -> None:
    one, same, other = (sites([6, 6], 50_000, fst=0.1, seed=seed) for seed in (3, 3, 4))
    assert (one.position == same.position).all()
    assert (one.derived == same.derived).all()
    assert len(one.position) != len(other.position) or (one.position != other.position).any()


def test_a_contig_without_mutations_has_no_sites() -> None:
    rng = np.random.default_rng(0)
    found = simulate_sites([4], 1, diversity=1e-9, recombination=0.0, rng=rng)
    assert found.position.shape == (0,)
    assert found.derived.shape == (0, 4)
