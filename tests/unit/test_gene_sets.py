"""Which genes are held out: blocks with a gap, whole contigs, the sides of a published table."""

from __future__ import annotations

import numpy as np
import pytest

from glm2x.cohort import presets
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.freeze import make_split
from glm2x.cohort.gene_sets import (
    chosen_genes,
    hold_out_blocks,
    hold_out_contigs,
    hold_out_published,
    overlapping,
)
from glm2x.cohort.split import Split
from glm2x.errors import UsageError
from glm2x.genome.genes import Gene


def genes_at(*tss: int) -> list[Gene]:
    return [Gene(f"g{position}", "1", position, "+") for position in tss]


def test_a_block_is_held_out_where_it_costs_no_gene() -> None:
    held = hold_out_blocks(genes_at(10, 20, 1000, 1010, 1020, 2000), 1 / 3, 100, seed=0)
    assert set(held.inside) == {"g10", "g20"}  # of all pairs of neighbours only this one has an empty gap
    assert held.gap == ()
    assert held.outside == ("g1000", "g1010", "g1020", "g2000")


def test_genes_in_the_gap_are_on_neither_side() -> None:
    held = hold_out_blocks(genes_at(0, 50, 100, 150), 1 / 4, 60, seed=3)
    assert held.inside in (("g0",), ("g150",))
    assert held.gap == (("g50",) if held.inside == ("g0",) else ("g100",))


def test_no_window_of_unseen_genes_overlaps_a_seen_one(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "s250")
    for seed in range(5):
        split = make_split(demo_cohort, people, window=64_000, unseen_share=0.3, seed=seed)
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
    held = hold_out_blocks(genes, 5 / 18, 100, seed=1)
    assert len(held.inside) == 5
    assert sorted(sum(name.startswith(contig) for name in held.inside) for contig in "abcdef")[-2:] == [2, 3]
    assert len(held.outside) == 13
    single = [Gene(contig, contig, 5, "+") for contig in "abcdefghij"]
    assert len(hold_out_blocks(single, 0.15, 100, seed=0).inside) == 2


def test_the_cheapest_block_is_found_wherever_it_lies() -> None:
    held = hold_out_blocks(genes_at(10, 20, 30, 40, 900, 1800, 1810), 1 / 7, 100, seed=0)
    assert held.inside == ("g900",)


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -0.5, 1.0])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        hold_out_blocks(genes_at(1, 2, 3), share, 10, seed=0)


def test_holding_out_everything_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves none to train on"):
        hold_out_blocks(genes_at(1, 2, 3), 0.4, 100, seed=0)


def on_contigs(*contigs: str) -> list[Gene]:
    return [Gene(f"{contig}-{i}", contig, 10 * i, "+") for contig in contigs for i in range(2)]


@pytest.mark.parametrize(("available", "named"), [("8", "chr8"), ("chr8", "8"), ("8", "8"), ("MT", "chrM")])
def test_whole_contigs_by_either_name(available: str, named: str) -> None:
    held = hold_out_contigs(on_contigs("1", available, "9"), [named, "9"])
    assert held.inside == (f"{available}-0", f"{available}-1", "9-0", "9-1")
    assert held.outside == ("1-0", "1-1")
    assert held.gap == ()


def test_a_contig_without_genes_is_an_error() -> None:
    with pytest.raises(UsageError, match="no gene lies on a contig") as caught:
        hold_out_contigs(on_contigs("1", "8"), ["chr8", "23"])
    assert caught.value.got == "23"
    assert caught.value.wanted == "some of 1, 8"
    with pytest.raises(UsageError, match="leaves no gene to train on"):
        hold_out_contigs(on_contigs("1", "8"), ["1", "chr8"])


def test_a_share_and_contigs_exclude_each_other(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "s250")
    with pytest.raises(UsageError, match="two ways to hold out genes"):
        make_split(demo_cohort, people, window=8, unseen_share=0.1, unseen_contigs=["22"])


def test_a_share_that_holds_out_nothing(demo_cohort: Cohort) -> None:
    people = presets.preset_people(demo_cohort, "s250")
    with pytest.raises(UsageError, match="--unseen-share holds out no gene") as caught:
        make_split(demo_cohort, people, window=8, unseen_share=0.01)
    assert (caught.value.got, caught.value.wanted) == ("0.01 of 26 genes", "at least 0.038")
    assert len(make_split(demo_cohort, people, window=8, unseen_share=0.038).unseen) == 1


def test_a_gene_by_two_names_is_one(demo_cohort: Cohort) -> None:
    names = demo_cohort.gene_ids
    stem = names[0].partition(".")[0]
    assert stem != names[0]
    genes, said = chosen_genes(demo_cohort, [names[1], names[0], stem])
    assert genes == (names[1], names[0])
    assert said == (
        f"1 genes of the list stand there twice, by two names (first: {names[0]} and {stem}): taken once",
    )
    assert chosen_genes(demo_cohort, [stem]) == ((names[0],), ())
    people = presets.preset_people(demo_cohort, "s250")
    assert make_split(demo_cohort, people, window=8, genes=[stem, names[0]]).seen == (names[0],)


def test_the_sides_of_a_published_table(demo_cohort: Cohort) -> None:
    names = demo_cohort.gene_ids
    people = presets.preset_people(demo_cohort, "published-50-100")
    sides = dict.fromkeys(names, "seen") | {names[3]: "unseen", names[4]: None}
    split = make_split(demo_cohort, people, window=64_000, published_sides=sides)  # type: ignore[arg-type]
    assert split.unseen == (names[3],)
    assert split.seen == (*names[:3], *names[5:])
    assert split.excluded_genes == {names[4]: "the published table gives it no side"}
    own = make_split(
        demo_cohort,
        people,
        window=64_000,
        unseen_share=0.3,
        published_sides=sides,  # type: ignore[arg-type]
    )
    assert len(own.unseen) == 8
    with pytest.raises(UsageError, match="no gene is left to train on") as caught:
        hold_out_published(on_contigs("1"), {"1-0": "unseen"})
    assert caught.value.got == "1 unseen genes, 1 without a side"


def test_overlapping_windows_are_found_wherever_the_neighbour_is() -> None:
    rng = np.random.default_rng(0)
    genes = [Gene(str(i), "ab"[i % 2], int(rng.integers(0, 2_000)), "+") for i in range(60)]
    unseen, seen = genes[:20], genes[20:]
    expected = [u.gene for u in unseen if any(u.contig == s.contig and abs(u.tss - s.tss) < 30 for s in seen)]
    assert overlapping(unseen, seen, 30) == expected
    assert 0 < len(expected) < 20
    apart = [Gene("u", "a", 100, "+")], [Gene("s", "a", 130, "+"), Gene("t", "b", 100, "+")]
    assert overlapping(*apart, 30) == []
    assert overlapping(*apart, 31) == ["u"]
