"""Windows and haplotypes on sequences short enough to count by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.haplotypes.window import HaplotypeWindow, reference_window
from glm2x.genome.sequence import decode, encode, reverse_complement

CONTIG = encode("AACCGGTTACGT")  # 12 bp


def variants(*columns: tuple[int, str, str, list[int]]) -> PhasedVariants:
    """Columns of (position, ref, alt, who carries it by haplotype)."""
    carried = np.array([column[3] for column in columns], dtype=np.bool_)
    return PhasedVariants.of("1", [column[:3] for column in columns], carried)


NONE = PhasedVariants.of("1", [], np.zeros((0, 2), dtype=np.bool_))


@pytest.mark.parametrize(
    ("tss", "strand", "window", "expected"),
    [
        (6, "+", 4, "GGTT"),  # [4, 8): the TSS, a T, is at index 2
        (6, "-", 4, "AACC"),  # the same interval on the other strand: the TSS is at index 1
        (1, "+", 8, "NNNAACCG"),  # [-3, 5)
        (1, "-", 8, "CGGTTNNN"),
        (11, "+", 6, "ACGTNN"),  # [8, 14)
        (5, "+", 24, "NNNNNNNAACCGGTTACGTNNNNN"),
    ],
)
def test_reference_windows(tss: int, strand: str, window: int, expected: str) -> None:
    assert decode(reference_window(CONTIG, Gene("g", "1", tss, strand), window)) == expected  # type: ignore[arg-type]


def test_alternative_bases_are_scattered_into_the_window() -> None:
    found = variants((3, "C", "T", [1, 0]), (6, "T", "A", [1, 1]), (9, "C", "G", [1, 1]))
    plus = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, "+"), 6)  # [2, 8) = CCGGTT
    assert decode(plus.haplotype(0)) == "CTGGAT"
    assert decode(plus.haplotype(1)) == "CCGGAT"
    minus = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, "-"), 6)
    assert decode(minus.haplotype(0)) == "ATCCAG"


def test_a_variant_on_either_edge_of_the_window() -> None:
    changes = [(1, "A", "T"), (2, "C", "A"), (7, "T", "G"), (8, "A", "G")]
    found = variants(*((*change, [1, 0]) for change in changes))
    window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, "+"), 6)  # [2, 8)
    assert decode(window.haplotype(0)) == "ACGGTG"


def test_two_windows_over_one_set_of_variants() -> None:
    found = variants(*((p, decode(CONTIG[p : p + 1]), "N", [p % 2, 0]) for p in range(12)))
    for tss in (5, 6):
        window = HaplotypeWindow(CONTIG, found, Gene("g", "1", tss, "+"), 6)
        expected = [4 if p % 2 else CONTIG[p] for p in range(tss - 3, tss + 3)]
        assert window.haplotype(0).tolist() == expected


def test_a_window_without_variants_is_the_reference() -> None:
    window = HaplotypeWindow(CONTIG, NONE, Gene("g", "1", 5, "-"), 6)
    assert np.array_equal(window.haplotype(1), window.reference)


def test_a_haplotype_is_written_into_a_given_array() -> None:
    found = variants((3, "C", "T", [1, 0]))
    window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, "+"), 6)
    out = np.empty(6, dtype=np.uint8)
    assert window.haplotype(0, out) is out
    assert decode(out) == "CTGGTT"
    with pytest.raises(ValueError, match="read-only"):
        window.reference[0] = 0


def test_what_lies_between_two_columns_is_read() -> None:
    rng = np.random.default_rng(0)
    carried = rng.integers(0, 2, (40, 6)).astype(np.bool_)
    unphased = np.zeros_like(carried)
    unphased[7, 2:4] = unphased[33, 4:] = True
    carried &= ~unphased
    found = PhasedVariants.of("1", [(p, "A", "C") for p in range(40)], carried, unphased)
    dosage = (carried[:, 0::2].astype(int) + carried[:, 1::2]).T
    dosage[1, 7] = dosage[2, 33] = 1
    for first, last in [(0, 40), (3, 5), (8, 16), (7, 33), (33, 40), (39, 40), (12, 12)]:
        columns = found.columns_between(first, last)
        assert np.array_equal(found.carried(columns), carried[first:last])
        assert np.array_equal(found.dosage(columns), dosage[:, first:last])


# the contig, for counting:  A0 A1 C2 C3 G4 G5 T6 T7 A8 C9 G10 T11
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((2, "CC", "C"), "ACGGTT"),  # one base less on the left, and A1 comes in
        ((3, "CG", "C"), "ACCGTT"),
        ((6, "TT", "T"), "CCGGTA"),  # on the right, A8 comes in
        ((6, "T", "TAA"), "CCGGTA"),
        ((3, "C", "CAA"), "AAGGTT"),
        ((4, "G", "GA"), "CGAGTT"),  # right before the TSS: on its left
        ((5, "G", "GA"), "CCGGAT"),  # right behind it
        ((4, "GG", "G"), "CCGTTA"),  # the TSS itself: T6 takes its place
        ((3, "CGGT", "C"), "ACCTAC"),  # over it: both sides are filled
        ((3, "CGGT", "TA"), "CTATAC"),  # T takes the place of C3, A that of G4; nothing that of G5 and T6
        ((4, "GG", "TC"), "CCTCTT"),
        ((8, "ACGT", "A"), "CCGGTT"),  # beyond the window
        ((1, "AC", "A"), "ACGGTT"),  # begins before it
        ((0, "AA", "A"), "CCGGTT"),
    ],
)
def test_the_tss_stays_in_the_middle(change: tuple[int, str, str], expected: str) -> None:
    found = variants((*change, [0, 1]))
    for strand in ("+", "-"):
        window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, strand), 6)  # [2, 8) = CCGGTT
        made = window.haplotype(1)
        assert decode(reverse_complement(made) if strand == "-" else made) == expected
        assert np.array_equal(window.haplotype(0), window.reference)


def test_a_haplotype_that_is_too_short_is_padded() -> None:
    window = HaplotypeWindow(CONTIG, variants((0, "AACC", "A", [1, 0])), Gene("g", "1", 5, "+"), 8)
    assert decode(window.haplotype(0)) == "NNAGGTTA"  # [1, 9)
    assert decode(window.haplotype(1)) == "ACCGGTTA"


def test_several_changes_of_length_and_a_snp() -> None:
    found = variants(
        (1, "A", "T", [1, 0]),
        (2, "CC", "C", [1, 0]),
        (4, "G", "C", [1, 1]),
        (6, "T", "TCCC", [0, 1]),
        (6, "TT", "T", [1, 0]),
    )
    window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, "+"), 6)
    assert [decode(window.haplotype(row)) for row in (0, 1)] == ["TCCGTA", "CCCGTC"]
    assert decode(window.haplotype(0, np.empty(6, dtype=np.uint8))) == "TCCGTA"


def test_reach_grows_with_what_deletions_take() -> None:
    contig = encode("".join("ACGT"[i % 4] for i in range(100)))
    found = variants(
        *((p, decode(contig[p : p + 4]), decode(contig[p : p + 1]), [1, 0]) for p in range(20, 48, 5))
    )
    window = HaplotypeWindow(contig, found, Gene("g", "1", 50, "+"), 40)  # [30, 70)
    kept = [p for p in range(50) if not any(q < p < q + 4 for q in range(20, 48, 5))]
    expected = [*contig[kept[-20:]], *contig[50:70]]
    assert window.haplotype(0).tolist() == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((4, "G", "T"), "CCNGTT"),
        ((4, "GG", "TC"), "CCNNTT"),
        ((3, "CGG", "C"), "CCNNTT"),  # what may be deleted
        ((3, "C", "CAA"), "CNGGTT"),  # the base before what may be inserted
    ],
)
def test_what_is_unphased_is_n(change: tuple[int, str, str], expected: str) -> None:
    nobody = np.zeros((1, 4), dtype=np.bool_)
    found = PhasedVariants.of("1", [change], nobody, np.array([[False, False, True, True]]))
    for strand in ("+", "-"):
        window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, strand), 6)
        made = [window.haplotype(row) for row in range(4)]
        assert [decode(reverse_complement(m) if strand == "-" else m) for m in made] == [
            "CCGGTT",
            "CCGGTT",
            expected,
            expected,
        ]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_two_insertions_at_one_place_keep_their_order(strand: str) -> None:
    found = variants((3, "C", "CA", [1, 0]), (4, "G", "TG", [1, 0]))
    window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 6, strand), 6)  # type: ignore[arg-type]
    made = window.haplotype(0)  # C3 A T G4 G5 | T6
    assert decode(reverse_complement(made) if strand == "-" else made) == "TGGTTA"
    wide = HaplotypeWindow(CONTIG, found, Gene("g", "1", 6, strand), 12).haplotype(0)  # type: ignore[arg-type]
    assert decode(reverse_complement(wide) if strand == "-" else wide) == "CCATGGTTACGT"


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("with_indels", [False, True])
def test_many_haplotypes_at_once_are_those_one_at_a_time(strand: str, with_indels: bool) -> None:
    rng = np.random.default_rng(3)
    changes = [(1, "A", "T"), (3, "C", "G"), (5, "GT", "CA") if with_indels else (5, "G", "T"), (8, "A", "C")]
    if with_indels:
        changes += [(9, "CG", "C"), (10, "G", "GTT")]
    carried = rng.integers(0, 2, (len(changes), 8)).astype(np.bool_)
    carried[-1] &= ~carried[-2]
    found = PhasedVariants.of("1", changes, carried)
    window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 6, strand), 10)  # type: ignore[arg-type]
    rows = [5, 0, 0, 7]
    made = window.haplotypes(rows)
    assert [decode(m) for m in made] == [decode(window.haplotype(row)) for row in rows]
    out = np.empty((4, 10), dtype=np.uint8)
    assert window.haplotypes(rows, out) is out
    assert np.array_equal(out, made)
    assert window.haplotypes([]).shape == (0, 10)


class Touched(np.ndarray[tuple[int, ...], np.dtype[np.uint8]]):
    """An array of bits that remembers which of its rows were asked for."""

    rows: set[int]

    def __getitem__(self, key):  # type: ignore[no-untyped-def]
        self.rows |= set(range(len(self))[key])
        return np.asarray(self)[key]


def test_a_window_reads_its_own_columns_and_no_others() -> None:
    rng = np.random.default_rng(5)
    contig = encode("".join(rng.choice(list("ACGT"), 1000)))
    positions = range(0, 1000, 10)
    columns = [(p, decode(contig[p : p + 1]), "ACGT"[(contig[p] + 1) % 4]) for p in positions]
    found = PhasedVariants.of("1", columns, rng.integers(0, 2, (100, 40)).astype(np.bool_))
    bits = found.bits.view(Touched)
    bits.rows = set()
    spied = replace(found, bits=bits)
    window = HaplotypeWindow(contig, spied, Gene("g", "1", 500, "+"), 100)  # [450, 550)
    window.haplotype(7)
    assert bits.rows == set(range(45, 55))
    spied.dosage(spied.columns_between(450, 550))
    assert bits.rows == set(range(45, 55))
