"""Nothing half-written is left under a final name."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from glm2x.errors import DataError, UsageError
from glm2x.files import distinct_names, read_json, read_list, require_file, sha256, write_aside, write_json
from glm2x.seal import digest


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    with write_aside(tmp_path / "sub" / "a.txt") as aside:
        aside.write_text("whole")
        assert not (tmp_path / "sub" / "a.txt").exists()
    assert names(tmp_path / "sub") == ["a.txt"]


def test_a_failed_block_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")
    (tmp_path / "a" / "run.json").write_text("{}")

    def fail() -> None:
        with write_aside(tmp_path / "a", force=True) as aside:
            aside.mkdir()
            (aside / "new").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["old", "run.json"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with write_aside(tmp_path / "a", force=True) as aside:
            aside.mkdir()
            (aside / content).write_text(content)
            (aside / "cohort.json").write_text("{}")
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["cohort.json", "new"]


def write_file(target: Path) -> None:
    with write_aside(target, force=True) as aside:
        aside.write_text("file")


def write_folder(target: Path) -> None:
    with write_aside(target, force=True) as aside:
        aside.mkdir()


def test_a_folder_of_somebodys_own_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("mine")
    for write in (write_file, write_folder):
        with pytest.raises(UsageError, match="did not write"):
            write(tmp_path / "thesis")
    (tmp_path / "thesis" / "cohort.json").write_text("{}")
    with pytest.raises(UsageError, match="a file would be written in its place"):
        write_file(tmp_path / "thesis")
    (tmp_path / "table").write_text("mine")
    with pytest.raises(UsageError, match="a folder would be written in its place"):
        write_folder(tmp_path / "table")
    assert names(tmp_path) == ["table", "thesis"]
    assert (tmp_path / "thesis" / "text").read_text() == "mine"


def test_what_somebody_else_wrote_meanwhile_is_kept(tmp_path: Path) -> None:
    def race() -> None:
        with write_aside(tmp_path / "a") as aside:
            aside.write_text("mine")
            (tmp_path / "a").write_text("theirs")

    with pytest.raises(UsageError, match="is there already"):
        race()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "theirs"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_file(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "file"


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError, match="is there already"), write_aside(tmp_path / "a"):
        pytest.fail("the block must not run")
    assert (tmp_path / "a").read_text() == "mine"


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with write_aside(tmp_path / "a") as aside:
            aside.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="the disk is full") as caught:
        fill()
    assert "MB free" in str(caught.value)
    assert names(tmp_path) == []


def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom glm2x.files import write_aside\n"
        "with write_aside(sys.argv[1]) as aside:\n"
        "    aside.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "a").exists()
    assert [name for name in names(tmp_path) if not name.startswith(".a.partial-")] == []
    assert len(names(tmp_path)) == 1
    write_file(tmp_path / "a")
    assert names(tmp_path) == ["a"]  # what the dead one left is gone


def test_checksums(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # of the standard's own example (FIPS 180-2, "abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1}) != digest({"a": [2], "b": 2})


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": None})
    assert read_json(tmp_path / "a.json") == {"x": None}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", float("nan"))
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(DataError, match="not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the variant file x does not exist") as caught:
        require_file(tmp_path / "x", kind="variant file")
    assert str(tmp_path / "x") in str(caught.value)
    with pytest.raises(DataError, match="does not exist") as caught:
        require_file(tmp_path)
    assert "a folder" in str(caught.value)


def test_lists(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes("\ufeff# people\nann\n\n bob \r\n".encode())
    assert read_list(path) == ("ann", "bob")
    bad = {b"\n#x\n": "holds no name", b"a\nb\na\n": "a stands twice", b"\xff": "not text"}
    for content, message in bad.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_list(path)


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert distinct_names(["/x/a/run", "/x/b/run", "/x/a/other", "/y/b/run"]) == [
        "a/run",
        "x/b/run",
        "other",
        "y/b/run",
    ]
