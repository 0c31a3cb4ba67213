"""Baselines fitted to permuted people find nothing, in simulated data that hold something to find."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from glm2x.baselines.permuted import permuted_targets, refitted
from glm2x.baselines.registry import BASELINES
from glm2x.baselines.run import run_baselines
from glm2x.cohort.target import Target
from glm2x.errors import UsageError
from glm2x.evaluation.controls import Refitted, mean_pearsons

GENES, PEOPLE, VARIANTS, FITTED = 12, 90, 15, 60
NAMES = tuple(f"p{i}" for i in range(PEOPLE))
MODELS = ("top-variant", "ridge", "gblup")
PERMUTATIONS = 12


class Simulated:
    """Genes of independent variants in two populations; half of a target's variance is the variants'."""

    digest = "c" * 64
    individuals = NAMES
    gene_ids = tuple(f"g{g}" for g in range(GENES))

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        frequency = random.uniform(0.1, 0.9, (2, GENES, 1, VARIANTS))
        population = np.arange(PEOPLE) % 2
        self.dosage = random.binomial(2, frequency[population, :, 0].transpose(1, 0, 2)).astype(np.float32)
        genetic = self.dosage @ random.normal(size=(VARIANTS, 1))
        genetic = (genetic - genetic.mean(axis=1, keepdims=True)) / genetic.std(axis=1, keepdims=True)
        values = genetic[..., 0] + random.normal(size=(GENES, PEOPLE))
        values[0, :5] = np.nan
        self.target = Target("log", values, np.full(GENES, np.nan))

    def gene_index(self, genes: Any) -> Any:
        return np.array([self.gene_ids.index(gene) for gene in genes], dtype=np.int64)

    def individual_index(self, people: Any) -> Any:
        return np.array([NAMES.index(name) for name in people], dtype=np.int64)

    def dosages(self, gene: str, window: int) -> Any:
        return SimpleNamespace(dosage=self.dosage[self.gene_ids.index(gene)])

    @property
    def split(self) -> Any:
        sides = {name: "train" if i < FITTED else "test" for i, name in enumerate(NAMES)}
        return SimpleNamespace(
            train=NAMES[: FITTED - 10],
            validation=NAMES[FITTED - 10 : FITTED],
            test=NAMES[FITTED:],
            seen=self.gene_ids,
            unseen=(),
            excluded_genes={},
            digest="5" * 64,
            family="5" * 64,
            draw=None,
            gene_split=lambda gene: "seen",
            individual_split=sides.get,
        )

    def mean_r(self, target: Target) -> dict[str, float]:
        run = run_baselines(cast(Any, self), self.split, target, MODELS, 20)
        return mean_pearsons(run.predictions.frame)

    def permuted(self, target: Target) -> list[Target]:
        return list(permuted_targets(target, cast(Any, self), self.split, PERMUTATIONS))


def test_permuted_people_teach_nothing() -> None:
    """Where there is a signal that all models find, none is left; judged as the check judges it."""
    cohort = Simulated(0)
    assert all(mean > 0.3 for mean in cohort.mean_r(cohort.target).values())
    means = [cohort.mean_r(one) for one in cohort.permuted(cohort.target)]
    for model in MODELS:
        found = Refitted.of([mean[model] for mean in means])
        assert abs(found.mean) < 0.1
        assert found.is_zero(len(MODELS)), found


def test_a_fit_that_sees_test_people_is_found() -> None:
    """Test people who stand among the fitted with their own targets: whoever permutes, r is not 0."""
    cohort = Simulated(1)
    leaked = [
        replace(one, values=np.where(np.arange(PEOPLE) % 3 == 0, cohort.target.values, one.values))
        for one in cohort.permuted(cohort.target)
    ]
    means = [cohort.mean_r(one)["ridge"] for one in leaked]
    assert not Refitted.of(means).is_zero(len(MODELS))


def test_who_is_permuted() -> None:
    cohort = Simulated(2)
    before = cohort.target.values
    orders = set()
    for one in cohort.permuted(cohort.target):
        assert np.array_equal(one.values[:, FITTED:], before[:, FITTED:], equal_nan=True)
        # a gene that is measured in everybody tells who is where: the same for all genes
        order = [int(np.flatnonzero(before[1] == value)[0]) for value in one.values[1, :FITTED]]
        assert sorted(order) == list(range(FITTED))
        assert np.array_equal(one.values[:, :FITTED], before[:, order], equal_nan=True)
        orders.add(tuple(order))
    assert len(orders) == PERMUTATIONS
    fewer = permuted_targets(cohort.target, cast(Any, cohort), cohort.split, 2)
    for one, other in zip(fewer, cohort.permuted(cohort.target), strict=False):
        assert np.array_equal(one.values, other.values, equal_nan=True)


def test_quick_models_are_fitted_again() -> None:
    assert refitted(tuple(BASELINES.values())) == ("genotype-pcs", "top-variant", "ridge", "gblup")
    with pytest.raises(UsageError, match="none of the models is quick enough"):
        refitted((BASELINES["training-mean"], BASELINES["informed-ridge"]))
