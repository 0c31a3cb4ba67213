"""The index of a FASTA: made where it is missing, never trusted where it is older, and always said."""

from __future__ import annotations

import os
from pathlib import Path

import pysam
import pytest

from glm2x.errors import DataError
from glm2x.genome.reference.indexed import Reference

FASTA = ">1 first\nACGTAC\nGT\n>2\nTTTT\n"


@pytest.fixture(params=["plain", "bgzip"])
def fasta(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "ref.fa"
    path.write_text(FASTA)
    if request.param == "plain":
        return path
    pysam.tabix_compress(str(path), f"{path}.gz")
    return Path(f"{path}.gz")


def whole(reference: Reference, contig: str = "1") -> str:
    with reference.open() as opened:
        return str(opened.fetch(contig))


def test_an_index_is_made_beside_the_fasta_and_said(fasta: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = Reference(fasta)
    assert reference.lengths == {"1": 8, "2": 4}
    assert whole(reference) == "ACGTACGT"
    assert f"index made: {fasta}.fai" in capsys.readouterr().err
    assert Path(f"{fasta}.fai").is_file()
    Reference(fasta)
    assert capsys.readouterr().err == ""


def test_beside_a_fasta_that_cannot_be_written_to_nothing_is_made(
    fasta: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(fasta.parent.iterdir())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    reference = Reference(fasta)
    assert whole(reference, "2") == "TTTT"
    said = capsys.readouterr().err
    assert "cannot be written to" in said
    assert "for this run only" in said
    assert sorted(fasta.parent.iterdir()) == before


def test_an_index_that_is_older_than_its_fasta_is_not_used(
    fasta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(f"{fasta}.fai").write_text("1\t5\t9\t5\t6\n")  # another file's: silent nonsense if it were used
    Path(f"{fasta}.gzi").write_bytes(bytes(8))
    os.utime(f"{fasta}.fai", (1, 1))
    assert whole(Reference(fasta)) == "ACGTACGT"
    assert "ref.fa" in (said := capsys.readouterr().err)
    assert "is older than" in said
    assert Path(f"{fasta}.fai").read_text() == "1\t5\t9\t5\t6\n"  # it is not ours to replace


def test_what_is_no_fasta_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ref.fa"
    path.write_text("no header\nACGT\n")
    with pytest.raises(DataError, match="cannot be opened") as caught:
        Reference(path)
    assert "samtools faidx ref.fa" in str(caught.value)
