"""Haplotypes against ``bcftools consensus`` on random genomes, variants and genotypes.

The oracle: ``samtools faidx REF CONTIG | bcftools consensus -s SAMPLE -H {1,2}pIu``, for SNPs alone with
``-i 'type="snp"'``. It writes an IUPAC letter where we write N (an unphased heterozygote), so those are
made N.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from glm2x.genome.genes import Gene, Strand
from glm2x.genome.haplotypes.window import HaplotypeWindow
from glm2x.genome.sequence import decode, encode, reverse_complement
from glm2x.genome.vcf.file import individuals_of
from property.oracle import PEOPLE, consensus, needs_bcftools, read_one, records_of, write_genome

pytestmark = needs_bcftools

LENGTH = 60
ROWS = [(person, haplotype) for person in PEOPLE for haplotype in (1, 2)]


@st.composite
def genomes(
    draw: st.DrawFn, letters: str, kinds: tuple[str, ...], *, unphased: bool
) -> tuple[str, list[str]]:
    contig = draw(st.text(letters, min_size=LENGTH, max_size=LENGTH))
    return contig, draw(records_of(contig, kinds, unphased=unphased))


TWICE = "1\t1\t.\tA\tC\t.\t.\t.\tGT\t{}\t{}\n"  # one change in two records, phased in one of them only


@given(genome=genomes("ACGTacgt", ("snp", "snp", "snp", "mnp", "insertion", "deletion"), unphased=True))
@example(genome=("A" * LENGTH, [TWICE.format("0|1", "0/1"), TWICE.format("0/1", "1|0")]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_snps_of_whole_contigs(genome: tuple[str, list[str]]) -> None:
    contig, records = genome
    with tempfile.TemporaryDirectory() as folder:
        fasta, vcf = write_genome(Path(folder), contig, records)
        window = HaplotypeWindow(
            encode(contig), read_one(vcf, contig), Gene("g", "1", LENGTH // 2, "+"), LENGTH
        )
        for row, (person, haplotype) in enumerate(ROWS):
            expected = consensus(fasta, vcf, person, haplotype)
            assert expected is not None
            assert decode(window.haplotype(row)) == re.sub("[^ACGT]", "N", expected), (person, haplotype)


@given(
    genome=genomes("ACGT", ("snp", "mnp", "insertion", "deletion", "other"), unphased=False),
    tss=st.integers(0, LENGTH - 1),
    half=st.integers(2, LENGTH),
    strand=st.sampled_from(["+", "-"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_all_kinds_of_whole_contigs(
    genome: tuple[str, list[str]], tss: int, half: int, strand: Strand
) -> None:
    """A window so wide that it holds the whole haplotype has it all; a narrower one is its middle.

    The contig is upper case: where it is lower case, bcftools writes an insertion's first base again over
    a SNP or a deletion that came before at that base, since it compares letters in their case.
    """
    contig, records = genome
    with tempfile.TemporaryDirectory() as folder:
        fasta, vcf = write_genome(Path(folder), contig, records)
        found = read_one(vcf, contig, "all")
        gene = Gene("g", "1", tss, strand)
        wide_window = HaplotypeWindow(encode(contig), found, gene, 8 * LENGTH)
        narrow_window = HaplotypeWindow(encode(contig), found, gene, 2 * half)
        for row, (person, haplotype) in enumerate(ROWS):
            wide = wide_window.haplotype(row)
            middle = wide[4 * LENGTH - half : 4 * LENGTH + half]
            assert decode(narrow_window.haplotype(row)) == decode(middle)
            expected = consensus(fasta, vcf, person, haplotype, snps_only=False)
            if expected is not None:  # bcftools gives up where a REF base was deleted before
                forward = reverse_complement(wide) if strand == "-" else wide
                assert decode(forward).strip("N") == expected, (person, haplotype)


@pytest.mark.parametrize("gene", ["ENSG00000206176", "ENSG00000215513"])
def test_real_haplotypes(demo_cohort, demo_sources, gene: str) -> None:
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
