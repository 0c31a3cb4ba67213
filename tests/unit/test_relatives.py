"""Who is kept together: families of the table, pairs alike by genotype, and what is no family."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from glm2x import console
from glm2x.cohort import relatives, similarity
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.relatives import group_relatives
from glm2x.cohort.similarity import MIN_VARIANTS, alike_pairs
from glm2x.genome.haplotypes.variants import PhasedVariants

PEOPLE = tuple(f"p{i:02d}" for i in range(40))
VARIANTS = 20_500
CONTIGS = {"1": slice(0, 12_345), "2": slice(12_345, VARIANTS)}

Haplotypes = NDArray[np.bool_]


@pytest.fixture
def haplotypes() -> Haplotypes:
    """Bool [2 people, variants]: 40 unrelated people."""
    rng = np.random.default_rng(1)
    return rng.random((2 * len(PEOPLE), VARIANTS)) < rng.uniform(0.1, 0.9, VARIANTS)


def cohort_of(haplotypes: Haplotypes, **columns: list[str | None]) -> Cohort:
    variants = {}
    for contig, part in CONTIGS.items():
        carried = haplotypes[:, part].T
        places = [(position, "A", "C") for position in range(len(carried))]
        variants[contig] = PhasedVariants.of(contig, places, carried)
    return cast(
        Cohort,
        SimpleNamespace(
            individuals=PEOPLE,
            people=pl.DataFrame({"individual": PEOPLE} | cast(dict[str, Any], columns)),
            genes=[SimpleNamespace(contig=contig) for contig in CONTIGS],
            variants=variants.__getitem__,
        ),
    )


def twin(haplotypes: Haplotypes, of: int, who: int) -> None:
    haplotypes[2 * who : 2 * who + 2] = haplotypes[2 * of : 2 * of + 2]


def child(haplotypes: Haplotypes, of: int, who: int) -> None:
    haplotypes[2 * who] = haplotypes[2 * of]


def relationship(haplotypes: Haplotypes, rows: slice = slice(None)) -> NDArray[np.float64]:
    """All of it at once, in float64; strangers have 0."""
    dosage = (haplotypes[0::2].astype(np.float64) + haplotypes[1::2])[rows]
    dosage = dosage[:, dosage.std(axis=0) > 0]
    z = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    return np.asarray(z @ z.T / z.shape[1] + 1 / (len(z) - 1))


def groups(found: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(name for name, of in found.items() if of == label) for label in found.values()}


def test_tiles_and_pieces_give_the_whole_matrix(
    haplotypes: Haplotypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(haplotypes, 3, 30)
    twin(haplotypes, 5, 6)
    twin(haplotypes, 1, 39)
    cohort = cohort_of(haplotypes, population=["A", "B"] * 20)
    monkeypatch.setattr(similarity, "_TILE", 70)  # first 3 rows of 20
    monkeypatch.setattr(similarity, "_PIECE", 40 * 999)
    found = alike_pairs(cohort, PEOPLE)
    assert [pair[:2] for pair in found.pairs] == [("p01", "p39")]  # the others are of two populations
    assert found.variants == VARIANTS
    expected = relationship(haplotypes, slice(1, None, 2))[0, 19]
    assert found.pairs[0][2] == pytest.approx(expected, abs=1e-4)
    one = alike_pairs(cohort_of(haplotypes), PEOPLE).pairs
    matrix = relationship(haplotypes)
    assert {pair[:2] for pair in one} == {("p01", "p39"), ("p05", "p06"), ("p03", "p30")}
    assert [pair[2] for pair in one] == sorted((pair[2] for pair in one), reverse=True)
    for a, b, alike in one:
        assert alike == pytest.approx(matrix[PEOPLE.index(a), PEOPLE.index(b)], abs=1e-4)


@pytest.mark.parametrize("room", [1, 5, 7, 12, 100])
def test_every_pair_is_in_one_tile(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(similarity, "_TILE", room)
    seen = []
    for tiles in similarity._passes([4, 1, 5]):
        assert (
            len(tiles) == 1 or sum((end - start) * ([4, 1, 5][k] - start) for k, start, end in tiles) <= room
        )
        seen += [(k, row) for k, start, end in tiles for row in range(start, end)]
    assert seen == [(k, row) for k, size in enumerate([4, 1, 5]) for row in range(size)]


def test_large_cohorts_are_thinned_evenly_and_not_below_the_least(
    haplotypes: Haplotypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert similarity._thinning(358, 85_485) == 1
    assert similarity._thinning(20_000, 100_000) == 4
    assert 100_000 // similarity._thinning(200_000, 100_000) >= MIN_VARIANTS
    twin(haplotypes, 5, 6)
    monkeypatch.setattr(similarity, "_thinning", lambda people, variants: 3)
    found = alike_pairs(cohort_of(haplotypes), PEOPLE)
    assert found.variants == 4_115 + 2_719  # every third of 12,345 and of 8,155
    assert [pair[:2] for pair in found.pairs] == [("p05", "p06")]
    every_third = np.concatenate([haplotypes[:, part][:, ::3] for part in CONTIGS.values()], axis=1)
    assert found.pairs[0][2] == pytest.approx(relationship(every_third)[5, 6], abs=1e-4)


def test_a_pair_is_as_alike_whoever_else_is_asked_for(haplotypes: Haplotypes) -> None:
    child(haplotypes, 3, 30)
    cohort = cohort_of(haplotypes)
    assert alike_pairs(cohort, ["p03", "p30"]).pairs == alike_pairs(cohort, PEOPLE).pairs != ()
    assert alike_pairs(cohort, ["p03", "p04"]).pairs == ()


def test_relatives_of_relatives_are_one_group(haplotypes: Haplotypes) -> None:
    child(haplotypes, 3, 30)
    haplotypes[2 * 31] = haplotypes[2 * 30 + 1]  # 31 is a relative of 30, and not of 3
    twin(haplotypes, 5, 6)
    found = group_relatives(cohort_of(haplotypes), PEOPLE)
    assert groups(found.of) == {frozenset({"p03", "p30", "p31"}), frozenset({"p05", "p06"})}
    assert found.said == (
        "3 pairs of relatives (from 20,500 variants) kept on one side, in 2 groups, the largest of 3 people",
    )
    assert group_relatives(cohort_of(haplotypes), ["p03", "p31", "p05"]).of == {}  # who links them is absent


def test_nobody_is_related(haplotypes: Haplotypes) -> None:
    found = group_relatives(cohort_of(haplotypes), PEOPLE)
    assert found.of == {}
    assert found.said == ("no relatives among 40 people, from 20,500 variants",)


def test_the_table_overrides_genotypes_for_the_people_it_names(haplotypes: Haplotypes) -> None:
    twin(haplotypes, 0, 1)  # the table says that they are of two families
    twin(haplotypes, 2, 3)  # of one of them it says nothing
    family: list[str | None] = ["a", "b", "c", None, "b", *[None] * 35]
    found = group_relatives(cohort_of(haplotypes, family=family), PEOPLE)
    assert groups(found.of) == {frozenset({"p01", "p04"}), frozenset({"p02", "p03"})}
    assert found.said[0] == "1 families of several people (table of people) kept on one side"
    assert found.said[1].startswith("1 pairs of relatives")


def test_a_table_that_names_everybody_needs_no_genotypes(haplotypes: Haplotypes) -> None:
    twin(haplotypes, 0, 1)
    family: list[str | None] = [f"f{i // 2}" for i in range(1, 41)]
    cohort = cohort_of(haplotypes, family=family)
    cohort.variants = None  # type: ignore[method-assign, assignment]
    found = group_relatives(cohort, PEOPLE)
    assert len(groups(found.of)) == 19
    assert "p00" not in found.of
    assert len(found.said) == 1


def test_populations_that_the_table_does_not_tell_apart_are_no_family(haplotypes: Haplotypes) -> None:
    rng = np.random.default_rng(2)
    haplotypes[40:] = rng.random((40, VARIANTS)) < rng.uniform(0.1, 0.9, VARIANTS)
    found = group_relatives(cohort_of(haplotypes), PEOPLE)
    assert found.of == {}
    assert found.said == (
        "380 pairs above 0.125 chain 20 and 20 of 40 people, which is no family: the 380 least alike of them "
        "are not kept on one side (a table of people with populations or families settles it)",
    )
    told = cohort_of(haplotypes, population=["A"] * 20 + ["B"] * 20)
    assert group_relatives(told, PEOPLE).said == ("no relatives among 40 people, from 20,500 variants",)


def test_families_within_what_is_no_family_stay(haplotypes: Haplotypes) -> None:
    rng = np.random.default_rng(2)
    haplotypes[40:] = rng.random((40, VARIANTS)) < rng.uniform(0.1, 0.9, VARIANTS)
    family: list[str | None] = ["a", "a", *[None] * 38]
    found = group_relatives(cohort_of(haplotypes, family=family), PEOPLE)
    assert groups(found.of) == {frozenset({"p00", "p01"})}


def test_too_few_variants_and_too_few_people_are_said(haplotypes: Haplotypes) -> None:
    twin(haplotypes, 0, 1)
    short = group_relatives(cohort_of(haplotypes[:, :19_999]), PEOPLE)
    assert short.of == {}
    assert short.said == ("relatives not judged from genotypes: 19,999 variants, 20,000 needed",)
    small = group_relatives(cohort_of(haplotypes, population=["A"] * 9 + ["B"] * 31), PEOPLE)
    assert small.of == {}
    assert small.said[-1] == "9 people of unknown, very small or very large populations not judged"


def test_a_population_that_is_too_large_is_not_judged(
    haplotypes: Haplotypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin(haplotypes, 0, 1)
    monkeypatch.setattr(similarity, "MAX_POPULATION", 30)
    found = alike_pairs(cohort_of(haplotypes, population=["A"] * 31 + ["B"] * 9), ["p00", "p01", "p35"])
    assert found.pairs == ()
    assert found.unjudged == ("p00", "p01", "p35")


def three_populations(haplotypes: Haplotypes) -> None:
    rng = np.random.default_rng(2)
    for people in (slice(0, 26), slice(26, 52)):
        haplotypes[people] = rng.random((26, VARIANTS)) < rng.uniform(0.1, 0.9, VARIANTS)


def test_twins_and_parents_stay_together_in_mixed_populations(haplotypes: Haplotypes) -> None:
    three_populations(haplotypes)
    twin(haplotypes, 0, 1)
    child(haplotypes, 20, 21)
    haplotypes[2 * 36, ::2] = haplotypes[2 * 35, ::2]  # half of one haplotype: as of half siblings
    found = group_relatives(cohort_of(haplotypes), PEOPLE)
    assert groups(found.of) == {frozenset({f"p{i:02d}", f"p{i + 1:02d}"}) for i in (0, 20, 35)}
    assert found.said[0] == (
        "3 pairs of relatives (from 20,500 variants) kept on one side, in 3 groups, the largest of 2 people"
    )
    assert "chain 14, 13 and 13 of 40 people" in found.said[1]
    assert len(found.said) == 2


def test_a_population_far_from_a_larger_one_is_no_family_of_parents_and_children() -> None:
    rng = np.random.default_rng(3)
    haplotypes = rng.random((2 * len(PEOPLE), VARIANTS)) < 0.2
    haplotypes[:24] = rng.random((24, VARIANTS)) < rng.choice([0.02, 0.7], VARIANTS)
    pairs = alike_pairs(cohort_of(haplotypes), PEOPLE[:12]).pairs
    assert len(pairs) == 66
    assert min(similarity for *_, similarity in pairs) > relatives.FIRST_DEGREE
    twin(haplotypes, 3, 4)
    found = group_relatives(cohort_of(haplotypes), PEOPLE)
    assert frozenset({"p03", "p04"}) in groups(found.of)
    assert max(map(len, groups(found.of))) <= 10


def test_a_large_family_of_parents_and_children_stays(haplotypes: Haplotypes) -> None:
    for who in range(1, 12):
        child(haplotypes, who - 1, who)  # one haplotype goes from generation to generation
        haplotypes[2 * who] = haplotypes[2 * (who - 1) + 1]
    found = group_relatives(cohort_of(haplotypes), PEOPLE)
    assert groups(found.of) == {frozenset(PEOPLE[:12])}


@pytest.mark.parametrize("word", ["NA", "0", ".", "-9", "nan", ""])
def test_what_stands_for_no_family_is_none(haplotypes: Haplotypes, word: str) -> None:
    twin(haplotypes, 2, 3)
    cohort = cohort_of(haplotypes, family=[word] * 39 + ["real"])
    found = group_relatives(cohort, PEOPLE)
    assert groups(found.of) == {frozenset({"p02", "p03"})}
    assert found.said[0] == "0 families of several people (table of people) kept on one side"


def test_people_of_unknown_population_are_not_judged(haplotypes: Haplotypes) -> None:
    twin(haplotypes, 0, 1)
    population: list[str | None] = [None, "NA", *["A"] * 38]
    found = alike_pairs(cohort_of(haplotypes, population=population), PEOPLE)
    assert found.pairs == ()
    assert found.unjudged == ("p00", "p01")
    nowhere = alike_pairs(cohort_of(haplotypes, population=[None] * 40), PEOPLE)
    assert [pair[:2] for pair in nowhere.pairs] == [("p00", "p01")]
    assert nowhere.unjudged == ()


def test_who_has_a_family_is_judged_by_it_and_who_is_not_there_by_nothing(haplotypes: Haplotypes) -> None:
    population = ["B"] * 9 + ["A"] * 31
    cohort = cohort_of(haplotypes, population=population, family=["f"] * 8 + [None] * 32)
    assert alike_pairs(cohort, [*PEOPLE, "stranger"]).unjudged == ("p08", "stranger")


@pytest.mark.parametrize("people", [10, 20])
def test_full_siblings_of_a_small_population_are_found(people: int) -> None:
    rng = np.random.default_rng(4)
    frequency = rng.uniform(0.1, 0.9, VARIANTS)
    haplotypes = rng.random((2 * len(PEOPLE), VARIANTS)) < frequency
    for half in (
        0,
        1,
    ):  # of p00 and p01 each half has one of four parental haplotypes, the same in half of it
        same = rng.random(VARIANTS) < 0.5
        haplotypes[2 + half, same] = haplotypes[half, same]
    population = ["A"] * people + ["B"] * (40 - people)
    found = alike_pairs(cohort_of(haplotypes, population=population), PEOPLE[:people])
    assert found.pairs[0][:2] == ("p00", "p01")
    assert 0.39 < found.pairs[0][2] < 0.55


def test_strangers_are_0_alike_however_few(haplotypes: Haplotypes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "THRESHOLD", -1.0)
    found = alike_pairs(cohort_of(haplotypes, population=["A"] * 10 + ["B"] * 30), PEOPLE[:10])
    pairs = [similarity for a, b, similarity in found.pairs if a < b]
    assert abs(np.mean(pairs)) < 0.01


def test_progress_is_shown_where_it_takes_seconds(
    haplotypes: Haplotypes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_QUIET", 3_600.0)
    alike_pairs(cohort_of(haplotypes), PEOPLE)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(console, "_QUIET", 0.0)
    alike_pairs(cohort_of(haplotypes), PEOPLE)
    assert capsys.readouterr().err.startswith("relatives by their genotypes: 2 pieces done in ")  # 2 contigs
