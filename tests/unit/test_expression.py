"""Expression from a phenotype BED or a matrix: the same genes, people and values whatever the dress."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.expression import read_expression
from glm2x.errors import DataError, UsageError
from glm2x.genome.genes import Gene

GTF = "".join(
    f'{contig}\tx\tgene\t{start}\t{end}\t.\t{strand}\t.\tgene_id "{gene}";\n'
    for contig, start, end, strand, gene in (
        ("chr1", 9, 90, "+", "ENSG00000000001.7"),
        ("chr1", 2, 17, "-", "ENSG00000000002.2"),
        ("chr2", 5, 50, "-", "third"),
        ("chr2", 5, 50, ".", "nowhere"),
    )
)
BED = (
    "#chr\tstart\tend\tgene\tlength\tstrand\tbob\tann\n"
    "1\t8\t9\tENSG00000000001.5\t100\t+\t3\t1.5\n"
    "1\t16\t17\tENSG00000000002.2\t200\t-\tNA\t-7e-1\n"
)
NO_STRAND = BED.replace("length\tstrand", "length").replace("100\t+", "100").replace("200\t-", "200")
GEUVADIS = (
    "TargetID\tGene_Symbol\tChr\tCoord\tbob\tann\n"
    "ENSG00000000001.5\tA\t1\t9\t3\t1.5\n"
    "ENSG00000000002.2\tB\t1\t16\tNA\t-7e-1\n"
)
GCT = "#1.2\n2\t2\nName\tDescription\tbob\tann\nENSG00000000001.5\tA\t3\t1.5\nENSG00000000002.2\tB\t\t-0.7\n"
CSV = '"","bob","ann"\n"ENSG00000000001.5",3,1.5\n"ENSG00000000002.2",NA,-0.7\n'
GENES = (Gene("ENSG00000000001.5", "1", 8, "+"), Gene("ENSG00000000002.2", "1", 16, "-"))
PLACED = tuple(Gene(g.gene, "chr1", g.tss, g.strand) for g in GENES)  # contigs as the annotation writes them
VALUES = [[3, 1.5], [np.nan, -0.7]]
LOOSE = {"matched_without_version": 1, "annotation_strand_unknown": 1}


class Files:
    def __init__(self, folder: Path) -> None:
        self.path, self.genes = folder / "expression", folder / "genes.gtf"
        self.genes.write_text(GTF)

    def write(self, content: str | bytes) -> Path:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    "dress",
    [
        str,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n" + text.replace("\n", "\n\n"),
        lambda text: gzip.compress(text.encode()),
    ],
)
@pytest.mark.parametrize(
    ("content", "annotated", "genes", "counts"),
    [
        (BED, False, GENES, {}),
        (BED, True, GENES, {}),
        (NO_STRAND, True, GENES, LOOSE),
        (GEUVADIS, True, PLACED, LOOSE),
        (GEUVADIS.replace("\t", ","), True, PLACED, LOOSE),
        (GCT, True, PLACED, LOOSE),
        (CSV, True, PLACED, LOOSE),
    ],
)
def test_the_same_expression_in_every_format(
    files: Files, dress, content: str, annotated: bool, genes: tuple[Gene, ...], counts: dict[str, int]
) -> None:
    found = read_expression(files.write(dress(content)), annotation=files.genes if annotated else None)
    assert found.genes == genes
    assert found.individuals == ("bob", "ann")
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.values.dtype == np.float64
    assert found.counts == counts
    assert found.first.keys() == counts.keys()
    assert (found.scale, found.reference, found.gene_sides) == (None, None, None)


def test_a_column_is_a_person_where_a_genotyped_one_has_its_name(files: Files) -> None:
    path = files.write(BED)
    assert read_expression(path, genotyped={"length", "ann"}).individuals == ("length", "bob", "ann")
    path = files.write(CSV.replace('"bob"', '"Name"'))
    assert read_expression(path, annotation=files.genes, genotyped=["Name"]).individuals == ("Name", "ann")


def test_a_bed_with_strands_keeps_its_own_places_and_tells_the_differences(files: Files) -> None:
    content = BED.replace("1\t16\t17", "3\t20\t21").replace("200\t-", "200\t+")
    content += "7\t5\t6\tnew\t1\t-\t1\t1\n"
    found = read_expression(files.write(content), annotation=files.genes)
    assert found.genes[1:] == (Gene("ENSG00000000002.2", "3", 20, "+"), Gene("new", "7", 5, "-"))
    assert found.counts == {
        "contig_differs": 1,
        "strand_differs": 1,
        "tss_differs": 1,
        "kept_not_in_annotation": 1,
    }
    assert found.first["tss_differs"] == "ENSG00000000002.2: 20, in the annotation 16"
    assert found.first["strand_differs"] == "ENSG00000000002.2: +, in the annotation -"
    assert found.first["contig_differs"] == "ENSG00000000002.2: 3, in the annotation 1"
    assert found.first["kept_not_in_annotation"] == "new"


def test_a_bed_without_strands_keeps_its_tss_and_leaves_unknown_genes_out(files: Files) -> None:
    content = NO_STRAND.replace("1\t8\t9", "1\t7\t8") + "7\t5\t6\tnew\t1\t1\t1\n7\t5\t6\tnowhere\t1\t1\t1\n"
    found = read_expression(files.write(content), annotation=files.genes)
    assert found.genes == (Gene("ENSG00000000001.5", "1", 7, "+"), GENES[1])
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.counts == LOOSE | {"tss_differs": 1, "left_out_not_in_annotation": 2}
    assert found.first["left_out_not_in_annotation"] == "new"
    assert found.first["matched_without_version"] == "ENSG00000000001.5 as ENSG00000000001.7"
    assert found.first["annotation_strand_unknown"] == "nowhere"


def test_a_matrix_is_placed_by_the_annotation(files: Files) -> None:
    content = GEUVADIS.replace("B\t1\t16", "B\t22\t99") + "new\tC\t1\t1\t1\t1\nthird\tD\tchr2\t50\t8\t9\n"
    found = read_expression(files.write(content), annotation=files.genes)
    assert found.genes == (*PLACED, Gene("third", "chr2", 49, "-"))
    np.testing.assert_array_equal(found.values, [*VALUES, [8, 9]])
    assert found.counts == LOOSE | {"left_out_not_in_annotation": 1, "contig_differs": 1, "tss_differs": 1}
    assert found.first["contig_differs"] == "ENSG00000000002.2: 22, in the annotation 1"
    assert found.first["tss_differs"] == "ENSG00000000002.2: 99, in the annotation 16"


def test_a_matrix_needs_an_annotation(files: Files) -> None:
    with pytest.raises(UsageError, match="does not say where its genes begin") as caught:
        read_expression(files.write(GEUVADIS))
    assert "--genes" in str(caught.value)


def test_a_bed_without_strands_needs_an_annotation(files: Files) -> None:
    with pytest.raises(DataError, match="no strand column") as caught:
        read_expression(files.write(NO_STRAND))
    assert "--genes" in str(caught.value)


@pytest.mark.parametrize("content", [NO_STRAND, GEUVADIS])
def test_no_gene_in_the_annotation(files: Files, content: str) -> None:
    with pytest.raises(DataError, match="no gene of the expression file is in the annotation") as caught:
        read_expression(files.write(content.replace("ENSG", "ENSMUSG")), annotation=files.genes)
    assert "ENSMUSG00000000001.5, ENSMUSG00000000002.2 here, and ENSG00000000001.7" in str(caught.value)


def test_larger_than_a_block(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glm2x.text.text_blocks.__kwdefaults__", {"size": 64})
    rows = [f"1\t{i}\t{i + 1}\tg{i}\t0\t-\t{i}\t{-i / 8}\n" for i in range(60)]
    found = read_expression(files.write(BED.splitlines(keepends=True)[0] + "".join(rows)))
    assert found.genes == tuple(Gene(f"g{i}", "1", i, "-") for i in range(60))
    np.testing.assert_array_equal(found.values, [[i, -i / 8] for i in range(60)])


@pytest.mark.parametrize(
    ("old", "new", "message", "detail"),
    [
        ("\t8\t9\t", "\t-1\t0\t", "a position before the contig", "ENSG00000000001.5"),
        ("\t8\t9\t", "\t8.0\t9\t", "no whole number", "'8.0'"),
        ("\t8\t9\t", "\t\t9\t", "no whole number", "None"),
        ("\t8\t9\t", "\t9223372036854775808\t9\t", "no whole number", "9223372036854775808"),
        ("\t8\t9\t", "\t9223372036854775806\t9223372036854775807\t", "beyond every contig", "whole number"),
        ("\t8\t9\t", "\t8\t90\t", "1 rows of the phenotype BED span more than their TSS", "8-90"),
        ("\t8\t9\t", "\t9\t8\t", "1 rows of the phenotype BED span more than their TSS", "9-8"),
        ("100\t+", "100\t*", "neither + nor -", "'*'"),
        ("100\t+", "100\t", "neither + nor -", "None"),
        ("ENSG00000000001.5", "ENSG00000000002.2", "the gene ENSG00000000002.2 stands twice", "each once"),
        ("ENSG00000000001.5", "", "nothing in its column gene", "'1 8 9'"),
        ("\n1\t8", "\n\t8", "nothing in its column #chr", "in each row"),
        ("bob", "ann", "the column ann stands twice", "each once"),
        ("\t3\t", "\t1e999\t", "no finite number", "'1e999'"),
        ("\t3\t", "\tinf\t", "no finite number", "ENSG00000000001.5, column bob"),
        ("\t3\t", "\t3,5\t", "no finite number", "'3,5'"),
        ("\t3\t", "\t 3\t", "no finite number", "' 3'"),
        ("length", "quality", "", ""),
        ("\tbob\tann", "\tscore\tinfo", "no column of an individual", "expression"),
        ("\t3\t1.5", "\t3", "another number of columns", "7 columns"),
        ("\t3\t", "\t3\t4\t", "another number of columns", "9 columns"),
        ("\t3\t", "\t3\0\t", "is not text", "zero"),
    ],
)
def test_damaged_beds(files: Files, old: str, new: str, message: str, detail: str) -> None:
    assert old in BED
    path = files.write(BED.replace(old, new))
    if not message:  # a column of unknown name is taken for a person, who will be told to be absent elsewhere
        assert read_expression(path).individuals == ("quality", "bob", "ann")
        return
    with pytest.raises(DataError, match=message.replace("+", r"\+")) as caught:
        read_expression(path)
    assert detail in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message", "detail"),
    [
        ("", "the expression file is empty", "header"),
        (BED.splitlines(keepends=True)[0], "has no gene", "one row a gene"),
        (GEUVADIS.splitlines(keepends=True)[0], "has no gene", "one row a gene"),
        (gzip.compress(BED.encode())[:-4], "damaged or cut short", "again"),
        (BED.encode("utf-16"), "is not text", "UTF-8"),
        (b"PK\x03\x04\xff\xfe and so on", "is not text", "UTF-8"),
        ("individual\tpopulation\nann\tGBR\n", "does not look like", "first row ann, GBR"),
        ("#CHROM\tPOS\tID\tREF\n1\t5\t.\tA\n", "does not look like", "#CHROM, POS"),
        (">1\nACGT\n", "does not look like", "first row ACGT"),
        ("gene\tann\tbob\tdescription\ng\t1\t2\tx\n", "does not look like", "published"),
        ("g\tName\tDescription\nx\ty\tz\n", "does not look like", "BED"),
        (GEUVADIS.replace("third", "x") + "third\tD\t2\t50\t8\tx\n", "no finite number", "third, column ann"),
        (GEUVADIS.replace("ENSG00000000001.5", "ENSG00000000002.2"), "stands twice", "each once"),
        (CSV.replace('"ENSG00000000001.5"', '"ENSG00000000001.5'), "a quote is not closed", "one line"),
        (GCT.replace("2\t2", "3\t2"), "not as many rows and columns", "2 genes and 2 individuals"),
        (GCT.replace("2\t2", "two"), "second line of a GCT", "'two'"),
        (GCT.replace("2\t2\n", ""), "second line of a GCT", "whole numbers"),
        ("#1.2\n2\t2\n", "is empty", "header"),
    ],
)
def test_what_is_no_expression(files: Files, content: str | bytes, message: str, detail: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_expression(files.write(content), annotation=files.genes)
    assert detail in str(caught.value)
    assert str(files.path) in str(caught.value)


def test_a_name_at_two_places_matters_to_those_who_need_its_place(files: Files) -> None:
    files.genes.write_text(GTF + 'chr2\tx\tgene\t8\t9\t.\t+\t.\tgene_id "third";\n')
    found = read_expression(files.write(GEUVADIS), annotation=files.genes)
    assert found.genes == PLACED
    assert found.counts["annotation_stands_at_two_places"] == 1
    assert found.first["annotation_stands_at_two_places"] == "third"
    # a BED with strands places its genes itself
    bed = read_expression(files.write(BED + "2\t49\t50\tthird\t1\t-\t1\t1\n"), annotation=files.genes)
    assert bed.counts == {"kept_at_two_places_in_annotation": 1}
    with pytest.raises(DataError, match="third stands at 2 places"):
        read_expression(files.write(GEUVADIS + "third\tD\tchr2\t50\t8\t9\n"), annotation=files.genes)
