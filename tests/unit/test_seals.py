"""Checksums in JSON objects and in parquet tables: always written, compared where they are, not asked for."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from glm2x.errors import DataError
from glm2x.files import read_json, require_sha256, sha256, write_json
from glm2x.parquet import KEY, require_whole, write_table
from glm2x.seal import digest, sealed, unsealed

VALUE = {"b": [1, 2.5, None], "a": {"x": "é"}, "t": (1, 2)}


def test_an_object_is_written_with_its_checksum_and_read_without(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, VALUE)
    written = json.loads(path.read_text())
    kept = {"b": [1, 2.5, None], "a": {"x": "é"}, "t": [1, 2]}
    assert list(written) == ["b", "a", "t", "checksum"]
    assert written["checksum"] == "sha256:" + digest(kept)
    assert read_json(path) == kept
    assert sealed(written) == written  # once is enough
    # how it is laid out is nobody's concern
    path.write_text(json.dumps(dict(reversed(written.items())), indent=7))
    assert read_json(path) == kept


def test_other_values_have_none(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [1, 2])
    assert read_json(tmp_path / "a.json") == [1, 2]
    for value in ({"a": 1}, {"checksum": 7}, {"checksum": "md5:0"}, {"digest": "sha256:short"}, None):
        assert unsealed(value, "a.json") == value


CHANGES = {
    "a number": ('"b": [\n    1,', '"b": [\n    3,'),
    "a key": ('"x"', '"y"'),
    "the checksum": ("", ""),
    "its kind": ("sha256:", "sha257:"),
    "its key": ('"checksum"', '"chacksum"'),
    "no number": ("2.5", "1e999"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_told(tmp_path: Path, change: str) -> None:
    path = tmp_path / "run.json"
    write_json(path, VALUE)
    before, after = CHANGES[change]
    text = path.read_text()
    if change == "the checksum":
        last = text.rindex('"')
        path.write_text(text[: last - 1] + ("0" if text[last - 1] != "0" else "1") + text[last:])
    else:
        assert before in text
        path.write_text(text.replace(before, after))
    with pytest.raises(
        DataError, match=r"run\.json was changed after it was made: its digest is another"
    ) as e:
        read_json(path)
    assert "take its key" in e.value.do
    assert read_json(path, verify=False)["t"] == [1, 2]


def test_a_file_is_compared_with_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("a: 1\n")
    require_sha256(path, sha256(path))
    require_sha256(path, None)
    with pytest.raises(DataError, match=r"config\.yml was changed after it was made: its SHA-256 is another"):
        require_sha256(path, "0" * 64)
    with pytest.raises(DataError, match="does not exist"):
        require_sha256(tmp_path / "none", "0" * 64)


FRAME = pl.DataFrame({"gene": ["a", "b", None], "value": [1.5, None, 3.25]})


@pytest.mark.parametrize("frame", [FRAME, FRAME.lazy()])
def test_a_table_says_what_it_is(tmp_path: Path, frame: pl.DataFrame | pl.LazyFrame) -> None:
    path = tmp_path / "a.parquet"
    write_table(frame, path, {"glm2x.target": "log"})
    require_whole(path)
    assert pl.read_parquet(path).equals(FRAME)
    said = pl.read_parquet_metadata(path)
    assert said["glm2x.target"] == "log"
    assert len(said[KEY]) == 64
    assert said[KEY] != "0" * 64
    write_table(frame, tmp_path / "b.parquet", {"glm2x.target": "log"})
    assert path.read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_each_byte_of_a_table(tmp_path: Path) -> None:
    """A change is told, or the table cannot be read at all, or it says the same."""
    path = tmp_path / "a.parquet"
    write_table(FRAME, path, {"glm2x.target": "log"})
    right, told = path.read_bytes(), 0
    for at in range(len(right)):
        path.write_bytes(right[:at] + bytes([right[at] ^ 16]) + right[at + 1 :])
        try:
            require_whole(path)
        except DataError:
            told += 1
            continue
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            continue
        assert frame.equals(FRAME), at
    assert told > 0.9 * len(right)


def test_a_table_that_was_changed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(FRAME, path)
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2", 1))
    with pytest.raises(
        DataError, match=r"a\.parquet was changed after it was made: its digest is another"
    ) as e:
        require_whole(path, do="fit again")
    assert e.value.do.startswith("fit again; ")
    assert KEY in e.value.do


def test_tables_of_others_are_believed(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    (tmp_path / "c.parquet").write_bytes(b"")
    for name in "abc":
        require_whole(tmp_path / f"{name}.parquet")
