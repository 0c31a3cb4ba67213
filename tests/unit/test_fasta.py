"""A FASTA read from its first line to its last, in pieces of any size."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest

from glm2x.errors import DataError
from glm2x.genome.reference import whole
from glm2x.genome.reference.whole import read_contigs
from glm2x.genome.sequence import decode

FASTA = ">1 first contig\nACGTac\ngtRN\n>two\n\nTTTT\nA\n>empty_of_interest\nC\n"


def read(path: Path, wanted: str = "1 two empty_of_interest") -> dict[str, str | None]:
    found = read_contigs(path, wanted.split().__contains__)
    return {name: None if codes is None else decode(codes) for name, codes in found}


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "ref.fa"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1 << 22])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_of_any_length_in_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, ends: str, pack: type[bytes]
) -> None:
    monkeypatch.setattr(whole, "_CHUNK", size)
    path = write(tmp_path, pack(FASTA.replace("\n", ends).encode()))
    assert read(path) == {"1": "ACGTACGTNN", "two": "TTTTA", "empty_of_interest": "C"}
    assert read(path, "two") == {"1": None, "two": "TTTTA", "empty_of_interest": None}


def test_a_bgzipped_fasta_and_one_without_a_last_line_end(tmp_path: Path) -> None:
    path = write(tmp_path, FASTA.rstrip("\n"))
    pysam.tabix_compress(str(path), f"{path}.gz")
    assert read(path) == read(Path(f"{path}.gz"))
    assert read(path)["empty_of_interest"] == "C"


def test_a_long_contig(tmp_path: Path) -> None:
    letters = np.random.default_rng(0).choice(list("ACGTN"), 100_000)
    lines = "\n".join("".join(letters[i : i + 60]) for i in range(0, len(letters), 60))
    assert read(write(tmp_path, f">1\n{lines}\n"))["1"] == "".join(letters)


@pytest.mark.parametrize(
    ("content", "message", "detail"),
    [
        ("", "no FASTA", "does not begin with >"),
        ("ACGT\n", "no FASTA", "does not begin with >"),
        ("> \nACGT\n", "no FASTA", "without a name"),
        ("> 1\nACGT\n", "no FASTA", "without a name"),
        (">1\nAC\n>1\nAC\n", "contig 1 stands twice", "each contig once"),
        (">1\n>two\nAC\n", "contig 1 of the reference FASTA is empty", "ref.fa"),
        (">1\nAC GT\n", "no letter of DNA", "' '"),
        (">1\nAC7GT\n", "no letter of DNA", "'7'"),
        (">1\nAC>GT\n", "no letter of DNA", "'>'"),
        (">1\nAC\x00GT\n", "no letter of DNA", "\\x00"),
        (b">\xe9\nACGT\n", "no FASTA", "not text"),
        (gzip.compress(FASTA.encode(), mtime=0)[:-9], "damaged or cut short", "fetch it again"),
        (
            gzip.compress(FASTA.encode(), mtime=0) + b"surplus",
            "damaged or cut short",
            "glm2x download reference",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, message: str, detail: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(write(tmp_path, content))
    assert detail in str(caught.value)


def test_a_bgzipped_fasta_that_is_cut_at_a_block_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, FASTA)
    pysam.tabix_compress(str(path), f"{path}.gz")
    whole = Path(f"{path}.gz").read_bytes()
    with pytest.raises(DataError, match="truncated"):
        read(write(tmp_path, whole[:-28]))
