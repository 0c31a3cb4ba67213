"""A small valid cohort in every form it may come in, to be damaged.

Four people, four genes, two contigs, about 60 records. Everything is made of one seed, as bytes.
"""

from __future__ import annotations

import gzip
import os
import random
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import pysam

PEOPLE = ("ann", "bob", "cyd", "dee")
LENGTHS = {"1": 900, "2": 640}
GENES = (("gA", "1", 120, "+"), ("gB", "1", 700, "-"), ("gC", "2", 15, "+"), ("gD", "2", 400, "-"))
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

Content = bytes | Literal["folder", "fifo"]


@dataclass
class Inputs:
    """The files of a build by name, and the options that name them; a case spoils either."""

    files: dict[str, Content]
    options: dict[str, str]
    younger: list[str] = field(default_factory=list)  # files that are touched a minute after the others
    words: list[str] = field(default_factory=list)  # more words of the command

    def change(self, name: str, how: Callable[[bytes], bytes]) -> None:
        """Replace the bytes of a file by what `how` makes of them, which must differ."""
        before = self.bytes_of(name)
        after = how(before)
        assert after != before, f"nothing of {name} was damaged"
        self.files[name] = after

    def bytes_of(self, name: str) -> bytes:
        """Return a file's bytes."""
        content = self.files[name]
        assert isinstance(content, bytes)
        return content

    def write(self, folder: Path) -> list[str]:
        """Write the files and return the words of the command."""
        for name, content in self.files.items():
            path = folder / name
            if content == "folder":
                path.mkdir()
            elif content == "fifo":
                os.mkfifo(path)
            else:
                path.write_bytes(content)
                os.utime(path, (1e9, 1e9))
        for name in self.younger:
            os.utime(folder / name, (1e9 + 60, 1e9 + 60))
        options = [word for option, name in self.options.items() for word in (option, str(folder / name))]
        return ["cohort", "build", *options, "--out", str(folder / "out" / "cohort"), *self.words]


def bgzf(data: bytes, block: int = 700) -> bytes:
    """Compress as bgzip does, in small blocks, so that small files have many."""
    made = b""
    for start in range(0, len(data), block):
        chunk = data[start : start + block]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(chunk) + packer.flush()
        head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
        made += head + body + struct.pack("<II", zlib.crc32(chunk), len(chunk))
    return made + BGZF_END


def block_starts(data: bytes) -> list[int]:
    """Return where each BGZF block begins."""
    starts, at = [], 0
    while at < len(data):
        starts.append(at)
        at += struct.unpack_from("<H", data, at + 16)[0] + 1
    return starts


@cache
def contigs() -> dict[str, str]:
    """Return the reference: mostly upper case, a lower-case stretch, a run of N."""
    rng = random.Random(20)
    made = {}
    for name, length in LENGTHS.items():
        letters = rng.choices("ACGT", k=length)
        letters[300:330] = [base.lower() for base in letters[300:330]]
        letters[500:520] = "N" * 20
        made[name] = "".join(letters)
    return made


def fasta_text(sequences: dict[str, str], width: int = 60) -> bytes:
    """Return a FASTA."""
    lines = []
    for name, sequence in sequences.items():
        lines += [f">{name}", *(sequence[i : i + width] for i in range(0, len(sequence), width))]
    return ("\n".join(lines) + "\n").encode()


HEADER = "".join(
    [
        "##fileformat=VCFv4.2\n",
        *(f"##contig=<ID={name},length={length}>\n" for name, length in LENGTHS.items()),
        '##FILTER=<ID=PASS,Description="All filters passed">\n',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="End">\n',
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Share">\n',
        '##ALT=<ID=DEL,Description="Deletion">\n',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">\n',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(PEOPLE) + "\n",
    ]
)


@cache
def vcf_text() -> bytes:
    """Return a VCF of SNPs with some of what may stand beside them; every haplotype differs."""
    rng = random.Random(21)
    lines = []
    for name, contig in contigs().items():
        for i, at in enumerate(sorted(rng.sample(range(3, len(contig) - 5), 36 if name == "1" else 26))):
            ref = contig[at].upper()
            others = sorted(set("ACGT") - {ref})
            rng.shuffle(others)
            if ref == "N":
                ref, others = "A", ["C"]
            alts, info = others[:1], "AF=0.5"
            if i % 9 == 4:
                alts = others[:2]
            elif i % 9 == 5:
                alts = [ref + "GT"]
            elif i % 9 == 7:
                ref = contig[at : at + 2].upper()
                alts = [_other(ref[0]) + _other(ref[1])]
            elif i % 18 == 8:
                alts, info = ["<DEL>"], f"END={at + 4}"
            genotypes = [_genotype(rng, len(alts)) for _ in PEOPLE]
            fields = [
                name,
                str(at + 1),
                f"rs{i}",
                ref,
                ",".join(alts),
                "50",
                "PASS",
                info,
                "GT:DP",
                *genotypes,
            ]
            lines.append("\t".join(fields) + "\n")
    return (HEADER + "".join(lines)).encode()


def _other(base: str) -> str:
    return {"A": "C", "C": "G", "G": "T", "T": "A"}.get(base, "A")


def _genotype(rng: random.Random, alts: int) -> str:
    shape = rng.random()
    first, second = rng.randint(0, alts), rng.randint(0, alts)
    call = f"{first}/{second}" if shape < 0.05 else ".|." if shape < 0.08 else f"{first}|{second}"
    return f"{call}:{rng.randint(5, 60)}"


@cache
def bed_text() -> bytes:
    """Return a phenotype BED, its people in another order than the VCF's, one value missing."""
    rng = random.Random(22)
    people = PEOPLE[::-1]
    lines = ["#chr\tstart\tend\tgene\tstrand\t" + "\t".join(people)]
    for gene, contig, tss, strand in GENES:
        values = [f"{rng.uniform(0, 9):.4f}" for _ in people]
        lines.append("\t".join([contig, str(tss), str(tss + 1), gene, strand, *values]))
    lines[2] = lines[2].rpartition("\t")[0] + "\tNA"
    return ("\n".join(lines) + "\n").encode()


def _bed_values() -> list[dict[str, str]]:
    """Return the BED's values by person, gene by gene."""
    header, *rows = (line.split("\t") for line in bed_text().decode().splitlines())
    return [dict(zip(header[5:], row[5:], strict=True)) for row in rows]


@cache
def matrix_text() -> bytes:
    """Return the BED's values as a matrix with a gene that no annotation has."""
    lines = ["gene\tDescription\t" + "\t".join(PEOPLE)]
    for (gene, *_), values in zip(GENES, _bed_values(), strict=True):
        lines.append("\t".join([gene, "a gene", *(values[p] for p in PEOPLE)]))
    lines.insert(3, "gX\tan unknown gene\t1\t2\t3\t4")
    return ("\n".join(lines) + "\n").encode()


@cache
def gtf_text() -> bytes:
    """Return a GTF of the genes, each with an exon, and of one more."""
    lines = ["##description: small", "#!genome-build GRCh37"]
    for gene, contig, tss, strand in (*GENES, ("gZ", "1", 300, "+")):
        start, end = (tss + 1, tss + 90) if strand == "+" else (max(tss - 88, 1), tss + 1)
        for kind in ("gene", "exon"):
            attributes = f'gene_id "{gene}"; gene_name "{gene.lower()}";'
            lines.append(f"chr{contig}\ttest\t{kind}\t{start}\t{end}\t.\t{strand}\t.\t{attributes}")
    return ("\n".join(lines) + "\n").encode()


@cache
def partition_text() -> bytes:
    """Return the BED's values as the published partition table, with `ref` rows for all genes but one."""
    lines = ["sample,gene,chr,TSS,strand,split,log_TPM"]
    for (gene, contig, tss, strand), values in zip(GENES, _bed_values(), strict=True):
        split = "test" if gene == "gB" else "train"
        for sample in ("ref", *PEOPLE):
            value = values.get(sample, "2.5")
            if (sample, gene) != ("ref", "gC") and value != "NA":
                lines.append(f"{sample},{gene},chr{contig},{tss},{strand},{split},{value}")
    return ("\n".join(lines) + "\n").encode()


COVARIATES = b"id\tbob\tann\tcyd\tdee\npc1\t0.5\t-0.25\t1e-3\t2\npc2\t3\t4\tNA\t-6.5\n"
INDIVIDUALS = b"individual\tpopulation\tfamily\nann\tGBR\tf1\nbob\tGBR\tf1\ncyd\tFIN\tf2\ndee\tFIN\tf3\n"
TABLES: dict[str, Content] = {
    "expression.bed": bed_text(),
    "covariates.txt": COVARIATES,
    "individuals.tsv": INDIVIDUALS,
}
_OPTIONS = {
    "--expression": "expression.bed",
    "--covariates": "covariates.txt",
    "--individuals": "individuals.tsv",
}


@cache
def variant_files() -> dict[str, bytes]:
    """Return the variants as VCF, as BGZF with .tbi and as BCF with .csi."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "v.vcf").write_bytes(vcf_text())
        (folder / "v.vcf.gz").write_bytes(bgzf(vcf_text()))
        pysam.tabix_index(str(folder / "v.vcf.gz"), preset="vcf")
        with (
            pysam.VariantFile(str(folder / "v.vcf")) as text,
            pysam.VariantFile(str(folder / "u.bcf"), "wb", header=text.header) as binary,
        ):
            for record in text:
                binary.write(record)
        raw = gzip.decompress((folder / "u.bcf").read_bytes())
        (folder / "v.bcf").write_bytes(bgzf(raw))
        pysam.tabix_index(str(folder / "v.bcf"), preset="bcf", csi=True)
        names = ("v.vcf", "v.vcf.gz", "v.vcf.gz.tbi", "v.bcf", "v.bcf.csi")
        return {name: (folder / name).read_bytes() for name in names}


@cache
def reference_files(width: int = 60) -> dict[str, bytes]:
    """Return the FASTA plain with .fai and as BGZF with .fai and .gzi."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ref.fa").write_bytes(fasta_text(contigs(), width))
        (folder / "ref.fa.gz").write_bytes(bgzf(fasta_text(contigs(), width)))
        for fasta in ("ref.fa", "ref.fa.gz"):
            pysam.faidx(str(folder / fasta))
        names = ("ref.fa", "ref.fa.fai", "ref.fa.gz", "ref.fa.gz.fai", "ref.fa.gz.gzi")
        return {name: (folder / name).read_bytes() for name in names}


def inputs(variants: str = "v.vcf", reference: str = "ref.fa") -> Inputs:
    """Return the undamaged inputs; `variants` and `reference` name the forms, indices come with them."""
    files: dict[str, Content] = dict(TABLES)
    files |= {
        n: c for n, c in variant_files().items() if n.removesuffix(".tbi").removesuffix(".csi") == variants
    }
    files |= {
        n: c for n, c in reference_files().items() if n.removesuffix(".fai").removesuffix(".gzi") == reference
    }
    return Inputs(files, {"--variants": variants, "--reference": reference, **_OPTIONS})
