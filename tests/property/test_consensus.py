"""Haplotypes against ``bcftools consensus`` on random genomes, variants and genotypes.

The oracle: ``samtools faidx REF CONTIG | bcftools consensus -s SAMPLE -H {1,2}pIu -i 'type="snp"'``.
It writes an IUPAC letter where we write N (an unphased heterozygote), so those are made N.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes import HaplotypeWindow
from glm2x.genome.reference import Reference
from glm2x.genome.sequence import decode, reverse_complement
from glm2x.genome.variants import PhasedVariants
from glm2x.genome.vcf import read_variants
from glm2x.genome.vcf_file import individuals_of

pytestmark = pytest.mark.skipif(
    shutil.which("bcftools") is None or shutil.which("samtools") is None,
    reason="needs bcftools and samtools (apt-get install bcftools samtools)",
)

LENGTH = 60
PEOPLE = ("ann", "bob")


@st.composite
def genomes(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A contig with lower-case letters, and sorted records of every kind that may stand beside SNPs."""
    contig = draw(st.text("ACGTacgt", min_size=LENGTH, max_size=LENGTH))
    positions = sorted(draw(st.lists(st.integers(0, LENGTH - 4), min_size=1, max_size=14)))
    records = []
    for position in positions:
        length = draw(st.sampled_from([1, 1, 1, 1, 2, 3]))
        ref = contig[position : position + length].upper()
        kinds = draw(st.lists(st.sampled_from(["snp", "snp", "snp", "mnp", "indel"]), min_size=1, max_size=2))
        alts: list[str] = []
        for kind in kinds:
            alt = _alternative(draw, ref, kind)
            if alt not in (*alts, ref):
                alts.append(alt)
        genotypes = [_genotype(draw, len(alts)) for _ in PEOPLE]
        fields = ["1", str(position + 1), ".", ref, ",".join(alts) or ".", ".", ".", ".", "GT", *genotypes]
        records.append("\t".join(fields) + "\n")
    return contig, records


def _alternative(draw: st.DrawFn, ref: str, kind: str) -> str:
    if kind == "indel":
        return ref + "A" if len(ref) == 1 else ref[0]
    changed = list(ref)
    places = range(len(ref)) if kind == "mnp" else [draw(st.integers(0, len(ref) - 1))]
    for place in places:
        changed[place] = draw(st.sampled_from(sorted(set("ACGT") - {ref[place]})))
    return "".join(changed)


def _genotype(draw: st.DrawFn, alts: int) -> str:
    first, second = draw(st.integers(0, alts)), draw(st.integers(0, alts))
    separator = "/" if draw(st.integers(0, 5)) == 0 else "|"
    if separator == "|" and draw(st.integers(0, 12)) == 0:
        return ".|."
    return f"{first}{separator}{second}"


@given(genome=genomes())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whole_contigs_equal_bcftools_consensus(genome: tuple[str, list[str]]) -> None:
    contig, records = genome
    with tempfile.TemporaryDirectory() as folder:
        fasta, vcf = Path(folder) / "ref.fa", Path(folder) / "people.vcf"
        fasta.write_text(f">1\n{contig}\n")
        vcf.write_text(
            f"##fileformat=VCFv4.2\n##contig=<ID=1,length={LENGTH}>\n"
            '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
            + "\t".join(PEOPLE)
            + "\n"
            + "".join(records)
        )
        pysam.tabix_index(str(vcf), preset="vcf", keep_original=True)
        codes = Reference(fasta).codes("1")
        found, _ = read_variants(vcf, individuals=PEOPLE, contigs={"1": codes})
        none = PhasedVariants("1", np.zeros(0, np.int64), codes[:0], codes[:0], np.zeros((4, 0), np.uint8))
        window = HaplotypeWindow(codes, found.get("1", none), Gene("g", "1", LENGTH // 2, "+"), LENGTH)
        for row in range(4):
            person, haplotype = PEOPLE[row // 2], row % 2 + 1
            expected = consensus(fasta, Path(f"{vcf}.gz"), person, haplotype)
            assert decode(window.haplotype(row)) == re.sub("[^ACGT]", "N", expected), (person, haplotype)


def consensus(fasta: Path, vcf: Path, person: str, haplotype: int, region: str = "1") -> str:
    """Return a stretch as bcftools writes it, upper case and without line breaks."""
    stretch = subprocess.run(["samtools", "faidx", fasta, region], check=True, capture_output=True)
    command = ["bcftools", "consensus", "-s", person, "-H", f"{haplotype}pIu", "-i", 'type="snp"', vcf]
    made = subprocess.run(command, check=True, capture_output=True, input=stretch.stdout)
    return "".join(made.stdout.decode().splitlines()[1:]).upper()


@pytest.mark.parametrize("gene", ["ENSG00000206176", "ENSG00000215513"])
def test_real_haplotypes_equal_bcftools_consensus(demo_cohort, demo_sources, gene: str) -> None:
    place = demo_cohort.gene(gene)
    window = 64_000
    region = f"22:{place.tss - window // 2 + 1}-{place.tss + window // 2}"
    builder = HaplotypeWindow(demo_cohort.reference("22"), demo_cohort.variants("22"), place, window)
    people = individuals_of(demo_sources.variants)
    for row in (0, 1, 100, 401, 715):
        expected = consensus(
            demo_sources.reference, demo_sources.variants, people[row // 2], row % 2 + 1, region
        )
        made = builder.haplotype(row)
        assert decode(made if place.strand == "+" else reverse_complement(made)) == expected
