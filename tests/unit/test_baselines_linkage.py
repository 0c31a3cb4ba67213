"""Variants in perfect linkage, and folds whose sums are taken off those of everybody."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from glm2x.baselines.linkage import linked_sets
from glm2x.baselines.path import Moments, elastic_net_path, path_of_moments
from glm2x.baselines.penalised import held_out_by_folds, penalty_grid

Array = NDArray[np.float64]


def linked(people: int, seed: int) -> tuple[Array, Array]:
    """Standardised dosages of 12 variants, each two or three times, some with swapped alleles; a target."""
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.3, size=(people, 12)).astype(float)
    dosage[0], dosage[1] = 0, 2  # all vary
    dosage = np.column_stack([dosage, 2 - dosage[:, ::2], dosage[:, ::-1]])
    z = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    target = z[:, 0] - z[:, 3] + rng.normal(size=people)
    return z, target - target.mean()


def test_sets_by_hand() -> None:
    # the first and the third are the same, the second is the first with the alleles swapped
    columns = np.array([[-1.0, 1.0, -1.0, 0.0], [0.0, -0.0, 0.0, 1.0], [1.0, -1.0, 1.0, -1.0]])
    sets = linked_sets(columns)
    assert sets.member.tolist() == [0, 0, 0, 1]
    assert sets.sign.tolist() == [1, -1, 1, 1]
    assert sets.root == pytest.approx([np.sqrt(3), 1])
    assert sets.columns == pytest.approx(columns[:, [0, 3]] * [np.sqrt(3), 1])
    # b of the set's column is b / sqrt(3) of each
    assert sets.spread(np.array([[3.0, 5.0]]))[0] == pytest.approx(
        np.sqrt(3) * np.array([1, -1, 1, 0]) + [0, 0, 0, 5]
    )


def test_sets_of_rounded_dosages_and_of_nothing_alike() -> None:
    z, _ = linked(40, 0)
    assert len(linked_sets(z).root) == 12
    noise = np.random.default_rng(1).normal(size=(6, 4))
    sets = linked_sets(noise)
    assert sets.member.tolist() == [0, 1, 2, 3]
    assert sets.spread(np.eye(4)) == pytest.approx(np.eye(4))
    assert sets.columns == pytest.approx(noise)


@pytest.mark.parametrize("l1_ratio", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_sets_have_the_solution_of_their_variants(seed: int, l1_ratio: float) -> None:
    z, target = linked(30, seed)
    grid = penalty_grid(z, target, l1_ratio)
    whole = path_of_moments(Moments(z.T @ z, z.T @ target, np.ones(z.shape[1]), 30), grid, l1_ratio)
    assert (whole[-1] != 0).sum() > 12
    assert elastic_net_path(z, target, grid, l1_ratio) == pytest.approx(whole, abs=1e-7)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_folds_are_those_of_explicit_refits(l1_ratio: float) -> None:
    z, target = linked(43, 2)  # folds of four and of five
    target = target + 7
    grid = penalty_grid(z, target - target.mean(), l1_ratio)[::9]
    held_out, errors = held_out_by_folds(z, target, grid, l1_ratio)
    for fold, (kept, out) in enumerate(KFold(10, shuffle=True, random_state=0).split(z)):
        centre, mean = z[kept].mean(axis=0), target[kept].mean()
        refit = elastic_net_path(z[kept] - centre, target[kept] - mean, grid, l1_ratio)
        expected = mean + (z[out] - centre) @ refit.T
        assert held_out[out] == pytest.approx(expected, abs=1e-6)
        assert errors[fold] == pytest.approx(np.mean((target[out, None] - expected) ** 2, axis=0), abs=1e-6)
