"""A BCF's records as the text of a VCF, decoded from the specification (BCF 2.2), for the oracle.

Only what decides a haplotype is read: contig, position, alleles, GT. Everything else becomes ".".
"""

from __future__ import annotations

import re
import struct

_SIZES = {1: ("b", 1), 2: ("h", 2), 3: ("i", 4), 5: ("f", 4), 7: ("c", 1)}


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def descriptor(self) -> tuple[int, int]:
        (byte,) = self.take("B")
        count, kind = byte >> 4, byte & 15
        if count == 15:
            inner, kind_of_count = self.descriptor()
            assert inner == 1
            (count,) = self.take(_SIZES[kind_of_count][0])
        return count, kind

    def string(self) -> str:
        count, kind = self.descriptor()
        assert kind in (0, 7)
        raw = self.data[self.at : self.at + count]
        assert len(raw) == count
        self.at += count
        return raw.decode("latin-1")

    def number(self) -> int:
        _, kind = self.descriptor()  # htslib looks at the type alone
        return int(self.take(_SIZES[kind][0])[0])


def _names(header: str, kind: str) -> list[str]:
    """Return the dictionary of a header: contigs by order, or FILTER, INFO and FORMAT with PASS first."""
    if kind == "contig":
        return re.findall(r"##contig=<ID=([^,>]+)", header)
    found = ["PASS"]
    for line in re.findall(r"##(?:FILTER|INFO|FORMAT)=<ID=([^,>]+)", header):
        if line not in found:
            found.append(line)
    return found


def bcf_to_text(data: bytes, error: type[Exception]) -> str:
    """Return the VCF text of an uncompressed BCF; `error` is raised where it cannot be decoded."""
    try:
        return _decode(data)
    except (struct.error, AssertionError, IndexError, KeyError, ValueError, UnicodeDecodeError) as problem:
        raise error(f"BCF: {problem}") from problem


def _decode(data: bytes) -> str:
    assert data[:5] == b"BCF\2\2"
    (length,) = struct.unpack_from("<I", data, 5)
    header = data[9 : 9 + length].rstrip(b"\0").decode()
    assert len(data) >= 9 + length
    header = re.sub(r",IDX=\d+", "", header)
    contigs, keys = _names(header, "contig"), _names(header, "key")
    people = len(header.rstrip("\n").split("\n")[-1].split("\t")) - 9
    lines, at = [header.rstrip("\n")], 9 + length
    while at < len(data):
        shared, individual = struct.unpack_from("<II", data, at)
        end = at + 8 + shared + individual
        assert end <= len(data)
        cursor = _Cursor(data[at + 8 : at + 8 + shared])
        contig, position, _, _, info_alleles, samples = cursor.take("iiifII")
        assert samples & 0xFFFFFF == people
        assert contig >= 0
        cursor.string()
        alleles = [cursor.string() for _ in range(info_alleles >> 16)]
        calls = _genotypes(data[at + 8 + shared : end], samples >> 24, people, keys)
        fixed = [contigs[contig], str(position + 1), ".", alleles[0], ",".join(alleles[1:]) or "."]
        lines.append("\t".join([*fixed, ".", ".", ".", "GT" if calls else ".", *(calls or ["."] * people)]))
        at = end
    return "\n".join(lines) + "\n"


def _genotypes(data: bytes, fields: int, people: int, keys: list[str]) -> list[str]:
    cursor, found = _Cursor(data), []
    for _ in range(fields):
        key = keys[cursor.number()]
        count, kind = cursor.descriptor()
        form, _ = _SIZES[kind]
        rows = [cursor.take(form * count) for _ in range(people)]
        if key == "GT":
            assert not found
            end = {"b": -127, "h": -32767, "i": -2147483647}[form]
            found = [_call(row, end) for row in rows]
    assert cursor.at == len(data)
    return found


def _call(values: tuple[int, ...], end: int) -> str:
    text = ""
    for i, value in enumerate(values):
        if value == end:
            break
        assert value >= 0
        text += ("" if i == 0 else "|" if value & 1 else "/") + ("." if value < 2 else str((value >> 1) - 1))
    return text or "."
