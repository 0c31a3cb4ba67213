"""Whether the index of a FASTA is that FASTA's: one that is damaged, or another file's, gives other letters.

Of each contig the index says where its letters begin and how long its lines are. What stands in the FASTA
before the first letter has to be its header, and after the last one another header, or the end. Of a bgzipped
FASTA the blocks that its second index names have to be those that there are.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from pathlib import Path
from typing import BinaryIO

_LONGEST = 8_192  # bytes of a header that are looked at
_LONGEST_END = 64  # bytes after the letters of a line, blank ones included
_HEAD = 18  # bytes of a block's header; the last two say how long the block is (SAM specification, 4.1)


def fault_of_index(path: Path, prefix: Path, *, packed: bool) -> str | None:
    """Return what is wrong with the index `prefix`.fai (and .gzi) of a FASTA; None: it is that FASTA's."""
    try:
        with path.open("rb") as handle:
            text = _Packed(handle) if packed else _Plain(handle)
            if isinstance(text, _Packed) and not text.has(Path(f"{prefix}.gzi")):
                return f"{prefix.name}.gzi names blocks that are none"
            for line in Path(f"{prefix}.fai").read_text(encoding="utf-8").splitlines():
                name, *numbers = line.split("\t")
                if not _stands(text, name, *map(int, numbers)):
                    return f"{prefix.name}.fai says of {name[:80]} what the FASTA does not"
    except (OSError, ValueError, TypeError, ArithmeticError, struct.error, zlib.error) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _stands(text: _Plain | _Packed, name: str, length: int, offset: int, bases: int, width: int) -> bool:
    """Whether a contig's letters lie where a line of an index says."""
    if length < 0 or offset <= 0:
        return False
    start = max(0, offset - _LONGEST)
    before = text.read(start, offset - start)
    above, _, header = before[:-1].rpartition(b"\n")
    if not above and start:
        header = b">" + name.encode()  # longer than what was read
    if before[-1:] != b"\n" or header[:1] != b">" or header[1:].split(None, 1)[:1] != [name.encode()]:
        return False
    end = offset
    if length:
        if not 0 < bases < width <= bases + _LONGEST_END:
            return False
        lines, rest = divmod(length, bases)
        end += lines * width + (rest if rest else bases - width)
        last = text.read(end - 1, 1)
        if not last:
            return True  # a FASTA that was cut short: who reads that far says so
        if last.isspace() or (length > bases and text.read(offset + bases, width - bases).strip()):
            return False  # the last line is shorter, or the first one longer
    return text.read(end, _LONGEST_END).lstrip()[:1] in (b"", b">")


class _Plain:
    """A file, read anywhere."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def read(self, at: int, size: int) -> bytes:
        self._handle.seek(at)
        return self._handle.read(size)


class _Packed:
    """A bgzipped file, read anywhere; where its blocks begin is taken from the file itself."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._at: list[int] = []  # of each block, in the file
        self._start: list[int] = []  # and in the text
        size, at, start = handle.seek(0, 2), 0, 0
        while at < size:
            handle.seek(at)
            head = handle.read(_HEAD)
            length = int.from_bytes(head[16:18], "little") + 1
            if len(head) < _HEAD or head[:4] != b"\x1f\x8b\x08\x04" or head[12:14] != b"BC" or length < _HEAD:
                raise ValueError(f"no block of bgzip at byte {at:,}")
            handle.seek(at + length - 4)
            self._at.append(at)
            self._start.append(start)
            start += int.from_bytes(handle.read(4), "little")
            at += length

    def has(self, index: Path) -> bool:
        """Whether the blocks that an index (.gzi) names are blocks; it need not have all."""
        content = index.read_bytes()
        (count,) = struct.unpack_from("<Q", content)
        named = [*struct.iter_unpack("<QQ", content[8 : 8 + 16 * count])]
        there = set(zip(self._at, self._start, strict=True))
        return len(named) == count and there.issuperset(named) and named == sorted(named)

    def read(self, at: int, size: int) -> bytes:
        found, block = b"", bisect_right(self._start, at) - 1
        skip = at - self._start[block]
        while len(found) < skip + size and block < len(self._at):
            self._handle.seek(self._at[block] + _HEAD)
            end = self._at[block + 1] if block + 1 < len(self._at) else self._handle.seek(0, 2)
            self._handle.seek(self._at[block] + _HEAD)
            found += zlib.decompress(self._handle.read(end - self._at[block] - _HEAD - 8), wbits=-15)
            block += 1
        return found[skip : skip + size]
