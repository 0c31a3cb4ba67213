"""``bcftools consensus`` as an oracle, and small variant files to ask it about."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import strategies as st

from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.sequence import encode
from glm2x.genome.vcf.alleles import VariantKind
from glm2x.genome.vcf.columns import Unphased
from glm2x.genome.vcf.read import read_variants

PEOPLE = ("ann", "bob")

needs_bcftools = pytest.mark.skipif(
    shutil.which("bcftools") is None or shutil.which("samtools") is None,
    reason="needs bcftools and samtools (apt-get install bcftools samtools)",
)


def write_genome(folder: Path, contig: str, records: list[str]) -> tuple[Path, Path]:
    """Write a FASTA of one contig and an indexed VCF of `PEOPLE`; return both."""
    fasta, vcf = folder / "ref.fa", folder / "people.vcf"
    fasta.write_text(f">1\n{contig}\n")
    vcf.write_text(
        f"##fileformat=VCFv4.2\n##contig=<ID=1,length={len(contig)}>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
        + "\t".join(PEOPLE)
        + "\n"
        + "".join(records)
    )
    pysam.tabix_index(str(vcf), preset="vcf", keep_original=True)
    return fasta, Path(f"{vcf}.gz")


def read_one(
    vcf: Path, contig: str, kind: VariantKind = "snp", unphased: Unphased = "mask"
) -> PhasedVariants:
    """Read contig 1 of a variant file; nothing where it has no column."""
    codes = encode(contig)
    found, _ = read_variants(
        [vcf], vcf.parent, individuals=PEOPLE, contigs={"1": codes}, kind=kind, unphased=unphased
    )
    return found.get("1", PhasedVariants.of("1", [], np.zeros((0, 2 * len(PEOPLE)), dtype=np.bool_)))


def consensus(
    fasta: Path, vcf: Path, person: str, haplotype: int, region: str = "1", *, snps_only: bool = True
) -> str | None:
    """Return a stretch as bcftools writes it, upper case and without line breaks; None where it gives up."""
    stretch = subprocess.run(["samtools", "faidx", fasta, region], check=True, capture_output=True)
    chosen = ["-i", 'type="snp"'] if snps_only else []
    command = ["bcftools", "consensus", "-s", person, "-H", f"{haplotype}pIu", *chosen, vcf]
    made = subprocess.run(command, check=False, capture_output=True, input=stretch.stdout)
    if made.returncode:
        assert b"does not match the REF" in made.stderr, made.stderr
        return None
    return "".join(made.stdout.decode().splitlines()[1:]).upper()


def alternative(draw: st.DrawFn, ref: str, kind: str) -> str:
    """Draw an ALT of a kind."""
    if kind == "insertion":
        return ref + draw(st.text("ACGT", min_size=1, max_size=3))
    if kind == "deletion":
        return ref[0] if len(ref) > 1 else ref + "A"
    if kind == "other":
        return draw(st.text("ACGT", min_size=1, max_size=4))
    changed = list(ref)
    places = range(len(ref)) if kind == "mnp" else [draw(st.integers(0, len(ref) - 1))]
    for place in places:
        changed[place] = draw(st.sampled_from(sorted(set("ACGT") - {ref[place]})))
    return "".join(changed)


@st.composite
def records_of(
    draw: st.DrawFn, contig: str, kinds: tuple[str, ...], *, unphased: bool, most: int = 14
) -> list[str]:
    """Draw sorted records with ALTs of some kinds, several at one place among them."""
    positions = sorted(draw(st.lists(st.integers(0, len(contig) - 5), min_size=1, max_size=most)))
    records = []
    for position in positions:
        length = draw(st.sampled_from([1, 1, 1, 1, 2, 3, 4]))
        ref = contig[position : position + length].upper()
        alts: list[str] = []
        for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=2)):
            alt = alternative(draw, ref, kind)
            if alt not in (*alts, ref):
                alts.append(alt)
        genotypes = [genotype(draw, len(alts), unphased=unphased) for _ in PEOPLE]
        fields = ["1", str(position + 1), ".", ref, ",".join(alts) or ".", ".", ".", ".", "GT", *genotypes]
        records.append("\t".join(fields) + "\n")
    return records


def genotype(draw: st.DrawFn, alts: int, *, unphased: bool) -> str:
    """Draw a genotype, missing now and then."""
    first, second = draw(st.integers(0, alts)), draw(st.integers(0, alts))
    if unphased and draw(st.integers(0, 5)) == 0:
        return f"{first}/{second}"
    return ".|." if draw(st.integers(0, 12)) == 0 else f"{first}|{second}"
