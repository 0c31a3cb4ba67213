"""A simulated cohort as files: the formats that every other command reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from glm2x.genome.sequence import LETTERS
from glm2x.simulate.cohort import SimulatedCohort
from glm2x.simulate.genotypes import Contig

GENOTYPES = "genotypes.vcf.gz"
REFERENCE = "reference.fa.gz"
EXPRESSION = "expression.bed.gz"
INDIVIDUALS = "individuals.tsv"
COVARIATES = "covariates.txt"

_LINE = 60  # letters of a FASTA line
_AT_ONCE = 2_000  # records that are text at a time
_CALLS = np.frombuffer(b"\t0|0\t0|1\t1|0\t1|1", dtype=np.uint8).reshape(4, 4)
_LETTERS = np.frombuffer(LETTERS, dtype=np.uint8)


def write_inputs(cohort: SimulatedCohort, folder: Path) -> None:
    """Write genotypes, reference, expression, individuals and, where there are any, covariates.

    Genotypes and reference are blocked gzip and indexed. Numbers are written in full, so that what is
    read is what was drawn.
    """
    _write_genotypes(cohort, folder / GENOTYPES)
    _write_reference(cohort, folder / REFERENCE)
    _write_expression(cohort, folder / EXPRESSION)
    cohort.people.table().write_csv(folder / INDIVIDUALS, separator="\t")
    covariates = cohort.expression.covariates
    if len(covariates):
        lines = ["\t".join(["covariate", *cohort.people.names])]
        lines += ["\t".join([f"batch_{k + 1}", *_numbers(row)]) for k, row in enumerate(covariates)]
        (folder / COVARIATES).write_text("\n".join(lines) + "\n")


def _write_genotypes(cohort: SimulatedCohort, path: Path) -> None:
    header = ["##fileformat=VCFv4.2", '##FILTER=<ID=PASS,Description="All filters passed">']
    header += [f"##contig=<ID={c.name},length={len(c.codes)}>" for c in cohort.contigs]
    header += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    header += ["\t".join([*columns, *cohort.people.names])]
    with pysam.BGZFile(str(path), "wb", None) as out:
        out.write(("\n".join(header) + "\n").encode())
        for contig in cohort.contigs:
            for text in _records(contig):
                out.write(text)
    pysam.tabix_index(str(path), preset="vcf")


def _records(contig: Contig) -> Iterator[bytes]:
    """Yield the lines of a contig, some at a time."""
    for start in range(0, len(contig.position), _AT_ONCE):
        end = min(start + _AT_ONCE, len(contig.position))
        carried = contig.haplotypes[start:end].astype(np.uint8)
        calls = _CALLS[2 * carried[:, ::2] + carried[:, 1::2]].reshape(end - start, -1)
        position = (contig.position[start:end] + 1).tolist()
        alleles = zip(position, contig.ref[start:end], contig.alt[start:end], strict=True)
        lines = [
            f"{contig.name}\t{place}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT".encode() + row.tobytes()
            for (place, ref, alt), row in zip(alleles, calls, strict=True)
        ]
        yield b"\n".join(lines) + b"\n"


def _write_reference(cohort: SimulatedCohort, path: Path) -> None:
    with pysam.BGZFile(str(path), "wb", None) as out:
        for contig in cohort.contigs:
            text = _LETTERS[contig.codes].tobytes()
            lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
            out.write(f">{contig.name}\n".encode() + b"\n".join(lines) + b"\n")
    pysam.faidx(str(path))


def _write_expression(cohort: SimulatedCohort, path: Path) -> None:
    """Write a phenotype BED; the TSS is `start`."""
    lines = ["\t".join(["#chr", "start", "end", "gene", "length", "strand", *cohort.people.names])]
    for gene, row in zip(cohort.genes, cohort.expression.values, strict=True):
        place = [gene.contig, str(gene.tss), str(gene.tss + 1), gene.gene, "1", gene.strand]
        lines.append("\t".join([*place, *_numbers(row)]))
    with pysam.BGZFile(str(path), "wb", None) as out:
        out.write(("\n".join(lines) + "\n").encode())
    pysam.tabix_index(str(path), preset="bed")


def _numbers(row: NDArray[np.float64]) -> list[str]:
    return [repr(value) for value in row.tolist()]
