"""What becomes of each kind of record and genotype: applied, counted, or refused with one message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glm2x.errors import DataError
from glm2x.genome.counts import Counts
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.haplotypes.window import HaplotypeWindow
from glm2x.genome.sequence import decode, encode
from glm2x.genome.vcf.file import contigs_of
from glm2x.genome.vcf.read import read_variants

CONTIG = "AACCGGTTNACGT"
HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1,length=13>\n##contig=<ID=2,length=13>\n"
    '##ALT=<ID=DEL,Description="x">\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n"
)


def read(
    folder: Path, *records: str, people: tuple[str, ...] = ("ann", "bob"), **options: str
) -> tuple[PhasedVariants | None, Counts]:
    """Read records written as ``POS REF ALT GT GT``."""
    lines = []
    for record in records:
        position, ref, alt, *genotypes = record.split()
        lines.append("\t".join(["1", position, ".", ref, alt, ".", ".", ".", "GT", *genotypes]) + "\n")
    path = folder / "x.vcf"
    path.write_text(HEADER + "".join(lines))
    return read_file(path, people, **options)


def read_file(
    path: Path, people: tuple[str, ...] = ("ann",), contig: str = CONTIG, **options: str
) -> tuple[PhasedVariants | None, Counts]:
    """Read contig 1 of a variant file."""
    contigs = {"1": encode(contig)}
    found, counts = read_variants([path], path.parent, individuals=people, contigs=contigs, **options)  # type: ignore[arg-type]
    assert set(found) <= {"1"}
    return found.get("1"), counts


def sequences(found: PhasedVariants | None) -> list[str]:
    """The whole contig of each haplotype."""
    assert found is not None
    window = HaplotypeWindow(encode(CONTIG), found, Gene("g", "1", 6, "+"), 14)  # [-1, 13)
    return [decode(window.haplotype(row))[1:] for row in range(2 * found.individuals)]


def test_phased_snps_are_applied(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A T 0|1 0|0", "5 G C 1|1 1|0")
    assert sequences(found) == ["AACCCGTTNACGT", "ATCCCGTTNACGT", "AACCCGTTNACGT", "AACCGGTTNACGT"]
    assert counts.counts == {"applied": 2}


def test_people_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "2 A T 0|1 0|0", people=("bob", "ann"))
    assert sequences(found)[3] == "ATCCGGTTNACGT"


def test_a_multiallelic_snp_gives_the_right_allele(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A T,G 0|2 1|2")
    assert [s[1] for s in sequences(found)] == ["A", "G", "T", "G"]
    assert counts.counts == {"applied": 1}


def test_an_unphased_heterozygote_is_n_and_counted(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A T 0/1 1/1")
    assert [s[1] for s in sequences(found)] == ["N", "N", "T", "T"]
    assert counts.counts == {"unphased_genotypes": 1, "applied": 1}
    assert counts.first["unphased_genotypes"] == "ann at 1:2"


def test_an_unphased_heterozygote_can_be_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unphased") as caught:
        read(tmp_path, "2 A T 1|0 0/1", unphased="error")
    assert "bob at 1:2" in str(caught.value)
    assert "SHAPEIT" in str(caught.value)


def test_missing_alleles_are_the_reference_and_counted(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A T .|. .|1")
    assert [s[1] for s in sequences(found)] == ["A", "A", "A", "T"]
    assert counts.counts["missing_genotypes"] == 2


def test_a_haploid_call_is_haplotype_1(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A T 1 0|1", "3 C G 1 1")
    assert [s[1] for s in sequences(found)] == ["T", "A", "A", "T"]
    assert [s[2] for s in sequences(found)] == ["G", "C", "G", "C"]
    assert counts.counts["haploid_genotypes"] == 3


def test_a_called_ref_opposite_an_n_is_skipped(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "9 C T 1|1 1|1", "10 A T 1|1 0|0")
    assert sequences(found)[0] == "AACCGGTTNTCGT"
    assert counts.counts == {"reference_unknown": 1, "applied": 1}


@pytest.mark.parametrize(
    ("record", "fate"),
    [
        ("2 AC GT 1|1 1|1", "mnp"),
        ("2 AC A 1|1 1|1", "indel"),
        ("2 A AC 1|1 1|1", "indel"),
        ("2 A C,AC 1|1 2|2", "indel"),
        ("2 A <DEL> 1|1 1|1", "symbolic"),
        ("2 A * 1|1 1|1", "symbolic"),
        ("2 A R 1|1 1|1", "not_acgt"),
        ("2 A . 0|0 0|0", "no_alt"),
        ("2 A T 0|0 0|0", "not_carried"),
    ],
)
def test_what_is_no_snp_is_skipped_whole_and_counted(tmp_path: Path, record: str, fate: str) -> None:
    found, counts = read(tmp_path, record, "5 G C 1|1 1|1")
    assert sequences(found) == ["AACCCGTTNACGT"] * 4
    assert counts.counts == {fate: 1, "applied": 1}
    assert counts.first[fate] == "1:2"


def test_a_snp_written_with_shared_bases(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "2 AC AG 1|0 0|0", "5 GG CG 0|1 0|0")
    assert sequences(found)[:2] == ["AAGCGGTTNACGT", "AACCCGTTNACGT"]
    assert found is not None
    assert found.position.tolist() == [2, 4]


def test_trimming_keeps_columns_in_order(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "2 ACC ACT 1|0 0|0", "3 C G 0|1 0|0")
    assert found is not None
    assert found.position.tolist() == [2, 3]
    assert sequences(found)[:2] == ["AACTGGTTNACGT", "AAGCGGTTNACGT"]


def test_at_one_position_the_first_record_that_carries_wins(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A G 0|1 1|1", "2 A T 1|0 1|0")
    assert [s[1] for s in sequences(found)] == ["T", "G", "G", "G"]
    assert counts.counts == {"applied": 2, "overlapping": 1}


def test_the_same_change_in_two_records_is_one_column(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "2 A G 0|1 0|0", "2 A G 1|1 0|0")
    assert found is not None
    assert found.position.tolist() == [1]
    assert found.dosage(slice(0, 1)).tolist() == [[2.0], [0.0]]


def test_records_of_other_contigs_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    path.write_text(HEADER + "2\t2\t.\tA\tG\t.\t.\t.\tGT\t1|1\t1|1\n")
    found, counts = read_file(path)
    assert found is None
    assert counts.counts == {"other_contig": 1}
    assert contigs_of(path) == ("1", "2")


def test_many_columns_are_written_as_they_come(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    length = 9000
    contig = "".join(rng.choice(list("AC"), length))
    carried = rng.integers(0, 2, (length, 4))
    carried[carried.sum(axis=1) == 0] = 1
    path = tmp_path / "long.vcf"
    path.write_text(
        HEADER
        + "".join(
            f"1\t{p + 1}\t.\t{contig[p]}\tG\t.\t.\t.\tGT\t{a}|{b}\t{c}|{d}\n"
            for p, (a, b, c, d) in enumerate(carried)
        )
    )
    found, _ = read_file(path, ("ann", "bob"), contig)
    assert found is not None
    assert np.array_equal(found.carried(slice(0, length)), carried.astype(bool))


@pytest.mark.parametrize(
    ("records", "message", "details"),
    [
        (("2 G T 1|1 1|1",), "differs from the reference", ["1:2 of", "REF G where the FASTA has A"]),
        (("13 TG TA 1|1 1|1",), "differs from the reference", ["1:13", "FASTA has T"]),
        (("5 G C 1|1 1|1", "2 A T 1|1 1|1"), "not sorted", ["1:2", "bcftools sort"]),
        (("2 A T 0/0/1 0|0",), "3 alleles", ["1:2"]),
        (("2 A T 0|5 0|0",), "names an allele", ["1:2", "allele 5"]),
    ],
)
def test_what_is_refused(tmp_path: Path, records: tuple[str, ...], message: str, details: list[str]) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, *records)
    for detail in details:
        assert detail in str(caught.value)


def test_a_record_without_genotypes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    header = HEADER.replace("ID=GT", "ID=DP")
    path.write_text(header + "1\t2\t.\tA\tG\t.\t.\t.\tDP\t1\t1\n")
    with pytest.raises(DataError, match="no genotypes"):
        read_file(path)


def test_a_person_who_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 individuals are not in the variant file") as caught:
        read(tmp_path, "2 A T 1|1 1|1", people=("ann", "cyd"))
    assert "cyd" in str(caught.value)


def test_a_contig_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    line = "\t2\t.\tA\tG\t.\t.\t.\tGT\t1|1\t1|1\n"
    path.write_text(HEADER + "1" + line + "2" + line + "1" + line)
    with pytest.raises(DataError, match="not sorted"):
        read_file(path)


def test_an_unphased_heterozygote_masks_only_where_its_alleles_differ(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "1 AA CA,AC 0/2 1/2")
    assert [s[:2] for s in sequences(found)] == ["AN", "AN", "NN", "NN"]


def test_a_half_missing_unphased_genotype_is_n_and_counted_once(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A T ./1 0/.")
    assert [s[1] for s in sequences(found)] == ["N", "N", "A", "A"]
    assert counts.counts == {"unphased_genotypes": 1, "missing_genotypes": 1, "applied": 1}


@pytest.mark.parametrize("other", ["<NON_REF>", "<*>"])
def test_a_stand_in_for_any_other_allele_is_the_reference(tmp_path: Path, other: str) -> None:
    found, counts = read(tmp_path, f"2 A T,{other} 1|0 2|1", f"3 C {other} 0|0 0|1")
    assert [s[:3] for s in sequences(found)] == ["ATC", "AAC", "AAC", "ATC"]
    assert counts.counts == {"applied": 1, "no_alt": 1}


def test_a_file_whose_header_repeats_a_person(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    path.write_text(HEADER.replace("ann\tbob", "ann\tann"))
    with pytest.raises(DataError, match="cannot be opened"):
        read_file(path)


def test_position_0_is_before_the_contig(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "0 T G 1|1 1|1", "2 A T 1|0 0|0")
    assert found is not None
    assert found.position.tolist() == [1]
    assert counts.counts == {"before_contig": 1, "applied": 1}


def test_an_unphased_copy_of_what_a_person_carries_counts_no_second_time(tmp_path: Path) -> None:
    found, counts = read(tmp_path, "2 A G 1|0 0|0", "2 A G 0/1 0/1")
    assert found is not None
    assert found.dosage(slice(0, 1)).tolist() == [[1.0], [1.0]]
    assert [s[1] for s in sequences(found)] == ["G", "N", "N", "N"]
    assert counts.counts == {"applied": 2, "overlapping": 1, "unphased_genotypes": 2}


def test_a_record_whose_carriers_are_all_settled_is_not_one_that_nobody_carries(tmp_path: Path) -> None:
    _, counts = read(tmp_path, "2 A G 1|1 0|0", "2 A T 1|0 0|0")
    assert counts.counts == {"applied": 1, "overlapping": 1}


def test_a_single_breakend_is_symbolic(tmp_path: Path) -> None:
    _, counts = read(tmp_path, "2 A A. 1|1 0|0", "3 C ]1:5]C 1|1 0|0", "5 G C 1|0 0|0")
    assert counts.counts == {"applied": 1, "symbolic": 2}
