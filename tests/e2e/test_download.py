"""`glm2x download` from a server on this machine: what is kept, resumed, refused and told."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest
from download_server import Answer, Server, be_quick_and_local, hidden, serving, vcf_text, visible

from glm2x.cli import run

VCF = "GEUVADIS.chr22.PH1PH2_465.IMPFRQFILT_BIALLELIC_PH.annotv2.genotypes.vcf.gz"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    be_quick_and_local(monkeypatch)
    with serving() as here:
        yield here


@pytest.fixture(scope="module")
def vcf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("vcf") / "people.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as out:
        out.write(vcf_text())
    body = path.read_bytes()
    assert len(body) > 200_000
    return body


def genotypes(server: Server, out: Path, *more: str) -> int:
    words = ["download", "genotypes", "--contigs", "22", "--out", str(out), "--base-url", server.address]
    return run([*words, *more])


def _start(asked: str | None) -> int:
    assert asked is not None
    return int(asked.removeprefix("bytes=").removesuffix("-"))


WHOLE = {VCF, f"{VCF}.tbi", f"{VCF}.download.json"}


def test_a_file_is_fetched_checked_recorded_and_indexed_once(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf
    assert visible(tmp_path) == WHOLE
    assert hidden(tmp_path) == set()
    assert (tmp_path / VCF).stat().st_mode & 0o044  # not the mode of a temporary file
    with pysam.TabixFile(str(tmp_path / VCF)) as indexed:
        assert [row.split("\t")[1] for row in indexed.fetch("22", 9, 11)] == ["10", "11"]
    record = json.loads((tmp_path / f"{VCF}.download.json").read_text())
    assert record["bytes"] == record["source_bytes"] == len(vcf)
    assert record["url"] == server.address + VCF
    assert "no public checksum is known" in capsys.readouterr().err

    assert genotypes(server, tmp_path) == 0
    assert len(server.asked) == 1
    assert "complete; left alone" in capsys.readouterr().err


def test_a_cut_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(vcf, cut=140_000), Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf
    first, second = server.ranges
    assert first is None
    assert 131_072 <= _start(second) <= 140_000  # at most one piece of 64 kB is lost
    assert server.asked[1][1]["If-Range"] == '"one"'


def test_cuts_do_not_count_while_bytes_come(
    server: Server, tmp_path: Path, vcf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glm2x.download.transfer.CHUNK", 1000)
    server.give(VCF, Answer(vcf, cut=30_000))
    assert genotypes(server, tmp_path) == 0
    assert len(server.asked) == -(-len(vcf) // 30_000) > 5
    assert (tmp_path / VCF).read_bytes() == vcf


def test_a_weak_tag_does_not_vouch_for_the_bytes(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(vcf, cut=140_000, etag='W/"one"'), Answer(vcf, etag='W/"one"'))
    assert genotypes(server, tmp_path) == 0
    assert server.ranges[1] is not None
    assert server.asked[1][1]["If-Range"] is None


def test_a_gz_is_not_inflated_on_the_way(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(vcf, encoding="gzip"))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


def test_a_server_without_ranges_sends_everything_again(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf, cut=140_000, ranges=False), Answer(vcf, ranges=False))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf
    assert "does not go on where it stopped; beginning anew" in capsys.readouterr().err


def test_a_file_that_changed_meanwhile_begins_anew(server: Server, tmp_path: Path, vcf: bytes) -> None:
    other = bytes(len(vcf) - 1)
    server.give(VCF, Answer(other, cut=140_000, etag='"old"'), Answer(vcf, etag='"new"'))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf


def test_another_length_of_the_rest_begins_anew(server: Server, tmp_path: Path, vcf: bytes) -> None:
    """Without an ETag or a date only the length can tell that the file is another."""
    other = bytes(len(vcf) - 1)
    server.give(VCF, Answer(other, cut=140_000, etag=None), Answer(vcf, etag=None))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf
    assert len(server.asked) == 3


def test_after_too_many_cuts_what_came_is_kept_for_the_next_run(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf, cut=140_000), Answer(vcf, cut=0))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert f"{VCF} did not come whole: the connection was cut, 5 times in a row without a new byte" in said
    kept = (tmp_path / f".{VCF}.partial").stat().st_size
    assert f"got:    {kept:,} bytes, which are kept" in said
    assert f"wanted: {len(vcf):,} bytes" in said
    assert "give the same command again: it goes on where this one stopped" in said
    assert "done in" not in said
    assert visible(tmp_path) == set()
    server.asked.clear()
    server.give(VCF, Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    assert server.ranges == [f"bytes={kept}-"]
    assert kept >= 131_072
    assert (tmp_path / VCF).read_bytes() == vcf
    assert hidden(tmp_path) == set()


def test_what_was_kept_of_another_address_is_not_continued(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf, cut=140_000), Answer(vcf, cut=0))
    assert genotypes(server, tmp_path) == 1
    server.asked.clear()
    server.give(VCF, Answer(vcf))
    server.address += "other"
    assert genotypes(server, tmp_path) == 0
    assert server.ranges == [None]
    assert "not known to be of this address" in capsys.readouterr().err


def test_a_server_without_a_length_is_believed(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(vcf, announce=0))
    assert genotypes(server, tmp_path) == 0
    assert (tmp_path / VCF).read_bytes() == vcf


def test_a_cut_that_no_length_betrays_is_found_in_the_file(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf, announce=0, cut=140_000))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert "the server does not say how long it is" in said
    assert f"{VCF} is damaged" in said
    assert "got:    a bgzip file without its last block" in said
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_length_is_told_and_nothing_is_kept(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    body = vcf[: 3 * 65_536]
    server.give(VCF, Answer(body, announce=len(body) + 7))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert "has not the length that the server announced; nothing of it was kept" in said
    assert f"got:    {len(body):,} bytes" in said
    assert f"wanted: {len(body) + 7:,} bytes (Content-Length)" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "sentence"), [(404, f"{VCF} is not at its address"), (403, "the server does not give")]
)
def test_a_refusal_is_told_at_once(
    status: int, sentence: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(b"no", status=status))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert server.address + VCF in said
    assert f"got:    HTTP {status}" in said
    assert "--base-url" in said
    assert len(server.asked) == 1
    assert visible(tmp_path) == set()


def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(b"busy", status=500), Answer(b"busy", status=503), Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    assert len(server.asked) == 3


def test_a_server_that_stays_in_trouble_is_told(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(b"busy", status=503))
    assert genotypes(server, tmp_path) == 1
    assert len(server.asked) == 5
    assert "the server answered 503 Service Unavailable, 5 times in a row" in capsys.readouterr().err


def test_what_is_not_gzip_is_not_kept(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(b"<html>Please log in</html>"))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert f"what came as {VCF} is not a gzip file; nothing of it was kept" in said
    assert "<html>Please log in" in said
    assert list(tmp_path.iterdir()) == []


def test_no_room_is_told_before_the_first_byte(
    server: Server,
    tmp_path: Path,
    vcf: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.give(VCF, Answer(vcf))
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: usage(1, 1, len(vcf) - 1))
        assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert f"the disk has no room for {VCF}" in said
    assert f"got:    {len(vcf) - 1:,} bytes free" in said
    assert f"wanted: {len(vcf):,} bytes" in said
    assert (tmp_path / f".{VCF}.partial").stat().st_size == 0
    assert genotypes(server, tmp_path) == 0


def test_a_file_that_vanished_must_come_back_the_same(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    first = json.loads((tmp_path / f"{VCF}.download.json").read_text())["sha256"]
    index = (tmp_path / f"{VCF}.tbi").read_bytes()
    (tmp_path / VCF).unlink()
    other = gzip.compress(vcf_text(10))
    server.give(VCF, Answer(other, etag='"two"'))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert "differs from its recorded checksum; nothing of it was kept" in said
    assert first in said
    assert "--force" in said
    assert VCF not in visible(tmp_path)
    assert hidden(tmp_path) == set()

    assert genotypes(server, tmp_path, "--force") == 0
    assert "is another file than before" in capsys.readouterr().err
    assert gzip.decompress((tmp_path / VCF).read_bytes()) == vcf_text(10)
    assert (tmp_path / f"{VCF}.tbi").read_bytes() != index


def test_a_file_that_was_changed_here_is_told_and_forced(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    server.give(VCF, Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    spoiled = bytearray(vcf)
    spoiled[1000] ^= 1
    for content, what in ((bytes(spoiled), "SHA-256"), (vcf[:-1], "bytes")):
        (tmp_path / VCF).write_bytes(content)
        assert genotypes(server, tmp_path) == 1
        said = capsys.readouterr().err
        assert f"{VCF} is not as it was when it was downloaded" in said
        assert what in said
        assert (tmp_path / VCF).read_bytes() == content
    assert len(server.asked) == 1
    assert genotypes(server, tmp_path, "--force") == 0
    assert (tmp_path / VCF).read_bytes() == vcf


def test_a_forced_download_that_fails_leaves_the_old_file(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    server.give(VCF, Answer(b"not gzip"))
    assert genotypes(server, tmp_path, "--force") == 1
    assert (tmp_path / VCF).read_bytes() == vcf
    assert visible(tmp_path) == WHOLE
    assert genotypes(server, tmp_path) == 0


def test_a_missing_index_is_made_and_nothing_is_fetched(server: Server, tmp_path: Path, vcf: bytes) -> None:
    server.give(VCF, Answer(vcf))
    assert genotypes(server, tmp_path) == 0
    (tmp_path / f"{VCF}.tbi").unlink()
    assert genotypes(server, tmp_path) == 0
    assert visible(tmp_path) == WHOLE
    assert len(server.asked) == 1


def test_a_whole_file_from_elsewhere_is_taken_and_a_part_is_not(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / VCF).write_bytes(vcf[:-40])
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert "was not written by this command" in said
    assert "without its last block" in said
    (tmp_path / VCF).write_bytes(vcf)
    assert genotypes(server, tmp_path) == 0
    assert visible(tmp_path) == WHOLE
    assert server.asked == []


def test_plain_gzip_genotypes_are_bgzipped(server: Server, tmp_path: Path) -> None:
    text = vcf_text(50)
    half = text.index(b"\n", len(text) // 2) + 1
    server.give(VCF, Answer(gzip.compress(text[:half]) + gzip.compress(text[half:])))
    assert genotypes(server, tmp_path) == 0
    assert visible(tmp_path) == WHOLE
    assert gzip.decompress((tmp_path / VCF).read_bytes()) == text


def test_genotypes_that_are_not_sorted_cannot_be_indexed(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = vcf_text(2).splitlines(keepends=True)
    server.give(VCF, Answer(gzip.compress(b"".join([*lines[:-2], lines[-1], lines[-2]]))))
    assert genotypes(server, tmp_path) == 1
    said = capsys.readouterr().err
    assert f"{VCF} cannot be indexed" in said
    assert visible(tmp_path) == WHOLE - {f"{VCF}.tbi"}


def test_all_genotypes_are_22_files(server: Server, tmp_path: Path) -> None:
    body = gzip.compress(vcf_text(1))
    for contig in range(1, 23):
        server.give(VCF.replace("chr22", f"chr{contig}"), Answer(body))
    assert run(["download", "genotypes", "--out", str(tmp_path), "--base-url", server.address]) == 0
    assert len(server.asked) == 22
    assert len(visible(tmp_path)) == 66


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_process_leaves_what_the_next_run_goes_on_with(
    stop: signal.Signals, server: Server, tmp_path: Path, vcf: bytes
) -> None:
    enough = threading.Event()
    server.give(VCF, Answer(vcf, cut=140_000, wait=enough), Answer(vcf))
    out = tmp_path / "out"
    words = ["download", "genotypes", "--contigs", "22", "--out", str(out), "--base-url", server.address]
    process = subprocess.Popen(
        [sys.executable, "-m", "glm2x", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_PROXY": "*"},
    )
    partial = out / f".{VCF}.partial"
    for _ in range(2000):
        if partial.exists() and partial.stat().st_size == 131_072:
            break
        time.sleep(0.01)
    process.send_signal(stop)
    _, said = process.communicate(timeout=20)
    enough.set()
    assert visible(out) == set()
    assert hidden(out) == {partial.name, f"{partial.name}.json"}
    if stop is signal.SIGINT:
        assert process.returncode == 130
        assert "0.1 MB are kept; the same command goes on from there" in said
    assert genotypes(server, out) == 0
    assert server.ranges == [None, "bytes=131072-"]
    assert (out / VCF).read_bytes() == vcf


def test_two_processes_do_not_write_one_file(
    server: Server, tmp_path: Path, vcf: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    enough = threading.Event()
    server.give(VCF, Answer(vcf, cut=140_000, wait=enough), Answer(vcf))
    codes: list[int] = []
    other = threading.Thread(target=lambda: codes.append(genotypes(server, tmp_path)))
    other.start()
    partial = tmp_path / f".{VCF}.partial"
    for _ in range(2000):
        if partial.exists() and partial.stat().st_size:
            break
        time.sleep(0.01)
    assert genotypes(server, tmp_path) == 1
    assert f"{VCF} is being downloaded by another process" in capsys.readouterr().err
    enough.set()
    other.join()
    assert codes == [0]
    assert (tmp_path / VCF).read_bytes() == vcf
