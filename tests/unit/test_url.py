"""Places in object storage: what is named, looked at, read and written, and what goes wrong meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from glm2x import storage
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, require_file, write_aside, write_json
from glm2x.place import local_copy, names_in, place, require_local
from glm2x.url import Url
from s3_server import S3

OBJECT = Url("s3://b", "folder/object")


def once(
    fault: int | float | str, method: str, times: int = 1
) -> Callable[[str, str], int | float | str | None]:
    """Return a fault that happens so many times."""
    left = [times]

    def happens(asked: str, key: str) -> int | float | str | None:
        if asked != method or not left[0]:
            return None
        left[0] -= 1
        return fault

    return happens


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a/b.parquet", Path("a/b.parquet")),
        ("file:///a/b%20c", Path("/a/b c")),
        ("file://localhost/a", Path("/a")),
        ("s3://b/a/b.parquet", Url("s3://b", "a/b.parquet")),
        ("S3://b//a/b/", Url("s3://b", "a/b")),
        ("s3://b", Url("s3://b", "")),
        ("gs://b/x", Url("gs://b", "x")),
        ("az://container/x", Url("az://container", "x")),
        (Path("s"), Path("s")),
        (Path("s3://b/a"), Url("s3://b", "a")),
        ("s3:/b/a", Url("s3://b", "a")),
        (Path("file:///a"), Path("/a")),
        (OBJECT, OBJECT),
    ],
)
def test_a_text_names_a_place(text: str | Path | Url, wanted: Path | Url) -> None:
    assert place(text) == wanted
    assert type(place(text)) is type(wanted)


@pytest.mark.parametrize("text", ["http://b/a", "ftp://b/a", "s3:///a", "s4://b"])
def test_urls_of_other_kinds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no place that glm2x can read or write") as caught:
        place(text)
    assert caught.value.got == text
    assert (
        caught.value.wanted == "a path, file:///PATH, or s3://BUCKET/NAME, gs://BUCKET/NAME, az://BUCKET/NAME"
    )


def test_where_only_a_path_will_do_a_url_is_refused() -> None:
    for text in ("s3://b/a", "file:///a", Path("s3://b/a")):
        with pytest.raises(
            UsageError, match="a URL stands where only a path on this machine will do"
        ) as caught:
            require_local(text)
        assert "://" in caught.value.got
    require_local("a/b")
    require_local(Path("/a: b/c"))


def test_without_obstore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    storage._client.cache_clear()
    with pytest.raises(UsageError, match="need obstore, which is not installed") as caught:
        OBJECT.exists()
    assert caught.value.do == "pip install 'glm2x[s3]'"


def test_what_the_environment_says_wrongly_is_named(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    storage._client.cache_clear()
    monkeypatch.setenv("AWS_TIMEOUT", "soon")
    with pytest.raises(UsageError, match="cannot be used as the environment says") as caught:
        OBJECT.exists()
    assert "soon" in caught.value.got


def test_names_are_those_of_paths() -> None:
    table = Url("s3://b", "a/x.tar.parquet")
    assert (table.name, table.stem, table.suffix) == ("x.tar.parquet", "x.tar", ".parquet")
    assert str(table.parent / "y") == "s3://b/a/y"
    assert [str(one) for one in table.parents] == ["s3://b/a", "s3://b"]
    assert table.with_suffix(".csv") == table.with_name("x.tar.csv") == Url("s3://b", "a/x.tar.csv")
    assert table.absolute() is table
    assert len({table, Url("s3://b", "a/x.tar.parquet"), Url("s3://c", "a/x.tar.parquet")}) == 2
    assert repr(table) == "Url('s3://b/a/x.tar.parquet')"


def test_what_is_written_is_there(s3: S3) -> None:
    assert not OBJECT.exists()
    OBJECT.put(b"content")
    assert s3.objects["b/folder/object"].content == b"content"
    assert OBJECT.is_file()
    assert not OBJECT.is_dir()
    assert OBJECT.parent.is_dir()
    assert not OBJECT.parent.is_file()
    assert Url("s3://b", "").is_dir()
    assert not Url("s3://b", "").is_file()
    assert not Url("s3://b", "fold").exists()
    assert OBJECT.stat().st_size == 7
    assert OBJECT.read_text() == "content"
    assert OBJECT.first(3)[0] == b"con"
    assert OBJECT.first(100)[0] == b"content"
    OBJECT.unlink()
    assert not OBJECT.parent.exists()
    OBJECT.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        OBJECT.unlink()
    for look in (OBJECT.stat, OBJECT.read, lambda: OBJECT.ranges([0], 1)):
        with pytest.raises(FileNotFoundError):
            look()


def test_a_folder_of_many_pages_is_listed_whole(s3: S3) -> None:
    s3.page = 3
    names = [f"{number} ä+&.txt" for number in range(8)]
    for name in names:
        (OBJECT.parent / name).put(name.encode())
    (OBJECT.parent / "below/object").put(b"")
    assert sorted(names_in(OBJECT.parent)) == [*names, "below"]
    assert [one.read_text() for one in OBJECT.parent.glob("*.txt")] == names
    assert names_in(Url("s3://b", "none")) == []
    assert sorted(one.name for one, _ in OBJECT.parent.written()) == names


def test_neighbouring_ranges_come_by_one_request(s3: S3) -> None:
    content = bytes(range(256)) * 40_000  # 10 MB
    OBJECT.put(content)
    s3.asked.clear()
    found = OBJECT.ranges([0, 1_000, 5_000_000], 100)
    assert [bytes(one) for one in found] == [content[first : first + 100] for first in (0, 1_000, 5_000_000)]
    assert s3.count("GET") == 2


def test_of_many_who_create_one_does(s3: S3) -> None:
    def create(number: int) -> int | None:
        try:
            OBJECT.create(str(number).encode())
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        created = [number for number in pool.map(create, range(8)) if number is not None]
    assert OBJECT.read_text() == str(created[0])
    assert len(created) == 1


def test_only_the_state_that_was_seen_is_replaced(s3: S3) -> None:
    seen = OBJECT.put(b"1")
    OBJECT.replace(b"2", seen)
    with pytest.raises(FileExistsError):
        OBJECT.replace(b"3", seen)
    OBJECT.unlink()
    with pytest.raises(FileExistsError):
        OBJECT.replace(b"3", seen)


@pytest.mark.parametrize("fault", [500, 503, "cut", "lost", "half", 0.1])
def test_faults_are_tried_over(s3: S3, fault: int | str | float) -> None:
    content = bytes(range(256)) * 8
    OBJECT.put(content)
    s3.fault = once(fault, "GET")
    assert OBJECT.read()[0] == content
    s3.fault = once(fault, "GET")
    assert OBJECT.ranges([256], 3)[0] == b"\0\1\2"
    s3.fault = once(fault, "GET")
    assert names_in(OBJECT.parent) == ["object"]
    s3.fault = once(fault, "PUT")
    OBJECT.put(b"other")
    s3.fault = once(fault, "HEAD")
    assert OBJECT.stat().st_size == 5


def test_what_was_there_and_is_gone_was_there(s3: S3) -> None:
    OBJECT.put(b"another's")

    def remove(method: str, key: str) -> None:
        if method == "GET":
            s3.objects.clear()

    s3.fault = remove
    with pytest.raises(FileExistsError):
        OBJECT.create(b"mine")


def test_an_answer_that_is_lost_does_not_take_what_was_won(s3: S3, tmp_path: Path) -> None:
    s3.fault = once("lost", "PUT")
    seen = OBJECT.create(b"mine")
    s3.fault = once("lost", "PUT")
    OBJECT.replace(b"mine, again", seen)
    s3.fault = once("lost", "PUT")
    with write_aside(OBJECT.parent / "new") as aside:
        aside.write_text("mine")
    assert s3.below("b/folder/") == {"object": b"mine, again", "new": b"mine"}


def test_what_the_storage_refuses_is_told(s3: S3) -> None:
    s3.fault = lambda method, key: 403
    with pytest.raises(DataError, match="did not do what it was asked for") as caught:
        OBJECT.read()
    assert caught.value.where == "s3://b/folder/object"
    assert "AWS_ACCESS_KEY_ID" in caught.value.do
    s3.fault = lambda method, key: 400
    with pytest.raises(DataError, match="did not do what it was asked for") as caught:
        OBJECT.put(b"")
    assert "AWS_ENDPOINT_URL" in caught.value.do
    assert "400" in caught.value.got
    s3.fault = lambda method, key: 404
    with pytest.raises(DataError, match="did not do what it was asked for") as caught:
        OBJECT.put(b"")
    assert "whether there is such a bucket" in caught.value.do


def test_ages_are_by_the_clock_of_the_storage(s3: S3) -> None:
    s3.ahead = 86_400
    assert 86_300 < OBJECT.parent.clock() - time.time() < 86_500
    assert s3.objects == {}


DIES = """
import sys
from pathlib import Path
from glm2x.place import place
place("s3://b/large").put(Path(sys.argv[1]))
"""


def test_of_an_upload_that_is_killed_nothing_is_seen(s3: S3, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(40_000_000))
    large = Url("s3://b", "large")
    process = subprocess.Popen([sys.executable, "-c", DIES, str(file)])

    def kill(method: str, key: str) -> None:
        if "partNumber=2" in key:
            process.kill()

    s3.fault = kill
    assert process.wait(60) == -signal.SIGKILL
    assert s3.uploads
    assert not large.exists()
    assert names_in(Url("s3://b", "")) == []
    s3.fault = once(500, "PUT", times=2)
    large.put(file)
    with local_copy(large) as copy:
        assert copy.read_bytes() == file.read_bytes()
    assert not copy.exists()
    assert s3.count("PUT", "partNumber") > 3


def write(where: Url | str, text: str, *, force: bool = False, meanwhile: Callable[[], object] = int) -> None:
    with write_aside(where, force=force) as aside:
        aside.write_text(text)
        meanwhile()
    assert not aside.exists()


def test_a_file_is_written_aside_and_sent(s3: S3) -> None:
    new = OBJECT.parent / "new"
    write(OBJECT, "1", meanwhile=lambda: s3.objects.update({"seen": s3.objects.pop("b/folder/object", None)}))
    assert s3.objects.pop("seen") is None
    with pytest.raises(UsageError, match="object is there already"):
        write(OBJECT, "2")
    write("s3://b/folder/object", "2", force=True)
    with pytest.raises(ZeroDivisionError):
        write(OBJECT, "3", force=True, meanwhile=lambda: 1 / 0)
    with pytest.raises(UsageError, match="new is there already"):
        write(new, "4", meanwhile=lambda: new.put(b"somebody was quicker"))
    assert s3.below("b/folder/") == {"object": b"2", "new": b"somebody was quicker"}


def test_larger_files_are_not_held_in_memory(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glm2x.url.AT_ONCE", 3)
    new = OBJECT.parent / "new"
    write(OBJECT, "12345")
    with pytest.raises(UsageError, match="new is there already"):
        write(new, "12345", meanwhile=lambda: new.put(b""))
    assert s3.below("b/folder/") == {"object": b"12345", "new": b""}


def test_json_is_written_and_read(s3: S3) -> None:
    write_json("s3://b/x.json", {"a": 1})
    assert read_json("s3://b/x.json") == read_json(Url("s3://b", "x.json")) == {"a": 1}
    with pytest.raises(DataError, match=r"the file y\.json does not exist"):
        require_file(Url("s3://b", "y.json"))
