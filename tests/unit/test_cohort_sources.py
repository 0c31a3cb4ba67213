"""What a cohort may be built from: several variant files, other formats of expression, no reference."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.sources import CohortSources
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import decode

BED = "#chr\tstart\tend\tgene\tstrand\tbob\tann\n1\t8\t9\tplus\t+\t3\t1\n2\t4\t5\tother\t-\t2\t5\n"
TWO_CONTIGS = ">1 first\nAACCGGTTAACCGGTTAACCGGTTAACCGGTT\n>2\nACGTACGTAC\n"


def two_files(small, second_people: str = "ann\tbob", second_name: str = "2") -> CohortSources:
    """One variant file a contig, named for it."""
    small.reference, small.expression = TWO_CONTIGS, BED
    sources = small.write()
    (small.folder / "people.chr1.vcf").write_text(small.header + "".join(small.records))
    (small.folder / "people.chr2.vcf").write_text(
        small.header.replace("ID=1,", f"ID={second_name},").replace("ann\tbob", second_people)
        + f"{second_name}\t6\t.\tC\tT\t.\t.\t.\tGT"
        + "\t1|0" * len(second_people.split())
        + "\n"
    )
    return replace(sources, variants=(small.folder / "people.chr1.vcf", small.folder / "people.chr2.vcf"))


def build(sources: CohortSources, out: Path, **options: object) -> Cohort:
    build_cohort(sources, out, **options)  # type: ignore[arg-type]
    return Cohort.open(out)


def test_one_variant_file_a_contig(small) -> None:
    listed = build(two_files(small), small.out)
    pattern = replace(two_files(small), variants=(small.folder / "people.chr{chrom}.vcf",))
    found = build(pattern, small.folder / "pattern")
    assert found.manifest["counts"] == listed.manifest["counts"]
    assert found.digest == listed.digest
    assert [source["name"] for source in found.manifest["sources"]["variants"]] == [
        "people.chr1.vcf",
        "people.chr2.vcf",
    ]
    # [1, 7) of ACGTACGTAC on the other strand; position 5 C>T, so A on this one
    other = HaplotypeDictionary(found, 6).window_of("other")
    assert [decode(other.haplotype(row)) for row in (0, 1)] == ["CATACG", "CGTACG"]


def test_people_of_all_files_are_taken_and_the_others_told(small) -> None:
    cohort = build(two_files(small, second_people="bob\tcyd"), small.out)
    assert cohort.individuals == ("bob",)
    assert cohort.manifest["absent"]["from_some_of_the_variant_files"] == ["ann", "cyd"]
    assert decode(HaplotypeDictionary(cohort, 6).window_of("other").haplotype(0)) == "CATACG"
    with pytest.raises(DataError, match="nobody is in all of the variant files"):
        build(two_files(small, second_people="cyd\tdan"), small.folder / "nobody")


def test_people_in_another_order_in_the_second_file(small) -> None:
    sources = two_files(small, second_people="bob\tann")
    path = small.folder / "people.chr2.vcf"
    path.write_text(path.read_text().replace("GT\t1|0\t1|0", "GT\t0|0\t0|1"))
    window = HaplotypeDictionary(build(sources, small.out), 6).window_of("other")
    assert [decode(window.haplotype(row)) for row in range(4)] == ["CGTACG", "CATACG", "CGTACG", "CGTACG"]


def test_a_contig_in_two_files_is_refused(small) -> None:
    sources = two_files(small)
    again = small.folder / "again.vcf"
    again.write_text((small.folder / "people.chr1.vcf").read_text())
    with pytest.raises(DataError, match="contig 1 is in two of the variant files") as caught:
        build(replace(sources, variants=(*sources.given_variants, again)), small.out)
    assert "bcftools concat" in str(caught.value)
    assert not small.out.exists()


def test_files_may_name_their_contigs_in_two_ways(small) -> None:
    cohort = build(two_files(small, second_name="chr2"), small.out)
    assert {gene.contig for gene in cohort.genes} == {"1", "chr2"}
    assert cohort.manifest["reference_contigs"] == ["1", "chr2"]


@pytest.mark.parametrize("pattern", ["nobody.{chrom}.vcf", "people.chr{chrom}.bcf"])
def test_a_pattern_without_files_is_refused(small, pattern: str) -> None:
    sources = replace(two_files(small), variants=(small.folder / pattern,))
    with pytest.raises(DataError, match="no variant file has a name of this pattern"):
        build(sources, small.out)


def test_a_contig_without_variants_is_an_error_unless_it_is_wanted(small) -> None:
    sources = replace(two_files(small), variants=(small.folder / "people.chr1.vcf",))
    with pytest.raises(DataError, match="contig 2 has genes and is not in the variant files") as caught:
        build(sources, small.out)
    assert "--without-variants 2" in str(caught.value)
    cohort = build(sources, small.out, without_variants=["chr2"])
    window = HaplotypeDictionary(cohort, 6).window_of("other")
    assert np.array_equal(window.haplotype(3), window.reference)
    assert cohort.dosages("other", 6).dosage.shape == (2, 0)
    only_first = build(sources, small.folder / "first", contigs=["chr1"])
    assert only_first.gene_ids == ("plus",)
    assert only_first.manifest["counts"]["expression"] == {"genes_of_other_contigs": 1}
    assert only_first.manifest["first"]["genes_of_other_contigs"] == "other on 2"
    with pytest.raises(UsageError, match="no gene is on contig 7"):
        build(sources, small.folder / "seventh", contigs=["1", "7"])


def test_a_contig_named_in_a_header_and_empty_is_an_error(small) -> None:
    sources = two_files(small)
    path = small.folder / "people.chr2.vcf"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if line[0] == "#"))
    with pytest.raises(DataError, match="not a single usable variant") as caught:
        build(sources, small.out)
    assert "--without-variants 2" in str(caught.value)
    assert build(sources, small.out, without_variants=["2"]).manifest["counts"]["columns"]["2"] == 0


def test_a_cohort_without_a_reference(small) -> None:
    sources = replace(small.write(), reference=None)
    cohort = build(sources, small.out)
    assert not cohort.has_reference
    assert cohort.dosages("plus", 8).dosage.tolist() == [[1.0], [2.0]]
    with pytest.raises(UsageError, match="without a reference") as caught:
        HaplotypeDictionary(cohort, 8).gene("plus")
    assert "--reference" in str(caught.value)
    assert not list((small.out / "reference").iterdir())


def test_a_matrix_with_an_annotation(small) -> None:
    small.expression = "gene\tbob\tann\nENSG00000000001.7\t3\t1\nunknown\t1\t1\n"
    sources = small.write()
    gtf = small.folder / "genes.gtf"
    gtf.write_text('1\tx\tgene\t9\t20\t.\t+\t.\tgene_id "ENSG00000000001.5";\n')
    with pytest.raises(UsageError, match="--genes"):
        build(sources, small.out)
    cohort = build(replace(sources, genes=gtf), small.out)
    assert (cohort.genes[0].contig, cohort.genes[0].tss, cohort.genes[0].strand) == ("1", 8, "+")
    assert cohort.expression.tolist() == [[1.0, 3.0]]
    assert cohort.expression_scale == "rpkm"
    assert cohort.manifest["counts"]["expression"]["left_out_not_in_annotation"] == 1
    assert cohort.manifest["sources"]["genes"]["name"] == "genes.gtf"


def test_the_published_partition(small) -> None:
    rows = [
        "sample,gene,chr,TSS,strand,split,log_TPM",
        "ref,plus,chr1,8,+,train,4.5",
        "ann,plus,chr1,8,+,train,1.5",
        "bob,plus,chr1,8,+,train,2.5",
        "ann,last,chr1,16,-,test,-0.5",
    ]
    sources = small.write()
    path = small.folder / "all_partition_data.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    cohort = build(replace(sources, expression=path), small.out)
    assert cohort.expression_scale == "log2"
    assert cohort.genes[0].tss == 8
    assert cohort.reference_target[0] == 4.5
    assert np.isnan(cohort.reference_target[1])
    assert cohort.gene_sides == ("seen", "unseen")
    assert np.array_equal(cohort.expression, [[1.5, 2.5], [-0.5, np.nan]], equal_nan=True)
    with pytest.raises(UsageError, match="says what its values are"):
        build(replace(sources, expression=path), small.folder / "raw", expression_scale="rpkm")


def test_all_kinds_of_variants(small) -> None:
    small.records = ("1\t9\t.\tA\tG,AT\t.\t.\t.\tGT\t0|2\t1|1\n", "1\t17\t.\tAA\tCC\t.\t.\t.\tGT\t1|0\t0|0\n")
    cohort = build(small.write(), small.out, variant_kind="all")
    assert cohort.manifest["variant_kind"] == "all"
    assert cohort.manifest["counts"]["kinds"] == {"snp": 1, "mnp": 1, "indel": 1}
    plus = HaplotypeDictionary(cohort, 8).gene("plus")  # [4, 12) is GGTTAACC
    found = [decode(plus.codes([row])[0]) for row in plus.index.ravel()]
    assert found == ["GGTTAACC", "GGTTATAC", "GGTTGACC", "GGTTGACC"]
    assert plus.n_unique == 3
    dosages = cohort.dosages("plus", 8)
    assert dosages.position.tolist() == [8, 8]
    assert {dosages.alt.text(j): dosages.dosage[:, j].tolist() for j in range(2)} == {
        "G": [0.0, 2.0],
        "AT": [1.0, 0.0],
    }


def test_two_ways_to_write_one_sequence_are_one_haplotype(small) -> None:
    """An MNP, and the two SNPs that it is made of."""
    small.records = (
        "1\t9\t.\tAA\tGG\t.\t.\t.\tGT\t1|0\t0|0\n",
        "1\t9\t.\tA\tG\t.\t.\t.\tGT\t0|0\t1|0\n",
        "1\t10\t.\tA\tG\t.\t.\t.\tGT\t0|0\t1|0\n",
    )
    gene = HaplotypeDictionary(build(small.write(), small.out, variant_kind="all"), 8).gene("plus")
    assert gene.n_unique == 2
    assert gene.index[0, 0] == gene.index[1, 0] != gene.index[0, 1]
    assert decode(gene.codes([gene.index[0, 0]])[0]) == "GGTTGGCC"
