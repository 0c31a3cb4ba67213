"""All haplotypes of the demo's genes, by digest, against what samtools and bcftools made of the same files.

The expectations, and the command that made them, are in demo_haplotypes.json
(`python tests/golden/make_demo_haplotypes.py` makes it anew).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.genome.sequence import decode

GOLDEN = json.loads(Path(__file__).with_name("demo_haplotypes.json").read_text())


def test_every_gene_of_the_demo_has_its_digests(demo_cohort: Cohort) -> None:
    assert tuple(GOLDEN["digests"]) == demo_cohort.gene_ids
    assert GOLDEN["haplotypes"] == 2 * len(demo_cohort.individuals) == 716
    assert all(sorted(windows) == ["11000", "64000"] for windows in GOLDEN["digests"].values())


@pytest.mark.parametrize("window", [11_000, 64_000])
def test_all_haplotypes_equal_bcftools_consensus(demo_cohort: Cohort, window: int) -> None:
    dictionary = HaplotypeDictionary(demo_cohort, window)
    for gene, expected in GOLDEN["digests"].items():
        unique = dictionary.gene(gene)
        letters = [decode(codes).encode() for codes in unique.codes()]
        made = hashlib.sha256()
        for row in unique.index.ravel():
            made.update(letters[row])
        assert made.hexdigest() == expected[str(window)], gene


@pytest.mark.parametrize("window", [11_000, 64_000])
def test_haplotypes_one_at_a_time_equal_bcftools_consensus(demo_cohort: Cohort, window: int) -> None:
    for gene in list(GOLDEN["digests"])[::9]:
        builder = HaplotypeDictionary(demo_cohort, window).window_of(gene)
        made = hashlib.sha256()
        for row in range(GOLDEN["haplotypes"]):
            made.update(decode(builder.haplotype(row)).encode())
        assert made.hexdigest() == GOLDEN["digests"][gene][str(window)], gene
