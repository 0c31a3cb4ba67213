"""REML by hand, against whole covariance matrices, and its intervals against a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from glm2x.reml import (
    Projected,
    heritability,
    p_of_zero,
    project,
    relationship_eigen,
    reml,
    restricted_likelihood,
)

Array = NDArray[np.float64]

# One direction of eigenvalue 4 with a square of 9, two of 0 with 1 each; written out, or as a rest.
WHOLE = Projected(np.array([4.0, 0.0, 0.0]), np.array([3.0, 1.0, 1.0]))
SHORT = Projected(np.array([4.0]), np.array([3.0]), rest=2.0, others=2)
BOTH = pytest.mark.parametrize("target", [WHOLE, SHORT], ids=["written out", "as a rest"])


def simulated(people: int, variants: int, h2: float, seed: int) -> tuple[Array, Array]:
    """Standardised dosages, and a centred target."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.1, 0.9, variants), (people, variants)).astype(float)
    z = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    y = np.sqrt(h2) * z @ rng.normal(size=variants) / np.sqrt(variants)
    y = y + np.sqrt(1 - h2) * rng.normal(size=people)
    return z, y - y.mean()


def by_hand(z: Array, y: Array, h2: float) -> float:
    """The restricted log-likelihood from V, its inverse and determinants (Patterson and Thompson 1971)."""
    n = len(y)
    v = h2 * z @ z.T / z.shape[1] + (1 - h2) * np.eye(n)
    inverse, one = np.linalg.inv(v), np.ones(n)
    of_mean = one @ inverse @ one
    residual = y - (one @ inverse @ y) / of_mean
    scale = residual @ inverse @ residual / (n - 1)
    return float(-0.5 * ((n - 1) * np.log(scale) + np.linalg.slogdet(v)[1] + np.log(of_mean)))


def test_relationship_of_two_genotypes() -> None:
    # four people in two groups: K is +1 within and -1 between, its one eigenvalue is 4
    values, vectors = relationship_eigen(np.array([[-1.0], [-1.0], [1.0], [1.0]]))
    assert values == pytest.approx([4])
    assert np.abs(vectors[:, 0]) == pytest.approx([0.5] * 4)
    assert vectors.sum(axis=0) == pytest.approx([0])  # orthogonal to the mean


@pytest.mark.parametrize(("people", "variants"), [(60, 25), (40, 90), (30, 30)])
def test_vectors_and_values_are_the_relationship_matrix(people: int, variants: int) -> None:
    z, _ = simulated(people, variants, 0.5, 3)
    z = np.column_stack([z, z[:, 0]])  # perfect linkage: one variant more, no rank more
    values, vectors = relationship_eigen(z)
    assert len(values) == min(people - 1, variants)
    assert vectors * values @ vectors.T == pytest.approx(z @ z.T / (variants + 1))
    assert vectors.T @ vectors == pytest.approx(np.eye(len(values)))


@BOTH
def test_reml_of_one_group_difference_by_hand(target: Projected) -> None:
    # The residual variance is (1 + 1) / 2 = 1, and 4 * genetic + residual = 9 gives genetic 2, so that
    # h2 = 2 / (2 + 1).
    assert reml(target) == pytest.approx(2 / 3, abs=1e-4)


@BOTH
def test_heritability_of_one_group_difference_by_hand(target: Projected) -> None:
    # As above, h2 = 2/3: variances v of 3, 1/3, 1/3, so that (lambda - 1) / v is 1, -3, -3 and the
    # information half of their squared deviations from -5/3. Their squares over v are 3, 3, 3; at 0, 9, 1, 1.
    found = heritability(2 / 3, target)
    assert found.se == pytest.approx((0.5 * (64 + 16 + 16) / 9) ** -0.5)
    ratio = 2 * np.diff(restricted_likelihood(np.array([0.0, 2 / 3]), target))[0]
    assert ratio == pytest.approx(3 * np.log(11 / 3) - (3 * np.log(3) + np.log(3) + 2 * np.log(1 / 3)))
    assert found.p == pytest.approx(0.5 * float(chi2.sf(ratio, 1)))
    assert found.low == 0  # three people say little
    assert found.high > 0.99


@pytest.mark.parametrize(("people", "variants"), [(60, 25), (40, 90)], ids=["few variants", "few people"])
def test_the_estimate_and_its_p_are_those_of_the_whole_covariance(people: int, variants: int) -> None:
    z, y = simulated(people, variants, 0.5, 1)
    target = project(*relationship_eigen(z), y)
    h2 = reml(target)
    grid = np.linspace(0, 0.999, 2_000)
    likelihood = [by_hand(z, y, value) for value in grid]
    assert h2 == pytest.approx(grid[int(np.argmax(likelihood))], abs=1e-3)
    ratio = 2 * (by_hand(z, y, h2) - by_hand(z, y, 0.0))
    assert p_of_zero(h2, target) == pytest.approx(0.5 * float(chi2.sf(ratio, 1)), rel=1e-4)


def test_the_interval_is_where_the_likelihood_has_fallen_by_1_92() -> None:
    rng = np.random.default_rng(1)
    values = rng.gamma(0.3, 3.0, size=200)
    target = Projected(values, rng.normal(size=200) * np.sqrt(0.5 * values + 0.5))
    h2 = reml(target)
    found = heritability(h2, target)
    assert 0 < found.low < h2 < found.high < 1
    best, low, high = restricted_likelihood(np.array([h2, found.low, found.high]), target)
    assert (best - low, best - high) == pytest.approx((1.9207, 1.9207), abs=0.02)


def test_where_the_relationship_is_the_identity_h2_has_no_standard_error() -> None:
    assert np.isnan(heritability(0.0, Projected(np.ones(4), np.arange(4.0))).se)


def test_intervals_of_h2_hold_the_truth_in_95_of_100_simulations() -> None:
    rng = np.random.default_rng(0)
    dosage = rng.binomial(2, 0.3, size=(150, 30)).astype(float)
    values, _ = relationship_eigen((dosage - dosage.mean(axis=0)) / dosage.std(axis=0))
    covered, draws = 0, 400
    for _ in range(draws):
        along = rng.normal(size=30) * np.sqrt(0.4 * values + 0.6)
        target = Projected(values, along, 0.6 * rng.chisquare(119), 119)
        found = heritability(reml(target), target)
        covered += found.low <= 0.4 <= found.high
    assert 0.92 < covered / draws < 0.98
