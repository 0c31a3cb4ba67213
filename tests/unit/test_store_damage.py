"""Stores whose files are not what was written: one message each, or the right numbers, and nothing else."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from glm2x.embeddings.key import shard_name
from glm2x.embeddings.store import Store
from glm2x.embeddings.verify import verify
from glm2x.errors import DataError, Glm2xError
from small_store import SPEC, key, values, write

KEYS = [key(number) for number in range(6)]
NAME = shard_name(KEYS[:4])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a store of two shards, of four haplotypes and of two."""
    store = Store.create(tmp_path / "store", SPEC)
    write(store, range(4))
    write(store, range(4, 6))
    return store.folder


def write_raw_shard(path: Path, header: Any, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


DATA = bytes(4 * 10 * 4 * 2)


def entry(**change: Any) -> dict[str, Any]:
    return {"dtype": "BF16", "shape": [4, 10, 4], "data_offsets": [0, len(DATA)], **change}


def headed(header: Any, data: bytes = DATA) -> Callable[[Path], None]:
    return lambda path: write_raw_shard(path, header, data)


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


SHARD_FAULTS: dict[str, Callable[[Path], Any]] = {
    "cut by a byte": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "cut by a haplotype": lambda p: p.write_bytes(p.read_bytes()[:-80]),
    "a byte too long": lambda p: p.write_bytes(p.read_bytes() + b"\0"),
    "empty": lambda p: p.write_bytes(b""),
    "shorter than a header's length": lambda p: p.write_bytes(b"\0" * 7),
    "a header without end": lambda p: p.write_bytes(b"\xff" * 8 + p.read_bytes()[8:]),
    "no JSON": headed(b"{" * 80),
    "deep JSON": headed(b"[" * 60_000),
    "another type": headed({"embeddings": entry(dtype="F16")}),
    "another shape": headed({"embeddings": entry(shape=[4, 4, 10])}),
    "more haplotypes than there are": headed({"embeddings": entry(shape=[5, 10, 4])}),
    "fewer haplotypes than the index has": headed(
        {"embeddings": entry(shape=[3, 10, 4], data_offsets=[0, 240])}, DATA[:240]
    ),
    "negative shape": headed({"embeddings": entry(shape=[-4, -10, 4])}),
    "offsets elsewhere": headed({"embeddings": entry(data_offsets=[8, len(DATA) + 8])}, DATA + bytes(8)),
    "another name": headed({"weights": entry()}),
    "two tensors": headed({"embeddings": entry(), "more": entry(shape=[0, 1, 1], data_offsets=[320, 320])}),
    "a list": headed([entry()]),
    "values out of line": headed(json.dumps({"embeddings": entry()}).ljust(89).encode()),
    "gone": Path.unlink,
    "a folder": instead(Path.mkdir),
    "a pipe": instead(os.mkfifo),
    "a link to nowhere": instead(lambda p: p.symlink_to(p.parent / "nowhere")),
    "a link to itself": instead(lambda p: p.symlink_to(p)),
    "a link to another shard": instead(
        lambda p: p.symlink_to(next(o for o in p.parent.iterdir() if o.stem != NAME))
    ),
}


@pytest.mark.parametrize("fault", SHARD_FAULTS)
def test_a_damaged_shard(folder: Path, fault: str) -> None:
    SHARD_FAULTS[fault](folder / f"shards/{NAME}.safetensors")
    store = Store.open(folder)
    for look in (lambda: store.read(KEYS[1]), lambda: store.gather(KEYS[:2])):
        with pytest.raises(DataError, match="a shard of the embedding store") as caught:
            look()
        assert NAME in caught.value.where
        assert f"shards/{NAME}.safetensors" in caught.value.do
        assert "glm2x embed run" in caught.value.do
    found = verify(store)
    assert [(p.shard, p.key, p.row) for p in found.problems] == [(NAME, None, None)]
    assert (found.shards, found.haplotypes, found.bytes) == (2, 6, 480)
    # the other shard is as it was
    assert torch.equal(store.gather(KEYS[4:6]), values(range(4, 6)))


def test_values_are_compared_when_they_are_first_read(folder: Path) -> None:
    """A byte of haplotype 1 is another: told whenever it is read; the others are as they were."""
    path = folder / f"shards/{NAME}.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) - 3 * 80 + 7] ^= 1  # of four haplotypes of 80 bytes, the second
    path.write_bytes(content)
    store = Store.open(folder)
    for look in (lambda: store.read(KEYS[1]), lambda: store.gather(KEYS[:2])):
        with pytest.raises(DataError, match="a shard of the embedding store is damaged") as caught:
            look()
        assert "of haplotype 1" in caught.value.got
    others = [0, 2, 3, 4, 5]
    assert torch.equal(store.gather([KEYS[number] for number in others]), values(others))
    # what was compared once is not again: what is written to a view stays in this process
    store.read(KEYS[0]).zero_()
    assert not store.read(KEYS[0]).any()


def test_an_index_file_that_was_changed(folder: Path) -> None:
    path = folder / f"index/{NAME}.parquet"
    content = path.read_bytes()
    other = key(7).encode()
    path.write_bytes(content.replace(KEYS[1].encode(), other, 1))
    assert path.read_bytes() != content
    with pytest.raises(DataError, match="was changed after it was made") as caught:
        Store.open(folder)
    assert f"delete index/{NAME}.parquet" in caught.value.do


def test_a_shard_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner's permission is what it lacks, and nobody is told to delete it."""
    store = Store.open(folder)

    def refuse(self: Path, *_: object, **__: object) -> None:  # what root may do nevertheless
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="a shard of the embedding store may not be read") as caught:
        store.read(KEYS[0])
    assert "delete" not in str(caught.value)
    problems = verify(store).problems
    assert {problem.shard for problem in problems} == {NAME, shard_name(KEYS[4:])}
    assert all("may not be read" in problem.what for problem in problems)


FRAME = pl.DataFrame(
    {"key": KEYS[:4], "row": range(4), "crc32": range(4)},
    schema={"key": pl.String, "row": pl.UInt32, "crc32": pl.UInt32},
)


def written(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


INDEX_FAULTS: dict[str, tuple[pl.DataFrame | bytes, str]] = {
    "no parquet": (b"PAR1 or not", ""),
    "empty": (b"", ""),
    "cut": (written(FRAME)[:-9], ""),
    "no rows": (FRAME.clear(), "no rows"),
    "a column less": (FRAME.drop("crc32"), "key String, row UInt32"),
    "a column more": (FRAME.with_columns(pl.lit(NAME).alias("shard")), "shard String"),
    "another column": (FRAME.with_columns(more=1), "more Int32"),
    "keys that are numbers": (FRAME.with_columns(key=pl.lit(7)), "key Int32"),
    "rows that are numbers of another kind": (FRAME.with_columns(pl.col("row").cast(pl.Int64)), "row Int64"),
    "checksums that are text": (FRAME.with_columns(pl.col("crc32").cast(pl.String)), "crc32 String"),
    "a row without key": (
        FRAME.with_columns(key=pl.when(pl.col("row") != 2).then("key")),
        "cells without a value",
    ),
    "a key that is a path": (FRAME.with_columns(key=pl.lit("../../etc/passwd")), "key '../../etc/passwd'"),
    "a key in capitals": (FRAME.with_columns(pl.col("key").str.to_uppercase()), "key '"),
    "a key of two lines": (FRAME.with_columns(pl.col("key") + "\n"), "key '"),
    "a key twice": (FRAME.with_columns(key=pl.lit(KEYS[0])), f"key {KEYS[0]} twice"),
    "rows beyond": (FRAME.with_columns(pl.col("row") + 7), "row 7"),
    "a row twice": (FRAME.with_columns(pl.col("row") // 2), "out of its order"),
    "rows in another order": (FRAME.reverse(), "row 3"),
}


@pytest.mark.parametrize("fault", INDEX_FAULTS)
def test_a_damaged_index_file(folder: Path, fault: str) -> None:
    raw, said = INDEX_FAULTS[fault]
    (folder / f"index/{NAME}.parquet").write_bytes(raw if isinstance(raw, bytes) else written(raw))
    with pytest.raises(DataError, match="an index file of the embedding store is damaged") as caught:
        Store.open(folder)
    assert NAME in caught.value.where
    assert said in caught.value.got
    assert f"delete index/{NAME}.parquet" in caught.value.do
    # what the message says helps
    (folder / f"index/{NAME}.parquet").unlink()
    store = Store.open(folder)
    assert store.missing(KEYS) == KEYS[:4]
    write(store, range(4))
    assert torch.equal(store.gather(KEYS), values(range(6)))
    assert verify(store).problems == ()


def merged_with(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a merged index of a shard with these rows behind those of another."""
    first = pl.lit("0" * 32).alias("shard")
    return pl.concat(
        [FRAME.head(2).select(first, pl.all()), frame.select(pl.lit(NAME).alias("shard"), pl.all())]
    )


MERGED_FAULTS: dict[str, tuple[pl.DataFrame, str]] = {
    "no shards": (FRAME, "key String"),
    "a shard that is a path": (
        FRAME.select(pl.lit("../" + "a" * 29).alias("shard"), pl.all()),
        "shard '../",
    ),
    "a shard in two pieces": (
        pl.concat([merged_with(FRAME), merged_with(FRAME.tail(2)).head(2)]),
        "twice",
    ),
    "rows that do not begin": (merged_with(FRAME.tail(2)), "row 2"),
    "rows that go on from another shard's": (merged_with(FRAME.slice(2)), "row 2"),
    "a key twice": (merged_with(FRAME.with_columns(key=pl.lit(KEYS[0]))), "twice in shard"),
}


@pytest.mark.parametrize("fault", MERGED_FAULTS)
def test_a_damaged_merged_index(folder: Path, fault: str) -> None:
    frame, said = MERGED_FAULTS[fault]
    (folder / f"index/merged-{'0' * 32}.parquet").write_bytes(written(frame))
    with pytest.raises(DataError, match="an index file of the embedding store is damaged") as caught:
        Store.open(folder)
    assert "merged-" in caught.value.where
    assert said in caught.value.got


@pytest.mark.parametrize(
    "name", ["a.parquet", f"{'a' * 31}.parquet", f"{NAME.upper()}.parquet", "merged-x.parquet", "x\n.parquet"]
)
def test_an_index_file_with_a_strange_name(folder: Path, name: str) -> None:
    (folder / "index" / name).write_bytes(written(FRAME))
    with pytest.raises(DataError, match="is damaged") as caught:
        Store.open(folder)
    assert "a name that no index file has" in caught.value.got


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda p: p.symlink_to("nowhere")])
@pytest.mark.parametrize("name", ["a" * 32, "merged-" + "a" * 32])
def test_an_index_file_that_is_none(folder: Path, make: Callable[[Path], object], name: str) -> None:
    make(folder / f"index/{name}.parquet")
    with pytest.raises(DataError, match="is damaged"):
        Store.open(folder)


def test_what_is_no_index_file_does_not_matter(folder: Path) -> None:
    for name in ("notes.txt", ".DS_Store", f".{NAME}.parquet.partial-there-17"):
        (folder / "index" / name).write_text("x")
    assert len(Store.open(folder)) == 6


def test_an_index_that_names_other_keys_is_found_by_verify(folder: Path) -> None:
    """Its rows are as they should be, but for two that changed places: only the shard's name tells."""
    frame = pl.read_parquet(folder / f"index/{NAME}.parquet")
    swapped = frame.with_columns(key=pl.Series([KEYS[1], KEYS[0], *KEYS[2:4]]))
    (folder / f"index/{NAME}.parquet").write_bytes(written(swapped))
    (problem,) = verify(Store.open(folder)).problems
    assert problem.shard == NAME
    assert "names other haplotypes" in problem.what


def description(**change: Any) -> dict[str, Any]:
    whole = {
        "format": "glm2x embedding store",
        "format_version": 1,
        "digest": SPEC.digest,
        "spec": SPEC.as_json(),
    }
    return {**whole, **change}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not readable as JSON"),
        (b"\xff\xfe", "is not text"),
        (b"[" * 100_000, "is not readable as JSON"),
        ([], "this is no embedding store"),
        ({}, "this is no embedding store"),
        (description(format="zarr"), "this is no embedding store"),
        (description(format_version=2), "of a format version that this glm2x does not read"),
        (description(format_version="1"), "of a format version that this glm2x does not read"),
        (description(format_version=True), "of a format version that this glm2x does not read"),
        (description(spec=None), "the spec of an embedding store is damaged"),
        (description(spec={**SPEC.as_json(), "window": "60"}), "the spec of an embedding store is damaged"),
        (description(spec={**SPEC.as_json(), "device": "cuda"}), "was changed after it was made"),
        (description(digest=None), "was changed after it was made"),
        (description(more=1), "was changed after it was made"),
        ({k: v for k, v in description().items() if k != "digest"}, "was changed after it was made"),
    ],
)
def test_a_damaged_description(folder: Path, content: Any, said: str) -> None:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "store.json").write_bytes(raw)
    for look in (lambda: Store.open(folder), lambda: Store.create(folder, SPEC)):
        with pytest.raises(DataError, match=said):
            look()


def test_a_shard_is_not_written_through_a_link(tmp_path: Path, folder: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    store = Store.open(folder)
    (folder / f"shards/{shard_name([key(9)])}.safetensors").symlink_to(mine)
    with pytest.raises(DataError, match="a shard of the embedding store is damaged") as caught:
        write(store, [9])
    assert caught.value.got == "a symbolic link"
    assert mine.read_text() == "mine"


def test_a_message_does_nothing_to_a_terminal(folder: Path) -> None:
    write_raw_shard(folder / f"shards/{NAME}.safetensors", b"\x1b[2J", DATA)
    with pytest.raises(DataError) as caught:
        Store.open(folder).read(KEYS[0])
    assert "\x1b" not in str(caught.value)


def damage(raw: bytes, rng: random.Random) -> bytes:
    """Return bytes in which something happened at random."""
    content = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(5):
            case 0:
                del content[at:]
            case 1:
                content[at : at + rng.randint(1, 40)] = b""
            case 2:
                content[at:at] = rng.randbytes(rng.randint(1, 40))
            case 3:
                content[at : at + 4] = rng.choice(
                    [b"\0\0\0\0", b"\xff\xff\xff\xff", b"9999", b"\x00\x00\x00\x80"]
                )
            case _ if content:
                content[at % len(content)] ^= 1 << rng.randrange(8)
    return bytes(content)


@pytest.mark.parametrize("kind", ["shards", "index", "store.json"])
def test_random_damage_is_said_or_does_no_harm(folder: Path, tmp_path: Path, kind: str) -> None:
    """Whatever happened to a file: a message, and what `verify` does not doubt is right."""
    whole: Tensor = values(range(6))
    said = 0
    for seed in range(120):
        rng = random.Random(seed)
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        path = copy / kind if kind == "store.json" else rng.choice(sorted((copy / kind).iterdir()))
        path.write_bytes(damage(path.read_bytes(), rng))
        try:
            store = Store.open(copy)
            problems = verify(store).problems
            doubted = {p.shard for p in problems}
            for number in range(6):
                shard = NAME if number < 4 else shard_name(KEYS[4:])
                if shard not in doubted:
                    assert torch.equal(store.read(KEYS[number]), whole[number]), seed
            said += bool(problems)
        except Glm2xError:
            said += 1
        shutil.rmtree(copy)
    assert said > 60
