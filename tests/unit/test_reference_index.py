"""An index of a FASTA is compared with the FASTA: right ones pass, and no wrong one gives other letters."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pysam
import pytest

from glm2x.errors import DataError
from glm2x.genome.reference.index import fault_of_index
from glm2x.genome.reference.indexed import Reference

SHAPES = {
    "lines of five": ">1 of a description\nACGTA\nCGTAC\nGT\n>2\nTTTTT\n",
    "one line each": ">1\nACGTACGT\n>2\nTTTT\n",
    "full last lines": ">1\nACGT\nACGT\n>2\nTTTT\n",
    "of another system": ">1\r\nACGT\r\nAC\r\n>2\r\nTT\r\n",
    "no last line end": ">1\nACGT\nAC\n>2\nTT",
    "an empty contig": ">1\nACGT\nAC\n>2\n>3\nTT\n",
    "blank lines behind": ">1\nACGT\nAC\n\n>2\nTT\n\n\n",
    "a long header": f">1 {'x' * 20_000}\nACGT\n>2\nTT\n",
    "letters after blanks": ">1\nACGT \nAC\n>2\nTT\n",
}


def indexed(folder: Path, text: str, *, packed: bool) -> Path:
    path = folder / "ref.fa"
    path.write_bytes(text.encode())
    if packed:
        pysam.tabix_compress(str(path), f"{path}.gz", force=True)
        path = Path(f"{path}.gz")
    pysam.faidx(str(path))
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_index_of_samtools_is_right(tmp_path: Path, shape: str, packed: bool) -> None:
    path = indexed(tmp_path, SHAPES[shape], packed=packed)
    assert fault_of_index(path, path, packed=packed) is None


@pytest.mark.parametrize("shape", ["lines of five", "one line each", "full last lines", "of another system"])
def test_an_index_in_which_a_letter_is_another(tmp_path: Path, shape: str) -> None:
    """Each byte of it, changed: it is told, or the letters are the same."""
    path = indexed(tmp_path, SHAPES[shape], packed=False)
    index = Path(f"{path}.fai")
    right, told = index.read_bytes(), 0
    with pysam.FastaFile(str(path)) as opened:
        letters = {name: opened.fetch(name) for name in opened.references}
    for at in range(len(right)):
        for bit in range(8):
            index.write_bytes(right[:at] + bytes([right[at] ^ 1 << bit]) + right[at + 1 :])
            if fault_of_index(path, path, packed=False) is not None:
                told += 1
                continue
            with pysam.FastaFile(str(path)) as opened, suppress(ValueError):  # it ends before
                for name in opened.references:
                    assert opened.fetch(name) == letters[name], index.read_bytes()
    assert told > 4 * len(right)


def test_the_blocks_of_a_packed_one(tmp_path: Path) -> None:
    """A FASTA of several blocks; each byte of what says where they are, changed."""
    rng = random.Random(0)
    lines = ["".join(rng.choices("ACGT", k=60)) for _ in range(4_000)]
    path = indexed(tmp_path, ">1\n" + "\n".join(lines) + "\n", packed=True)
    index = Path(f"{path}.gzi")
    right = index.read_bytes()
    assert len(right) > 8 + 2 * 16
    assert fault_of_index(path, path, packed=True) is None
    for at in range(8, len(right)):
        index.write_bytes(right[:at] + bytes([right[at] ^ 4]) + right[at + 1 :])
        assert fault_of_index(path, path, packed=True) is not None, at
    index.write_bytes(right[:-3])
    assert fault_of_index(path, path, packed=True) is not None


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    path = indexed(tmp_path, SHAPES["lines of five"], packed=False)
    index = Path(f"{path}.fai")
    index.write_text(index.read_text().replace("\t20\t", "\t21\t"))
    with pytest.raises(DataError, match="the index of the reference FASTA is damaged") as error:
        Reference(path)
    assert "says of 1 what the FASTA does not" in error.value.got
    index.unlink()  # what the message says helps
    assert Reference(path).lengths == {"1": 12, "2": 5}
