"""The public files of the published benchmark, under their official names, small enough for a test.

The sequence is real: 22 stretches of chr22:20-21 Mb of the demo, one a contig. People and genes have the
names of the published lists; genotypes and expression are random, and depend on each other by one SNP a gene.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pysam
import torch
import yaml
from pages import ROOT

from glm2x.cohort.listed import packaged
from glm2x.download.registry import REGISTRY
from glm2x.genome.genes import Strand

CONTIGS = tuple(str(number) for number in range(1, 23))
LENGTH = 12_000  # bp of a contig
SEEN, UNSEEN = 4_000, 8_000  # 0-based TSSs: contigs have one or the other by turns, and the first both
SNPS = 60  # of a contig
TRAIN, TEST, OTHERS = 4, 5, 2  # people of the published lists, and of neither
VCF_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
PERSONAL = 3  # genes of the published 200

CONFIGURATIONS = {
    "Enformer": ("64000", "1e-6"),
    "Borzoi": ("64000", "1e-6"),
    "NT": ("11000", "1e-4"),
    "caduceus": ("64000", "1e-4"),
    "evo2": ("64000", "1e-4"),
}


@dataclass(frozen=True)
class SmallGene:
    """A gene: its 0-based TSS, and its side in the published table."""

    name: str
    contig: str
    tss: int
    strand: Strand
    side: str


@dataclass(frozen=True)
class Small:
    """What the files hold: genes, people, letters, genotypes and expression."""

    genes: tuple[SmallGene, ...]
    people: tuple[str, ...]
    letters: dict[str, str]
    positions: dict[str, np.ndarray]  # 0-based
    alleles: dict[str, np.ndarray]  # 0 or 1: [SNPs, people, 2]
    expression: np.ndarray  # log2: [genes, people]


def make_small() -> Small:
    """Draw everything from one seed."""
    random = np.random.default_rng(0)
    published = packaged("published-genes-200.txt")[:PERSONAL]
    others = (f"ENSG{number:011d}" for number in range(1, 2 * len(CONTIGS)))
    names = {"train": chain(published, others), "test": others}
    people = packaged("published-train-50.txt")[:TRAIN] + packaged("published-test-100.txt")[:TEST]
    people += tuple(f"NA{number:05d}" for number in range(OTHERS))
    genes, letters, positions, alleles, rows = [], {}, {}, {}, []
    with pysam.FastaFile(str(ROOT / "src/glm2x/demo/data/reference.fa.gz")) as fasta:
        for index, contig in enumerate(CONTIGS):
            start = 20_020_000 + 20_000 * index
            letters[contig] = fasta.fetch("22", start, start + LENGTH).upper()
            known = np.flatnonzero(np.array(list(letters[contig])) != "N")
            positions[contig] = np.sort(random.choice(known, SNPS, replace=False))
            founders = random.integers(0, 2, (SNPS, 12))
            alleles[contig] = founders[:, random.integers(0, 12, (len(people), 2))]
            sides = {SEEN: "train", UNSEEN: "test"}
            for tss in (SEEN, UNSEEN) if index == 0 else (UNSEEN if index % 2 else SEEN,):
                strand: Strand = "-" if index % 4 > 1 else "+"
                genes.append(SmallGene(next(names[sides[tss]]), contig, tss, strand, sides[tss]))
                cause = int(np.abs(positions[contig] - tss).argmin())
                dosage = alleles[contig][cause].sum(axis=1)
                rows.append(3 + random.random() + dosage + 0.4 * random.standard_normal(len(people)))
    return Small(tuple(genes), people, letters, positions, alleles, np.abs(np.stack(rows)))


def write_public_files(small: Small, folder: Path) -> None:
    """Write what the servers have: reference, genotypes, expression and annotation, by their file names."""
    collections = yaml.safe_load(REGISTRY.read_text())
    name = {thing: [_name(file) for file in value["files"]] for thing, value in collections.items()}
    _write_reference(small, folder / name["reference"][0])
    for contig, file in zip(CONTIGS, name["genotypes"], strict=True):
        assert f".chr{contig}." in file
        _write_genotypes(small, contig, folder / file)
    _write_expression(small, folder / name["expression"][0])
    _write_annotation(small, folder / "gencode.v12.annotation.gtf.gz")


def write_registry(path: Path, address: str) -> None:
    """Write the package's registry of downloads with another server and the small contigs' lengths."""
    collections = yaml.safe_load(REGISTRY.read_text())
    for value in collections.values():
        for file in value["files"]:
            file["url"] = address + _name(file)
    collections["reference"]["lengths"] = dict.fromkeys(CONTIGS, LENGTH)
    path.write_text(yaml.safe_dump(collections))


def write_repository(small: Small, folder: Path) -> None:
    """Write the published repository as far as it is read: the table, the lists, the configurations."""
    (folder / "data").mkdir(parents=True)
    (folder / "run_models/configurations").mkdir(parents=True)
    lists = {
        "random_genes": packaged("published-genes-200.txt")[:PERSONAL],
        "train_50_indivs": small.people[:TRAIN],
        "test_100_indivs": small.people[TRAIN : TRAIN + TEST],
    }
    for name, lines in lists.items():
        (folder / f"data/{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    with gzip.open(folder / "data/all_partition_data.csv.gz", "wt") as table:
        table.write("sample,gene,chr,TSS,strand,split,log_TPM\n")
        for gene, values in zip(small.genes, small.expression, strict=True):
            for sample, value in [*zip(small.people, values, strict=True), ("ref", values.mean())]:
                fields = (sample, gene.name, f"chr{gene.contig}", gene.tss, gene.strand, gene.side)
                table.write(",".join([*map(str, fields), f"{value:.4f}"]) + "\n")
    for model, (window, rate) in CONFIGURATIONS.items():
        for kind in ("ref", "indiv"):
            path = folder / f"run_models/configurations/config_{model}_{kind}.yml"
            path.write_text(_configuration(model, kind, window, rate))
    git = ["git", "-C", str(folder), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "The published files"]):
        subprocess.run([*git, *words], check=True, capture_output=True)


def write_embeddings(small: Small, folder: Path, *, window: int, width: int) -> None:
    """Write embeddings of two people and one gene in the published layout, a token for every base."""
    for person in small.people[:2]:
        (folder / person).mkdir(parents=True)
        for haplotype in (1, 2):
            path = folder / person / f"{small.genes[0].name}_allele_{haplotype}.pt"
            torch.save(torch.zeros((1, window, width), dtype=torch.bfloat16), path)


def _configuration(model: str, kind: str, window: str, rate: str) -> str:
    reference = kind == "ref"
    values = {
        "model_name": model,
        "partition_data_path": "../data/all_partition_data.csv",
        "consensus_root": "../data/consensus",
        "ref_genome_path": "../data/hs37d5.fa",
        "train_data": "reference" if reference else "individuals",
        "sample_allele": "NA" if reference else "both",
        "sampler": "random",
        "seq_len": window,
        "batch_size": 8,
        "num_epochs": 40,
        "learning_rate": rate,
        "model_save_root": "./save_models/",
        "pretrained_model_path": "",
        "selected_gene": "" if reference else "../data/random_genes.txt",
        "train_sample": "../data/train_50_indivs.txt",
        "test_sample": "../data/test_100_indivs.txt",
        "load_model": True,
        "target_name": "log_TPM",
        "preCalculatedEmbed_root": "",
    }
    return yaml.safe_dump(values, sort_keys=False)


def _name(file: dict[str, str]) -> str:
    return file["url"].rpartition("/")[2]


def _write_reference(small: Small, path: Path) -> None:
    """Write plain gzip, as the official file is, with a decoy behind the contigs."""
    with gzip.open(path, "wt") as fasta:
        for contig, letters in {**small.letters, "hs37d5": small.letters["1"][:600]}.items():
            fasta.write(f">{contig} dna\n")
            fasta.writelines(f"{letters[i : i + 60]}\n" for i in range(0, len(letters), 60))


def _write_genotypes(small: Small, contig: str, path: Path) -> None:
    lines = [
        "##fileformat=VCFv4.1",
        f"##contig=<ID={contig},length={LENGTH}>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join([*VCF_COLUMNS, *small.people]),
    ]
    for position, carried in zip(small.positions[contig], small.alleles[contig], strict=True):
        ref = small.letters[contig][position]
        alt = "ACGT"[("ACGT".index(ref) + 1) % 4]
        calls = [f"{one}|{other}" for one, other in carried]
        facts = [contig, str(position + 1), f"snp_{contig}_{position + 1}", ref, alt, "100", "PASS", "."]
        lines.append("\t".join([*facts, "GT", *calls]))
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(("\n".join(lines) + "\n").encode())


def _write_expression(small: Small, path: Path) -> None:
    """Write RPKM as the official table has it; what is corrected for technical factors may fall below 0."""
    with gzip.open(path, "wt") as table:
        table.write("\t".join(["TargetID", "Gene_Symbol", "Chr", "Coord", *small.people]) + "\n")
        for gene, values in zip(small.genes, small.expression, strict=True):
            rpkm = 2**values - 1
            rpkm[0] = -0.01
            facts = [f"{gene.name}.3", f"{gene.name}.3", gene.contig, str(gene.tss + 1)]
            table.write("\t".join([*facts, *(f"{value:.6f}" for value in rpkm)]) + "\n")


def _write_annotation(small: Small, path: Path) -> None:
    with gzip.open(path, "wt") as gtf:
        gtf.write("##description: evidence-based annotation of the human genome (GRCh37)\n")
        for gene in small.genes:
            start, end = (
                (gene.tss + 1, gene.tss + 500) if gene.strand == "+" else (gene.tss - 498, gene.tss + 1)
            )
            fields = [f"chr{gene.contig}", "HAVANA", "gene", str(start), str(end), ".", gene.strand, "."]
            gtf.write("\t".join([*fields, f'gene_id "{gene.name}.3"; gene_type "protein_coding";']) + "\n")


def lacking_programs() -> list[str]:
    """Return the programs that the page takes for granted and this machine has not."""
    return [name for name in ("git", "curl") if shutil.which(name) is None]
