"""Damaged VCF text: the header, the columns, the positions, the alleles and the genotypes."""

from __future__ import annotations

import random
from collections.abc import Callable

from fuzz_base import HEADER, LENGTHS
from fuzz_case import Case, bytes_case, cut, cut_at_line, edit, encodings, flip, not_files, on_lines

VCF = "v.vcf"
FIRST = HEADER.count("\n")  # the line of the first record


def record(
    how: Callable[[list[bytes]], list[bytes]], *, snp: bool = True, nth: int = 12
) -> Callable[..., bytes]:
    """Return a damage to the fields of one record (a biallelic SNP opposite a base that is known)."""

    def lines(all_lines: list[bytes], _: random.Random) -> list[bytes]:
        at = FIRST + nth
        while snp and [len(field) for field in all_lines[at].split(b"\t")[3:5]] != [1, 1]:
            at += 1
        fields = how(all_lines[at].split(b"\t"))
        return [*all_lines[:at], b"\t".join(fields), *all_lines[at + 1 :]]

    return on_lines(lines)


def put(column: int, value: bytes) -> Callable[..., bytes]:
    """Return a damage that puts a value into a column of a record."""
    return record(lambda fields: [*fields[:column], value, *fields[column + 1 :]])


def _swap(a: int, b: int) -> Callable[[list[bytes]], list[bytes]]:
    def how(fields: list[bytes]) -> list[bytes]:
        fields[a], fields[b] = fields[b], fields[a]
        return fields

    return how


def _every_row(how: Callable[[list[bytes]], list[bytes]]) -> Callable[..., bytes]:
    def lines(all_lines: list[bytes], _: random.Random) -> list[bytes]:
        return [
            b"\t".join(how(line.split(b"\t"))) if line and not line.startswith(b"##") else line
            for line in all_lines
        ]

    return on_lines(lines)


def _without(start: str) -> Callable[..., bytes]:
    return on_lines(lambda lines, _: [line for line in lines if not line.startswith(start.encode())])


def _interleaved(lines: list[bytes], rng: random.Random) -> list[bytes]:
    records = lines[FIRST:-1]
    rng.shuffle(records)
    return [*lines[:FIRST], *sorted(records, key=lambda line: int(line.split(b"\t")[1])), b""]


def _contigs_swapped(lines: list[bytes], _: random.Random) -> list[bytes]:
    records = sorted(lines[FIRST:-1], key=lambda line: line[:1], reverse=True)
    return [*lines[:FIRST], *records, b""]


def _one_moved(lines: list[bytes], _: random.Random) -> list[bytes]:
    return [*lines[: FIRST + 3], *lines[FIRST + 4 : FIRST + 9], lines[FIRST + 3], *lines[FIRST + 9 :]]


def _line_twice(lines: list[bytes], rng: random.Random) -> list[bytes]:
    at = rng.randrange(FIRST, len(lines) - 1)
    return [*lines[:at], lines[at], *lines[at:]]


def _two_at_one_place(lines: list[bytes], _: random.Random) -> list[bytes]:
    """A second record at the place of a SNP, which only who has nothing of the first may carry."""
    at = next(i for i in range(FIRST, len(lines)) if _is_snp(lines[i]) and b"0|1" in lines[i])
    fields = lines[at].split(b"\t")
    fields[4] = next(base for base in (b"A", b"C", b"G", b"T") if base not in fields[3:5])
    return [*lines[: at + 1], b"\t".join([*fields[:9], b"1|1", b"1|1", b"0|1", b"1|0"]), *lines[at + 1 :]]


def _is_snp(line: bytes) -> bool:
    return [len(allele) for allele in line.split(b"\t")[3:5]] == [1, 1]


def _second_header(lines: list[bytes], _: random.Random) -> list[bytes]:
    """What `cat` makes of two files whose people stand in another order."""
    at = next(i for i, line in enumerate(lines) if line.startswith(b"2\t"))
    header = [line.replace(b"ann\tbob\tcyd\tdee", b"dee\tcyd\tbob\tann") for line in lines[:FIRST]]
    return [*lines[:at], *header, *lines[at:]]


HEADERS = {
    "no-fileformat": (_without("##fileformat"), "either"),
    "fileformat-9": (edit("VCFv4.2", "VCFv9.9"), "either"),
    "no-chrom-line": (_without("#CHROM"), "refused"),
    "no-contig-lines": (_without("##contig"), "either"),
    "one-contig-line": (edit("##contig=<ID=2,length=640>\n", ""), "either"),
    "contigs-the-other-way": (
        edit(
            "##contig=<ID=1,length=900>\n##contig=<ID=2,length=640>",
            "##contig=<ID=2,length=640>\n##contig=<ID=1,length=900>",
        ),
        "either",
    ),
    "contig-lengths-lie": (edit("length=900", "length=7"), "either"),
    "contig-length-huge": (edit("length=900", "length=99999999999999999999"), "either"),
    "contig-without-id": (edit("ID=1,length", "length"), "either"),
    "contig-line-open": (edit("length=900>", "length=900"), "either"),
    "no-gt-line": (_without("##FORMAT=<ID=GT"), "either"),
    "gt-is-an-integer": (edit("ID=GT,Number=1,Type=String", "ID=GT,Number=1,Type=Integer"), "either"),
    "gt-twice": (
        edit("##FORMAT=<ID=GT", "##FORMAT=<ID=GT,Number=1,Type=Float,Description=x>\n##FORMAT=<ID=GT"),
        "either",
    ),
    "no-filter-line": (_without("##FILTER"), "either"),
    "no-header": (_without("#"), "refused"),
    "two-chrom-lines": (on_lines(lambda lines, _: [*lines[:FIRST], *lines[FIRST - 1 :]]), "either"),
    "chrom-line-spaces": (edit("#CHROM\tPOS\tID", "#CHROM POS ID"), "refused"),
    "chrom-line-too-short": (edit("\tFILTER\tINFO\tFORMAT", "\tFORMAT"), "refused"),
    "person-repeated": (edit("\tann\tbob", "\tann\tann"), "refused"),
    "person-without-name": (edit("\tann\tbob", "\tann\t"), "refused"),
    "person-missing": (edit("\tann\tbob", "\tann"), "refused"),
    "person-too-many": (edit("\tann\tbob", "\teve\tann\tbob"), "refused"),
    "people-swapped": (edit("\tann\tbob", "\tbob\tann"), "right"),
    "person-of-latin-1": (lambda data, _: data.replace(b"\tann", b"\tan\xe9", 1), "either"),
    "person-of-utf-8": (edit("\tdee\n", "\tde\u00e9\n"), "right"),
    "person-with-spaces": (edit("\tdee\n", "\t dee \n"), "either"),
    "person-missing-first": (edit("\tann\tbob", "\tbob"), "refused"),
    "no-people": (_every_row(lambda fields: fields[:9]), "refused"),
    "no-format": (_every_row(lambda fields: fields[:8]), "refused"),
    "header-only": (lambda data, _: HEADER.encode(), "refused"),
    "info-line-of-1-mb": (edit("##INFO=<ID=AF", "##note=" + "x" * 1_000_000 + "\n##INFO=<ID=AF"), "either"),
    "line-between-records": (on_lines(lambda lines, _: [*lines[:20], b"#what", *lines[20:]]), "either"),
    "blank-between-records": (on_lines(lambda lines, _: [*lines[:20], b"", *lines[20:]]), "either"),
}
COLUMNS = {
    "column-dropped": record(lambda fields: [*fields[:2], *fields[3:]]),
    "column-twice": record(lambda fields: [*fields[:4], *fields[3:]]),
    "ref-and-alt-swapped": record(_swap(3, 4)),
    "pos-and-id-swapped": record(_swap(1, 2)),
    "format-and-info-swapped": record(_swap(7, 8)),
    "people-dropped": record(lambda fields: fields[:9]),
    "person-dropped": record(lambda fields: fields[:-1]),
    "person-added": record(lambda fields: [*fields, b"0|1:3"]),
    "all-columns-dropped": _every_row(lambda fields: fields[:5] + fields[6:]),
    "all-refs-and-alts-swapped": _every_row(_swap(3, 4)),
    "trailing-tab": record(lambda fields: [*fields, b""]),
    "trailing-space": record(lambda fields: [*fields[:-1], fields[-1] + b" "]),
}
VALUES = {
    **{
        f"pos-{value}": (1, value.encode())
        for value in ("0", "-1", "-5", "2147483647", "2147483648", "4294967297", "9223372036854775808", "899")
    },
    **{
        f"pos-{name}": (1, value)
        for name, value in {
            "empty": b"",
            "word": b"abc",
            "float": b"1e2",
            "digits-word": b"120x",
            "hex": b"0x10",
            "blank-first": b" 200",
        }.items()
    },
    **{
        f"ref-{name}": (3, value)
        for name, value in {
            "empty": b"",
            "dot": b".",
            "n": b"N",
            "lower": b"a",
            "digit": b"7",
            "1-mb": b"ACGT" * 250_000,
            "past-the-end": b"A" * 2000,
            "nul": b"\0",
            "blank": b"A ",
            "iupac": b"R",
        }.items()
    },
    **{
        f"alt-{name}": (4, value)
        for name, value in {
            "empty": b"",
            "dot": b".",
            "n": b"N",
            "star": b"*",
            "comma": b",",
            "comma-last": b"A,",
            "any": b"<*>",
            "unknown": b"<WHAT>",
            "open": b"<DEL",
            "breakend": b"A[2:9[",
            "nul": b"A\0C",
            "10000": b",".join(b"A" * n for n in range(2, 10_002)),
            "1-mb": b"A" * 1_000_000,
            "latin": b"\xe9",
        }.items()
    },
    **{
        f"info-{name}": (7, value)
        for name, value in {
            "end-before": b"END=1",
            "end-negative": b"END=-7",
            "end-2-31": b"END=2147483648",
            "end-word": b"END=x",
            "unknown": b"WHAT=1;;;=;==",
            "1-mb": b"X=" + b"a" * 1_000_000,
            "empty": b"",
            "af-word": b"AF=,,x",
        }.items()
    },
    **{
        f"format-{name}": (8, value)
        for name, value in {
            "empty": b"",
            "dot": b".",
            "no-gt": b"DP",
            "gt-last": b"DP:GT",
            "gt-twice": b"GT:GT",
            "unknown": b"GT:ZZ",
            "many": b"GT" + b":DP" * 300,
            "colon": b"GT:",
        }.items()
    },
    **{
        f"gt-{name}": (9, value)
        for name, value in {
            "empty": b"",
            "dot": b".",
            "ploidy-3": b"0|1|1",
            "ploidy-9": b"|".join([b"1"] * 9),
            "bar": b"|",
            "half": b"1|",
            "half-first": b"|1",
            "haploid": b"1",
            "beyond": b"0|2",
            "beyond-63": b"0|63",
            "beyond-200": b"200|0",
            "huge": b"99999999999|0",
            "negative": b"-1|0",
            "word": b"x|y",
            "letter": b"0|A",
            "backslash": b"0\\1",
            "double": b"0||1",
            "long": b"0|1" + b":3" * 9,
            "missing-phased": b".|.",
            "unphased": b"0/1",
            "half-missing": b"./1",
            "space": b"0 |1",
            "plus": b"+1|0",
            "phased-first": b"|0|1",
        }.items()
    },
    "chrom-empty": (0, b""),
    "chrom-new": (0, b"7"),
    "chrom-chr": (0, b"chr1"),
    "chrom-of-path": (0, b"../1"),
    "chrom-long": (0, b"c" * 70_000),
    "qual-word": (5, b"x"),
    "filter-unknown": (6, b"what"),
    "filter-empty": (6, b""),
    "id-1-mb": (2, b"i" * 1_000_000),
}
ORDER = {
    "one-record-moved": (on_lines(_one_moved), "refused"),
    "contigs-interleaved": (on_lines(_interleaved), "refused"),
    "contigs-swapped": (on_lines(_contigs_swapped), "right"),
    "record-twice": (on_lines(_line_twice), "right"),
    "reversed": (on_lines(lambda lines, _: [*lines[:FIRST], *lines[FIRST:-1][::-1], b""]), "refused"),
    "100000-samples-on-a-line": (record(lambda fields: [*fields, *[b"0|1:3"] * 100_000]), "refused"),
    "a-record-a-thousand-times": (
        on_lines(lambda lines, _: [*lines[: FIRST + 3], *[lines[FIRST + 3]] * 1000, *lines[FIRST + 4 :]]),
        "right",
    ),
    "only-contig-2": (
        on_lines(lambda lines, _: [line for line in lines if not line.startswith(b"1\t")]),
        "refused",
    ),
    "contigs-with-chr": (
        lambda data, _: (
            data.replace(b"\n1\t", b"\nchr1\t")
            .replace(b"\n2\t", b"\nchr2\t")
            .replace(b"contig=<ID=", b"contig=<ID=chr")
        ),
        "right",
    ),
    "two-records-at-one-place": (on_lines(_two_at_one_place), "right"),
    "header-in-the-middle-people-turned": (on_lines(_second_header), "refused"),
    "lower-case-alleles": (
        _every_row(
            lambda f: (
                f
                if f[0][:1] == b"#"
                else [*f[:3], f[3].lower(), f[4] if b"<" in f[4] else f[4].lower(), *f[5:]]
            )
        ),
        "right",
    ),
}

CASES: list[Case] = [
    *encodings(VCF, leave=("latin-1",)),
    *not_files("--variants", VCF),
    *(bytes_case(f"vcf-cut-{seed}", VCF, cut) for seed in range(8)),
    *(bytes_case(f"vcf-cut-line-{seed}", VCF, cut_at_line) for seed in range(4)),
    *(bytes_case(f"vcf-flip-{seed}", VCF, lambda d, r: flip(d, r, len(HEADER))) for seed in range(20)),
    *(
        bytes_case(f"vcf-flip-header-{seed}", VCF, lambda d, r: flip(d, r, 0, len(HEADER)))
        for seed in range(8)
    ),
    *(bytes_case(f"vcf-{name}", VCF, how, verdict) for name, (how, verdict) in HEADERS.items()),
    *(bytes_case(f"vcf-{name}", VCF, how) for name, how in COLUMNS.items()),
    *(bytes_case(f"vcf-{name}", VCF, put(*value)) for name, value in VALUES.items()),
    *(bytes_case(f"vcf-{name}", VCF, how, verdict) for name, (how, verdict) in ORDER.items()),
]
assert set(LENGTHS) == {"1", "2"}  # as the headers above write them
