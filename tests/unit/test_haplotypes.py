"""Windows and haplotypes on sequences short enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes import HaplotypeWindow, reference_window
from glm2x.genome.sequence import decode, encode
from glm2x.genome.variants import PhasedVariants

CONTIG = encode("AACCGGTTACGT")  # 12 bp


def variants(*columns: tuple[int, str, str, list[int]]) -> PhasedVariants:
    """Columns of (position, ref, alt, who carries it by haplotype)."""
    carried = np.array([column[3] for column in columns], dtype=np.uint8).T
    return PhasedVariants(
        "1",
        np.array([c[0] for c in columns], dtype=np.int64),
        encode("".join(c[1] for c in columns)),
        encode("".join(c[2] for c in columns)),
        np.packbits(carried.reshape(-1, len(columns)), axis=1),
    )


NONE = PhasedVariants("1", np.zeros(0, np.int64), encode(""), encode(""), np.zeros((2, 0), np.uint8))


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
    found = variants((1, "A", "T", [1]), (2, "C", "A", [1]), (7, "T", "G", [1]), (8, "A", "G", [1]))
    window = HaplotypeWindow(CONTIG, found, Gene("g", "1", 5, "+"), 6)  # [2, 8)
    assert decode(window.haplotype(0)) == "ACGGTG"


def test_two_windows_over_one_set_of_variants() -> None:
    found = variants(*((p, decode(CONTIG[p : p + 1]), "N", [p % 2]) for p in range(12)))
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


def test_columns_that_begin_inside_a_byte() -> None:
    rng = np.random.default_rng(0)
    carried = rng.integers(0, 2, (4, 40), dtype=np.uint8)
    found = PhasedVariants(
        "1", np.arange(40), np.zeros(40, np.uint8), np.ones(40, np.uint8), np.packbits(carried, axis=1)
    )
    for first, last in [(0, 40), (3, 5), (8, 16), (7, 33), (39, 40), (12, 12)]:
        columns = found.columns_between(first, last)
        assert np.array_equal(found.carried(columns), carried[:, first:last].astype(bool))
        assert np.array_equal(found.dosage(columns), (carried[0::2] + carried[1::2])[:, first:last])
