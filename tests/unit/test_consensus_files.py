"""`glm2x consensus`: what becomes of each kind of record, what is refused, and what a second run does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pysam
import pytest

from glm2x.commands.consensus import consensus
from glm2x.errors import DataError, UsageError
from glm2x.genome.consensus import plan as planning
from glm2x.genome.consensus import run as writing
from glm2x.genome.consensus.records import ContigRecords
from glm2x.genome.consensus.text import ContigText, text_size
from glm2x.genome.counts import Counts
from glm2x.genome.reference.indexed import Reference

REFERENCE = {"1": "AACCggttNACGT", "2": "ACGT" * 20, "3": "TTTT"}
FORMAT = (
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">\n'
)
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"


class Case:
    """A folder with a reference, variants of two people, and a list of one or both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.reference = folder / "ref.fa"
        self.reference.write_text("".join(f">{name}\n{bases}\n" for name, bases in REFERENCE.items()))
        self.people = folder / "people.txt"
        self.people.write_text("ann\nbob\n")

    def vcf(self, *records: str, name: str = "x.vcf", people: str = "ann bob", header: str = "") -> Path:
        """Write records given as ``[CONTIG:]POS REF ALT GT GT``; a contig is 1 where none is given."""
        lines = []
        for record in records:
            place, ref, alt, *genotypes = record.split()
            contig, _, position = place.rpartition(":")
            fields = [contig or "1", position, ".", ref, alt, ".", ".", ".", "GT", *genotypes]
            lines.append("\t".join(fields) + "\n")
        contigs = dict.fromkeys(line.split("\t")[0] for line in lines)
        named = "".join(f"##contig=<ID={contig}>\n" for contig in contigs)
        path = self.folder / name
        columns = COLUMNS + "\t".join(people.split()) + "\n"
        path.write_text("##fileformat=VCFv4.2\n" + named + header + FORMAT + columns + "".join(lines))
        return path

    def run(self, *variants: Path, **options: Any) -> None:
        consensus(
            reference=self.reference,
            variants=variants,
            individuals=self.people,
            out=self.out,
            **options,
        )

    def sequences(self, person: str, contig: str = "1") -> list[str]:
        """Return both haplotypes of one contig, without line ends."""
        found = []
        for haplotype in (1, 2):
            text = (self.out / f"{person}_allele_{haplotype}_forward.fa").read_text()
            records = dict(part.split("\n", 1) for part in text.split(">")[1:])
            found.append(records[contig].replace("\n", ""))
        return found


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_file_is_a_header_and_lines_of_sixty_letters(case: Case) -> None:
    case.run(case.vcf("2:60 T G 1|0 0|0"))
    first = (case.out / "ann_allele_1_forward.fa").read_text()
    assert first == ">2\n" + "ACGT" * 14 + "ACGG\n" + "ACGT" * 5 + "\n"
    assert sorted(path.name for path in case.out.iterdir()) == [
        f"{person}_allele_{haplotype}_forward.fa" for person in ("ann", "bob") for haplotype in (1, 2)
    ]


# each: records, ann's two haplotypes; the reference is AACCggttNACGT
RULES = {
    "phased": (["2 A T 0|1 0|0"], ["AACCggttNACGT", "ATCCggttNACGT"]),
    "the case is the reference's": (["5 G A 1|1 0|0"], ["AACCagttNACGT"] * 2),
    "multiallelic": (["2 A T,G 2|1 0|0"], ["AGCCggttNACGT", "ATCCggttNACGT"]),
    "unphased is IUPAC on both": (["2 A G 0/1 0|0"], ["ARCCggttNACGT"] * 2),
    "IUPAC of two ALTs": (["6 G A,T 1/2 0|0"], ["AACCgwttNACGT"] * 2),
    "unphased homozygous": (["2 A G 1/1 0|0"], ["AGCCggttNACGT"] * 2),
    "missing": (["2 A G .|. 0|0"], ["AACCggttNACGT"] * 2),
    "half missing, phased": (["2 A G .|1 0|0"], ["AACCggttNACGT", "AGCCggttNACGT"]),
    "half missing, unphased": (["2 A G ./1 0|0"], ["AGCCggttNACGT"] * 2),
    "haploid, as everybody": (["2 A G 1 0"], ["AGCCggttNACGT"] * 2),
    "haploid beside diploid": (["2 A G 1 0|0"], ["AGCCggttNACGT", "AACCggttNACGT"]),
    "unphased beside triploid": (["2 A G 0/1 0/0/0"], ["AACCggttNACGT", "AGCCggttNACGT"]),
    "indel, MNP and star are passed over": (
        ["1 A AG 1|1 0|0", "3 CC TT 1|1 0|0", "6 G A,* 1|1 0|0", "7 T . 0|0 0|0"],
        ["AACCggttNACGT"] * 2,
    ),
    "a SNP after trimming": (["2 AC AT 1|0 0|0"], ["AATCggttNACGT", "AACCggttNACGT"]),
    "the case of its first base": (["4 Cg Tg 1|0 0|0"], ["AACTGgttNACGT", "AACCggttNACGT"]),
    "the first that is carried wins": (
        ["2 A T 0|1 0|0", "2 A G 1|1 0|0"],
        ["AGCCggttNACGT", "ATCCggttNACGT"],
    ),
    "overlapping": (["2 AC GC 1|0 0|0", "3 C T 1|1 0|0"], ["AGCCggttNACGT", "AATCggttNACGT"]),
    "any other allele is the reference and covers": (
        ["2 A T,<*> 2|1 0|0", "2 A G 1|1 0|0"],
        ["AACCggttNACGT", "ATCCggttNACGT"],
    ),
    "ALT N": (["2 A N 1|0 0|0"], ["ANCCggttNACGT", "AACCggttNACGT"]),
    "beyond the contig": (["20 A G 1|1 0|0"], ["AACCggttNACGT"] * 2),
    "over the end": (["13 TA GA 1|0 0|0"], ["AACCggttNACGG", "AACCggttNACGT"]),
    "a wrong REF that nobody carries": (["2 C T 0|0 0|0"], ["AACCggttNACGT"] * 2),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("alone", [False, True])
def test_rules(case: Case, rule: str, alone: bool) -> None:
    """Also where ann alone is read: what bob has decides on haploid and unphased genotypes."""
    records, expected = RULES[rule]
    if alone:
        case.people.write_text("ann\n")
    case.run(case.vcf(*records))
    assert case.sequences("ann") == expected


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_those_of_bcftools(case: Case, rule: str) -> None:
    if shutil.which("bcftools") is None or shutil.which("samtools") is None:
        pytest.skip("needs bcftools and samtools (apt-get install bcftools samtools)")
    records, expected = RULES[rule]
    pysam.tabix_index(str(case.vcf(*records)), preset="vcf")
    faidx = subprocess.run(["samtools", "faidx", case.reference, "1"], check=True, capture_output=True)
    for haplotype in (1, 2):
        command = ["bcftools", "consensus", "-s", "ann", "-H", f"{haplotype}pIu", "-i", 'type="snp"']
        made = subprocess.run(
            [*command, case.folder / "x.vcf.gz"], check=True, capture_output=True, input=faidx.stdout
        )
        assert made.stdout.decode() == f">1\n{expected[haplotype - 1]}\n"


def test_what_is_passed_over_is_counted_and_said(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    vcf = case.vcf("1 A AG 1|1 0|0", "2 A G 0/1 .|.", "3 C T 0|0 0|0", "20 A G 1|1 0|0")
    vcf.write_text(vcf.read_text() + "1\t21\t.\tA\tG\t.\t.\t.\tDP\t1\t1\n")
    case.run(vcf)
    said = capsys.readouterr().err
    for line in (
        "indel: 1 (first: 1:1)",
        "unphased as iupac genotypes: 1 (first: ann at 1:2)",
        "missing genotypes: 1 (first: bob at 1:2)",
        "not carried: 1 (first: 1:3)",
        "applied: 1 (first: 1:2)",
        "beyond the contig: 2 (first: 1:20)",
    ):
        assert line in said
    assert "consensus: 4 files of 0.0 MB (1 contigs) written to" in said


def test_a_record_without_gt_is_counted(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    vcf = case.vcf("1 A G 0|0 0|0")
    vcf.write_text(vcf.read_text() + "1\t2\t.\tA\tG\t.\t.\t.\tDP\t1\t1\n")
    case.run(vcf)
    assert "no genotypes: 1 (first: 1:2)" in capsys.readouterr().err
    assert case.sequences("ann") == ["AACCggttNACGT"] * 2


def test_genotypes_that_cannot_be_read_are_refused() -> None:
    class Damaged:
        CHROM, POS, REF, ALT, FORMAT, start = "1", 2, "A", ["G"], ["GT"], 1

        @property
        def genotype(self) -> Any:
            raise Exception("couldn't get genotypes")

    records = ContigRecords(
        SimpleNamespace(length=9),  # type: ignore[arg-type]
        order=np.array([0]),
        individuals=["ann"],
        everybody=True,
        out=None,  # type: ignore[arg-type]
        counts=Counts(),
        path="x.vcf",
    )
    with pytest.raises(DataError, match="genotypes of a record cannot be read") as error:
        records.add(Damaged())
    assert error.value.where == "1:2 of x.vcf"


def test_contigs_come_in_the_references_order_or_in_the_one_asked_for(case: Case) -> None:
    one, two = case.vcf("1 A G 1|0 0|0", name="chr1.vcf"), case.vcf("chr2:1 A G 0|1 0|0", name="chr2.vcf")
    case.run(two, one)
    text = (case.out / "ann_allele_1_forward.fa").read_text()
    assert [line for line in text.splitlines() if line[0] == ">"] == [">1", ">2"]
    assert case.sequences("ann", "2")[1][:4] == "GCGT"
    case.run(case.folder / "chr{chrom}.vcf", contigs="chr2,1", force=True)
    text = (case.out / "ann_allele_1_forward.fa").read_text()
    assert [line for line in text.splitlines() if line[0] == ">"] == [">2", ">1"]
    assert case.sequences("ann", "1")[0][:4] == "GACC"


def test_one_file_may_hold_several_contigs(case: Case) -> None:
    vcf = case.vcf("1 A G 1|0 0|0", "2:1 A G 0|1 0|0", "3:1 T G 1|1 0|0")
    case.run(vcf)
    assert [case.sequences("ann", c)[0][:2] for c in "123"] == ["GA", "AC", "GT"]
    case.run(vcf, contigs="2", force=True)
    assert (case.out / "ann_allele_1_forward.fa").read_text()[:2] == ">2"


@pytest.mark.parametrize("form", ["vcf.gz", "bcf"])
def test_an_index_is_used_where_few_contigs_of_a_file_are_wanted(case: Case, form: str) -> None:
    vcf = case.vcf("1 A G 1|0 0|0", "2:1 A G 0|1 0|0", "3:1 T G 1|1 0|0", header="##contig=<ID=4>\n")
    indexed = case.folder / f"y.{form}"
    with (
        pysam.VariantFile(str(vcf)) as there,
        pysam.VariantFile(str(indexed), "w", header=there.header) as to,
    ):
        for record in there:
            to.write(record)
    pysam.tabix_index(str(indexed), preset="vcf" if form == "vcf.gz" else "bcf")
    assert planning.contigs_with_records(indexed) == ("1", "2", "3")
    case.run(indexed, contigs="3,2")
    assert case.sequences("ann", "2") == [REFERENCE["2"], "G" + REFERENCE["2"][1:]]
    assert case.sequences("ann", "3") == ["GTTT", "GTTT"]
    case.run(indexed, force=True)
    assert [case.sequences("ann", c)[0][:2] for c in "123"] == ["GA", "AC", "GT"]


def test_a_contig_without_variants_is_refused_unless_said_to_be_wanted(case: Case) -> None:
    vcf = case.vcf("1 A G 1|0 0|0")
    with pytest.raises(DataError, match="1 of the contigs have no variants") as error:
        case.run(vcf, contigs="1,3")
    assert error.value.got == "no record of 3"
    assert "--without-variants 3" in error.value.do
    case.run(vcf, contigs="3,1", without_variants="3")
    assert (case.out / "ann_allele_1_forward.fa").read_text() == ">3\nTTTT\n>1\nGACCggttNACGT\n"


def test_contigs_of_neither_file_are_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="not in the reference FASTA") as error:
        case.run(case.vcf("1 A G 1|0 0|0"), contigs="1,9")
    assert error.value.got == "9"
    with pytest.raises(DataError, match="no contig of the reference"):
        case.run(case.vcf("9:1 A G 1|0 0|0"))
    case.run(case.vcf("1 A G 1|0 0|0", "9:1 A G 1|0 0|0"))
    assert "left out, not in the reference: 1 contigs with variants (9)" in capsys.readouterr().err


def test_a_contig_in_two_files_is_refused(case: Case) -> None:
    with pytest.raises(DataError, match="contig 1 has variants twice"):
        case.run(case.vcf("1 A G 1|0 0|0"), case.vcf("chr1:1 A G 1|0 0|0", name="y.vcf"))


def test_a_pattern_that_no_file_has_is_refused(case: Case) -> None:
    with pytest.raises(DataError, match="no variant file has a name of this pattern"):
        case.run(case.folder / "none-{chrom}.vcf")


def test_people_who_are_not_in_the_variants_are_named(case: Case) -> None:
    case.people.write_text("ann\ncyd\n")
    with pytest.raises(DataError, match="individuals are not in the variant file") as error:
        case.run(case.vcf("1 A G 1|0 0|0"))
    assert "cyd" in error.value.got
    assert not case.out.exists()


def test_a_name_that_is_a_path_is_refused(case: Case) -> None:
    case.people.write_text("a/b\n")
    with pytest.raises(DataError, match="cannot be part of a file name"):
        case.run(case.vcf("1 A G 1|0 0|0", people="a/b bob"))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (["2 C G 1|0 0|0"], "REF differs from the reference FASTA"),
        (["9 A G 1|0 0|0"], "REF differs from the reference FASTA"),
        (["2 A G,<X> 2|0 0|0"], "symbolic allele <X> of a SNP"),
        (["2 A G 2|0 0|0"], "names an allele that its record does not have"),
        (["3 C T 1|0 0|0", "2 A G 1|0 0|0"], "not sorted by position"),
        (["2:1 A G 1|0 0|0", "1:1 A G 1|0 0|0", "2:2 C G 1|0 0|0"], "not sorted by position"),
    ],
)
def test_what_cannot_be_right_is_refused(case: Case, records: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        case.run(case.vcf(*records))
    assert list(case.out.iterdir()) == []


def test_an_end_that_disagrees_with_ref_is_refused(case: Case) -> None:
    end = '##INFO=<ID=END,Number=1,Type=Integer,Description="x">\n'
    vcf = case.vcf("2 A G 1|0 0|0", header=end)
    vcf.write_text(vcf.read_text().replace("\t.\tGT", "\tEND=5\tGT"))
    with pytest.raises(DataError, match="INFO/END disagrees with its REF"):
        case.run(vcf)


def test_files_that_are_there_are_kept(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    vcf = case.vcf("1 A G 1|0 0|1")
    case.run(vcf)
    before = {path.name: path.stat().st_ino for path in case.out.iterdir()}
    (case.out / "bob_allele_2_forward.fa").unlink()
    case.run(vcf)
    said = capsys.readouterr().err
    assert "kept: 3 files that are there" in said
    assert "consensus: 1 files of" in said
    after = {path.name: path.stat().st_ino for path in case.out.iterdir()}
    assert {name for name in before if before[name] == after[name]} >= {
        *("ann_allele_1_forward.fa", "ann_allele_2_forward.fa", "bob_allele_1_forward.fa"),
    }
    assert case.sequences("bob") == ["AACCggttNACGT", "GACCggttNACGT"]
    case.run(vcf)
    assert "consensus: 0 files of" in capsys.readouterr().err


def test_a_file_of_another_size_is_refused_and_force_replaces_it(case: Case) -> None:
    vcf = case.vcf("1 A G 1|0 0|1")
    case.out.mkdir()
    there = case.out / "ann_allele_1_forward.fa"
    there.write_text("short")
    with pytest.raises(UsageError, match="is not what this command makes") as error:
        case.run(vcf)
    assert (error.value.got, error.value.wanted[:8]) == ("5 bytes", "17 bytes")
    case.run(vcf, force=True)
    assert case.sequences("ann")[0] == "GACCggttNACGT"


def test_a_file_of_other_contigs_or_older_variants_is_refused(case: Case) -> None:
    case.reference.write_text(">1\nACGT\n>2\nACGT\n")
    vcf = case.vcf("1 A G 1|0 0|1", "2:1 A G 1|0 0|1")
    case.run(vcf, contigs="1")
    with pytest.raises(UsageError, match="is not what this command makes") as error:
        case.run(vcf, contigs="2")
    assert error.value.wanted == "8 bytes, contigs 2"
    case.run(vcf, contigs="1")
    younger = (case.out / "ann_allele_1_forward.fa").stat().st_mtime + 10
    os.utime(vcf, (younger, younger))
    with pytest.raises(UsageError, match="is not what this command makes") as error:
        case.run(vcf, contigs="1")
    assert error.value.got == f"8 bytes, older than {vcf}"


def test_a_disk_without_room_is_refused_before_anything_is_written(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda _: SimpleNamespace(free=50))
    with pytest.raises(DataError, match="no room for 4 files"):
        case.run(case.vcf("1 A G 1|0 0|0"))
    assert not case.out.exists()


def test_a_failure_half_way_leaves_whole_files_only(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    vcf = case.vcf("1 A G 1|0 0|1")
    monkeypatch.setattr(writing, "FILES_AT_ONCE", 2)
    whole = writing._write_all
    calls = []

    def fail(file: Any, text: ContigText) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        whole(file, text)

    monkeypatch.setattr(writing, "_write_all", fail)
    with pytest.raises(KeyboardInterrupt):
        case.run(vcf)
    assert sorted(p.name for p in case.out.iterdir()) == [
        "ann_allele_1_forward.fa",
        "ann_allele_2_forward.fa",
    ]
    monkeypatch.setattr(writing, "_write_all", whole)
    case.run(vcf)
    assert case.sequences("bob") == ["AACCggttNACGT", "GACCggttNACGT"]


def test_a_killed_run_leaves_no_half_file_and_the_next_one_mends_it(case: Case) -> None:
    vcf = case.vcf("1 A G 1|0 0|1")
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from glm2x.commands.consensus import consensus; from glm2x.genome.consensus import run as writing\n"
        "def die(file, text):\n    file.write(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "writing._write_all = die\n"
        "reference, variants, people, out = map(Path, sys.argv[1:])\n"
        "consensus(reference=reference, variants=(variants,), individuals=people, out=out)\n"
    )
    words = [sys.executable, "-c", program, case.reference, vcf, case.people, case.out]
    killed = subprocess.run(words, check=False, env=dict(os.environ), capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    left = list(case.out.iterdir())
    assert left
    assert all(path.name.startswith(".") for path in left)
    case.run(vcf)
    assert case.sequences("bob") == ["AACCggttNACGT", "GACCggttNACGT"]
    assert len(list(case.out.iterdir())) == 4


@pytest.mark.parametrize("length", [1, 59, 60, 61, 120, 121])
def test_a_contigs_text_has_the_size_that_was_reckoned(tmp_path: Path, length: int) -> None:
    fasta = tmp_path / "x.fa"
    bases = ("ACGTNacgtn" * 13)[:length]
    fasta.write_text(f">name described\n{bases}\n")
    text = ContigText(Reference(fasta), "name")
    lines = [bases[i : i + 60] for i in range(0, length, 60)]
    assert text.bytes.tobytes().decode() == "\n".join([">name", *lines]) + "\n"
    assert len(text.bytes) == text_size("name", length)
    assert text.letters(0, length) == bases


def test_a_long_contig_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fasta = tmp_path / "x.fa"
    bases = "ACGTN" * 41
    fasta.write_text(f">1\n{bases}\n")
    monkeypatch.setattr("glm2x.genome.consensus.text._CHUNK", 60)
    text = ContigText(Reference(fasta), "1").bytes.tobytes().decode()
    assert text == "\n".join([">1", *(bases[i : i + 60] for i in range(0, 205, 60))]) + "\n"


def test_a_truncated_reference_is_refused(case: Case) -> None:
    vcf = case.vcf("3:1 T G 1|0 0|0")
    Reference(case.reference)  # makes the index
    case.reference.write_text(case.reference.read_text()[:-4])
    later = case.reference.stat().st_mtime + 60  # an index that is older would be made anew
    os.utime(f"{case.reference}.fai", (later, later))
    with pytest.raises(DataError, match="contig 3 of the reference FASTA is shorter"):
        case.run(vcf)


def test_many_carriers_fill_several_blocks(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glm2x.genome.consensus.records._BLOCK_BYTES", 32)  # 8 columns of 4 rows
    records = [
        f"2:{p} {'ACGT'[(p - 1) % 4]} {'GTAC'[(p - 1) % 4]} {p % 2}|1 0|{p // 40}" for p in range(1, 80)
    ]
    case.run(case.vcf(*records))
    changed = {"A": "G", "C": "T", "G": "A", "T": "C"}
    bases = REFERENCE["2"]
    assert case.sequences("ann", "2")[0] == "".join(
        changed[b] if p % 2 and p < 80 else b for p, b in enumerate(bases, 1)
    )
    assert case.sequences("bob", "2")[1] == "".join(
        changed[b] if 40 <= p < 80 else b for p, b in enumerate(bases, 1)
    )
