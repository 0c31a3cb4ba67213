"""What a cohort may be built from: several variant files, other formats of expression, no reference."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
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


def test_a_contig_in_the_name_of_a_folder_and_twice_in_a_name(small) -> None:
    sources = two_files(small)
    for contig in ("1", "2"):
        text = (small.folder / f"people.chr{contig}.vcf").read_text()
        (small.folder / "by[x]" / contig).mkdir(parents=True)
        (small.folder / "by[x]" / contig / f"{contig}.vcf").write_text(text)
    (small.folder / "by[x]" / "0.old").mkdir()
    (small.folder / "by[x]" / "0.old" / "0.old.vcf").write_text("nobody asked for this one\n")
    given = (small.folder / "by[x]" / "{chrom}" / "{chrom}.vcf",)
    assert build(replace(sources, variants=given), small.out).individuals == ("ann", "bob")


def test_files_without_a_wanted_contig_take_nobody_away(small) -> None:
    sources = two_files(small, second_people="ann")
    assert build(sources, small.out).individuals == ("ann",)
    assert build(sources, small.folder / "first", contigs=["1"]).individuals == ("ann", "bob")


def test_one_contig_under_two_names_in_the_expression(small) -> None:
    small.expression = small.expression.replace("\n1\t16", "\nchr1\t16")
    assert [gene.contig for gene in small.build().genes] == ["1", "1"]


def test_one_contig_under_two_names_in_a_file(small) -> None:
    small.records = (*small.records, small.records[1].replace("1\t17", "chr1\t21"))
    small.header = small.header.replace("length=32>\n", "length=32>\n##contig=<ID=chr1,length=32>\n")
    with pytest.raises(DataError, match="under two names") as caught:
        small.build()
    assert "rename-chrs" in str(caught.value)


def test_a_contig_wanted_without_variants_must_have_genes(small) -> None:
    with pytest.raises(UsageError, match="no gene is on contig Q"):
        small.build(without_variants=["Q"])


def test_indels_alone_are_no_snps(small) -> None:
    small.records = ("1\t9\t.\tA\tAG\t.\t.\t.\tGT\t0|1\t1|1\n",)
    with pytest.raises(DataError, match="not a single usable variant") as caught:
        small.build()
    assert "1 indel" in str(caught.value)
    assert "--variant-kind all" in str(caught.value)


@pytest.mark.parametrize("option", ["expression_scale", "unphased", "variant_kind"])
def test_how_a_cohort_is_to_be_read_is_in_its_digest(small, option: str) -> None:
    other = {"expression_scale": "log2", "unphased": "error", "variant_kind": "all"}[option]
    first = build(small.write(), small.out)
    assert build(small.write(), small.folder / "other", **{option: other}).digest != first.digest


def test_an_edited_manifest_is_found(small) -> None:
    folder = small.build().folder
    manifest = folder / "cohort.json"
    manifest.write_text(
        manifest.read_text().replace('"expression_scale": "rpkm"', '"expression_scale": "tpm"')
    )
    with pytest.raises(DataError, match="digest is another"):
        Cohort.open(folder).verify()


@pytest.mark.parametrize("key", ["absent", "first", "digest", "variant_kind"])
def test_a_manifest_that_lacks_a_key_is_refused(small, key: str) -> None:
    manifest = small.build().folder / "cohort.json"
    content = json.loads(manifest.read_text())
    del content[key]
    manifest.write_text(json.dumps(content))
    with pytest.raises(DataError, match="lacks a key") as caught:
        Cohort.open(small.out)
    assert key in str(caught.value)


def test_a_cohort_that_is_built_again_while_it_is_open(small) -> None:
    opened = small.build()
    small.build(force=True)
    for use in (opened.variants, opened.reference):
        with pytest.raises(DataError, match="built again since it was opened"):
            use("1")


def test_an_open_cohort_can_be_sent_to_another_process(small) -> None:
    dictionary = HaplotypeDictionary(small.build(), 8)
    before = dictionary.gene("plus").codes()
    sent = pickle.dumps(dictionary)
    assert len(sent) < 20_000
    assert np.array_equal(pickle.loads(sent).gene("plus").codes(), before)


def test_a_cohort_can_be_read_after_a_fork(small) -> None:
    """As the workers of a data loader do; a library with threads of its own would wait for ever."""
    program = (
        "import os, sys\n"
        "from glm2x.cohort.cohort import Cohort\n"
        "from glm2x.cohort.dictionary import HaplotypeDictionary\n"
        "dictionary = HaplotypeDictionary(Cohort.open(sys.argv[1]), 8)\n"
        "child = os.fork()\n"
        "unique = dictionary.gene('plus').n_unique\n"
        "os._exit(0 if unique == 2 else 1) if not child else None\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(small.build().folder)], timeout=60, check=False)
    assert done.returncode == 0


def test_the_dictionary_keeps_no_more_than_it_may(small) -> None:
    dictionary = HaplotypeDictionary(small.build(), 8)
    first, second = dictionary.gene("plus"), dictionary.gene("ENSG00000000002")
    assert dictionary.gene("plus") is first
    dictionary.kept_bytes = first.nbytes
    assert dictionary.gene("plus") is first
    assert dictionary.gene("ENSG00000000002") is not second


def test_a_contig_that_the_cohort_lacks(small) -> None:
    with pytest.raises(DataError, match="the cohort has no contig 9"):
        small.build().variants("9")
