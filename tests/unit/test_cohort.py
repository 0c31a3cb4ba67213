"""The cohort folder: what is joined, what is refused, and what can be read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.build import CohortSources, build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import decode


def test_people_are_joined_by_name(small) -> None:
    cohort = small.build()
    assert cohort.individuals == ("ann", "bob")
    assert cohort.gene_ids == ("plus", "minus.2")
    assert cohort.expression.tolist() == [[1.0, 3.0], [7.0, 0.0]]  # the BED has bob first


def test_genes_may_be_named_without_their_version(small) -> None:
    cohort = small.build()
    assert cohort.gene("minus").gene == "minus.2"
    assert cohort.gene_index(["minus.2", "plus"]).tolist() == [1, 0]
    with pytest.raises(DataError, match="1 of 2 genes are not in the cohort") as caught:
        cohort.gene_index(["plus", "other"])
    assert "other" in str(caught.value)


def test_haplotypes_come_in_the_genes_direction(small) -> None:
    cohort = small.build()
    dictionary = HaplotypeDictionary(cohort, 8)
    plus, minus = dictionary.gene("plus"), dictionary.gene("minus")
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
    assert decode(found.ref) + decode(found.alt) == "AG"


def test_a_variant_of_unphased_people_only_is_no_dosage(small) -> None:
    small.records = ("1\t9\t.\tA\tG\t.\t.\t.\tGT\t0/1\t0|0\n", small.records[1])
    cohort = small.build()
    assert cohort.dosages("plus", 8).position.size == 0
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
        ({"expression": ("ann", "al"), "expression2": ("bob", "bo")}, "nobody is in both", "ann, bob"),
        (
            {"expression": ("\n1\t16", "\n2\t16")},
            "contig 2 has genes and is not in the variant file",
            "chr22",
        ),
        ({"expression": ("strand", "length")}, "no strand column", "direction"),
        ({"expression": ("8\t9", "8\t20")}, "more than their TSS", "8-20"),
        ({"expression": ("\t-\t", "\t.\t")}, "neither + nor -", "'.'"),
        ({"expression": ("minus.2", "plus")}, "plus stands twice", "once"),
        ({"expression": ("bob", "ann")}, "ann stands twice", "once"),
        ({"expression": ("\t7\n", "\tseven\n")}, "no finite number", "minus.2, column ann"),
        ({"expression": ("\t7\n", "\tinf\n")}, "no finite number", "'inf'"),
        ({"expression": ("#chr\tstart", "symbol\tvalue")}, "does not look like a phenotype BED", "symbol"),
        ({"expression": ("16\t17", "99\t100")}, "outside its contig", "minus.2"),
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


def test_a_plain_gzipped_reference_is_refused(small) -> None:
    import gzip

    sources = small.write()
    packed = Path(f"{sources.reference}.gz")
    packed.write_bytes(gzip.compress(sources.reference.read_bytes()))
    with pytest.raises(DataError, match="plain gzip") as caught:
        build_cohort(CohortSources(sources.variants, sources.expression, packed), small.out)
    assert "bgzip" in str(caught.value)


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
