"""Damaged FASTA, plain and bgzipped, with no index beside it unless a case says so."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

from fuzz_base import Inputs, bgzf, contigs, fasta_text
from fuzz_case import Case, Spoil, cut, cut_at_line, edit, encodings, flip, not_files
from fuzz_packed_cases import BLOCKS

Damage = Callable[[bytes, random.Random], bytes]
PLAIN, PACKED = "ref.fa", "ref.fa.gz"
BLAMED = ("ref.fa", "v.vcf", "expression.bed")  # a base that changed shows at a record, a contig at a gene


def spoilt(file: str, how: Damage) -> Spoil:
    """Return a damage to a FASTA, whose indices are taken away."""

    def spoil(made: Inputs, rng: random.Random) -> None:
        for name in [n for n in made.files if n.endswith((".fai", ".gzi"))]:
            made.files.pop(name)
        made.change(file, lambda data: how(data, rng))

    return spoil


def fasta_case(name: str, how: Damage, verdict: str = "either", file: str = PLAIN) -> Case:
    """Return a case of a FASTA without indices."""
    return Case(f"{file}-{name}", spoilt(file, how), verdict, reference=file, blamed=BLAMED)


def _line(at: int, *lines: bytes) -> Damage:
    """Return a damage that puts lines in place of one line."""

    def how(data: bytes, _: random.Random) -> bytes:
        split = data.split(b"\n")
        return b"\n".join([*split[:at], *lines, *split[at + 1 :]])

    return how


def _inserted(at: int, *lines: bytes) -> Damage:
    def how(data: bytes, _: random.Random) -> bytes:
        split = data.split(b"\n")
        return b"\n".join([*split[:at], *lines, *split[at:]])

    return how


def _line_moved(data: bytes, _: random.Random) -> bytes:
    split = data.split(b"\n")
    split[4] += split[5][:30]
    split[5] = split[5][30:]
    return b"\n".join(split)


def _base(new: bytes, at: int = 450) -> Damage:
    return lambda data, _: data[:at] + new + data[at + 1 :]


def _contigs(**sequences: str) -> Damage:
    return lambda *_: fasta_text(dict(sequences))


ONE, TWO = contigs().values()
TEXTS: dict[str, tuple[Damage, str]] = {
    "empty-line-in-the-middle": (_inserted(5, b""), "either"),
    "empty-lines-between": (edit("\n>2", "\n\n\n>2"), "either"),
    "empty-line-first": (_inserted(0, b""), "either"),
    "uneven-lines": (_line_moved, "either"),
    "one-line-a-contig": (lambda *_: fasta_text(contigs(), 10_000), "right"),
    "one-base-a-line": (lambda *_: fasta_text(contigs(), 1), "right"),
    "other-line-length": (lambda *_: fasta_text(contigs(), 70), "right"),
    "described": (edit(">1\n", ">1 dna:chromosome GRCh37\n"), "right"),
    "described-after-a-tab": (edit(">1\n", ">1\tdna\n"), "right"),
    "contig-twice": (lambda d, _: d + b">1\nACGT\n", "either"),
    "contig-twice-other-first": (lambda d, _: b">1\nACGT\n" + d, "either"),
    "contig-with-and-without-chr": (lambda d, _: b">chr1\nACGT\n" + d, "either"),
    "contigs-with-chr": (lambda d, _: d.replace(b">", b">chr"), "right"),
    "contigs-swapped": (lambda *_: fasta_text({"2": TWO, "1": ONE}), "right"),
    "contigs-renamed": (lambda *_: fasta_text({"1": TWO, "2": ONE}), "refused"),
    "one-contig": (lambda *_: fasta_text({"1": ONE}), "refused"),
    "more-contigs": (lambda *_: fasta_text({"0": TWO, "1": ONE, "2": TWO, "3": ONE}), "right"),
    "contig-empty": (lambda *_: fasta_text({"1": ONE, "2": ""}), "refused"),
    "contig-shorter": (lambda *_: fasta_text({"1": ONE[:701], "2": TWO}), "refused"),
    "contig-longer": (lambda *_: fasta_text({"1": ONE + "ACGT", "2": TWO}), "right"),
    "bracket-alone": (_inserted(5, b">"), "refused"),
    "bracket-alone-last": (lambda d, _: d + b">\n", "either"),
    "name-after-a-blank": (edit(">1\n", "> 1\n"), "either"),
    "no-name-line": (_line(0), "refused"),
    "bracket-inside-a-line": (_base(b">"), "either"),
    "semicolon-line": (_inserted(5, b"; a comment"), "either"),
    "lower-case": (lambda d, _: d.lower(), "right"),
    "iupac": (lambda d, _: d.replace(b"A", b"R"), "either"),
    "iupac-one": (_base(b"Y"), "either"),
    "all-n": (lambda *_: fasta_text({n: "N" * len(s) for n, s in contigs().items()}), "refused"),
    "rna": (lambda d, _: d.replace(b"T", b"U"), "either"),
    "digit": (_base(b"7"), "either"),
    "blank": (_base(b" "), "either"),
    "tab": (_base(b"\t"), "either"),
    "gap": (_base(b"-"), "either"),
    "nul": (_base(b"\0"), "either"),
    "high-byte": (_base(b"\xc1"), "either"),
    "form-feed": (_base(b"\x0c"), "either"),
    "carriage-return": (_base(b"\r"), "either"),
    "trailing-blanks": (lambda d, _: d.replace(b"\n", b" \n"), "either"),
    "genbank-numbers": (lambda d, _: b">1\n        1 acgtacgtac gtacgtacgt\n" + d[3:], "refused"),
    "fastq": (lambda d, _: b"@1\nACGT\n+\nIIII\n", "refused"),
    "a-line-of-1-mb": (_inserted(3, b"ACGT" * 250_000), "refused"),
    "a-name-of-1-mb": (lambda d, _: b">" + b"x" * 1_000_000 + b"\nACGT\n" + d, "either"),
    "20000-contigs": (lambda d, _: d + b"".join(b">c%d\nA\n" % i for i in range(20_000)), "right"),
    "base-dropped": (lambda d, _: d[:450] + d[451:], "refused"),
    "base-doubled": (lambda d, _: d[:450] + d[449:], "refused"),
    "line-dropped": (_line(8), "refused"),
    "line-doubled": (lambda d, _: b"\n".join([*d.split(b"\n")[:8], *d.split(b"\n")[7:]]), "refused"),
}


def _stale(how: Damage) -> Spoil:
    """Return a damage under the index of the undamaged file, which is left as it is."""
    return lambda made, rng: made.change(PLAIN, lambda data: how(data, rng))


STALE = ("uneven-lines", "empty-line-in-the-middle", "other-line-length", "contigs-swapped", "base-dropped")
STALE += ("contig-longer", "described", "line-dropped", "nul", "carriage-return")
PACKED_TEXTS = (
    "lower-case",
    "uneven-lines",
    "contig-shorter",
    "high-byte",
    "contig-twice",
    "rna",
    "bracket-alone",
)


PACKED_BLOCKS = (
    "no-end-block",
    "end-in-the-middle",
    "a-block-missing",
    "block-size-lies",
    "checksum-lies",
    "zeros",
)
PACKED_BLOCKS += ("rubbish-after", "zeros-after", "plain-gzip", "gzipped-twice", "not-compressed")


def _packed(how: Damage) -> Damage:
    return lambda data, rng: bgzf(how(gzip.decompress(data), rng))


_LEFT = ("spaces-for-tabs", "nul-last", "doubled", "utf-32", "nul-middle", "newline-only")
CASES: list[Case] = [
    *(
        Case(case.name, _without_index(case.spoil), case.verdict, blamed=BLAMED)
        for _without_index in [
            lambda spoil: lambda made, rng: (made.files.pop("ref.fa.fai"), spoil(made, rng))  # type: ignore[return-value]
        ]
        for case in encodings(PLAIN, leave=_LEFT)
    ),
    *not_files("--reference", PLAIN),
    *(fasta_case(f"cut-{seed}", cut) for seed in range(6)),
    *(fasta_case(f"cut-line-{seed}", cut_at_line) for seed in range(4)),
    *(fasta_case(f"flip-{seed}", flip) for seed in range(10)),
    *(fasta_case(name, how, verdict) for name, (how, verdict) in TEXTS.items()),
    *(Case(f"ref.fa-under-its-old-index-{name}", _stale(TEXTS[name][0]), blamed=BLAMED) for name in STALE),
    *(fasta_case(f"cut-{seed}", cut, "refused", PACKED) for seed in range(3)),
    *(fasta_case(f"flip-{seed}", flip, file=PACKED) for seed in range(8)),
    *(fasta_case(name, *BLOCKS[name], PACKED) for name in PACKED_BLOCKS),
    *(fasta_case(f"packed-{name}", _packed(TEXTS[name][0]), TEXTS[name][1], PACKED) for name in PACKED_TEXTS),
]
