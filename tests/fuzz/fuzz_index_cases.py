"""Indices that lie, are missing, older than their file, or another file's: of variants and of references."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from fuzz_base import Inputs, bgzf, contigs, fasta_text, reference_files, variant_files
from fuzz_case import Case, cut, flip

Damage = Callable[[bytes, random.Random], bytes]
FORMS = {
    "v.vcf.gz.tbi": {"variants": "v.vcf.gz"},
    "v.bcf.csi": {"variants": "v.bcf"},
    "ref.fa.fai": {"reference": "ref.fa"},
    "ref.fa.gz.fai": {"reference": "ref.fa.gz"},
    "ref.fa.gz.gzi": {"reference": "ref.fa.gz"},
}


def index_case(name: str, file: str, how: Damage | None) -> Case:
    """Return a case with a damaged index, or with none where there is no damage to do."""

    def spoil(made: Inputs, rng: random.Random) -> None:
        if how is None:
            made.files.pop(file)
        else:
            made.change(file, lambda data: how(data, rng))

    blamed = (file, file.rpartition(".")[0])
    return Case(f"{file}-{name}", spoil, "same", blamed=blamed, **FORMS[file])


def _older(file: str) -> Case:
    """An index older than its file, which has another content since (and says so by its time only)."""

    def spoil(made: Inputs, _: random.Random) -> None:
        data = file.rpartition(".")[0]
        made.younger.append(data)
        if data.startswith("ref.fa"):
            other = reference_files(width=50)["ref.fa"]
            made.files[data] = bgzf(other) if data.endswith(".gz") else other

    return Case(f"{file}-older-than-its-file", spoil, "same", blamed=("ref.fa", "v."), **FORMS[file])


def _fai(column: int, value: str, line: int = 0) -> Damage:
    """Return a damage that puts a value into a line of a .fai (name, length, offset, bases, bytes)."""

    def how(data: bytes, _: random.Random) -> bytes:
        lines = [row.split("\t") for row in data.decode().splitlines()]
        lines[line][column] = value
        return "".join("\t".join(row) + "\n" for row in lines).encode()

    return how


FAI: dict[str, Damage] = {
    "offset-1-less": _fai(2, "2"),
    "offset-1-more": _fai(2, "4"),
    "offset-negative": _fai(2, "-3"),
    "offset-huge": _fai(2, "9223372036854775807"),
    "offset-of-the-other": _fai(2, "3", line=1),
    "length-less": _fai(1, "880"),
    "length-more": _fai(1, "1000"),
    "length-0": _fai(1, "0"),
    "length-negative": _fai(1, "-900"),
    "length-2-31": _fai(1, "2147483648"),
    "length-2-63": _fai(1, "9223372036854775808"),
    "bases-less": _fai(3, "59"),
    "bases-0": _fai(3, "0"),
    "bases-negative": _fai(3, "-60"),
    "bytes-more": _fai(4, "62"),
    "bytes-less": _fai(4, "60"),
    "bytes-0": _fai(4, "0"),
    "word": _fai(1, "long"),
    "name-changed": _fai(0, "3"),
    "name-twice": _fai(0, "1", line=1),
    "line-missing": lambda data, _: data[: data.index(b"\n") + 1],
    "lines-swapped": lambda data, _: b"\n".join(data.split(b"\n")[1::-1]) + b"\n",
    "spaces": lambda data, _: data.replace(b"\t", b" "),
    "four-columns": lambda data, _: data.replace(b"\t61\n", b"\n"),
    "of-other-lines": lambda *_: reference_files(width=50)["ref.fa.fai"],
}
GZI: dict[str, Damage] = {
    "of-another": lambda data, _: struct.pack("<QQQ", 1, 300, 65280),
    "offsets-swapped": lambda data, _: data[:8] + data[24:40] + data[8:24] + data[40:],
    "count-huge": lambda data, _: struct.pack("<Q", 2**40) + data[8:],
    "count-less": lambda data, _: struct.pack("<Q", 1) + data[8:24],
    "offset-beyond": lambda data, _: data[:8] + struct.pack("<QQ", 2**40, 100) + data[24:],
    "offset-inside-a-block": lambda data, _: data[:8] + struct.pack("<Q", 77) + data[16:],
    "uncompressed-moved": lambda data, _: data[:16] + struct.pack("<Q", 703) + data[24:],
}
COMMON: dict[str, Damage | None] = {
    "missing": None,
    "empty": lambda *_: b"",
    "random": lambda data, rng: rng.randbytes(len(data)),
    "text": lambda *_: b"no index at all\n",
    **{f"cut-{seed}": cut for seed in range(1)},
    **{f"flip-{seed}": flip for seed in range(2)},
}


def _no_index_of_a_bgzf() -> list[Case]:
    def spoil(made: Inputs, _: random.Random) -> None:
        made.files.pop("ref.fa.gz.fai")
        made.files.pop("ref.fa.gz.gzi")

    return [Case("ref.fa.gz-no-index-at-all", spoil, "right", reference="ref.fa.gz", blamed=("ref.fa.gz",))]


def _fai_of_a_shorter_genome(made: Inputs, _: random.Random) -> None:
    shorter = {name: sequence[3:] for name, sequence in contigs().items()}
    made.files["ref.fa"] = fasta_text(shorter)


CASES: list[Case] = [
    *(index_case(name, file, how) for file in FORMS for name, how in COMMON.items()),
    *(_older(file) for file in FORMS),
    *(index_case(name, "ref.fa.fai", how) for name, how in FAI.items()),
    *(
        index_case(name, "ref.fa.gz.fai", FAI[name])
        for name in ("offset-1-more", "bases-less", "length-less")
    ),
    *(index_case(name, "ref.fa.gz.gzi", how) for name, how in GZI.items()),
    index_case("of-a-bcf", "v.vcf.gz.tbi", lambda *_: variant_files()["v.bcf.csi"]),
    index_case("of-a-vcf", "v.bcf.csi", lambda *_: variant_files()["v.vcf.gz.tbi"]),
    *_no_index_of_a_bgzf(),
    Case("ref.fa.fai-of-a-longer-genome", _fai_of_a_shorter_genome, "either", blamed=("ref.fa", "v.vcf")),
]
