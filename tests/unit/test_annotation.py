"""Where genes begin, from GTF, GFF3 and tables of TSSs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from glm2x.errors import DataError
from glm2x.genome.annotation import read_annotation
from glm2x.genome.genes import Gene

GTF = """##description: evidence-based annotation
#!genome-build GRCh37
chr1\tHAVANA\tgene\t101\t200\t.\t+\t.\tgene_id "ENSG00000000001.4"; gene_name "A;B"; level 2;
chr1\tHAVANA\ttranscript\t51\t200\t.\t+\t.\tgene_id "ENSG00000000001.4"; transcript_id "T1";
chr1\tHAVANA\tgene\t301\t400\t.\t-\t.\tgene_type "x"; gene_id "ENSG00000000002.1";
chrX\tENSEMBL\tgene\t7\t7\t.\t+\t.\tgene_id "ENSG00000000003.2_PAR_Y";
"""
GFF3 = """##gff-version 3
##sequence-region 1 1 1000
1\thavana\tgene\t101\t200\t.\t+\t.\tID=gene:ENSG00000000001;Name=A%3BB;gene_id=ENSG00000000001;version=4
1\thavana\tmRNA\t101\t190\t.\t+\t.\tID=transcript:T1;Parent=gene:ENSG00000000001
###
1\thavana\tncRNA_gene\t301\t400\t.\t-\t.\tID=gene:ENSG00000000002;gene_id=ENSG00000000002
###
X\tRefSeq\tpseudogene\t7\t7\t.\t+\t.\tID=gene-A%2CB;Dbxref=GeneID:7
"""


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "annotation"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "dress", [str, lambda t: t.replace("\n", "\r\n"), lambda t: gzip.compress(t.encode())]
)
def test_a_gtf(tmp_path: Path, dress) -> None:
    found = read_annotation(write(tmp_path, dress(GTF)))
    assert list(found.genes.values()) == [
        Gene("ENSG00000000001.4", "chr1", 100, "+"),  # base 101, counted from 0; the transcript is not asked
        Gene("ENSG00000000002.1", "chr1", 399, "-"),  # base 400, where a gene on - begins
        Gene("ENSG00000000003.2_PAR_Y", "chrX", 6, "+"),
    ]
    assert found.counts == {}


def test_a_gff3(tmp_path: Path) -> None:
    found = read_annotation(write(tmp_path, GFF3))
    assert list(found.genes.values()) == [
        Gene("ENSG00000000001", "1", 100, "+"),
        Gene("ENSG00000000002", "1", 399, "-"),
        Gene("A,B", "X", 6, "+"),
    ]


def test_genes_from_their_transcripts_and_exons(tmp_path: Path) -> None:
    lines = [
        ("transcript", 50, 80, "-", 'gene_id "down"; transcript_id "a";'),
        ("exon", 60, 120, "-", "gene_id down; transcript_id b;"),
        ("exon", 300, 310, "+", 'transcript_id "c"; gene_id "up"'),
        ("CDS", 1, 900, "+", 'gene_id "up"'),
        ("exon", 280, 290, "+", 'gene_id "up"'),
    ]
    content = "".join(f"2\tx\t{kind}\t{a}\t{b}\t.\t{s}\t.\t{text}\n" for kind, a, b, s, text in lines)
    found = read_annotation(write(tmp_path, content))
    assert list(found.genes.values()) == [Gene("down", "2", 119, "-"), Gene("up", "2", 279, "+")]


def test_genes_of_no_direction_are_counted(tmp_path: Path) -> None:
    content = GTF.replace("400\t.\t-", "400\t.\t.").replace("7\t7\t.\t+", "7\t7\t.\t?")
    found = read_annotation(write(tmp_path, content))
    assert list(found.genes) == ["ENSG00000000001.4"]
    assert found.counts == {"strand_unknown": 2}
    assert found.first == {"strand_unknown": "ENSG00000000002.1"}
    with pytest.raises(DataError, match="no gene with a strand") as caught:
        read_annotation(write(tmp_path, content.replace("200\t.\t+", "200\t.\t.")))
    assert "3 genes of unknown strand" in str(caught.value)


def test_names_are_found_with_or_without_version(tmp_path: Path) -> None:
    found = read_annotation(write(tmp_path, GTF))
    one = found.genes["ENSG00000000001.4"]
    assert [found.find(f"ENSG00000000001{version}") for version in ("", ".4", ".9")] == [one] * 3
    assert found.find("ENSG00000000003.2") is None  # the one on Y is another gene
    assert found.find("ENSG00000000003_PAR_Y") == found.genes["ENSG00000000003.2_PAR_Y"]


@pytest.mark.parametrize(
    ("content", "tss"),
    [
        ("gene_id\tchr\ttss\tstrand\na\t1\t101\t+\nb\t1\t400\t-\n", (100, 399)),
        ("gene,contig,TSS,strand,note\na,1,101,+,x\nb,1,400,-,\n", (100, 399)),
        ("#chrom\tstart\tend\tgene\tscore\tstrand\n1\t100\t200\ta\t0\t+\n1\t300\t400\tb\t0\t-\n", (100, 399)),
        ("#chrom\tstart\tend\tgene\tscore\tstrand\n1\t100\t101\ta\t0\t+\n1\t399\t400\tb\t0\t-\n", (100, 399)),
        ("gene\tchr\tstart\tend\tstrand\ttss\na\t1\t7\t9\t+\t101\nb\t1\t7\t9\t-\t400\n", (100, 399)),
        ("##made by hand\ngene_id\tchr\ttss\tstrand\na\t1\t101\t+\n", (100,)),
        ("gene_id\tchr\ttss\tstrand\na\t1\t1\t+\na\t1\t1\t+\n", (0,)),  # twice the same is once
        ("gene_id\tchr\tstart\tend\tstrand\na\t1\t0\t1\t-\n", (0,)),
    ],
)
def test_tables_of_tss(tmp_path: Path, content: str, tss: tuple[int, ...]) -> None:
    found = read_annotation(write(tmp_path, content))
    assert [(gene.gene, gene.contig) for gene in found.genes.values()] == [("a", "1"), ("b", "1")][: len(tss)]
    assert tuple(g.tss for g in found.genes.values()) == tss


@pytest.mark.parametrize(
    ("old", "new", "message", "detail"),
    [
        ("\t101\t", "\tx\t", "no whole number", "ENSG00000000001.4"),
        ("\t101\t", "\t1e2\t", "no whole number", "chr1:1e2-200"),
        ("\t101\t", "\t99999999999999999999\t", "no whole number", "whole numbers"),
        ("\t101\t", "\t-5\t", "before its contig", "at least 1"),
        ("\t101\t", "\t0\t", "before its contig", "at least 1"),
        ("\t101\t200", "\t101\t100", "ends before it starts", "chr1:101-100"),
        ("\t200\t", "\t9223372036854775807\t", "beyond every contig", "ENSG00000000001.4"),
        ("200\t.\t+", "200\t.\t1", "a strand is neither", "strand 1"),
        ("\nchr1\tHAVANA\tgene\t101", "\n\tHAVANA\tgene\t101", "no contig", "chr22"),
        ("200\t.\t+", "200\t+", "not the nine columns", "8 columns"),
        ("level 2;", "level 2;\tmore", "not the nine columns", "10 columns"),
        ("T1\";\n", "T1\";\nchr1\tHAV", "not the nine columns", "'chr1\\tHAV"),
        ('gene_id "ENSG00000000002.1"', 'name "x"', "no identifier", "gene_id=..."),
        ("\tgene\t", "\tregion\t", "", ""),
        ("HAVANA", "HAV\0NA", "is not text", "zero"),
    ],
)  # fmt: skip
def test_damaged_gtfs(tmp_path: Path, old: str, new: str, message: str, detail: str) -> None:
    assert old in GTF
    path = write(tmp_path, GTF.replace(old, new))
    if not message:  # without genes the transcript speaks
        assert list(read_annotation(path).genes.values()) == [Gene("ENSG00000000001.4", "chr1", 50, "+")]
        return
    with pytest.raises(DataError, match=message) as caught:
        read_annotation(path)
    assert detail in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message", "detail"),
    [
        ("", "is empty", "header"),
        ("##gff-version 3\n", "holds no gene", "gene_id"),
        ("1\tx\tregion\t1\t9\t.\t+\t.\tID=r\n", "holds no gene", "gene_id"),
        (gzip.compress(GTF.encode())[:-20], "damaged or cut short", "again"),
        (GTF.encode("utf-16"), "is not text", "UTF-8"),
        (GTF.encode().replace(b"level", b"l\xe9vel"), "is not text", "UTF-8"),
        ("gene\tchr\tposition\tstrand\na\t1\t5\t+\n", "neither a GTF, nor a GFF3", "tss"),
        (">1\nACGT\n", "neither a GTF, nor a GFF3", ">1"),
        ("gene\tchr\ttss\tstrand\na\t1\t0\t+\n", "before its contig", "at least 1"),
        ("gene\tchr\ttss\tstrand\na\t1\t5\t1\n", "neither + nor -", "strand 1"),
        ("gene\tchr\ttss\tstrand\n\t1\t5\t+\n", "has no gene", "row 1"),
        ("gene\tchr\ttss\tstrand\na\t\t5\t+\n", "no contig", "chr22"),
        ("gene\tchr\ttss\tstrand\na\t1\t5\n", "another number of columns", "3 columns"),
        ("gene\tchr\ttss\tstrand\n", "no gene with a strand", "no row"),
        ("gene\tchr\tstart\tend\tstrand\na\t1\t-1\t9\t+\n", "before its contig", "at least 0"),
        ("gene\tchr\tstart\tend\tstrand\na\t1\t9\t9\t+\n", "ends before it starts", "1:9-9"),
    ],
)
def test_what_is_no_annotation(tmp_path: Path, content: str | bytes, message: str, detail: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message.replace("+", r"\+")) as caught:
        read_annotation(path)
    assert detail in str(caught.value)


def test_an_annotation_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glm2x.text.text_blocks.__kwdefaults__", {"size": 100})
    lines = [f'1\tx\texon\t{i + 1}\t{i + 5}\t.\t{"+-"[i % 2]}\t.\tgene_id "g{i % 10}";\n' for i in range(400)]
    found = read_annotation(write(tmp_path, "".join(lines)))
    assert {name: gene.tss for name, gene in found.genes.items()} == {
        f"g{g}": g if g % 2 == 0 else 390 + g + 4 for g in range(10)
    }


def test_a_name_at_several_places_is_an_error_for_those_who_ask_for_it(tmp_path: Path) -> None:
    rows = ["Y_RNA\t1\t5\t+", "a.1\t1\t9\t-", "Y_RNA\t1\t6\t-", "Y_RNA\tX\t7000\t+", "SNORA1\t2\t1\t+"]
    rows += ["Y_RNA\tX\t8\t+", "SNORA1\t2\t2\t+", "ENSG00000000001.4\t1\t5\t+", "ENSG00000000001.4\t2\t5\t+"]
    path = write(tmp_path, "gene\tchr\ttss\tstrand\n" + "\n".join(rows) + "\n")
    found = read_annotation(path)
    assert found.find("a.1") == Gene("a.1", "1", 8, "-")
    assert list(found.genes) == ["a.1"]
    assert found.counts == {"stands_at_two_places": 3}
    assert found.first == {"stands_at_two_places": "Y_RNA"}
    with pytest.raises(DataError, match="Y_RNA stands at 4 places in the gene annotation") as caught:
        found.find("Y_RNA")
    assert caught.value.got == "1:5 +; 1:6 -; X:7,000 + and 1 more"
    assert "3 names of it have several" in caught.value.wanted
    assert str(path) == caught.value.where
    with pytest.raises(DataError, match="ENSG00000000001 stands at 2 places"):
        found.find("ENSG00000000001")


def test_genes_of_the_pseudoautosomal_regions_are_two(tmp_path: Path) -> None:
    """GENCODE: the GFF3 tells the one on Y by its ID only; before release 25 it was ENSGR."""
    lines = [
        ("chrX", "ID=ENSG00000182378.15;gene_id=ENSG00000182378.15;gene_name=PLCXD1"),
        ("chrY", "ID=ENSG00000182378.15_PAR_Y;gene_id=ENSG00000182378.15;gene_name=PLCXD1"),
        ("chrX", "ID=ENSG00000002586.14;gene_id=ENSG00000002586.14"),
        ("chrY", "ID=ENSGR0000002586.14;gene_id=ENSG00000002586.14"),
    ]
    content = "".join(f"{contig}\tHAVANA\tgene\t7\t9\t.\t+\t.\t{text}\n" for contig, text in lines)
    found = read_annotation(write(tmp_path, "##gff-version 3\n" + content))
    assert {name: gene.contig for name, gene in found.genes.items()} == {
        "ENSG00000182378.15": "chrX",
        "ENSG00000182378.15_PAR_Y": "chrY",
        "ENSG00000002586.14": "chrX",
        "ENSGR0000002586.14": "chrY",
    }
    assert found.counts == {}
    assert found.find("ENSG00000182378") == Gene("ENSG00000182378.15", "chrX", 6, "+")
