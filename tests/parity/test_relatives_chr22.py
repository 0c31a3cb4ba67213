"""Relatives among the real people of chromosome 22: kept together, and found where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.presets import preset_people
from glm2x.cohort.sources import CohortSources
from glm2x.evaluation.relatives import related_pairs


@pytest.fixture(scope="module", params=["populations", "no populations"])
def cohort(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Cohort:
    told = request.param == "populations"
    sources = CohortSources(
        variants=shared_data / "chr22/genotypes.chr22.vcf.gz",
        expression=shared_data / "chr22/genes.50percent.chr22.bed.gz",
        individuals=shared_data / "demo/individuals.tsv" if told else None,
    )
    folder = tmp_path_factory.mktemp("chr22") / "cohort"
    build_cohort(sources, folder)
    return Cohort.open(folder)


@pytest.mark.parametrize("preset", ["s250", "fraction"])
def test_relatives_are_on_one_side(cohort: Cohort, preset: str) -> None:
    parted = preset_people(cohort, preset, relatives="ignore")
    assert related_pairs(cohort, {*parted.train, *parted.validation}, parted.test).pairs != ()
    people = preset_people(cohort, preset)
    found = related_pairs(cohort, {*people.train, *people.validation}, people.test)
    assert found.pairs == found.unjudged == ()
    assert found.variants == 85_485
    assert related_pairs(cohort, people.train, people.validation).pairs == ()
    assert abs(len(people.test) - len(parted.test)) <= 4


def test_the_pairs_are_those_of_the_protocol(cohort: Cohort) -> None:
    people = preset_people(cohort, "s250")
    pairs, groups, largest = (26, 23, 3) if "population" in cohort.people.columns else (53, 29, 7)
    assert people.relatives == (
        f"{pairs} pairs of relatives (from 85,485 variants) kept on one side, in {groups} groups, "
        f"the largest of {largest} people"
    )
    # made to be parted: 0.43 alike within the British
    known = related_pairs(cohort, ["HG00116"], ["HG00120"]).pairs
    assert known[0][:2] == ("HG00116", "HG00120")
    assert known[0][2] == pytest.approx(0.43, abs=0.04)


def test_s250_alone_is_the_protocols_list_and_together_says_how_far_it_is_not(cohort: Cohort) -> None:
    order = [cohort.individuals[i] for i in np.random.RandomState(0).permutation(358)]
    alone = preset_people(cohort, "s250", relatives="ignore")
    assert [*alone.train, *alone.validation, *alone.test] == order
    assert (len(alone.train), len(alone.validation)) == (210, 40)
    assert alone.warnings == ()
    together = preset_people(cohort, "s250")
    sides = ("train", "validation", "test")
    moved = sum(len({*getattr(alone, side)} - {*getattr(together, side)}) for side in sides)
    assert moved > 0
    assert together.warnings == (
        f"{moved} people moved to another side to keep relatives together; --relatives ignore gives the "
        "protocol's own lists",
    )
