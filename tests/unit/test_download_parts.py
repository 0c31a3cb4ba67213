"""The parts of a download that need no server: what there is to fetch, and what is made of it."""

from __future__ import annotations

import errno
import gzip
from pathlib import Path

import pysam
import pytest

from glm2x import console
from glm2x.commands.download import _Shown
from glm2x.download import content, problems
from glm2x.download.registry import choose, load_collection
from glm2x.download.transfer import ResumingDownload
from glm2x.errors import DataError, UsageError


def silent(*told: object) -> None:
    pass


# the registry


def test_the_genotypes_are_one_file_a_chromosome() -> None:
    sources = load_collection("genotypes").files
    assert [source.contig for source in sources] == [str(n) for n in range(1, 23)]
    for source in sources:
        assert f".chr{source.contig}." in source.name
        assert source.name.endswith(".genotypes.vcf.gz")
    assert len({source.url for source in sources}) == 22


def test_the_reference_is_build_b37() -> None:
    collection = load_collection("reference")
    assert [source.name for source in collection.files] == ["hs37d5.fa.gz"]
    assert len(collection.lengths) == 25
    assert collection.lengths["22"] == 51_304_566
    assert sum(collection.lengths.values()) == 3_095_677_412 + 16_569  # 1-22, X, Y of GRCh37; MT


def test_what_is_to_be_known_of_the_expression_is_said() -> None:
    notes = " ".join(load_collection("expression").notes)
    assert "below 0" in notes
    assert "strand" in notes


def test_contigs_are_taken_by_name_in_the_order_of_the_registry() -> None:
    chosen = choose(load_collection("genotypes"), contigs="chr22, 21")
    assert [source.contig for source in chosen] == ["21", "22"]


@pytest.mark.parametrize(("contigs", "got"), [("22,X,Y", "X, Y"), ("", "''"), (",", "','")])
def test_contigs_without_a_file_are_named(contigs: str, got: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(load_collection("genotypes"), contigs=contigs)
    assert caught.value.got == got
    assert "21, 22" in caught.value.wanted


@pytest.mark.parametrize("base", ["https://mirror.org/b37", "https://mirror.org/b37/"])
def test_a_mirror_replaces_all_but_the_name(base: str) -> None:
    (source,) = choose(load_collection("reference"), base_url=base)
    assert source.url == "https://mirror.org/b37/hs37d5.fa.gz"


@pytest.mark.parametrize("base", ["mirror.org", "ftp://mirror.org/x", "/data/x", "https://", "http://h/?a=b"])
def test_a_mirror_that_is_no_web_folder_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="--base-url is not the address of a folder"):
        choose(load_collection("reference"), base_url=base)


# inflating


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_inflate_whatever_the_size_of_the_pieces(
    chunk: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_CHUNK", chunk)
    monkeypatch.setattr(content, "_MOST", most)
    path = tmp_path / "x.gz"
    first, second = gzip.compress(b"A" * 400 + b"CGT"), gzip.compress(b"second")
    path.write_bytes(first + second + b"\x1f is no gzip")
    pieces = list(content.inflate(path, members=1))
    assert b"".join(piece for piece, _ in pieces) == b"A" * 400 + b"CGT"
    assert max(len(piece) for piece, _ in pieces) <= most
    assert b"".join(piece for piece, _ in content.inflate(path)) == b"A" * 400 + b"CGTsecond"
    if chunk == 1:
        assert [used for _, used in content.inflate(path)][-1] <= len(first) + len(second)


def test_memory_does_not_follow_a_run_of_one_base(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(32):
            out.write(b"N" * 1_000_000)
    assert path.stat().st_size < 1_000_000
    lengths = [len(piece) for piece, _ in content.inflate(path)]
    assert sum(lengths) == 32_000_000
    assert max(lengths) <= 1 << 23


@pytest.mark.parametrize("cut", [1, 8, 15, 25])
def test_a_stream_that_ends_early_is_told(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"ACGT" * 5)[:-cut])
    with pytest.raises(problems.UselessError, match=r"x\.gz is damaged") as caught:
        list(content.inflate(path))
    assert "it ends within a stream" in caught.value.got
    assert caught.value.where == str(tmp_path)


def test_bytes_after_the_stream_are_counted_and_said(tmp_path: Path) -> None:
    source, target = tmp_path / "x.gz", tmp_path / "y.gz"
    source.write_bytes(gzip.compress(b">1\nACGT\n") + b"123456789")
    told: list[str] = []
    content.rewrite_as_bgzip(source, target, name="x", members=1, progress=silent, say=told.append)
    assert told == ["x: 9 bytes after its gzip stream are no part of it and were left out"]
    assert content.is_bgzip(target)
    assert not content.is_bgzip(source)
    assert content.ends_as_bgzip(target)
    assert gzip.decompress(target.read_bytes()) == b">1\nACGT\n"


# the reference


def test_a_reference_that_came_bgzipped_stays_as_it_is(tmp_path: Path) -> None:
    fetched, target = tmp_path / "fetched", tmp_path / "x.fa.gz"
    with pysam.BGZFile(str(fetched), "wb", index=None) as out:
        out.write(b">1\nACGT\n")
    content.make_reference(fetched, target, {"1": 4}, progress=silent, say=silent)
    assert target.read_bytes() == fetched.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {
        "fetched",
        *("x.fa.gz", "x.fa.gz.fai", "x.fa.gz.gzi"),
    }


def test_a_reference_of_another_build_leaves_what_was_there(tmp_path: Path) -> None:
    fetched, target = tmp_path / "fetched", tmp_path / "x.fa.gz"
    fetched.write_bytes(gzip.compress(b">1\nACGT\n>2\nAC\n>3\nAC\n"))
    target.write_text("old")
    lengths = {"1": 4, "2": 3, "3": 3, "4": 3, "5": 3}
    with pytest.raises(problems.UselessError, match="contig lengths differ") as caught:
        content.make_reference(fetched, target, lengths, progress=silent, say=silent)
    assert caught.value.got == "2: 2 bp, 3: 2 bp, 4: absent, and 1 contigs more"
    assert caught.value.wanted == "2: 3 bp, 3: 3 bp, 4: 3 bp"
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"fetched", "x.fa.gz"}


def test_what_is_no_fasta_is_told(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    fetched.write_bytes(gzip.compress(b"no FASTA"))
    with pytest.raises(problems.UselessError, match="is not a FASTA that can be indexed"):
        content.make_reference(fetched, tmp_path / "x.fa.gz", {}, progress=silent, say=silent)


def test_a_disk_that_fills_while_the_reference_is_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*told: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fetched = tmp_path / "fetched"
    fetched.write_bytes(gzip.compress(b">1\nACGT\n"))
    monkeypatch.setattr(content, "rewrite_as_bgzip", full)
    with pytest.raises(DataError, match=r"the disk has no room for x\.fa\.gz") as caught:
        content.make_reference(fetched, tmp_path / "x.fa.gz", {"1": 4}, progress=silent, say=silent)
    assert not isinstance(caught.value, problems.UselessError)  # what came is kept
    assert [path.name for path in tmp_path.iterdir()] == ["fetched"]


def test_a_bgzip_file_that_was_not_closed_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = tmp_path / "fetched"
    fetched.write_bytes(gzip.compress(b">1\nACGT\n"))
    monkeypatch.setattr(content, "ends_as_bgzip", lambda path: False)
    with pytest.raises(DataError, match=r"the disk has no room for x\.fa\.gz"):
        content.make_reference(fetched, tmp_path / "x.fa.gz", {"1": 4}, progress=silent, say=silent)


# the index of genotypes


def test_an_index_that_cannot_be_made_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf.gz"
    with pysam.BGZFile(str(path), "wb", index=None) as out:
        out.write(b"22\t9\t.\tA\tG\n22\t5\t.\tA\tG\n")
    with pytest.raises(DataError, match=r"x\.vcf\.gz cannot be indexed"):
        content.index_vcf(path)
    assert [found.name for found in tmp_path.iterdir()] == ["x.vcf.gz"]


def test_an_index_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf.gz"
    Path(f"{path}.tbi").write_text("there")
    assert not content.index_vcf(path)


# the transfer


def test_a_disk_that_fills_while_bytes_come_is_told(tmp_path: Path) -> None:
    class Full:
        def write(self, piece: memoryview) -> int:
            if len(piece) < 3:
                raise OSError(errno.ENOSPC, "No space left on device")
            return 1

        def seek(self, offset: int, whence: int) -> int:
            return 2

    transfer = ResumingDownload("x.gz", tmp_path / "partial", progress=silent, say=silent)
    transfer._total = 10
    with pytest.raises(DataError, match=r"the disk has no room for x\.gz") as caught:
        transfer._write(Full(), b"abcd")  # type: ignore[arg-type]
    assert caught.value.wanted == "8 bytes"
    assert "it goes on where this one stopped" in caught.value.do


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("<NameResolutionError: ...>"), problems.NOT_RESOLVED),
        (OSError("Read timed out."), "the server went silent"),
        (OSError("[Errno 101] Network is unreachable"), "there is no route to the server"),
        (OSError("odd"), "the connection failed (OSError: odd)"),
    ],
)
def test_why_a_connection_failed_in_a_few_words(error: Exception, words: str) -> None:
    assert problems.of_connection(error) == words


# what is shown


def test_a_bar_that_an_error_ends_does_not_say_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_QUIET", 0.0)
    with _Shown() as shown:
        shown.tell("whole", 0, 3_000_000)
        shown.tell("whole", 3_000_000, 3_000_000)
        shown.tell("whole", 3_000_000, 3_000_000)  # told again when nothing was missing: no second bar
        shown.tell("unknown", 5, None)
    assert capsys.readouterr().err == "whole: 3 MB done in 0 s\n"

    def end_early() -> None:
        with _Shown() as shown:
            shown.tell("cut", 1_000_000, 3_000_000)
            raise DataError("cut")

    with pytest.raises(DataError):
        end_early()
    assert capsys.readouterr().err == ""
