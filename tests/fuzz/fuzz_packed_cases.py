"""Damaged BGZF and BCF: cut, flipped, re-compressed after a lie, recombined."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable

from fuzz_base import BGZF_END, bgzf, block_starts, vcf_text
from fuzz_case import Case, bytes_case, cut, edit, flip, not_files

GZ, BCF = "v.vcf.gz", "v.bcf"
Damage = Callable[[bytes, random.Random], bytes]


def _packed_again(how: Damage) -> Damage:
    """Return a damage to what is compressed, with right checksums around it."""
    return lambda data, rng: bgzf(how(gzip.decompress(data), rng))


def _cut_at_block(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice(block_starts(data)[1:])]


def _cut_at_block_with_end(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice(block_starts(data)[1:-1])] + BGZF_END


def _without_a_block(data: bytes, rng: random.Random) -> bytes:
    starts = block_starts(data)
    gone = rng.randrange(1, len(starts) - 2)
    return data[: starts[gone]] + data[starts[gone + 1] :]


def _blocks_swapped(data: bytes, _: random.Random) -> bytes:
    a, b, c = block_starts(data)[:3]
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _block_twice(data: bytes, _: random.Random) -> bytes:
    a, b = block_starts(data)[1:3]
    return data[:b] + data[a:]


def _end_in_the_middle(data: bytes, _: random.Random) -> bytes:
    at = block_starts(data)[2]
    return data[:at] + BGZF_END + data[at:]


def _block_size_lies(data: bytes, rng: random.Random) -> bytes:
    at = rng.choice(block_starts(data)[:-1]) + 16
    (size,) = struct.unpack_from("<H", data, at)
    return data[:at] + struct.pack("<H", (size + rng.choice([-1, 1, 40, 30_000])) % 65536) + data[at + 2 :]


def _checksum_lies(data: bytes, rng: random.Random) -> bytes:
    at = rng.choice(block_starts(data)[1:-1])
    return data[: at - 8] + struct.pack("<I", 7) + data[at - 4 :]


def _length_lies(data: bytes, rng: random.Random) -> bytes:
    at = rng.choice(block_starts(data)[1:-1])
    return data[: at - 4] + struct.pack("<I", 7) + data[at:]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) - 60)
    return data[:at] + bytes(40) + data[at + 40 :]


def _of_contig(contig: bytes, data: bytes) -> bytes:
    """Return a VCF's text with the records of one contig."""
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines if line[:1] == b"#" or line.split(b"\t")[0] == contig)


def _put_together(people_of_the_second: bytes) -> Damage:
    """Return what `cat 1.vcf.gz 2.vcf.gz` gives: the second's header, with its people, in the middle."""

    def how(data: bytes, _: random.Random) -> bytes:
        first, second = (_of_contig(contig, gzip.decompress(data)) for contig in (b"1", b"2"))
        return bgzf(first) + bgzf(second.replace(b"ann\tbob\tcyd\tdee", people_of_the_second))

    return how


BLOCKS: dict[str, tuple[Damage, str]] = {
    "no-end-block": (lambda data, _: data[: -len(BGZF_END)], "either"),
    "half-an-end-block": (lambda data, _: data[:-9], "refused"),
    "end-block-only": (lambda data, _: BGZF_END, "refused"),
    "end-in-the-middle": (_end_in_the_middle, "either"),
    "a-block-missing": (_without_a_block, "either"),
    "blocks-swapped": (_blocks_swapped, "either"),
    "a-block-twice": (_block_twice, "either"),
    "block-size-lies": (_block_size_lies, "either"),
    "checksum-lies": (_checksum_lies, "refused"),
    "length-lies": (_length_lies, "either"),
    "zeros": (_zeros, "refused"),
    "rubbish-after": (lambda data, _: data + b"rubbish", "refused"),
    "zeros-after": (lambda data, _: data + bytes(512), "either"),
    "plain-gzip": (lambda data, _: gzip.compress(gzip.decompress(data), mtime=0), "either"),
    "gzipped-twice": (lambda data, _: bgzf(data), "either"),
    "not-compressed": (lambda data, _: gzip.decompress(data), "either"),
    "one-block-a-byte": (lambda data, _: bgzf(gzip.decompress(data), 1), "either"),
    "the-other-half-only": (lambda data, _: data[len(data) // 2 :], "refused"),
}


def _first_record(data: bytes) -> int:
    return 9 + struct.unpack_from("<I", data, 5)[0]


def _in_records(data: bytes, rng: random.Random) -> bytes:
    return flip(data, rng, _first_record(data))


def _put(offset: int, form: str, value: int, nth: int = 6) -> Damage:
    """Return a damage to a field of a BCF record's fixed part."""

    def how(data: bytes, _: random.Random) -> bytes:
        at = _first_record(data)
        for _skip in range(nth):
            at += 8 + sum(struct.unpack_from("<II", data, at))
        size = struct.calcsize(form)
        return data[: at + offset] + struct.pack("<" + form, value) + data[at + offset + size :]

    return how


LIES: dict[str, Damage] = {
    "shared-length-0": _put(0, "I", 0),
    "shared-length-huge": _put(0, "I", 2**31),
    "shared-length-all-bits": _put(0, "I", 2**32 - 1),
    "samples-length-0": _put(4, "I", 0),
    "samples-length-huge": _put(4, "I", 2**30),
    "contig-negative": _put(8, "i", -1),
    "contig-unknown": _put(8, "i", 99),
    "contig-other": _put(8, "i", 1),
    "pos-negative": _put(12, "i", -2),
    "pos-0": _put(12, "i", -1),
    "pos-huge": _put(12, "i", 2**31 - 1),
    "pos-moved": _put(12, "i", 150),
    "rlen-0": _put(16, "i", 0),
    "rlen-negative": _put(16, "i", -9),
    "rlen-huge": _put(16, "i", 2**31 - 1),
    "alleles-65535": _put(24, "I", (65535 << 16) | 1),
    "alleles-0": _put(24, "I", 1),
    "alleles-1": _put(24, "I", (1 << 16) | 1),
    "info-65535": _put(24, "I", (2 << 16) | 65535),
    "samples-0": _put(28, "I", 2 << 24),
    "samples-3": _put(28, "I", (2 << 24) | 3),
    "samples-5": _put(28, "I", (2 << 24) | 5),
    "samples-2-24": _put(28, "I", (2 << 24) | 0xFFFFFF),
    "formats-0": _put(28, "I", 4),
    "formats-255": _put(28, "I", (255 << 24) | 4),
    "header-length-short": lambda data, _: data[:5] + struct.pack("<I", 100) + data[9:],
    "header-length-huge": lambda data, _: data[:5] + struct.pack("<I", 2**31 - 1) + data[9:],
    "header-length-0": lambda data, _: data[:5] + struct.pack("<I", 0) + data[9:],
    "magic": lambda data, _: b"BCF\2\x09" + data[5:],
    "version-1": lambda data, _: b"BCF\4" + data[4:],
    "person-renamed": edit("\tann\t", "\tbob\t"),
    "contig-renamed": edit("##contig=<ID=1,", "##contig=<ID=3,"),
    "nul-in-header": edit("##ALT", "\0#ALT"),
}

CASES: list[Case] = [
    *not_files("--variants", GZ, variants=GZ),
    *(bytes_case(f"gz-cut-{seed}", GZ, cut, "refused", variants=GZ) for seed in range(5)),
    *(bytes_case(f"gz-cut-block-{seed}", GZ, _cut_at_block, variants=GZ) for seed in range(2)),
    *(bytes_case(f"gz-cut-block-end-{seed}", GZ, _cut_at_block_with_end, variants=GZ) for seed in range(4)),
    *(bytes_case(f"gz-flip-{seed}", GZ, flip, variants=GZ) for seed in range(12)),
    *(bytes_case(f"gz-flip-first-{s}", GZ, lambda d, r: flip(d, r, 0, 18), variants=GZ) for s in range(3)),
    *(bytes_case(f"gz-{name}", GZ, how, verdict, variants=GZ) for name, (how, verdict) in BLOCKS.items()),
    *(bytes_case(f"bcf-cut-{seed}", BCF, cut, "refused", variants=BCF) for seed in range(4)),
    *(bytes_case(f"bcf-cut-block-end-{s}", BCF, _cut_at_block_with_end, variants=BCF) for s in range(4)),
    *(bytes_case(f"bcf-cut-inside-{s}", BCF, _packed_again(cut), variants=BCF) for s in range(5)),
    *(bytes_case(f"bcf-flip-{seed}", BCF, flip, variants=BCF) for seed in range(6)),
    *(bytes_case(f"bcf-flip-inside-{s}", BCF, _packed_again(_in_records), variants=BCF) for s in range(30)),
    *(bytes_case(f"bcf-{n}", BCF, how, verdict, variants=BCF) for n, (how, verdict) in BLOCKS.items()),
    *(bytes_case(f"bcf-{name}", BCF, _packed_again(how), variants=BCF) for name, how in LIES.items()),
    bytes_case("gz-cat-of-two", GZ, _put_together(b"ann\tbob\tcyd\tdee"), variants=GZ),
    bytes_case("gz-cat-of-two-orders", GZ, _put_together(b"dee\tcyd\tbob\tann"), "refused", variants=GZ),
    bytes_case("gz-cat-of-two-groups", GZ, _put_together(b"ida\tjon\tkai\tlea"), "refused", variants=GZ),
    bytes_case("bcf-is-a-vcf", BCF, lambda *_: vcf_text(), variants=BCF),
    bytes_case("bcf-is-a-gz", BCF, lambda *_: bgzf(vcf_text()), variants=BCF),
    bytes_case("gz-is-a-bcf-inside", GZ, lambda d, _: bgzf(b"BCF\2\2" + gzip.decompress(d)), variants=GZ),
]
