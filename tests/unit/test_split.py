"""Splits and how they are made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.cohort import presets
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, UsageError
from glm2x.genome.genes import Gene


def test_s250_is_the_permutation_of_the_protocol(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "s250")
    order = [demo_cohort.individuals[i] for i in np.random.RandomState(0).permutation(358)]
    assert list(people.train + people.validation) == order[:250]
    assert list(people.validation) == order[210:250]
    assert list(people.test) == order[250:]


def test_published_people_as_far_as_they_are_there(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "published-50-100")
    assert (len(people.train), len(people.validation), len(people.test)) == (38, 0, 79)
    assert people.warnings == (
        "38 of the 50 published train people are in the cohort",
        "79 of the 100 published test people are in the cohort",
    )
    genes, warnings = presets.published_genes(demo_cohort)
    assert genes is None
    assert "none of the published 200 genes" in warnings[0]


def test_an_unknown_preset_names_those_there_are(demo_cohort: Cohort) -> None:
    with pytest.raises(UsageError, match="no preset is called s25") as caught:
        presets.preset_people(demo_cohort, "s25")
    assert "s250" in str(caught.value)


def test_too_few_people(demo_cohort: Cohort) -> None:
    with pytest.raises(UsageError, match="these numbers of people") as caught:
        presets.random_people(demo_cohort, train=358, validation=40)
    assert "358 people with expression" in str(caught.value)


def genes_at(*tss: int) -> list[Gene]:
    return [Gene(f"g{position}", "1", position, "+") for position in tss]


def test_a_block_is_held_out_where_it_costs_no_gene() -> None:
    held = presets.hold_out_blocks(genes_at(10, 20, 1000, 1010, 1020, 2000), 1 / 3, 100, seed=0)
    assert set(held.inside) == {"g10", "g20"}  # of all pairs of neighbours only this one has an empty gap
    assert held.gap == ()
    assert held.outside == ("g1000", "g1010", "g1020", "g2000")


def test_genes_in_the_gap_are_on_neither_side() -> None:
    held = presets.hold_out_blocks(genes_at(0, 50, 100, 150), 1 / 4, 60, seed=3)
    assert held.inside in (("g0",), ("g150",))
    assert held.gap == (("g50",) if held.inside == ("g0",) else ("g100",))


def test_no_window_of_unseen_genes_overlaps_a_seen_one(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "s250")
    for seed in range(5):
        split = presets.make_split(demo_cohort, people, window=64_000, unseen_share=0.3, seed=seed)
        tss = {gene.gene: gene.tss for gene in demo_cohort.genes}
        for one, other in (
            (split.seen, split.unseen),
            (_trained_on_reference(split), split.reference_validation),
        ):
            assert one
            assert other
            assert min(abs(tss[a] - tss[b]) for a in one for b in other) >= 64_000
        assert set(split.seen) | set(split.unseen) | set(split.excluded_genes) == set(demo_cohort.gene_ids)


def _trained_on_reference(split: Split) -> list[str]:
    return [g for g in split.seen if g not in {*split.reference_validation, *split.reference_excluded}]


def test_whole_contigs_are_held_out_first() -> None:
    genes = [Gene(f"{contig}-{i}", contig, 1000 * i, "+") for contig in "abcdef" for i in range(3)]
    held = presets.hold_out_blocks(genes, 5 / 18, 100, seed=1)
    assert len(held.inside) == 5
    assert sorted(sum(name.startswith(contig) for name in held.inside) for contig in "abcdef")[-2:] == [2, 3]
    assert len(held.outside) == 13
    single = [Gene(contig, contig, 5, "+") for contig in "abcdefghij"]
    assert len(presets.hold_out_blocks(single, 0.15, 100, seed=0).inside) == 2


def test_the_cheapest_block_is_found_wherever_it_lies() -> None:
    held = presets.hold_out_blocks(genes_at(10, 20, 30, 40, 900, 1800, 1810), 1 / 7, 100, seed=0)
    assert held.inside == ("g900",)


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -0.5, 1.0])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        presets.hold_out_blocks(genes_at(1, 2, 3), share, 10, seed=0)


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves none to train on"):
        presets.hold_out_blocks(genes_at(1, 2, 3), 0.4, 100, seed=0)


def test_families_stay_on_one_side(demo_cohort: Cohort) -> None:
    related = {name: f"f{i // 5}" for i, name in enumerate(demo_cohort.individuals[:50])}
    people = demo_cohort.people.with_columns(
        family=pl.col("individual").replace_strict(related, default=None, return_dtype=pl.String)
    )
    cohort = Cohort(
        demo_cohort.folder,
        demo_cohort.manifest,
        demo_cohort.genes,
        people,
        demo_cohort.expression,
        demo_cohort.covariate_names,
        demo_cohort.covariates,
    )
    found = presets.random_people(cohort, train=200, validation=30)
    sides = (found.train, found.validation, found.test)
    for family in set(related.values()):
        members = {name for name, of in related.items() if of == family}
        assert sum(bool(members & set(side)) for side in sides) == 1
    assert sorted(name for side in sides for name in side) == sorted(cohort.individuals)
    assert 170 <= len(found.train) <= 174
    assert 30 <= len(found.validation) <= 34


def test_a_split_of_another_cohort(demo_cohort: Cohort, demo_split: Split) -> None:
    demo_split.require_cohort(demo_cohort)
    with pytest.raises(DataError, match="made for another cohort"):
        replace(demo_split, cohort_digest="0" * 64).require_cohort(demo_cohort)


def test_a_split_is_read_back(demo_split: Split, tmp_path: Path) -> None:
    demo_split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == demo_split
    assert demo_split.individual_split(demo_split.validation[0]) == "validation"
    assert demo_split.individual_split("nobody") is None
    assert demo_split.gene_split("ENSG00000206176") == "seen"


def test_a_split_that_was_changed_is_refused(demo_split: Split, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    demo_split.save(path)
    values = json.loads(path.read_text())
    values["train"].append(values["test"].pop())
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="was changed after it was made"):
        Split.load(path)
    path.write_text(json.dumps({"format_version": 0}))
    with pytest.raises(DataError, match="no split"):
        Split.load(path)
    path.write_text(json.dumps(values | {"more": 1}))
    with pytest.raises(DataError, match="one too many"):
        Split.load(path)


def test_nobody_is_on_two_sides(demo_split: Split) -> None:
    with pytest.raises(UsageError, match="individual stands twice") as caught:
        replace(demo_split, test=(*demo_split.test, demo_split.train[0]))
    assert "train and test" in str(caught.value)
    with pytest.raises(UsageError, match="gene stands twice"):
        replace(demo_split, unseen=(demo_split.seen[0],))
    with pytest.raises(UsageError, match="no training people"):
        replace(demo_split, train=())


def test_lists_of_ones_own(demo_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "train").write_text("# people\nHG00096\n\nHG00097\n")
    (tmp_path / "test").write_text("HG00099\n")
    people = presets.listed_people(demo_cohort, tmp_path / "train", tmp_path / "test")
    assert (people.train, people.validation, people.test) == (("HG00096", "HG00097"), (), ("HG00099",))
    (tmp_path / "test").write_text("nobody\n")
    with pytest.raises(DataError, match="1 of 3 individuals are not in the cohort"):
        presets.listed_people(demo_cohort, tmp_path / "train", tmp_path / "test")
