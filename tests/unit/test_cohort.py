"""The cohort folder: what is joined, what is refused, and what can be read back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.sources import CohortSources
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import decode


def test_people_are_joined_by_name(small) -> None:
    cohort = small.build()
    assert cohort.individuals == ("ann", "bob")
    assert cohort.gene_ids == ("plus", "ENSG00000000002.2")
    assert cohort.expression.tolist() == [[1.0, 3.0], [7.0, 0.0]]  # the BED has bob first


def test_genes_may_be_named_without_their_version(small) -> None:
    cohort = small.build()
    assert cohort.gene("ENSG00000000002").gene == "ENSG00000000002.2"
    assert cohort.gene_index(["ENSG00000000002.2", "plus"]).tolist() == [1, 0]
    with pytest.raises(DataError, match="1 of 2 genes are not in the cohort") as caught:
        cohort.gene_index(["plus", "other"])
    assert "other" in str(caught.value)


def test_haplotypes_come_in_the_genes_direction(small) -> None:
    cohort = small.build()
    dictionary = HaplotypeDictionary(cohort, 8)
    plus, minus = dictionary.gene("plus"), dictionary.gene("ENSG00000000002")
    assert decode(plus.reference) == "GGTTAACC"  # [4, 12)
    assert [decode(plus.codes([row])[0]) for row in plus.index.ravel()] == [
        "GGTTAACC",
        "GGTTGACC",
        "GGTTGACC",
        "GGTTGACC",
    ]
    assert plus.n_unique == 2
    # [12, 20) is GGTTAACC; position 16 A>C on ann's first haplotype; read from the other strand
    assert decode(minus.reference) == "GGTTAACC"
    assert decode(minus.codes([minus.index[0, 0]])[0]) == "GGTGAACC"
    assert minus.index[1].tolist() == [minus.index[0, 1]] * 2


def test_dosages_of_a_window(small) -> None:
    found = small.build().dosages("plus", 8)
    assert found.position.tolist() == [8]
    assert found.distance.tolist() == [0]
    assert found.dosage.tolist() == [[1.0], [2.0]]
    assert found.ref.text(0) + found.alt.text(0) == "AG"


def test_an_unphased_heterozygote_has_a_dosage_of_one(small) -> None:
    small.records = ("1\t9\t.\tA\tG\t.\t.\t.\tGT\t0/1\t0|0\n", small.records[1])
    cohort = small.build()
    assert cohort.dosages("plus", 8).dosage.tolist() == [[1.0], [0.0]]
    assert cohort.manifest["counts"]["records"]["unphased_genotypes"] == 1


def test_chr_prefixes_match_both_ways(small) -> None:
    small.expression = small.expression.replace("\n1\t", "\nchr1\t")
    cohort = small.build()
    assert cohort.gene("plus").contig == "1"
    small.reference = small.reference.replace(">1", ">chr1")
    assert decode(HaplotypeDictionary(small.build(force=True), 8).gene("plus").reference) == "GGTTAACC"


def test_a_rebuilt_cohort_is_byte_identical(small, tmp_path: Path) -> None:
    first = small.build()
    build_cohort(small.write(), tmp_path / "again")
    files = sorted(p.relative_to(first.folder) for p in first.folder.rglob("*") if p.is_file())
    assert files
    for file in files:
        assert (first.folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file
    assert Cohort.open(tmp_path / "again").digest == first.digest


def test_another_expression_is_another_digest(small) -> None:
    first = small.build().digest
    small.expression = small.expression.replace("\t7\n", "\t8\n")
    assert small.build(force=True).digest != first


def test_what_was_absent_is_told(small) -> None:
    small.expression = small.expression.replace("bob", "cyd")
    cohort = small.build()
    assert cohort.manifest["absent"] == {
        "from_expression": ["bob"],
        "from_variants": ["cyd"],
        "from_individuals": [],
    }
    assert np.isnan(cohort.expression[:, 1]).all()


@pytest.mark.parametrize(
    ("spoil", "message", "detail"),
    [
        (
            {"expression": ("ann", "al"), "expression2": ("bob", "bo")},
            "nobody is in both expression.bed",
            "ann, bob",
        ),
        (
            {"expression": ("\n1\t16", "\n2\t16")},
            "contig 2 has genes and is not in the variant file",
            "chr22",
        ),
        ({"expression": ("strand", "length")}, "no strand column", "direction"),
        ({"expression": ("8\t9", "8\t20")}, "more than their TSS", "8-20"),
        ({"expression": ("\t-\t", "\t.\t")}, "neither + nor -", "'.'"),
        ({"expression": ("ENSG00000000002.2", "plus")}, "plus stands twice", "once"),
        ({"expression": ("bob", "ann")}, "ann stands twice", "once"),
        ({"expression": ("\t7\n", "\tseven\n")}, "no finite number", "ENSG00000000002.2, column ann"),
        ({"expression": ("\t7\n", "\tinf\n")}, "no finite number", "'inf'"),
        ({"expression": ("\t7\n", "\n")}, "another number of columns", "6 columns"),
        (
            {"expression": ("#chr\tstart", "##note\n#chr\tstart"), "expression2": ("bob", "ann")},
            "ann stands",
            "once",
        ),
        (
            {
                "header": ("ID=1,", "ID=../1,"),
                "expression": ("\n1\t", "\n../1\t"),
                "reference": (">1", ">../1"),
            },
            "cannot be a file's",
            "'../1'",
        ),
        (
            {
                "header": ("ann", "gene"),
                "expression": ("\tgene\t", "\tpid\t"),
                "expression2": ("ann", "gene"),
            },
            "an individual is called gene",
            "rename",
        ),
        (
            {"header": ("\tFORMAT\tann\tbob", "")},
            "holds no genotypes",
            "#CHROM",
        ),
        ({"expression": ("#chr\tstart", "symbol\tvalue")}, "does not look like a phenotype BED", "symbol"),
        ({"expression": ("16\t17", "99\t100")}, "outside its contig", "ENSG00000000002.2"),
        ({"expression": ("16\t17", "x\t17")}, "no whole number", "'x'"),
        ({"reference": ("AACCGGTTAACC", "AACCGGTTTACC")}, "REF differs", "1:9"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(small, spoil, message: str, detail: str) -> None:
    for key, (old, new) in spoil.items():
        name = key.rstrip("2")
        text = getattr(small, name)
        assert old in text
        setattr(small, name, text.replace(old, new))
    with pytest.raises(DataError, match=message.replace("+", r"\+")) as caught:
        small.build()
    assert detail in str(caught.value)
    assert sorted(p.name for p in small.folder.iterdir() if "cohort" in p.name) == []


def test_a_contig_without_usable_variants_is_refused(small) -> None:
    small.records = ("1\t9\t.\tA\tAG\t.\t.\t.\tGT\t0|1\t1|1\n",)
    with pytest.raises(DataError, match="not a single usable variant"):
        small.build()


def test_a_truncated_vcf_is_refused(small) -> None:
    sources = small.write(bgzip=True)
    whole = sources.variants.read_bytes()
    for length in (len(whole) - 28, len(whole) - 40, 60):
        sources.variants.write_bytes(whole[:length])
        with pytest.raises(DataError, match="truncated") as caught:
            build_cohort(sources, small.out)
        assert f"{length:,} bytes" in str(caught.value)
    assert not small.out.exists()


def test_a_vcf_damaged_in_the_middle_is_refused(demo_sources: CohortSources, tmp_path: Path) -> None:
    whole = bytearray(demo_sources.variants.read_bytes())
    whole[90_000:90_200] = bytes(200)
    spoilt = tmp_path / "spoilt.vcf.gz"
    spoilt.write_bytes(whole)
    sources = CohortSources(spoilt, demo_sources.expression, demo_sources.reference)
    with pytest.raises(DataError, match=r"damaged|cannot be opened"):
        build_cohort(sources, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_a_truncated_bed_is_refused(demo_sources: CohortSources, tmp_path: Path) -> None:
    cut = tmp_path / "cut.bed.gz"
    cut.write_bytes(demo_sources.expression.read_bytes()[:20_000])
    sources = CohortSources(demo_sources.variants, cut, demo_sources.reference)
    with pytest.raises(DataError, match="damaged or cut short"):
        build_cohort(sources, tmp_path / "cohort")


def test_a_plain_gzipped_reference_is_read(small) -> None:
    sources = small.write()
    assert sources.reference is not None
    packed = Path(f"{sources.reference}.gz")
    packed.write_bytes(gzip.compress(sources.reference.read_bytes()))
    build_cohort(CohortSources(sources.variants, sources.expression, packed), small.out)
    assert decode(Cohort.open(small.out).reference("1")) == small.reference.split()[1]


def test_nothing_is_overwritten_unasked(small) -> None:
    small.build()
    with pytest.raises(UsageError, match="is there already"):
        small.build()
    small.build(force=True)


def test_a_damaged_cohort_is_named(small) -> None:
    cohort = small.build()
    bits = cohort.folder / "variants" / "1.npy"
    bits.write_bytes(bits.read_bytes()[:-1])
    with pytest.raises(DataError, match="missing or cut short") as caught:
        Cohort.open(cohort.folder)
    assert "1.npy" in str(caught.value)


def test_another_format_version_is_refused(small) -> None:
    cohort = small.build()
    manifest = json.loads((cohort.folder / "cohort.json").read_text())
    (cohort.folder / "cohort.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(DataError, match="another format version") as caught:
        Cohort.open(cohort.folder)
    assert "99" in str(caught.value)


def test_a_folder_without_a_cohort_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no cohort") as caught:
        Cohort.open(tmp_path)
    assert "glm2x cohort build" in str(caught.value)


def test_the_demo_cohort(demo_cohort: Cohort) -> None:
    assert demo_cohort.expression.shape == (26, 358)
    assert demo_cohort.manifest["counts"]["columns"] == {"22": 1864}
    assert demo_cohort.manifest["counts"]["records"] == {"applied": 1864}
    assert demo_cohort.people["population"].value_counts(sort=True).rows() == [
        ("FIN", 92),
        ("TSI", 91),
        ("CEU", 89),
        ("GBR", 86),
    ]
    assert demo_cohort.covariate_names == ("genotype_PC1", "genotype_PC2", "genotype_PC3")


def test_what_is_given_back_is_read_again(demo_cohort: Cohort) -> None:
    cohort = Cohort.open(demo_cohort.folder)
    cohort.give_back()  # nothing was read yet
    before = {gene: cohort.dosages(gene, 64_000).dosage for gene in cohort.gene_ids[:3]}
    reference = cohort.reference(cohort.genes[0].contig).copy()
    cohort.give_back()
    for gene, dosage in before.items():
        np.testing.assert_array_equal(cohort.dosages(gene, 64_000).dosage, dosage)
    np.testing.assert_array_equal(cohort.reference(cohort.genes[0].contig), reference)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc to see what is resident")
def test_what_is_given_back_takes_no_memory(demo_cohort: Cohort) -> None:
    cohort = Cohort.open(demo_cohort.folder)
    contig = cohort.genes[0].contig
    ending = f"/reference/{contig}.npy"

    def resident() -> int:
        total, ours = 0, False
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if "-" in line.split(" ", 1)[0]:
                ours = line.endswith(ending) and str(cohort.folder) in line
            elif ours and line.startswith("Rss:"):
                total += int(line.split()[1]) * 1024
        return total

    other = resident()  # of other cohorts in this process
    assert int(cohort.reference(contig).sum()) > 0
    assert resident() - other >= len(cohort.reference(contig))
    cohort.give_back()
    assert resident() <= other


def test_the_dictionary_holds_every_haplotype_once(demo_cohort: Cohort) -> None:
    dictionary = HaplotypeDictionary(demo_cohort, 2_000)
    for gene in demo_cohort.gene_ids[::5]:
        found, window = dictionary.gene(gene), dictionary.window_of(gene)
        unique = found.codes()
        assert len(np.unique(unique, axis=0)) == found.n_unique == len(unique)
        for person in (0, 7, 357):
            for haplotype in (0, 1):
                expected = window.haplotype(2 * person + haplotype)
                assert np.array_equal(unique[found.index[person, haplotype]], expected)


def test_damage_that_keeps_the_size_is_found_by_a_check(small) -> None:
    cohort = small.build()
    cohort.verify()
    bits = cohort.folder / "variants" / "1.npy"
    damaged = bytearray(bits.read_bytes())
    damaged[-1] ^= 64
    bits.write_bytes(damaged)
    with pytest.raises(DataError, match="is damaged") as caught:
        Cohort.open(cohort.folder).verify()
    assert "1.npy" in str(caught.value)


def test_an_array_of_another_kind_is_refused(small) -> None:
    cohort = small.build()
    bits = cohort.folder / "variants" / "1.npy"
    size = bits.stat().st_size
    bits.write_bytes(b"x" * size)
    with pytest.raises(DataError, match="file of the cohort is damaged"):
        Cohort.open(cohort.folder).variants("1")
    np.save(bits, np.zeros((size - 128) // 8, dtype=np.float64))
    bits.write_bytes(bits.read_bytes()[:size].ljust(size, b"\0"))
    with pytest.raises(DataError, match="file of the cohort is damaged"):
        Cohort.open(cohort.folder).variants("1")


@pytest.mark.parametrize("content", ["[]", '{"format_version": 1}', "[" * 100_000])
def test_a_manifest_that_is_none(small, content: str) -> None:
    cohort = small.build()
    (cohort.folder / "cohort.json").write_text(content)
    with pytest.raises(DataError, match=r"format version|lacks a key|not readable as JSON"):
        Cohort.open(cohort.folder)


def test_a_folder_of_somebodys_own_is_never_replaced(small) -> None:
    small.out.mkdir()
    (small.out / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="did not write"):
        small.build(force=True)
    assert (small.out / "thesis.txt").read_text() == "mine"


def test_the_files_it_is_built_from_are_never_replaced(small) -> None:
    small.build()
    sources = small.write()
    inside = small.out / "people.vcf"
    inside.write_bytes(sources.variants.read_bytes())
    with pytest.raises(UsageError, match="holds a file that the cohort is built from"):
        build_cohort(CohortSources(inside, sources.expression, sources.reference), small.out, force=True)
    assert inside.is_file()


def test_populations_and_covariates_are_joined_by_name(small, tmp_path: Path) -> None:
    (tmp_path / "people.tsv").write_text("individual\tpopulation\nbob\tTSI\ncyd\tFIN\nann\tGBR\n")
    (tmp_path / "covariates.tsv").write_text("id\tbob\tann\nPC1\t2\t1\nPC2\tNA\t\n")
    sources = small.write()
    build_cohort(
        CohortSources(
            sources.variants,
            sources.expression,
            sources.reference,
            tmp_path / "people.tsv",
            tmp_path / "covariates.tsv",
        ),
        small.out,
    )
    cohort = Cohort.open(small.out)
    assert cohort.people["population"].to_list() == ["GBR", "TSI"]
    assert cohort.covariates[0].tolist() == [1.0, 2.0]
    assert np.isnan(cohort.covariates[1]).all()
    assert cohort.manifest["absent"]["from_variants"] == ["cyd"]


@pytest.mark.parametrize("table", ["individuals", "covariates"])
def test_a_table_of_other_people_is_refused(small, tmp_path: Path, table: str) -> None:
    content = {"individuals": "individual\tpopulation\nzed\t1\n", "covariates": "id\tzed\nPC1\t1\n"}
    (tmp_path / "other.tsv").write_text(content[table])
    sources = vars(small.write()) | {table: tmp_path / "other.tsv"}
    with pytest.raises(DataError, match=r"nobody is in both other\.tsv"):
        build_cohort(CohortSources(**sources), small.out)


def test_names_that_only_look_versioned_are_two_genes(small) -> None:
    small.expression = small.expression.replace("plus", "RP11-34P13.7").replace(
        "ENSG00000000002.2", "RP11-34P13.8"
    )
    cohort = small.build()
    assert cohort.gene("RP11-34P13.7").tss == 8
    with pytest.raises(DataError, match=r"RP11-34P13\.9"):
        cohort.gene("RP11-34P13.9")


def test_an_individual_may_have_the_name_of_an_annotation(small) -> None:
    small.header = small.header.replace("ann", "score")
    small.expression = small.expression.replace("ann", "score")
    assert small.build().expression[0].tolist() == [1.0, 3.0]
