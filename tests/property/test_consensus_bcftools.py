"""`glm2x consensus` against ``bcftools consensus``, byte for byte, on random genomes, records and genotypes.

The oracle, for each contig: ``samtools faidx REF CONTIG | bcftools consensus -s SAMPLE -H {1,2}pIu
-i 'type="snp"' VCF``. Where it fails (a carried REF that differs from the FASTA), a DataError is due.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glm2x.commands.consensus import consensus
from glm2x.errors import DataError
from glm2x.genome.consensus.plan import allele_file

pytestmark = pytest.mark.skipif(
    shutil.which("bcftools") is None or shutil.which("samtools") is None,
    reason="needs bcftools and samtools (apt-get install bcftools samtools)",
)

PEOPLE = ("ann", "bob", "cyd")
CONTIGS = ("1", "2")
HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n##contig=<ID=2>\n##contig=<ID=3>\n"
    '##ALT=<ID=NON_REF,Description="x">\n##ALT=<ID=DEL,Description="x">\n##ALT=<ID=*,Description="x">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(PEOPLE) + "\n"
)


class Files(NamedTuple):
    """Sequences by contig, and the lines of the VCF."""

    contigs: dict[str, str]
    records: list[str]


@st.composite
def genomes(draw: st.DrawFn) -> Files:
    """Two contigs of mixed case with some N, and sorted records of every kind, crowded and overlapping."""
    contigs, records = {}, []
    for name in CONTIGS:
        length = draw(st.sampled_from([59, 60, 61, 120, 133]))
        contig = draw(st.text("ACGTacgtACGTacgtNnR", min_size=length, max_size=length))
        contigs[name] = contig
        places = st.lists(st.integers(0, length - 1), min_size=8, max_size=20)
        dense = st.lists(st.integers(length - 9, length - 1), min_size=4, max_size=12)
        records += [_record(draw, name, contig, p) for p in sorted(draw(places | dense))]
    return Files(contigs, records)


def _record(draw: st.DrawFn, name: str, contig: str, position: int) -> str:
    ref = contig[position : position + draw(st.sampled_from([1, 1, 1, 1, 2, 3]))].upper()
    oddity = draw(st.integers(0, 400))
    if oddity == 0:
        ref = "C" if ref == "A" else "A"  # carried, it is an error
    elif oddity == 1:
        ref += "A"  # may reach over the end
    elif oddity == 2:
        ref = ref.lower()
    kinds = st.sampled_from(["snp"] * 12 + ["mnp", "indel", "*", "<*>", "<NON_REF>", "<DEL>", "N", "lower"])
    alts: list[str] = []
    for kind in draw(st.lists(kinds, min_size=0 if oddity == 3 else 1, max_size=3)):
        alt = _alternative(draw, ref, kind)
        if alt not in (*alts, ref):
            alts.append(alt)
    form = draw(st.sampled_from(["diploid"] * 8 + ["haploid", "mixed", "no GT"]))
    key, genotypes = "GT", [_genotype(draw, len(alts), form) for _ in PEOPLE]
    if form == "no GT":
        key, genotypes = "DP", ["3"] * len(PEOPLE)
    fields = [name, str(position + 1), ".", ref, ",".join(alts) or ".", ".", ".", ".", key, *genotypes]
    return "\t".join(fields) + "\n"


def _alternative(draw: st.DrawFn, ref: str, kind: str) -> str:
    if kind[0] in "*<":
        return kind
    if kind == "indel":
        return ref + "A" if len(ref) == 1 else ref[0]
    changed = list(ref)
    places = range(len(ref)) if kind == "mnp" else [draw(st.integers(0, len(ref) - 1))]
    for place in places:
        letters = "N" if kind == "N" else "ACGTR" if draw(st.integers(0, 9)) == 0 else "ACGT"
        changed[place] = draw(st.sampled_from(sorted(set(letters) - {ref[place].upper()}) or ["A"]))
    alt = "".join(changed)
    return alt.lower() if kind == "lower" else alt


def _genotype(draw: st.DrawFn, alts: int, form: str) -> str:
    allele = st.integers(0, alts).map(str) if draw(st.integers(0, 9)) else st.just(".")
    count = 1 if form == "haploid" or (form == "mixed" and draw(st.booleans())) else 2
    if form == "mixed" and draw(st.integers(0, 9)) == 0:
        count = 3
    separator = "/" if draw(st.integers(0, 3)) == 0 else "|"
    return separator.join(draw(allele) for _ in range(count))


def bcftools(fasta: Path, vcf: Path, person: str, haplotype: int, contigs: tuple[str, ...]) -> bytes | None:
    """Return what the published way writes for some contigs, or None where it fails."""
    made = b""
    for contig in contigs:
        stretch = subprocess.run(["samtools", "faidx", fasta, contig], check=True, capture_output=True)
        command = ["bcftools", "consensus", "-s", person, "-H", f"{haplotype}pIu", "-i", 'type="snp"', vcf]
        done = subprocess.run(command, check=False, capture_output=True, input=stretch.stdout)
        if done.returncode:
            assert b"does not match the REF" in done.stderr or b"Symbolic" in done.stderr, done.stderr
            return None
        made += done.stdout
    return made


def write_files(folder: Path, files: Files) -> tuple[Path, Path, Path]:
    """Write FASTA (lines of 50, as no other program here writes), indexed VCF.gz and the list of people."""
    fasta, vcf, people = folder / "ref.fa", folder / "people.vcf", folder / "people.txt"
    with fasta.open("w") as handle:
        for name, contig in files.contigs.items():
            lines = [contig[i : i + 50] for i in range(0, len(contig), 50)]
            handle.write("\n".join([f">{name} described", *lines]) + "\n")
    vcf.write_text(HEADER + "".join(files.records))
    pysam.tabix_index(str(vcf), preset="vcf", force=True)
    people.write_text("cyd\nann\n")
    return fasta, Path(f"{vcf}.gz"), people


@given(files=genomes())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_files_equal_bcftools_consensus(files: Files) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fasta, vcf, people = write_files(Path(folder), files)
        expected = {
            (person, haplotype): bcftools(fasta, vcf, person, haplotype, CONTIGS)
            for person in ("ann", "cyd")
            for haplotype in (1, 2)
        }
        out = Path(folder) / "out"
        if None in expected.values():
            with pytest.raises(DataError, match=r"REF differs|symbolic allele"):
                consensus(reference=fasta, variants=(vcf,), individuals=people, out=out)
            assert list(out.iterdir()) == []
            return
        consensus(reference=fasta, variants=(vcf,), individuals=people, out=out)
        for (person, haplotype), content in expected.items():
            assert allele_file(out, person, haplotype).read_bytes() == content, (person, haplotype)
        assert len(list(out.iterdir())) == len(expected)


def test_the_demo_equals_bcftools_consensus(demo_sources, tmp_path: Path) -> None:
    people = tmp_path / "people.txt"
    people.write_text("HG00097\n")
    consensus(
        reference=demo_sources.reference,
        variants=(demo_sources.variants,),
        individuals=people,
        out=tmp_path,
    )
    for haplotype in (1, 2):
        expected = bcftools(demo_sources.reference, demo_sources.variants, "HG00097", haplotype, ("22",))
        assert allele_file(tmp_path, "HG00097", haplotype).read_bytes() == expected
