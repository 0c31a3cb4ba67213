"""Damaged tables: the phenotype BED, the covariates and the individuals, plain and gzipped."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

from fuzz_base import Inputs
from fuzz_case import Case, bytes_case, cut, cut_at_line, edit, encodings, flip, not_files, on_lines

Damage = Callable[[bytes, random.Random], bytes]
BED, COVARIATES, INDIVIDUALS = "expression.bed", "covariates.txt", "individuals.tsv"
OPTIONS = {BED: "--expression", COVARIATES: "--covariates", INDIVIDUALS: "--individuals"}


def cells(line: int, how: Callable[[list[bytes]], list[bytes]]) -> Damage:
    """Return a damage to the cells of one line; line -1 is every line."""

    def lines(all_lines: list[bytes], _: random.Random) -> list[bytes]:
        return [
            b"\t".join(how(text.split(b"\t"))) if text and line in (i, -1) else text
            for i, text in enumerate(all_lines)
        ]

    return on_lines(lines)


def put(line: int, column: int, value: bytes) -> Damage:
    """Return a damage that puts a value into a cell."""
    return cells(line, lambda row: [*row[:column], value, *row[column + 1 :]])


def _gzipped(file: str, how: Damage) -> Callable[[Inputs, random.Random], None]:
    """Return a damage to the gzipped table, which stands in place of the plain one."""

    def spoil(made: Inputs, rng: random.Random) -> None:
        made.files[f"{file}.gz"] = how(gzip.compress(made.bytes_of(file), mtime=0), rng)
        made.options[OPTIONS[file]] = f"{file}.gz"

    return spoil


FEWER = (
    "utf-16-be",
    "utf-32",
    "high-bits",
    "newline-only",
    "gzip-head-only",
    "nul-last",
    "doubled",
    "nul-middle",
)


def of_any_table(file: str, more: int) -> list[Case]:
    """Return the damages that any table may have; `more` seeds of each random one."""
    return [
        *encodings(file, leave=() if more > 3 else FEWER),
        *not_files(OPTIONS[file], file),
        *(bytes_case(f"{file}-cut-{seed}", file, cut) for seed in range(more)),
        *(bytes_case(f"{file}-cut-line-{seed}", file, cut_at_line) for seed in range(2)),
        *(bytes_case(f"{file}-flip-{seed}", file, flip) for seed in range(more)),
        *(Case(f"{file}.gz-cut-{s}", _gzipped(file, cut), "refused", blamed=(file,)) for s in range(2)),
        *(Case(f"{file}.gz-flip-{s}", _gzipped(file, flip), blamed=(file,)) for s in range(2)),
        Case(
            f"{file}.gz-rubbish-after", _gzipped(file, lambda d, _: d + b"rubbish"), "refused", blamed=(file,)
        ),
        Case(f"{file}.gz-as-it-is", _gzipped(file, lambda d, _: d), "right"),
        bytes_case(f"{file}-column-dropped", file, cells(2, lambda row: row[:-1]), "refused"),
        bytes_case(f"{file}-column-twice", file, cells(2, lambda row: [*row, row[-1]]), "refused"),
        bytes_case(f"{file}-columns-twice", file, cells(-1, lambda row: [*row, row[-1]]), "refused"),
        bytes_case(f"{file}-header-dropped", file, on_lines(lambda lines, _: lines[1:]), "refused"),
        bytes_case(f"{file}-row-twice", file, on_lines(lambda lines, _: [*lines[:2], *lines[1:]]), "refused"),
        bytes_case(f"{file}-header-only", file, on_lines(lambda lines, _: [lines[0], b""]), "either"),
        bytes_case(f"{file}-commas", file, lambda d, _: d.replace(b"\t", b","), "right"),
        bytes_case(f"{file}-trailing-tabs", file, cells(-1, lambda row: [*row, b""]), "either"),
        bytes_case(f"{file}-cell-of-1-mb", file, put(2, -1, b"1" * 1_000_000), "either"),
        bytes_case(f"{file}-quoted", file, cells(-1, lambda row: [b'"' + c + b'"' for c in row]), "right"),
        bytes_case(f"{file}-quote-open", file, put(1, 0, b'"'), "either", blamed=(file, "v.vcf")),
        bytes_case(f"{file}-comments-first", file, lambda d, _: b"##a\n##b\tc\n" + d, "right"),
    ]


def _swap(a: int, b: int) -> Callable[[list[bytes]], list[bytes]]:
    def how(row: list[bytes]) -> list[bytes]:
        row[a], row[b] = row[b], row[a]
        return row

    return how


BED_DAMAGES: dict[str, tuple[Damage, str]] = {
    "start-and-end-swapped": (cells(-1, _swap(1, 2)), "refused"),
    "start-and-end-swapped-in-a-row": (cells(1, _swap(1, 2)), "refused"),
    "chr-and-gene-swapped": (cells(-1, _swap(0, 3)), "refused"),
    "people-swapped-with-their-values": (cells(-1, _swap(5, 6)), "right"),
    "people-swapped-in-the-header": (cells(0, _swap(5, 6)), "right"),
    "strand-dropped": (cells(-1, lambda row: [*row[:4], *row[5:]]), "refused"),
    "strand-twice": (cells(-1, lambda row: [*row[:5], *row[4:]]), "refused"),
    "strand-last": (cells(-1, lambda row: [*row[:4], *row[5:], row[4]]), "right"),
    "strand-word": (put(1, 4, b"plus"), "refused"),
    "strand-1": (put(1, 4, b"1"), "refused"),
    "strand-empty": (put(1, 4, b""), "refused"),
    "strand-both": (put(1, 4, b"+-"), "refused"),
    "strand-turned": (put(1, 4, b"-"), "right"),
    **{
        f"tss-{start}": (
            cells(1, lambda row, s=start: [row[0], str(s).encode(), str(s + 1).encode(), *row[3:]]),
            verdict,
        )  # type: ignore[misc]
        for start, verdict in {
            0: "right",
            -1: "refused",
            -100: "refused",
            899: "right",
            900: "refused",
            2**31 - 1: "refused",
            2**31: "refused",
            2**63 - 2: "refused",
            2**63: "refused",
            2**64: "refused",
        }.items()
    },
    "tss-of-a-float": (cells(1, lambda row: [row[0], b"120.0", b"121.0", *row[3:]]), "refused"),
    "tss-in-words": (cells(1, lambda row: [row[0], b"1e2", b"101", *row[3:]]), "refused"),
    "tss-empty": (cells(1, lambda row: [row[0], b"", b"", *row[3:]]), "refused"),
    "tss-with-a-plus": (cells(1, lambda row: [row[0], b"+120", b"+121", *row[3:]]), "either"),
    "tss-with-blanks": (cells(1, lambda row: [row[0], b" 120", b"121 ", *row[3:]]), "either"),
    "tss-with-zeros": (cells(1, lambda row: [row[0], b"000120", b"000121", *row[3:]]), "either"),
    "whole-gene": (put(1, 2, b"500"), "refused"),
    "chr-empty": (put(1, 0, b""), "refused"),
    "chr-unknown": (put(1, 0, b"9"), "refused"),
    "chr-with-chr": (put(1, 0, b"chr1"), "right"),
    "chr-of-latin-1": (put(1, 0, b"\xe9"), "refused"),
    "gene-empty": (put(1, 3, b""), "refused"),
    "gene-of-utf-8": (put(1, 3, "géne".encode()), "right"),
    "gene-with-a-slash": (put(1, 3, b"../../gene"), "right"),
    "gene-of-1-mb": (put(1, 3, b"g" * 1_000_000), "either"),
    "person-without-name": (put(0, 5, b""), "either"),
    "person-is-null": (put(0, 5, b"null"), "either"),
    "nobody-known": (cells(0, lambda row: [*row[:5], b"w", b"x", b"y", b"z"]), "refused"),
    "no-people": (cells(-1, lambda row: row[:5]), "refused"),
    "1000-people": (cells(-1, lambda row: [*row, *(b"%d" % i for i in range(1000, 2000))]), "either"),
    **{
        f"value-{name}": (put(1, 6, value), verdict)
        for name, (value, verdict) in {
            "empty": (b"", "right"),
            "na": (b"NA", "right"),
            "nan": (b"nan", "either"),
            "inf": (b"inf", "refused"),
            "minus-inf": (b"-inf", "refused"),
            "1e999": (b"1e999", "refused"),
            "1e308": (b"1e308", "either"),
            "negative": (b"-3", "either"),
            "minus-zero": (b"-0", "either"),
            "comma": (b"3,5", "refused"),
            "hex": (b"0x1F", "refused"),
            "underscore": (b"1_000", "refused"),
            "blank": (b" 3.5", "either"),
            "word": (b"high", "refused"),
            "true": (b"true", "refused"),
            "utf-8": ("٣".encode(), "refused"),
            "nul": (b"3\0", "refused"),
            "dot": (b".", "either"),
            "tiny": (b"1e-400", "either"),
            "1d5": (b"1d5", "refused"),
        }.items()
    },
}
PEOPLE_DAMAGES: dict[str, tuple[Damage, str]] = {
    "no-column-individual": (edit("individual\t", "sample\t"), "refused"),
    "person-twice": (edit("\nbob\t", "\nann\t"), "refused"),
    "person-unknown": (edit("\nbob\t", "\nzed\t"), "right"),
    "nobody-known": (lambda d, _: b"individual\tpopulation\tfamily\nx\tGBR\tf\n", "refused"),
    "population-empty": (edit("\tGBR\tf1\nbob", "\t\tf1\nbob"), "either"),
    "columns-swapped": (edit("population\tfamily", "family\tpopulation"), "right"),
    "columns-in-capitals": (edit("population\tfamily", "Population\tFAMILY"), "right"),
    "column-pop": (edit("population", "pop"), "right"),
    "family-zero": (edit("\tf3", "\t0"), "right"),
    "population-na": (edit("\tFIN\tf2", "\tNA\tNA"), "right"),
    "person-without-name": (edit("\nbob\t", "\n\t"), "either"),
}
COVARIATE_DAMAGES: dict[str, tuple[Damage, str]] = {
    "nobody-known": (edit("bob\tann\tcyd\tdee", "w\tx\ty\tz"), "refused"),
    "some-unknown": (edit("bob\tann\tcyd", "w\tann\tcyd"), "right"),
    "name-twice": (edit("pc2", "pc1"), "refused"),
    "word": (edit("-0.25", "low"), "refused"),
    "infinite": (edit("-0.25", "inf"), "refused"),
    "turned": (lambda d, _: b"id\tpc1\tpc2\nann\t1\t2\nbob\t3\t4\n", "refused"),
    "label-only": (cells(-1, lambda row: row[:1]), "refused"),
}

CASES: list[Case] = [
    *of_any_table(BED, 8),
    *(
        bytes_case(f"bed-{n}", BED, how, v, blamed=(BED, "v.vcf", "ref.fa"))
        for n, (how, v) in BED_DAMAGES.items()
    ),
    *of_any_table(COVARIATES, 3),
    *(bytes_case(f"covariates-{n}", COVARIATES, how, v) for n, (how, v) in COVARIATE_DAMAGES.items()),
    *of_any_table(INDIVIDUALS, 3),
    *(bytes_case(f"individuals-{n}", INDIVIDUALS, how, v) for n, (how, v) in PEOPLE_DAMAGES.items()),
]
