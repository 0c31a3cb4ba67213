"""Small crowded genomes against what ``bcftools consensus`` once made of them, also without it.

The expectations, and the commands that made them, are in consensus_cases.json
(`python tests/golden/make_consensus_cases.py` makes it anew).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.window import HaplotypeWindow
from glm2x.genome.sequence import decode, encode
from glm2x.genome.vcf.alleles import VariantKind
from glm2x.genome.vcf.read import read_variants

GOLDEN = json.loads(Path(__file__).with_name("consensus_cases.json").read_text())
PEOPLE = tuple(GOLDEN["people"])


def write_case(folder: Path, case: dict[str, Any]) -> tuple[Path, Path]:
    """Write the FASTA and the VCF of a case."""
    fasta, vcf = folder / "ref.fa", folder / "people.vcf"
    fasta.write_text(f">1\n{case['reference']}\n")
    rows = (line.split("\t", 4) for line in case["records"])
    lines = [f"1\t{p}\t.\t{ref}\t{alt}\t.\t.\t{info}\tGT\t{gts}\n" for p, ref, alt, info, gts in rows]
    vcf.write_text(GOLDEN["header"] + "".join(lines))
    return fasta, vcf


def expected(case: dict[str, Any], kind: str) -> list[str]:
    """Return what bcftools made of the records, or of those that we read in their place; ann's first."""
    side = case.get("read_as", case)[kind]
    found = [side[f"{person} {h}"] for person in PEOPLE for h in (1, 2)]
    made = [one if isinstance(one, str) else one["sequence"] for one in found]
    return [(case["reference"] if one == "=" else one).upper() for one in made]


def haplotypes(vcf: Path, case: dict[str, Any], kind: VariantKind) -> list[str]:
    """Return what we make of the whole contig, in the order of `expected`."""
    codes = encode(case["reference"])
    found, _ = read_variants([vcf], vcf.parent, individuals=PEOPLE, contigs={"1": codes}, kind=kind)
    if "1" not in found:
        return [decode(codes)] * 4
    # a window with room for every insertion; what lies beyond the contig is N, as some of the contig is
    half = 10 * len(codes)
    window = HaplotypeWindow(codes, found["1"], Gene("g", "1", 0, "+"), 2 * half)
    return [decode(window.haplotype(row)[half:]) for row in range(4)]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["seed"]))
def test_snps_equal_what_bcftools_made(case: dict[str, Any], tmp_path: Path) -> None:
    _, vcf = write_case(tmp_path, case)
    made = haplotypes(vcf, case, "snp")
    for ours, theirs in zip(made, expected(case, "snps"), strict=True):
        assert ours[: len(theirs)] == theirs
        assert set(ours[len(theirs) :]) <= {"N"}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["seed"]))
def test_all_kinds_equal_what_bcftools_made(case: dict[str, Any], tmp_path: Path) -> None:
    _, vcf = write_case(tmp_path, case)
    made = haplotypes(vcf, case, "all")
    for ours, theirs in zip(made, expected(case, "all"), strict=True):
        assert ours[: len(theirs)] == re.sub("[^ACGT]", "N", theirs)
        assert set(ours[len(theirs) :]) <= {"N"}


def test_the_cases_hold_what_they_are_for() -> None:
    """Frozen cases that had lost their differences, overlaps or changes would pass without testing."""
    cases = GOLDEN["cases"]
    assert len(cases) == 150
    assert sum("read_as" in case for case in cases) >= 20
    results = [one for case in cases for one in case["all"].values()]
    assert sum(isinstance(one, dict) and "skipped" in one for one in results) >= 100
    assert sum(isinstance(one, dict) and "error" in one for one in results) >= 1
    assert np.mean([one == "=" for case in cases for one in case["snps"].values()]) < 0.5
