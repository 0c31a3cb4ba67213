"""h2 of genes: against a known truth, of people to learn from alone; and accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_fakes import PEOPLE, make_cohort, make_split
from scipy import stats

from glm2x.evaluation import heritability as module
from glm2x.evaluation.heritability import Heritability, estimate, heritabilities


def simulated(people: int, variants: int, h2: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.1, 0.9, variants), (people, variants)).astype(np.float32)
    z = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    genetic = z @ rng.normal(size=variants) / np.sqrt(variants)
    return dosage, 3 + np.sqrt(h2) * genetic + np.sqrt(1 - h2) * rng.normal(size=people)


def test_it_recovers_a_known_truth_and_rejects_one_in_twenty_where_there_is_none() -> None:
    found = np.array([estimate(*simulated(150, 40, 0.4, seed)) for seed in range(60)])
    assert found[:, 0].mean() == pytest.approx(0.4, abs=3 * found[:, 0].std() / np.sqrt(60))
    assert (found[:, 1] < 0.05).mean() > 0.9
    null = np.array([estimate(*simulated(100, 40, 0.0, 1_000 + seed))[1] for seed in range(400)])
    assert stats.binomtest(int((null < 0.05).sum()), 400, 0.05).pvalue > 0.01
    assert (null == 1).mean() > 0.3  # where h2 is 0


def test_nothing_that_varies_has_no_heritability() -> None:
    dosage, y = simulated(30, 5, 0.5, 0)
    assert np.isnan(estimate(np.ones_like(dosage), y)).all()
    assert np.isnan(estimate(dosage[:, :0], y)).all()
    assert np.isnan(estimate(dosage, np.full(30, 0.1 + 0.2))).all()


def test_people_to_learn_from_alone_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_PEOPLE", 10)
    carried = np.random.default_rng(3).random((2 * len(PEOPLE), 12)) < 0.4
    cohort = make_cohort(genotypes=carried)
    split = make_split(cohort)
    values = cohort.expression.copy()
    values[1, 0] = np.nan  # a training person of g2
    # both genes of contig 1 lie within 20 kb of its twelve variants
    found = heritabilities(cohort, split, values, ["g2", "nowhere", "ENSG00000000001"], 80_000)
    assert found.people == 14
    dosage = carried[0::2].astype(np.float32) + carried[1::2]
    assert found.h2[0] == estimate(dosage[1:14], values[1, 1:14])[0]
    assert np.isnan(found.h2[1])
    assert found.h2[2] == estimate(dosage[:14], values[0, :14])[0]
    values[:, 14:] = 99  # test people
    np.testing.assert_array_equal(
        heritabilities(cohort, split, values, ["g2", "nowhere", "ENSG00000000001"], 80_000).h2, found.h2
    )


def test_accuracy_is_of_genes_with_a_significant_heritability() -> None:
    h2 = Heritability(np.array([0.25, 0.5, np.nan, 0.64]), np.array([0.001, 0.4, np.nan, 0.01]), 50)
    assert h2.significant.tolist() == [True, False, False, True]
    np.testing.assert_allclose(h2.accuracy(np.array([0.3, 0.3, 0.3, -0.4])), [0.6, np.nan, np.nan, -0.5])
