"""Checks against genotypes: equal sequences, sequences that differ, and whether expression follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from evaluation_fakes import PEOPLE, checks, make_cohort, make_split, make_table

from glm2x.cohort.cohort import Cohort
from glm2x.evaluation.check import Check
from glm2x.evaluation.signal_check import expression_follows_genotypes
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.predictions import PredictionMetadata

SAID = (PredictionMetadata(target="log", window=80_000),)


@pytest.fixture
def cohort() -> Cohort:
    """Two variants, so that many of the ten test people have the same two haplotypes."""
    return make_cohort(genotypes=np.random.default_rng(0).random((2 * len(PEOPLE), 2)) < 0.5)


def of_genotype(cohort: Cohort, *, phase: bool = False) -> np.ndarray:
    """Predictions [3, 24] that are a function of both haplotypes, in either order."""
    carried = cohort.variants("1").carried(slice(0, 2)).T.astype(float)  # [haplotypes, variants]
    one = carried @ [1.0, 3.0] + (carried.prod(axis=1) if phase else 0)
    pair = one[0::2] + one[1::2]
    return np.array([pair, -pair, np.zeros(24)])


def table(cohort: Cohort, predicted: np.ndarray, model: str = "theirs") -> pl.DataFrame:
    frame = make_table(make_split(cohort), model)
    return frame.with_columns(predicted=pl.Series(predicted.ravel()))


@pytest.mark.parametrize("phase", [False, True])
def test_a_function_of_both_haplotypes_passes(cohort: Cohort, phase: bool) -> None:
    found = checks(table(cohort, of_genotype(cohort, phase=phase)), cohort=cohort, sources=SAID)
    assert found["same_sequence"].status == "pass"
    assert found["same_sequence"].detail.endswith("have the same predictions (2 genes)")
    assert found["differing_sequence"].status == "pass"


@pytest.mark.parametrize(("sources", "status"), [(SAID, "fail"), ((*SAID, PredictionMetadata()), "warn")])
def test_people_in_another_order_are_seen(
    cohort: Cohort, sources: tuple[PredictionMetadata, ...], status: str
) -> None:
    """It fails where every file says its window; a stranger's model may see more than ours."""
    order = np.concatenate([np.arange(14), 14 + np.random.default_rng(1).permutation(10)])
    check = checks(table(cohort, of_genotype(cohort)[:, order]), cohort=cohort, sources=sources)[
        "same_sequence"
    ]
    assert (check.status, check.leak) == (status, True)
    assert "theirs (2 of 2 genes)" in check.detail


def test_baselines_with_a_prior_may_see_more_than_the_window(cohort: Cohort) -> None:
    order = np.concatenate([np.arange(14), 14 + np.random.default_rng(1).permutation(10)])
    frame = table(cohort, of_genotype(cohort)[:, order], "informed-ridge")
    assert checks(frame, cohort=cohort, sources=SAID)["same_sequence"].status == "warn"


def test_a_little_noise_is_precision_and_no_other_order(cohort: Cohort) -> None:
    predicted = of_genotype(cohort)
    predicted += 0.01 * predicted.std() * np.random.default_rng(0).normal(size=predicted.shape)
    assert checks(table(cohort, predicted), cohort=cohort, sources=SAID)["same_sequence"].status == "pass"


def test_genotype_pcs_are_not_of_the_window(cohort: Cohort) -> None:
    noise = np.random.default_rng(0).normal(size=(3, 24))
    found = checks(table(cohort, noise, "genotype-pcs"), cohort=cohort, sources=SAID)
    assert found["same_sequence"].status == "not run"


def test_where_nobody_is_like_another_nothing_is_judged() -> None:
    cohort = make_cohort(genotypes=np.random.default_rng(0).random((2 * len(PEOPLE), 40)) < 0.5)
    found = checks(table(cohort, np.random.default_rng(0).normal(size=(3, 24))), cohort=cohort, sources=SAID)
    assert found["same_sequence"].detail == "no two people have the same 80,000 bp"
    assert found["differing_sequence"].status == "pass"


def test_a_model_that_tells_nobody_apart_is_named(cohort: Cohort) -> None:
    constant = np.full((3, 24), 2.0)
    check = checks(table(cohort, constant), cohort=cohort, sources=SAID)["differing_sequence"]
    assert (check.status, check.leak) == ("warn", False)
    assert check.detail.endswith("theirs (2 of 2 genes)")
    baseline = checks(table(cohort, constant, "elastic-net"), cohort=cohort, sources=SAID)
    assert baseline["differing_sequence"].status == "not run"


def test_without_a_window_or_variants_they_do_not_run(cohort: Cohort) -> None:
    frame = table(cohort, of_genotype(cohort))
    assert "says the window" in checks(frame, cohort=cohort)["same_sequence"].detail
    assert checks(frame, cohort=make_cohort(), sources=SAID)["same_sequence"].status == "not run"


def signal_cohort(genes: int, people: int, order: np.ndarray | None = None, strength: float = 0.8) -> Cohort:
    """Genes 100 kb apart with three variants each, of which the first makes the expression."""
    rng = np.random.default_rng(5)
    carried = rng.random((3 * genes, 2 * people)) < 0.4
    dosage = (carried[::3, 0::2].astype(float) + carried[::3, 1::2] - 0.8) / 0.7
    expression = 5 + strength * dosage + np.sqrt(1 - strength**2) * rng.normal(size=(genes, people))
    if order is not None:
        expression = expression[:, order]
    places = tuple(Gene(f"g{g}", "1", 100_000 * (g + 1), "+") for g in range(genes))
    columns = [(100_000 * (g + 1) + 10 * v, "A", "C") for g in range(genes) for v in range(3)]
    manifest = {
        "expression_scale": "log2",
        "files": {},
        "reference_contigs": [],
        "counts": {"columns": {"1": len(columns)}},
    }
    # names that are not sorted
    names = [f"p{(7 * i) % people:03d}" for i in range(people)]
    table = pl.DataFrame({"individual": names})
    cohort = Cohort(Path("c"), manifest, places, table, expression, (), np.zeros((0, people)))
    cohort._variants["1"] = PhasedVariants.of("1", columns, carried)
    return cohort


def follows(cohort: Cohort) -> Check:
    check = expression_follows_genotypes(cohort, 20_000)
    assert check.leak
    return check


def test_expression_that_follows_the_own_genotype_passes() -> None:
    check = follows(signal_cohort(30, 100))
    assert check.status == "pass"
    assert check.detail.startswith(
        "30 genes with a cis signal, 100 people: expression follows the own genotype"
    )


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (np.roll(np.arange(100), 1), "people moved by 1"),
        (np.roll(np.arange(100), -1), "people moved by -1"),
        (np.arange(100)[::-1], "people turned round"),
        (np.argsort([(7 * i) % 100 for i in range(100)]), "people sorted by name"),
        (np.argsort(np.argsort([(7 * i) % 100 for i in range(100)])), "people no longer sorted by name"),
    ],
)
def test_another_usual_order_of_people_fails(order: np.ndarray, said: str) -> None:
    check = follows(signal_cohort(30, 100, order))
    assert check.status == "fail"
    assert f"and does with {said} (30 genes with a cis signal" in check.detail


def test_an_order_that_is_not_known_warns() -> None:
    """Some genes have a signal by chance, and expression does not follow it."""
    order = np.random.default_rng(0).permutation(60)
    check = follows(signal_cohort(400, 60, order))
    assert check.status == "warn"
    assert "expression does not follow the own genotype" in check.detail


def test_single_people_that_were_mixed_up_fail_and_are_named() -> None:
    order = np.arange(100)
    order[[3, 8]] = order[[8, 3]]
    check = follows(signal_cohort(150, 100, order))
    assert check.status == "fail"
    names = [f"p{(7 * i) % 100:03d}" for i in (3, 8)]
    assert f"2 people's expression fits another one's genotype: {names[0]} as {names[1]}" in check.detail


def test_without_a_signal_or_people_it_does_not_run() -> None:
    assert follows(signal_cohort(30, 100, strength=0.0)).status == "not run"
    assert "needs 40 people" in follows(signal_cohort(30, 20)).detail
    assert expression_follows_genotypes(None, 20_000).status == "not run"
