"""r within each population."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_fakes import PEOPLE, make_cohort

from glm2x.evaluation.by_population import by_population
from glm2x.evaluation.study import Study
from glm2x.evaluation.tables import CellRow, Replicate, RowKey
from glm2x.evaluation.uncertainty import make_draws

A, B, ALONE = np.array([0, 2, 4, 6]), np.array([1, 3, 5]), np.array([7, 8])


def make_row(*predicted: np.ndarray) -> CellRow:
    names = tuple(Replicate(-1, seed) for seed in range(len(predicted)))
    observed = np.broadcast_to(OBSERVED, (len(predicted), *OBSERVED.shape))
    return CellRow(RowKey("m", None, None), "m", names, np.array(predicted), observed)


OBSERVED = np.array([[0, 5, 1, 6, 2, 7, 3, 4, 4], [3, 1, 2, 0, 1, 2, 0, 4, 4]], dtype=float)
DRAWS = make_draws(np.arange(2), np.arange(9), draws=50)


def test_r_is_of_the_people_of_one_population_alone() -> None:
    predicted = OBSERVED.copy()
    predicted[:, B] *= -1  # right within A and wrong within B
    found = by_population(make_row(predicted), {"A": A, "B": B, "two": ALONE}, DRAWS)
    assert list(found) == ["A", "B"]  # two people have no r
    assert found["A"]["mean_pearson"] == pytest.approx(1)
    assert found["B"]["mean_pearson"] == pytest.approx(-1)
    assert [found[name]["individuals"] for name in found] == [4, 3]
    assert [found[name]["genes"] for name in found] == [2, 2]
    low, high = found["A"]["ci95_mean_pearson"]
    assert low <= 1 <= high


def test_replicates_are_averaged_and_a_gene_without_measurements_left_out() -> None:
    first, second = OBSERVED.copy(), OBSERVED.copy()
    second[:, A] *= -1
    first[1], second[1] = np.nan, np.nan
    found = by_population(make_row(first, second), {"A": A}, DRAWS)["A"]
    assert found["genes"] == 1
    assert found["mean_pearson"] == pytest.approx(0)


def test_members_are_the_people_of_each_named_population() -> None:
    names = ["GBR" if i % 3 == 0 else None if i % 3 == 1 else "FIN" for i in range(len(PEOPLE))]
    members = Study(make_cohort(people={"population": names}), 1).members(PEOPLE[:6])
    assert {name: places.tolist() for name, places in members.items()} == {"FIN": [2, 5], "GBR": [0, 3]}
    assert Study(None, 1).members(PEOPLE) == {}
