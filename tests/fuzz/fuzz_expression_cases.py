"""Damaged expression in its other forms: a matrix with a GTF, and the published partition table."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import replace

from fuzz_base import Inputs, gtf_text, matrix_text, partition_text
from fuzz_case import Case, Spoil, bytes_case, cut, cut_at_line, edit, encodings, flip, not_files, on_lines
from fuzz_table_cases import put

MATRIX, GTF, PARTITION = "matrix.tsv", "genes.gtf", "partition.csv"
Damage = Callable[[bytes, random.Random], bytes]


def with_matrix(case: Case) -> Case:
    """Return a case whose expression is a matrix with a GTF."""

    def spoil(made: Inputs, rng: random.Random) -> None:
        made.files.pop("expression.bed")
        made.files |= {MATRIX: matrix_text(), GTF: gtf_text()}
        made.options |= {"--expression": MATRIX, "--genes": GTF}
        case.spoil(made, rng)

    # what is wrong with a gene's place may be told of the file it does not fit
    return replace(case, spoil=spoil, blamed=(*case.blamed, MATRIX, GTF, "v.vcf", "ref.fa"))


def with_partition(case: Case) -> Case:
    """Return a case whose expression is the published partition table."""

    def spoil(made: Inputs, rng: random.Random) -> None:
        made.files.pop("expression.bed")
        made.files[PARTITION] = partition_text()
        made.options["--expression"] = PARTITION
        case.spoil(made, rng)

    return replace(case, spoil=spoil, blamed=(*case.blamed, PARTITION, "v.vcf", "ref.fa"))


def cells(line: int, column: int, value: str) -> Damage:
    """Return a damage to a cell of the partition table."""

    def lines(all_lines: list[bytes], _: random.Random) -> list[bytes]:
        row = all_lines[line].split(b",")
        row[column] = value.encode()
        return [*all_lines[:line], b",".join(row), *all_lines[line + 1 :]]

    return on_lines(lines)


def _gzipped(option: str, file: str, how: Damage) -> Spoil:
    def spoil(made: Inputs, rng: random.Random) -> None:
        made.files[f"{file}.gz"] = how(gzip.compress(made.bytes_of(file), mtime=0), rng)
        made.options[option] = f"{file}.gz"

    return spoil


def _without_genes(made: Inputs, _: random.Random) -> None:
    made.options.pop("--genes")


def _partition_with_genes(made: Inputs, _: random.Random) -> None:
    made.files[GTF] = gtf_text()
    made.options["--genes"] = GTF


GTFS: dict[str, tuple[Damage, str]] = {
    "start-negative": (edit("\t121\t", "\t-121\t", 2), "refused"),
    "start-0": (edit("\t121\t", "\t0\t", 2), "refused"),
    "start-beyond": (edit("\t121\t210", "\t2147483649\t2147483650", 2), "refused"),
    "start-2-63": (edit("\t121\t210", "\t9223372036854775807\t9223372036854775808", 2), "refused"),
    "start-word": (edit("\t121\t", "\tx\t", 2), "refused"),
    "start-moved": (edit("\t121\t", "\t122\t", 2), "right"),
    "end-before": (edit("\t210\t", "\t12\t", 2), "refused"),
    "strand-turned": (edit("\t+\t", "\t-\t"), "right"),
    "strand-unknown": (edit("\t+\t", "\t.\t"), "either"),
    "strand-word": (edit("\t+\t", "\tplus\t"), "refused"),
    "contig-other": (edit("chr1\ttest\tgene", "chr2\ttest\tgene"), "right"),
    "contig-unknown": (edit("chr1\ttest\tgene", "chr9\ttest\tgene"), "refused"),
    "no-gene-id": (edit('gene_id "gA"; ', ""), "refused"),
    "gene-at-two-places": (edit('gene_id "gB"', 'gene_id "gA"', 2), "refused"),
    "gene-twice": (on_lines(lambda lines, _: [*lines[:3], *lines[2:]]), "either"),
    "eight-columns": (edit("\ttest\tgene", "\tgene"), "refused"),
    "ten-columns": (edit("\ttest\tgene", "\ttest\ttest\tgene"), "refused"),
    "no-genes-of-ours": (lambda d, _: d.replace(b'gene_id "g', b'gene_id "h'), "refused"),
    "spaces": (lambda d, _: d.replace(b"\t", b" "), "refused"),
    "only-comments": (lambda d, _: b"##gtf\n#nothing\n", "refused"),
}
MATRICES: dict[str, tuple[Damage, str]] = {
    "gene-twice": (edit("\ngB\t", "\ngA\t"), "refused"),
    "gene-empty": (edit("\ngB\t", "\n\t"), "refused"),
    "genes-unknown": (lambda d, _: d.replace(b"\ng", b"\nh"), "refused"),
    "person-twice": (edit("\tbob", "\tann"), "refused"),
    "value-word": (put(2, 3, b"high"), "refused"),
    "value-inf": (put(2, 3, b"inf"), "refused"),
    "value-na": (put(2, 3, b"NA"), "right"),
    "row-short": (
        on_lines(lambda lines, _: [*lines[:2], lines[2].rpartition(b"\t")[0], *lines[3:]]),
        "refused",
    ),
    "row-long": (on_lines(lambda lines, _: [*lines[:2], lines[2] + b"\t1", *lines[3:]]), "refused"),
    "header-short": (edit("gene\tDescription", "Description"), "refused"),
    "no-people": (lambda d, _: b"gene\tDescription\ngA\tx\n", "refused"),
}
PARTITIONS: dict[str, tuple[Damage, str]] = {
    "row-twice": (on_lines(lambda lines, _: [*lines[:3], *lines[2:]]), "refused"),
    "row-twice-other-value": (
        on_lines(lambda lines, _: [*lines[:3], lines[2] + b"1", *lines[3:]]),
        "refused",
    ),
    "row-missing": (on_lines(lambda lines, _: [*lines[:3], *lines[4:]]), "right"),
    "rows-turned": (on_lines(lambda lines, _: [lines[0], *lines[1:-1][::-1], b""]), "right"),
    "columns-swapped": (edit("TSS,strand", "strand,TSS"), "refused"),
    "no-strand-column": (edit(",strand,", ",direction,"), "refused"),
    "no-split-column": (edit(",split,", ",part,"), "refused"),
    "tss-two": (cells(3, 3, "121"), "refused"),
    "tss-negative": (lambda d, _: d.replace(b",120,", b",-120,"), "refused"),
    "tss-huge": (lambda d, _: d.replace(b",120,", b",9223372036854775808,"), "refused"),
    "tss-beyond": (lambda d, _: d.replace(b",120,", b",900,"), "refused"),
    "tss-float": (lambda d, _: d.replace(b",120,", b",120.0,"), "either"),
    "tss-half": (lambda d, _: d.replace(b",120,", b",120.5,"), "refused"),
    "contig-two": (cells(3, 2, "chr2"), "refused"),
    "strand-two": (cells(3, 4, "-"), "refused"),
    "strand-empty": (lambda d, _: d.replace(b",+,", b",,"), "refused"),
    "split-two": (cells(3, 5, "test"), "refused"),
    "split-unknown": (lambda d, _: d.replace(b",test,", b",valid,"), "refused"),
    "value-word": (cells(3, 6, "x"), "refused"),
    "value-empty": (cells(3, 6, ""), "either"),
    "value-inf": (cells(3, 6, "-inf"), "refused"),
    "sample-empty": (cells(3, 0, ""), "refused"),
    "gene-empty": (cells(3, 1, ""), "refused"),
    "ref-only": (
        on_lines(lambda lines, _: [lines[0], *(x for x in lines if x.startswith(b"ref,")), b""]),
        "refused",
    ),
    "no-ref": (on_lines(lambda lines, _: [x for x in lines if not x.startswith(b"ref,")]), "right"),
    "nobody-known": (
        lambda d, _: (
            d.replace(b"\nann,", b"\nx,")
            .replace(b"\nbob,", b"\ny,")
            .replace(b"\ncyd,", b"\nz,")
            .replace(b"\ndee,", b"\nw,")
        ),
        "refused",
    ),
    "quote-open": (cells(3, 0, '"ann'), "refused"),
    "semicolons": (lambda d, _: d.replace(b",", b";"), "refused"),
    "decimal-commas": (lambda d, _: d.replace(b".", b","), "refused"),
    "header-repeated": (on_lines(lambda lines, _: [*lines[:9], lines[0], *lines[9:]]), "refused"),
}

LEAVE = ("gzip-head-only", "spaces-for-tabs", "doubled", "utf-32", "high-bits", "utf-16-be", "nul-first")
CASES: list[Case] = [
    *map(
        with_matrix,
        [
            Case("matrix-undamaged", lambda made, rng: None, "right"),
            Case("matrix-without-genes", _without_genes, "refused"),
            *encodings(MATRIX, leave=(*LEAVE, "newline-only")),
            *encodings(GTF, leave=LEAVE),
            *not_files("--genes", GTF),
            *(bytes_case(f"matrix-cut-{seed}", MATRIX, cut) for seed in range(4)),
            *(bytes_case(f"matrix-flip-{seed}", MATRIX, flip) for seed in range(6)),
            *(bytes_case(f"gtf-cut-{seed}", GTF, cut) for seed in range(4)),
            *(bytes_case(f"gtf-cut-line-{seed}", GTF, cut_at_line) for seed in range(3)),
            *(bytes_case(f"gtf-flip-{seed}", GTF, flip) for seed in range(10)),
            *(Case(f"gtf.gz-cut-{s}", _gzipped("--genes", GTF, cut), "refused") for s in range(2)),
            *(Case(f"gtf.gz-flip-{s}", _gzipped("--genes", GTF, flip)) for s in range(2)),
            *(bytes_case(f"gtf-{name}", GTF, how, verdict) for name, (how, verdict) in GTFS.items()),
            *(
                bytes_case(f"matrix-{name}", MATRIX, how, verdict)
                for name, (how, verdict) in MATRICES.items()
            ),
        ],
    ),
    *map(
        with_partition,
        [
            Case("partition-undamaged", lambda made, rng: None, "right"),
            Case("partition-with-genes", _partition_with_genes, "refused", blamed=(GTF,)),
            *encodings(PARTITION, leave=(*LEAVE, "newline-only")),
            *(bytes_case(f"partition-cut-{seed}", PARTITION, cut) for seed in range(6)),
            *(bytes_case(f"partition-flip-{seed}", PARTITION, flip) for seed in range(10)),
            *(
                Case(f"partition.gz-cut-{s}", _gzipped("--expression", PARTITION, cut), "refused")
                for s in range(2)
            ),
            *(Case(f"partition.gz-flip-{s}", _gzipped("--expression", PARTITION, flip)) for s in range(2)),
            *(bytes_case(f"partition-{name}", PARTITION, how, v) for name, (how, v) in PARTITIONS.items()),
        ],
    ),
]
