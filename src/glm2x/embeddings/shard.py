"""The shards of an embedding store: one tensor each, written once, read through memory maps.

A shard is a safetensors file of one tensor, `TENSOR`, [haplotypes, rows, width]; see
docs/formats/embedding-store.md. Its header is believed no further than it says what spec and index say.
"""

from __future__ import annotations

import json
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save, save_file
from torch import Tensor

from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError
from glm2x.place import Place
from glm2x.url import Url

SHARDS = "shards"
SUFFIX = ".safetensors"
TENSOR = "embeddings"
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}

_NAMES = {"bf16": "BF16", "fp32": "F32"}  # in safetensors
_LENGTH = 8  # bytes that say how long the header is
_LONGEST_HEADER = 65_536  # ours has some hundred bytes


@dataclass(frozen=True)
class Mapped:
    """A shard that is mapped into memory.

    Attributes
    ----------
    values
        [haplotypes, rows, width]: the file's own pages. What is written to them stays in this process.
    bytes
        The same, uint8 [haplotypes, bytes of one].
    unread
        bool [haplotypes]: those whose bytes were not compared with their checksum yet.
    path
        The file.
    """

    values: Tensor
    bytes: NDArray[np.uint8]
    unread: NDArray[np.bool_]
    path: Path

    def require(self, row: int, crc32: int, there: NDArray[np.uint8] | None = None) -> None:
        """Compare a haplotype with its checksum when it is first read.

        Parameters
        ----------
        there
            Where its bytes were copied to: near at hand for the processor.

        Raises
        ------
        DataError
            It is not what was written.
        """
        if not self.unread[row]:
            return
        got = zlib.crc32((self.bytes[row] if there is None else there).data)
        if got != crc32:
            raise damaged(self.path, got=f"CRC-32 {got:08x} of haplotype {row}", wanted=f"CRC-32 {crc32:08x}")
        self.unread[row] = False


@overload
def shard_path(folder: Path, name: str) -> Path: ...
@overload
def shard_path(folder: Url, name: str) -> Url: ...
def shard_path(folder: Place, name: str) -> Place:
    """Return where the shard of a store lies."""
    return folder / SHARDS / f"{name}{SUFFIX}"


def write_tensor(path: Path, values: Tensor) -> None:
    """Write values, contiguous and on the CPU, from where they lie: the same values give the same bytes."""
    save_file({TENSOR: values}, path)


def tensor_bytes(values: Tensor) -> bytes:
    """Return what `write_tensor` writes."""
    return save({TENSOR: values})


def checksums(values: NDArray[np.uint8]) -> list[int]:
    """Return the CRC-32 (`zlib.crc32`) of each haplotype's bytes, uint8 [haplotypes, bytes of one]."""
    return [zlib.crc32(one) for one in values]


def as_bytes(values: Tensor) -> NDArray[np.uint8]:
    """Return the bytes of contiguous values [haplotypes, rows, width] as uint8 [haplotypes, bytes of one]."""
    return values.view(len(values), -1).view(torch.uint8).numpy()


def map_shard(path: Path, spec: StoreSpec, haplotypes: int) -> Mapped:
    """Map a shard into memory; of the file only the header is read.

    Parameters
    ----------
    haplotypes
        How many the index has of it.

    Raises
    ------
    DataError
        There is no such file, or its size or header is not what spec and index say.
    """
    start = data_start(path, spec, haplotypes)
    size = haplotypes * spec.bytes_of_one
    mapped = torch.from_file(str(path), shared=False, size=start + size, dtype=torch.uint8)
    values = mapped[start:].view(DTYPES[spec.dtype]).view(haplotypes, spec.rows, spec.width)
    return Mapped(values, as_bytes(values), np.ones(haplotypes, dtype=np.bool_), path)


def data_start(path: Place, spec: StoreSpec, haplotypes: int) -> int:
    """Return where the values begin in a shard, in bytes, after its size and header were checked.

    Raises
    ------
    DataError
        As `map_shard`.
    """
    try:
        there, length, text = _header(path) if isinstance(path, Path) else _header_remotely(path)
    except FileNotFoundError as error:
        raise damaged(path, got="no such file", wanted="the shard that the index names") from error
    except PermissionError as error:
        raise DataError(
            "a shard of the embedding store may not be read", where=str(path), do="ask its owner"
        ) from error
    except OSError as error:
        raise damaged(path, got=str(error), wanted="a file that can be read") from error
    return _checked(path, spec, haplotypes, there, length, text)


def start_in(content: memoryview, path: Url, spec: StoreSpec, haplotypes: int) -> int:
    """Return where the values begin in the content of a shard; see `data_start`."""
    length = int.from_bytes(content[:_LENGTH], "little")
    text = bytes(content[_LENGTH : _LENGTH + length]) if length <= _LONGEST_HEADER else b""
    return _checked(path, spec, haplotypes, len(content), length, text)


def _header(path: Path) -> tuple[int, int, bytes]:
    """Return the bytes of a shard, those of its header, and that."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise damaged(path, got="no file", wanted="a file")
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(_LENGTH), "little")
        text = handle.read(length) if length <= _LONGEST_HEADER else b""
    return status.st_size, length, text


def _header_remotely(path: Url) -> tuple[int, int, bytes]:
    content, status = path.first(_LENGTH + _LONGEST_HEADER)
    length = int.from_bytes(content[:_LENGTH], "little")
    return status.st_size, length, bytes(content[_LENGTH : _LENGTH + length])


def _checked(path: Place, spec: StoreSpec, haplotypes: int, there: int, length: int, text: bytes) -> int:
    """Return where the values begin in a shard of so many bytes with such a header."""
    wanted = {"dtype": _NAMES[spec.dtype], "shape": [haplotypes, spec.rows, spec.width]}
    size = haplotypes * spec.bytes_of_one
    if _parsed(text) != {TENSOR: {**wanted, "data_offsets": [0, size]}}:
        raise damaged(path, got=f"header {text[:200]!r}", wanted=f"one tensor: {json.dumps(wanted)}")
    start = _LENGTH + length
    if start % _LENGTH:
        raise damaged(path, got=f"values from byte {start}", wanted="a multiple of 8")
    if there != start + size:
        raise damaged(path, got=f"{there:,} bytes", wanted=f"{start + size:,} bytes")
    return start


def damaged(path: Place, *, got: str, wanted: str) -> DataError:
    """Return the error for a shard that is not what was written."""
    return DataError(
        "a shard of the embedding store is damaged",
        where=str(path),
        got=got,
        wanted=wanted,
        do=f"delete {SHARDS}/{path.name} if it is there; glm2x embed gc {path.parents[1]} then forgets it, "
        "and glm2x embed run computes it again",
    )


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
