"""Whom each preset trains on and tests."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.cohort import presets
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.draw import IGNORED, random_people
from glm2x.cohort.freeze import make_split
from glm2x.cohort.listed import listed_people, packaged, published_genes
from glm2x.cohort.people import People
from glm2x.errors import DataError, UsageError

NOT_JUDGED = "relatives not judged from genotypes: 1,864 variants, 20,000 needed"


def with_people(cohort: Cohort, **columns: dict[str, str]) -> Cohort:
    """The cohort with other columns in its table of people, null for those who are not named."""
    changed = copy.copy(cohort)
    changed.people = cohort.people.with_columns(
        pl.col("individual").replace_strict(values, default=None, return_dtype=pl.String).alias(name)
        for name, values in columns.items()
    )
    return changed


def sides(people: People) -> tuple[tuple[str, ...], ...]:
    return people.train, people.validation, people.test


def populations(cohort: Cohort, names: tuple[str, ...]) -> Counter[str]:
    of = dict(cohort.people.select("individual", "population").iter_rows())
    return Counter(of[name] for name in names)


def test_s250_is_the_permutation_of_the_protocol(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "s250")
    order = [demo_cohort.individuals[i] for i in np.random.RandomState(0).permutation(358)]
    assert list(people.train + people.validation) == order[:250]
    assert list(people.validation) == order[210:250]
    assert list(people.test) == order[250:]


def test_s250_is_not_another_with_another_seed(demo_cohort: Cohort) -> None:
    assert presets.preset_people(demo_cohort, "s250", seed=3) == presets.preset_people(demo_cohort, "s250")


def test_published_people_as_far_as_they_are_there(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "published-50-100")
    assert (len(people.train), len(people.validation), len(people.test)) == (38, 0, 79)
    assert people.warnings == (
        "38 of the 50 published train people are in the cohort; 12 are absent: NA19248, NA19092, NA19160 "
        "and 9 more",
        "79 of the 100 published test people are in the cohort; 21 are absent: NA18933, HG00134, NA18868 "
        "and 18 more",
    )
    assert people.relatives is None
    genes, warnings = published_genes(demo_cohort)
    assert genes is None
    assert "none of the published 200 genes" in warnings[0]
    with pytest.raises(UsageError, match="--relatives does not go with published-50-100"):
        presets.preset_people(demo_cohort, "published-50-100", relatives="together")


def test_the_published_genes_where_the_cohort_has_them(demo_cohort: Cohort) -> None:
    published = packaged("published-genes-200.txt")
    cohort = copy.copy(demo_cohort)
    cohort.gene_ids = (*demo_cohort.gene_ids[:24], published[7], published[3] + ".12")
    assert published_genes(cohort) == (
        (published[3] + ".12", published[7]),
        ("2 of the 200 published genes are in the cohort",),
    )
    # sides of its own: unseen genes and those of the reference phase are not among the 200
    cohort.gene_sides = ("seen",) * 20 + ("unseen",) * 6
    genes, warnings = published_genes(cohort)
    assert genes is None
    assert "2 of the 200 published genes are in the cohort" in warnings[0]
    listed = Path(warnings[0].partition("genes: {personal: ")[2].removesuffix("}"))
    assert tuple(listed.read_text().split()) == published


def without_expression(cohort: Cohort, *names: str) -> Cohort:
    changed = copy.copy(cohort)
    changed.expression = cohort.expression.copy()
    changed.expression[:, cohort.individual_index(names)] = np.nan
    return changed


def test_published_people_without_expression_are_on_no_side(demo_cohort: Cohort) -> None:
    whole = presets.preset_people(demo_cohort, "published-50-100")
    cohort = without_expression(demo_cohort, whole.train[0], *whole.test[:4])
    people = presets.preset_people(cohort, "published-50-100")
    assert (people.train, people.test) == (whole.train[1:], whole.test[4:])
    assert people.warnings[1] == (
        f"1 of 38 published train people have no expression and are on no side: {whole.train[0]}"
    )
    assert people.warnings[3] == (
        "4 of 79 published test people have no expression and are on no side: "
        + ", ".join(whole.test[:3])
        + " and 1 more"
    )


def test_an_unknown_preset_names_those_there_are(demo_cohort: Cohort) -> None:
    with pytest.raises(UsageError, match="no preset is called s25") as caught:
        presets.preset_people(demo_cohort, "s25")
    assert "s250" in str(caught.value)


def test_too_few_people(demo_cohort: Cohort) -> None:
    with pytest.raises(UsageError, match="these numbers of people") as caught:
        random_people(demo_cohort, train=358, validation=40)
    assert "358 people with expression" in str(caught.value)


def test_a_fraction_takes_its_share_of_each_population(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "fraction", train_share=0.7, validation_share=0.2, seed=4)
    assert [len(side) for side in sides(people)] == [201, 50, 107]  # 251 = 0.7 of 358; 50 = 0.2 of those
    assert sorted(name for side in sides(people) for name in side) == sorted(demo_cohort.individuals)
    whole = populations(demo_cohort, demo_cohort.individuals)
    for side in sides(people):
        for name, count in populations(demo_cohort, side).items():
            assert abs(count - whole[name] * len(side) / 358) <= 1
    assert people.relatives == NOT_JUDGED
    other = presets.preset_people(demo_cohort, "fraction", train_share=0.7, validation_share=0.2, seed=5)
    assert set(other.test) != set(people.test)


def test_a_fraction_without_populations_is_plain_chance(demo_cohort: Cohort) -> None:
    cohort = copy.copy(demo_cohort)
    cohort.people = cohort.people.drop("population")
    people = presets.preset_people(cohort, "fraction")
    assert [len(side) for side in sides(people)] == [286, 0, 72]
    order = np.random.RandomState(0).permutation(358)
    assert people.test == tuple(cohort.individuals[i] for i in order[286:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_share": 0.0}, "--train-share is a share"),
        ({"train_share": 1.0}, "--train-share is a share"),
        ({"validation_share": float("nan")}, "--validation-share is a share"),
        ({"validation_share": 0.001}, "leaves nobody to choose epochs with"),
        ({"train_share": 0.999}, "these numbers of people"),
        ({"train_share": 0.001}, "these numbers of people"),
        ({"seed": -1}, "a seed lies"),
        ({"population": "FIN"}, "--population does not go with fraction"),
    ],
)
def test_a_fraction_that_makes_no_split(demo_cohort: Cohort, options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        presets.preset_people(demo_cohort, "fraction", **options)  # type: ignore[arg-type]


def test_people_without_expression_are_on_no_side(demo_cohort: Cohort) -> None:
    cohort = copy.copy(demo_cohort)
    cohort.expression = demo_cohort.expression.copy()
    cohort.expression[:, :300] = np.nan
    people = presets.preset_people(cohort, "full")
    assert people.train == cohort.individuals[300:]
    with pytest.raises(UsageError, match="these numbers of people") as caught:
        presets.preset_people(cohort, "s250")
    assert "250 to train on, 40 of them to choose epochs with; 58 people" in caught.value.got


def test_one_population_is_left_out(demo_cohort: Cohort) -> None:
    people = presets.preset_people(
        demo_cohort, "leave-one-population-out", population="FIN", validation_share=0.1
    )
    assert populations(demo_cohort, people.test) == {"FIN": 92}
    assert [len(side) for side in sides(people)] == [239, 27, 92]
    assert populations(demo_cohort, people.validation) == {"GBR": 9, "CEU": 9, "TSI": 9}
    assert "FIN" not in populations(demo_cohort, people.train)


def test_who_cannot_be_placed_is_left_out_and_counted(demo_cohort: Cohort) -> None:
    known = dict(demo_cohort.people.select("individual", "population").iter_rows())
    finns = [name for name, population in known.items() if population == "FIN"]
    britons = [name for name, population in known.items() if population == "GBR"]
    families = {finns[0]: "f", britons[0]: "f", britons[1]: "g", britons[2]: "g"}
    cohort = with_people(
        demo_cohort, population={k: v for k, v in known.items() if k != britons[3]}, family=families
    )
    people = presets.preset_people(cohort, "leave-one-population-out", population="FIN")
    absent = set(cohort.individuals) - set(people.train) - set(people.test)
    assert absent == {britons[0], britons[3]}
    assert people.warnings == (
        "1 people of unknown population are on no side",
        f"1 people of families with members in FIN are on no side: {britons[0]}",
    )
    apart = presets.preset_people(cohort, "leave-one-population-out", population="FIN", relatives="ignore")
    assert britons[0] in apart.train
    assert people.relatives == (
        "no family of the table of people has members in FIN and among those learnt from, and genotypes do "
        "not tell relatives of two populations"
    )
    assert apart.relatives == IGNORED


def test_families_that_leave_nobody_to_train_on(demo_cohort: Cohort) -> None:
    cohort = with_people(demo_cohort, family=dict.fromkeys(demo_cohort.individuals, "f"))
    cohort.people = cohort.people.with_columns(demo_cohort.people["population"])
    with pytest.raises(UsageError, match="families leave nobody to train on where FIN is tested") as caught:
        presets.preset_people(cohort, "leave-one-population-out", population="FIN")
    assert "266 people of families with members in FIN" in caught.value.got
    assert "--relatives ignore" in caught.value.do


def test_what_is_said_of_relatives_where_nothing_was_done(demo_cohort: Cohort) -> None:
    out = presets.preset_people(demo_cohort, "leave-one-population-out", population="FIN")
    assert out.relatives == (
        "the table of people names no family, and genotypes do not tell relatives of two populations"
    )
    judged = presets.preset_people(
        demo_cohort, "leave-one-population-out", population="FIN", validation_share=0.1
    )
    assert judged.relatives == f"{out.relatives}; {NOT_JUDGED}"
    assert presets.preset_people(demo_cohort, "full").relatives == "everybody is on one side"
    assert presets.preset_people(demo_cohort, "full", relatives="ignore").relatives == IGNORED


def test_a_population_that_is_not_there(demo_cohort: Cohort) -> None:
    with pytest.raises(UsageError, match="population YRI cannot be left out") as caught:
        presets.preset_people(demo_cohort, "leave-one-population-out", population="YRI")
    assert caught.value.got == "CEU 89, FIN 92, GBR 86, TSI 91"
    with pytest.raises(UsageError, match="needs a population"):
        presets.preset_people(demo_cohort, "leave-one-population-out")
    cohort = copy.copy(demo_cohort)
    cohort.people = cohort.people.drop("population")
    with pytest.raises(UsageError, match="cannot be left out") as caught:
        presets.preset_people(cohort, "leave-one-population-out", population="FIN")
    assert "names no population" in caught.value.got


def test_everybody_trains(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "full")
    assert (people.train, people.validation, people.test) == (demo_cohort.individuals, (), ())
    some = presets.preset_people(demo_cohort, "full", validation_share=0.1)
    assert [len(side) for side in sides(some)] == [322, 36, 0]
    split = make_split(demo_cohort, some, window=64_000)
    assert split.test == ()
    assert split.relatives == NOT_JUDGED


def test_families_stay_on_one_side(demo_cohort: Cohort) -> None:
    family = {name: f"f{i // 5}" for i, name in enumerate(demo_cohort.individuals[:50])}
    cohort = with_people(demo_cohort, family=family)
    found = random_people(cohort, train=200, validation=30)
    for label in set(family.values()):
        members = {name for name, of in family.items() if of == label}
        assert sum(bool(members & set(side)) for side in sides(found)) == 1
    assert sorted(name for side in sides(found) for name in side) == sorted(cohort.individuals)
    assert 170 <= len(found.train) <= 174
    assert 30 <= len(found.validation) <= 34
    assert found.relatives == (
        f"10 families of several people (table of people) kept on one side; {NOT_JUDGED}"
    )
    alone = random_people(cohort, train=200, validation=30, relatives="ignore")
    assert [len(side) for side in sides(alone)] == [170, 30, 158]
    assert alone.relatives == IGNORED
    moved = sum(len(set(a) - set(b)) for a, b in zip(sides(alone), sides(found), strict=True))
    assert moved > 0
    assert found.warnings == (f"{moved} people moved to another side to keep relatives together",)
    s250 = presets.preset_people(cohort, "s250")
    assert s250.warnings[0].endswith(
        "to keep relatives together; --relatives ignore gives the protocol's own lists"
    )
    assert presets.preset_people(cohort, "s250", relatives="ignore").warnings == ()


def test_one_family_of_all_leaves_nobody_to_test(demo_cohort: Cohort) -> None:
    cohort = with_people(demo_cohort, family=dict.fromkeys(demo_cohort.individuals, "f"))
    with pytest.raises(UsageError, match="leave nobody to test") as caught:
        presets.preset_people(cohort, "fraction")
    assert "family f of the table holds 358 of 358 people: is it a family?" in caught.value.got


def test_lists_of_ones_own(demo_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "train").write_text("# people\nHG00096\n\nHG00097\n")
    (tmp_path / "test").write_text("HG00099\n")
    people = listed_people(demo_cohort, tmp_path / "train", tmp_path / "test")
    assert (people.train, people.validation, people.test) == (("HG00096", "HG00097"), (), ("HG00099",))
    (tmp_path / "test").write_text("nobody\n")
    with pytest.raises(DataError, match="1 of 3 individuals are not in the cohort"):
        listed_people(demo_cohort, tmp_path / "train", tmp_path / "test")


def test_people_of_lists_without_expression_are_on_no_side(demo_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "train").write_text("HG00096\nHG00097\n")
    (tmp_path / "test").write_text("HG00099\n")
    cohort = without_expression(demo_cohort, "HG00096")
    people = listed_people(cohort, tmp_path / "train", tmp_path / "test")
    assert (people.train, people.test) == (("HG00097",), ("HG00099",))
    assert people.warnings == ("1 of 2 train people have no expression and are on no side: HG00096",)
    cohort = without_expression(demo_cohort, "HG00099")
    with pytest.raises(UsageError, match="nobody of the list of test people has expression") as caught:
        listed_people(cohort, tmp_path / "train", tmp_path / "test")
    assert caught.value.where == str(tmp_path / "test")
