"""What is written while its folder goes away or is replaced, or a library hides what the system says."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from glm2x import files
from glm2x.errors import DataError, UsageError
from glm2x.files import require_staying, staying, write_aside, write_json


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_that_must_stay_is_not_made_again(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with staying(run):
        write_json(run / "phases/one/state.json", 1)  # folders in it are made
        shutil.rmtree(run)
        with pytest.raises(DataError, match="run has gone while it was being written to") as error:
            write_json(run / "phases/one/state.json", 2, force=True)
        assert (error.value.where, error.value.got) == (str(run), "nothing at that path")
        assert not run.exists()
        run.mkdir()  # as somebody else may, who starts anew
        with pytest.raises(DataError) as error:
            require_staying(run / "history.jsonl")
        assert error.value.got == "another folder"
    write_json(run / "state.json", 3)  # nobody minds now
    assert names(tmp_path) == ["run", "run/state.json"]


def test_a_folder_that_must_stay_goes_before_the_last_step(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()

    def write() -> None:
        with staying(tmp_path / "run"), write_aside(tmp_path / "run/a") as aside:
            aside.write_text("whole")
            (tmp_path / "run").rename(tmp_path / "moved")
            (tmp_path / "run").mkdir()
            aside.write_text("whole")

    with pytest.raises(DataError, match="run has gone"):
        write()
    assert "run/a" not in names(tmp_path)


def test_the_rest_of_a_half_written_folder_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    def write() -> None:
        with write_aside(tmp_path / "cohort") as aside:
            aside.mkdir()
            (aside / "genes").write_text("genes")
            shutil.rmtree(aside)
            write_json(aside / "cohort.json", {})

    with pytest.raises(DataError, match="has gone while it was being written to"):
        write()
    assert names(tmp_path) == []


def replace_folder(target: Path) -> None:
    with write_aside(target, force=True) as aside:
        aside.mkdir()
        (aside / "cohort.json").write_text("{}")
        (aside / "new").write_text("new")


@pytest.mark.parametrize(("broken_off", "left"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_replacement_that_is_broken_off_leaves_one_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_off: int, left: str
) -> None:
    """By SIGTERM, which is an exception, before the old one is moved away, after that, or in removing it."""
    target, rename, remove = tmp_path / "cohort", Path.rename, shutil.rmtree
    target.mkdir()
    (target / "cohort.json").write_text("{}")
    (target / "old").write_text("old")
    calls = {"rename": 0, "remove": 0}

    def ended(kind: str, at: int) -> None:
        calls[kind] += 1
        if calls[kind] == at:
            raise SystemExit(143)

    def renamed(path: Path, to: Path) -> Path:
        ended("rename", broken_off + 1)
        return rename(path, to)

    def removed(path: Path) -> None:
        if ".replaced-" in str(path):
            ended("remove", 1 if broken_off == 2 else 0)
        remove(path)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    with pytest.raises(SystemExit):
        replace_folder(target)
    assert names(tmp_path) == ["cohort", *sorted(("cohort/cohort.json", f"cohort/{left}"))]


class OfALibraryError(Exception):
    """As polars and safetensors raise."""


@pytest.mark.parametrize(
    "error",
    [
        OfALibraryError("parquet: underlying IO error: No space left on device (os error 28)"),
        OSError("Not enough free space to write 51304566 bytes after offset 128"),  # numpy's, without a code
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_a_full_disk_is_said_by_each_library_in_its_own_way(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DataError, match="the disk is full; a was not written"), write_aside(tmp_path / "a"):
        raise error


def test_what_a_library_hides_is_an_error_of_the_system(tmp_path: Path) -> None:
    hidden = OfALibraryError("Error while serializing: I/O error: File too large (os error 27)")
    with pytest.raises(OSError, match="File too large") as error, write_aside(tmp_path / "a"):
        raise hidden
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(tmp_path / "a"))
    plain = OfALibraryError("something else (error 27)")
    with pytest.raises(OfALibraryError), write_aside(tmp_path / "a"):
        raise plain


def test_a_folder_that_comes_at_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, refuse = tmp_path / "cohort", files.refuse_existing

    def late(path: Path, *, force: bool) -> None:
        refuse(path, force=force)
        if list(tmp_path.glob(".cohort.partial-*/mine")):
            target.mkdir()
            (target / "theirs").touch()

    def write() -> None:
        with write_aside(target) as aside:
            aside.mkdir()
            (aside / "mine").touch()

    monkeypatch.setattr(files, "refuse_existing", late)
    with pytest.raises(UsageError, match="is there already"):
        write()
    assert names(tmp_path) == ["cohort", "cohort/theirs"]
