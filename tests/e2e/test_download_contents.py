"""`glm2x download` of the reference and of the expression, from a server on this machine."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysam
import pytest
import yaml
from download_server import Answer, Server, be_quick_and_local, hidden, serving, visible

from glm2x.cli import run
from glm2x.download import content

TABLE = "GD462.GeneQuantRPKM.50FN.samplename.resk10.txt.gz"
FASTA = "hs37d5.fa.gz"
CONTIGS = {"1": 70, "22": 130, "hs37d5": 11}
TRAILING = b"\0RAZF index" * 9


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    be_quick_and_local(monkeypatch)
    with serving() as here:
        yield here


def fasta_text() -> bytes:
    def lines(length: int) -> list[str]:
        bases = ("ACGTN" * length)[:length]
        return [bases[i : i + 60] for i in range(0, length, 60)]

    return "".join(f">{name} dna\n" + "\n".join(lines(n)) + "\n" for name, n in CONTIGS.items()).encode()


def small_registry(monkeypatch: pytest.MonkeyPatch, folder: Path, checksum: str | None = None) -> None:
    reference: dict[str, Any] = {
        "copies": 2,
        "form": "fasta",
        "notes": [],
        "files": [{"url": f"https://reference.invalid/far/{FASTA}", "checksum": checksum}],
        "lengths": {"1": 70, "22": 130},
    }
    path = folder / "registry.yml"
    path.write_text(yaml.safe_dump({"reference": reference}))
    monkeypatch.setattr("glm2x.download.registry.REGISTRY", path)


def reference(server: Server, out: Path, *more: str) -> int:
    return run(["download", "reference", "--out", str(out), "--base-url", server.address, *more])


def test_a_plain_gzip_reference_with_trailing_bytes_gets_random_access(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_registry(monkeypatch, tmp_path)
    out = tmp_path / "out"
    came = gzip.compress(fasta_text()) + TRAILING
    server.give(FASTA, Answer(came))
    assert reference(server, out) == 0
    assert visible(out) == {FASTA, f"{FASTA}.fai", f"{FASTA}.gzi", f"{FASTA}.download.json"}
    assert hidden(out) == set()
    assert gzip.decompress((out / FASTA).read_bytes()) == fasta_text()
    with pysam.FastaFile(str(out / FASTA)) as opened:
        assert dict(zip(opened.references, opened.lengths, strict=True)) == CONTIGS
        assert opened.fetch("22", 58, 63) == "TNACG"
    assert f"{len(TRAILING)} bytes after its gzip stream" in capsys.readouterr().err
    record = json.loads((out / f"{FASTA}.download.json").read_text())
    assert record["source_bytes"] == len(came) != record["bytes"]

    (out / f"{FASTA}.fai").unlink()
    (out / f"{FASTA}.gzi").write_bytes(b"")  # what a killed indexer might leave
    assert reference(server, out) == 0
    with pysam.FastaFile(str(out / FASTA)) as opened:
        assert opened.fetch("1", 0, 5) == "ACGTN"
    assert len(server.asked) == 1


def test_a_reference_that_came_is_not_fetched_again_when_making_it_was_interrupted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def interrupted(*told: object) -> None:
        raise Killed

    small_registry(monkeypatch, tmp_path)
    out = tmp_path / "out"
    server.give(FASTA, Answer(gzip.compress(fasta_text()) + TRAILING))
    with monkeypatch.context() as once:
        once.setattr(pysam, "FastaFile", interrupted)
        with pytest.raises(Killed):
            reference(server, out)
    assert visible(out) == set()
    assert hidden(out) == {f".{FASTA}.fetched"}
    assert reference(server, out) == 0
    assert len(server.asked) == 1
    assert hidden(out) == set()


def test_a_process_killed_at_the_very_end_has_fetched_the_reference(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def make_and_die(*words: Any, **more: Any) -> None:
        make(*words, **more)
        raise Killed

    small_registry(monkeypatch, tmp_path)
    out = tmp_path / "out"
    server.give(FASTA, Answer(gzip.compress(fasta_text())))
    assert reference(server, out) == 0
    server.give(FASTA, Answer(gzip.compress(fasta_text().lower().replace(b"dna", b"DNA"))))
    make = content.make_reference
    with monkeypatch.context() as once:
        once.setattr(content, "make_reference", make_and_die)
        with pytest.raises(Killed):
            reference(server, out, "--force")
    assert reference(server, out) == 0
    assert len(server.asked) == 2
    assert b"DNA" in gzip.decompress((out / FASTA).read_bytes())
    assert hidden(out) == set()


def test_a_reference_needs_room_twice(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_registry(monkeypatch, tmp_path)
    came = gzip.compress(fasta_text())
    server.give(FASTA, Answer(came))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 2 * len(came) - 1))
    assert reference(server, tmp_path / "out") == 1
    assert f"wanted: {2 * len(came):,} bytes" in capsys.readouterr().err


def test_contig_lengths_that_differ_are_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_registry(monkeypatch, tmp_path)
    out = tmp_path / "out"
    server.give(FASTA, Answer(gzip.compress(b">1\nACGT\n>chr22\nACGT\n")))
    assert reference(server, out) == 1
    said = capsys.readouterr().err
    assert "contig lengths differ" in said
    assert "got:    1: 4 bp, 22: absent" in said
    assert "wanted: 1: 70 bp, 22: 130 bp" in said
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("spoil", ["truncated", "damaged"])
def test_a_damaged_reference_is_told(
    spoil: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_registry(monkeypatch, tmp_path)
    came = gzip.compress(fasta_text())
    bad = came[:-10] if spoil == "truncated" else came[:-8] + bytes(8)  # a checksum of zeros
    out = tmp_path / "out"
    server.give(FASTA, Answer(bad))
    assert reference(server, out) == 1
    said = capsys.readouterr().err
    assert f"{FASTA} is damaged" in said
    assert ("it ends within a stream" if spoil == "truncated" else "incorrect data check") in said
    assert list(out.iterdir()) == []


def test_a_public_checksum_that_differs_keeps_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_registry(monkeypatch, tmp_path, checksum="md5:" + "0" * 32)
    out = tmp_path / "out"
    server.give(FASTA, Answer(gzip.compress(fasta_text())))
    for more in ((), ("--force",)):
        assert reference(server, out, *more) == 1
        said = capsys.readouterr().err
        assert f"{FASTA} differs from its public checksum; nothing of it was kept" in said
        assert "wanted: md5:" + "0" * 32 in said
        assert list(out.iterdir()) == []


def test_expression_says_what_is_to_be_known_of_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = b"TargetID\tann\nENSG1\t-0.1\n"
    server.give(TABLE, Answer(gzip.compress(text)))
    assert run(["download", "expression", "--base-url", server.address]) == 0
    assert gzip.decompress((tmp_path / "data/expression" / TABLE).read_bytes()) == text
    said = capsys.readouterr().err
    assert "some are slightly below 0" in said
    assert "names no strand" in said
    assert "1 file; written to data/expression" in said


def test_a_damaged_table_is_told(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.give(TABLE, Answer(gzip.compress(b"TargetID\tann\n")[:-4]))
    assert run(["download", "expression", "--out", str(tmp_path), "--base-url", server.address]) == 1
    assert f"{TABLE} is damaged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://mirror.invalid/folder", "the name of the server was not found"),
        ("http://127.0.0.1:{closed}/folder", "the server refused the connection"),
    ],
)
def test_no_network_is_told(
    address: str, reason: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = address.format(closed=unused.getsockname()[1])
        assert run(["download", "expression", "--out", str(tmp_path), "--base-url", address]) == 1
    said = capsys.readouterr().err
    assert f"{TABLE} was not fetched: no connection to the server" in said
    assert f"got:    {reason}" in said
    assert "check the network" in said
    assert visible(tmp_path) == set()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["genotypes", "--contigs", "22,X"], "--contigs names a contig that there is no file of"),
        (["expression", "--contigs", "22"], "these are not genotypes"),
        (["reference", "--base-url", "ftp://host/folder"], "--base-url is not the address of a folder"),
    ],
)
def test_words_that_make_no_sense(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["download", *words, "--out", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
