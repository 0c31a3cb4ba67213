"""Simulated contigs: alleles that fit the reference, windows, siblings, names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from glm2x.genome.sequence import decode
from glm2x.simulate.genotypes import INDEL_SHARE, Contig, make_contigs
from glm2x.simulate.people import let_siblings_inherit, make_people
from glm2x.simulate.settings import Settings

SMALL = {"individuals": 40, "genes": 6, "window": 10_000}


def contigs(**options: object) -> list[Contig]:
    settings = Settings(**SMALL | options)  # type: ignore[arg-type]
    return make_contigs(settings, make_people(settings), np.random.default_rng(0))


@pytest.mark.parametrize("kind", ["snp", "all"])
def test_ref_is_the_reference_and_everybody_differs_somewhere(kind: str) -> None:
    (contig,) = contigs(variant_kind=kind, diversity=0.01)
    ends = []
    for position, ref, alt in zip(contig.position.tolist(), contig.ref, contig.alt, strict=True):
        assert decode(contig.codes[position : position + len(ref)]) == ref
        assert ref != alt
        ends.append(position + len(ref))
    # no deletion reaches the next variant
    assert (np.array(ends[:-1]) <= contig.position[1:]).all()
    counts = contig.haplotypes.sum(axis=1)
    assert counts.min() == 1
    assert counts.max() < 80
    assert np.mean(counts == 1) > 0.1


def test_the_reference_is_of_the_first_population() -> None:
    (contig,) = contigs(fst=0.6, genes=20)
    of_people = contig.dosage(slice(0, len(contig.position))).sum(axis=1)
    near, far = of_people[:20].mean(), of_people[20:].mean()
    # nobody is halfway: both haplotypes of each person are of one population
    assert of_people[:20].max() < near + 0.3 * (far - near)
    assert of_people[20:].min() > far - 0.3 * (far - near)


def test_indels_come_where_they_are_asked_for() -> None:
    (plain,), (mixed,) = contigs(), contigs(variant_kind="all")
    assert all(len(ref) == len(alt) == 1 for ref, alt in zip(plain.ref, plain.alt, strict=True))
    sizes = np.array([len(alt) - len(ref) for ref, alt in zip(mixed.ref, mixed.alt, strict=True)])
    assert np.mean(sizes != 0) == pytest.approx(INDEL_SHARE, abs=0.05)
    assert sizes.min() < 0 < sizes.max()
    assert (mixed.position == plain.position).all()
    first = np.array([ref[0] == alt[0] for ref, alt in zip(mixed.ref, mixed.alt, strict=True)])
    assert (first == (sizes != 0)).all()


def test_windows_are_apart_or_overlap_as_asked() -> None:
    for spacing, overlap in ((None, False), (10_000, False), (9_999, True)):
        (contig,) = contigs(spacing=spacing)
        ends = [(gene.tss - 5_000, gene.tss + 5_000) for gene in contig.genes]
        assert ends[0][0] >= 0
        assert ends[-1][1] <= len(contig.codes)
        assert any(b[0] < a[1] for a, b in pairwise(ends)) == overlap
        for gene in contig.genes:
            here = contig.position[contig.window(gene, 10_000)]
            inside = (contig.position >= gene.tss - 5_000) & (contig.position < gene.tss + 5_000)
            assert (here == contig.position[inside]).all()


def test_genes_are_shared_out_among_contigs() -> None:
    found = contigs(contigs=4)
    assert [[gene.gene for gene in contig.genes] for contig in found] == [
        ["GENE1", "GENE2"],
        ["GENE3", "GENE4"],
        ["GENE5"],
        ["GENE6"],
    ]
    assert {gene.contig for contig in found for gene in contig.genes} == {c.name for c in found}
    assert {gene.strand for contig in contigs(genes=30) for gene in contig.genes} == {"+", "-"}


def test_dosage_counts_both_haplotypes() -> None:
    (contig,) = contigs()
    dosage = contig.dosage(slice(3, 9))
    assert dosage.shape == (40, 6)
    assert dosage.dtype == np.float32
    both = contig.haplotypes[3:9].reshape(6, 40, 2).sum(axis=2)
    assert (dosage == both.T).all()


def test_people_are_named_and_of_populations_of_the_same_size() -> None:
    people = make_people(Settings(individuals=11, populations=2))
    assert people.names[0] == "P01"
    assert people.sizes == [6, 5]
    table = people.table()
    assert table["individual"].to_list() == list(people.names)
    assert table["population"].to_list() == ["POP1"] * 6 + ["POP2"] * 5
    assert table["family"].n_unique() == 11  # strangers, whatever their genotypes have in common by chance


def test_siblings_are_pairs_of_one_population_and_family() -> None:
    people = make_people(Settings(individuals=11, populations=2, sibling_share=1.0))
    assert people.siblings == (0, 2, 4, 6, 8)  # the eleventh has none
    family = people.table()["family"].to_list()
    assert family == [f"F{i:02}" for i in (1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11)]
    assert len(make_people(Settings(individuals=40, sibling_share=0.3)).siblings) == 6


def test_siblings_inherit_from_the_same_four_haplotypes() -> None:
    people = make_people(Settings(individuals=6, populations=1, sibling_share=0.34))
    assert people.siblings == (0,)
    rng = np.random.default_rng(0)
    before = rng.random((500, 12)) < 0.5
    after = before.copy()
    let_siblings_inherit(after, np.arange(500) * 1_000_000, 500_000_000, people, rng)
    assert (after[:, 4:] == before[:, 4:]).all()
    switches = 0
    for child in (0, 1):
        for parent in (0, 1):
            here = after[:, 2 * child + parent]
            first, second = before[:, 2 * parent], before[:, 2 * parent + 1]
            assert ((here == first) | (here == second)).all()
            told = first != second
            switches += int(np.abs(np.diff((here == first)[told].astype(int))).sum())
    # 5 crossovers a meiosis on 500 Mb, of 4; pairs between two told sites go unseen
    assert 5 <= switches <= 35


def test_siblings_share_half_of_what_they_carry() -> None:
    (contig,) = contigs(individuals=60, populations=1, sibling_share=1.0, genes=40, contigs=1)
    dosage = contig.dosage(slice(0, len(contig.position))).astype(float)
    z = (dosage - dosage.mean(axis=0)) / dosage.std(axis=0)
    alike = z @ z.T / z.shape[1]
    pairs = [alike[i, i + 1] for i in range(0, 60, 2)]
    strangers = [alike[i, i + 2] for i in range(0, 58, 2)]
    assert np.mean(pairs) == pytest.approx(0.5, abs=0.12)
    assert abs(np.mean(strangers)) < 0.1
