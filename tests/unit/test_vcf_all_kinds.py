"""Indels, MNPs and other changes of letters with ``variant_kind: all``, counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glm2x.genome.counts import Counts
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.variants import PhasedVariants, trim_shared
from glm2x.genome.haplotypes.window import HaplotypeWindow
from glm2x.genome.sequence import decode, encode
from glm2x.genome.vcf.alleles import record_alleles
from glm2x.genome.vcf.read import read_variants

CONTIG = "AACCGGTTNACGT"
HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1,length=13>\n"
    '##ALT=<ID=DEL,Description="x">\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\n"
)


def read(folder: Path, *records: str) -> tuple[PhasedVariants, Counts]:
    """Read records of one person, written as ``POS REF ALT GT``."""
    path = folder / "x.vcf"
    lines = []
    for record in records:
        position, ref, alt, genotype = record.split()
        lines.append("\t".join(["1", position, ".", ref, alt, ".", ".", ".", "GT", genotype]) + "\n")
    path.write_text(HEADER + "".join(lines))
    found, counts = read_variants(
        [path], folder, individuals=("ann",), contigs={"1": encode(CONTIG)}, kind="all"
    )
    return found["1"], counts


def sequences(found: PhasedVariants) -> list[str]:
    """The whole contig of each haplotype, without what a wide window adds."""
    window = HaplotypeWindow(encode(CONTIG), found, Gene("g", "1", 6, "+"), 40)
    return [decode(window.haplotype(row)).strip("N") for row in (0, 1)]


@pytest.mark.parametrize(
    ("records", "haplotype"),
    [
        (["2 A ATT 1|0"], "AATTCCGGTTNACGT"),
        (["2 AC A 1|0"], "AACGGTTNACGT"),
        (["2 ACC GTG 1|0"], "AGTGGGTTNACGT"),
        (["2 ACC TT 1|0"], "ATTGGTTNACGT"),
        (["1 AACC C 1|0"], "CGGTTNACGT"),  # no base before it
        (["2 A T 1|0", "2 A ATT 1|0"], "ATTTCCGGTTNACGT"),  # an insertion may follow a SNP at its base
        (["2 A T 1|0", "2 AC A 1|0"], "ATCGGTTNACGT"),  # and so may a deletion
        (["2 ACC A 1|0", "4 C CTT 1|0"], "AATTGGTTNACGT"),  # an insertion behind a deletion's last base
    ],
)
def test_what_is_applied(tmp_path: Path, records: list[str], haplotype: str) -> None:
    found, counts = read(tmp_path, *records)
    assert sequences(found) == [haplotype, CONTIG]
    assert counts.counts == {"applied": len(records)}


@pytest.mark.parametrize(
    ("records", "haplotype"),
    [
        (["2 A ATT 1|0", "2 A T 1|0"], "AATTCCGGTTNACGT"),  # a SNP may not follow an insertion
        (["2 A ATT 1|0", "2 AC A 1|0"], "AATTCCGGTTNACGT"),
        (["2 ACC A 1|0", "3 C T 1|0"], "AAGGTTNACGT"),  # it is deleted
        (["2 ACC A 1|0", "3 C CTT 1|0"], "AAGGTTNACGT"),
        (["2 AC GT 1|0", "3 C T 1|0"], "AGTCGGTTNACGT"),
    ],
)
def test_what_overlaps_an_earlier_record_is_counted(
    tmp_path: Path, records: list[str], haplotype: str
) -> None:
    found, counts = read(tmp_path, *records)
    assert sequences(found) == [haplotype, CONTIG]
    assert counts.counts == {"applied": 1, "overlapping": 1}


def test_alleles_without_letters_are_passed_over_beside_others(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A <DEL>,ATT,* 1|2", "4 CG C,<DEL> 2|1", "6 G <DEL> 1|1")
    assert sequences(found) == [CONTIG, "AATTCCGTTNACGT"]
    assert counts.counts == {"applied": 2, "symbolic_alleles": 2, "symbolic": 1}
    assert counts.first["symbolic"] == "1:6"


def test_columns_are_stored_in_their_smallest_form(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "1 AACC AATCC 1|0", "1 AACCG AACCT 0|1", "5 GGT GT 1|0")
    columns = [(p, found.ref.text(j), found.alt.text(j)) for j, p in enumerate(found.position.tolist())]
    assert columns == [(1, "A", "AT"), (4, "G", "T"), (4, "GG", "G")]


def test_the_same_change_written_twice_is_one_column(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A AT 1|0", "2 AC ATC 0|1")
    assert len(found.position) == 1
    assert found.dosage(slice(0, 1)).tolist() == [[2.0]]
    assert counts.counts == {"applied": 2}


@pytest.mark.parametrize(
    ("ref", "alt", "expected"),
    [
        ("A", "C", (0, "A", "C")),
        ("ACGT", "AT", (1, "CG", "")),
        ("AT", "ACGT", (1, "", "CG")),
        ("AAA", "A", (1, "AA", "")),
        ("ACA", "GCT", (0, "ACA", "GCT")),
        ("CACA", "CA", (2, "CA", "")),
        ("TCG", "TAG", (1, "C", "A")),
        ("A", "A", (1, "", "")),
    ],
)
def test_changes_without_shared_bases(ref: str, alt: str, expected: tuple[int, str, str]) -> None:
    assert trim_shared(ref, alt) == expected


@pytest.mark.parametrize(
    ("ref", "alts", "kind", "reason", "alleles"),
    [
        ("A", ["c"], "snp", "", [(10, "A", "C", False)]),
        ("AC", ["AG"], "snp", "", [(11, "C", "G", False)]),
        ("A", ["C", "AT"], "snp", "indel", []),
        ("A", ["C", "AT"], "all", "", [(10, "A", "C", False), (10, "A", "AT", True)]),
        ("A", ["<DEL>", "AT"], "snp", "symbolic", []),
        ("AC", ["GT"], "snp", "mnp", []),
        ("A", ["<*>"], "all", "no_alt", []),
        ("A", [], "snp", "no_alt", []),
        ("R", ["A"], "all", "not_acgt", []),
        ("ACG", ["G"], "all", "", [(10, "ACG", "G", False)]),
    ],
)
def test_the_alleles_of_a_record(
    ref: str, alts: list[str], kind: str, reason: str, alleles: list[tuple[int, str, str, bool]]
) -> None:
    found = record_alleles(10, ref, alts, kind)  # type: ignore[arg-type]
    assert found.reason == reason
    assert [(a.position, a.ref, a.alt, a.anchored) for a in found.alleles] == alleles


def test_an_unphased_indel_masks_what_it_would_remove(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 ACC A 0/1")
    assert sequences(found) == ["AANNGGTTNACGT"] * 2
    assert found.dosage(slice(0, 1)).tolist() == [[1.0]]
    assert counts.counts == {"applied": 1, "unphased_genotypes": 1}
    assert not np.any(found.carried(slice(0, 1)))


def test_an_unphased_insertion_may_not_follow_what_changed_its_base(tmp_path: Path) -> None:
    """The base that would be N is gone, and plain reference would be a lie."""
    found, counts = read(tmp_path, "1 AA G 1|1", "2 A AC 0/1")
    assert sequences(found) == ["GCCGGTTNACGT"] * 2
    assert counts.counts == {"applied": 1, "overlapping": 2, "unphased_genotypes": 1}
    assert len(found.position) == 1


def test_an_unphased_insertion_before_the_first_base_masks_that_base(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "1 A CA 0/1")
    window = HaplotypeWindow(encode(CONTIG), found, Gene("g", "1", 2, "+"), 4)
    assert decode(window.haplotype(0)) == "NACC"


def test_an_unphased_insertion_behind_the_last_base_of_a_window_masks_it(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "5 G TG 0/1")  # before base 4: the one before it is base 3
    for window in (4, 6):  # [0, 4) and [-1, 5)
        made = HaplotypeWindow(encode(CONTIG), found, Gene("g", "1", 2, "+"), window).haplotype(0)
        assert decode(made[window // 2 - 2 : window // 2 + 2]) == "AACN"
