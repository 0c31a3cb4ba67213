"""What `verify` finds and `gc` removes."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
import torch

from glm2x.embeddings import gc as gc_module
from glm2x.embeddings.gc import Collected, collect
from glm2x.embeddings.index import merge
from glm2x.embeddings.key import shard_name
from glm2x.embeddings.shard import as_bytes
from glm2x.embeddings.store import Store
from glm2x.embeddings.verify import Problem, verify
from small_store import SPEC, content, key, values, write

KEYS = [key(number) for number in range(12)]
NOTHING = Collected((), 0, (), ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.create(tmp_path / "store", SPEC)
    write(made, range(4))
    write(made, range(4, 6))
    return made


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def shard(store: Store, *numbers: int) -> Path:
    return store.folder / f"shards/{shard_name([key(number) for number in numbers])}.safetensors"


def flip(path: Path, byte: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[byte] ^= 0x10
    path.write_bytes(raw)


def test_the_checksums_are_those_of_zlib(store: Store) -> None:
    frame = pl.read_parquet(store.folder / f"index/{shard_name(KEYS[:4])}.parquet")
    raw = as_bytes(values(range(4)))
    assert frame["crc32"].to_list() == [zlib.crc32(one.tobytes()) for one in raw]
    assert frame["key"].to_list() == KEYS[:4]
    assert frame["row"].to_list() == [0, 1, 2, 3]
    assert frame.schema == {"key": pl.String, "row": pl.UInt32, "crc32": pl.UInt32}


def test_flipped_bits_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from glm2x.embeddings import verify as module

    monkeypatch.setattr(module, "_AT_ONCE", 7)  # a haplotype in many pieces
    path = shard(store, 0, 1, 2, 3)
    size = path.stat().st_size
    flip(path, size - 1)  # the last byte of row 3
    flip(path, size - 320)  # the first of row 0
    flip(path, size - 319)
    found = verify(Store.open(store.folder))
    assert [(p.shard, p.key, p.row) for p in found.problems] == [
        (path.stem, KEYS[0], 0),
        (path.stem, KEYS[3], 3),
    ]
    assert "CRC-32" in found.problems[0].what
    assert (found.shards, found.haplotypes, found.bytes) == (2, 6, 6 * 80)


def test_every_bit_of_a_haplotype_counts(store: Store) -> None:
    path = shard(store, 4, 5)
    whole = path.read_bytes()
    for bit in range(0, 160 * 8, 37):
        raw = bytearray(whole)
        raw[len(whole) - 160 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        assert [p.row for p in verify(store).problems] == [bit // 8 // 80]


def test_what_a_message_says_mends_a_flipped_bit(store: Store) -> None:
    """Without the shard, `gc` forgets it; without its index, it is compared and replaced."""
    whole, path = content(store.folder), shard(store, 4, 5)
    flip(path, path.stat().st_size - 1)
    path.unlink()
    assert collect(store) == Collected((), 0, (path.stem,), ())
    assert store.missing(KEYS[:6]) == KEYS[4:6]
    write(store, [4, 5])
    assert verify(store).problems == ()
    assert torch.equal(Store.open(store.folder).gather(KEYS[:6]), values(range(6)))
    shutil.rmtree(store.folder)
    for name, raw in whole.items():
        (store.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (store.folder / name).write_bytes(raw)
    flip(path, path.stat().st_size - 1)
    (store.folder / f"index/{path.stem}.parquet").unlink()
    write(Store.open(store.folder), [4, 5])
    assert content(store.folder) == whole


def test_a_disk_that_cannot_read_is_a_problem(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from glm2x.embeddings import verify as module

    def refuse(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "_crc32", refuse)
    assert [p.what for p in verify(store).problems] == [
        "the file cannot be read: [Errno 5] Input/output error"
    ] * 2


def test_verify_counts_shards(store: Store) -> None:
    told: list[object] = []

    class Counter:
        def advance(self, n: int = 1, message: str = "") -> None:
            told.append((n, message))

    @contextmanager
    def progress(label: str, total: int, unit: str = "") -> Iterator[Counter]:
        told.append((label, total))
        yield Counter()

    shard(store, 4, 5).unlink()
    problems = verify(store, progress).problems
    assert problems == (Problem(shard(store, 4, 5).stem, None, None, problems[0].what),)
    assert "no such file" in problems[0].what
    assert told[0] == ("verify", 2)
    assert sum(n for n, _ in told[1:]) == 2  # type: ignore[misc]
    assert told[-1][1] in ("", "1 problems")  # type: ignore[index]


def test_verify_holds_of_an_empty_store(tmp_path: Path) -> None:
    found = verify(Store.create(tmp_path / "store", SPEC))
    assert (found.shards, found.haplotypes, found.bytes, found.problems) == (0, 0, 0, ())


def test_there_is_nothing_to_remove(store: Store, tmp_path: Path) -> None:
    before = content(store.folder)
    assert collect(store) == NOTHING
    assert content(store.folder) == before
    assert collect(Store.create(tmp_path / "empty", SPEC)) == NOTHING


def test_a_shard_without_index_is_removed(store: Store) -> None:
    before = content(store.folder)
    write(store, [7, 8])
    orphan = shard(store, 7, 8)
    size = orphan.stat().st_size
    (store.folder / f"index/{orphan.stem}.parquet").unlink()
    assert collect(store) == Collected((f"shards/{orphan.name}",), size, (), ())
    assert content(store.folder) == before
    assert KEYS[7] not in store


def test_unfinished_files_of_dead_processes_are_removed(store: Store, dead: int) -> None:
    before, host = content(store.folder), platform.node()
    (store.folder / "plans").mkdir()
    left = [
        f".store.json.partial-{host}-{dead}",
        f"index/.{'a' * 32}.parquet.partial-{host}-{dead}",
        f"plans/.1.parquet.partial-{host}-{dead}",
        f"shards/.{'a' * 32}.safetensors.partial-{host}-{dead}",
        f"shards/.{'b' * 32}.safetensors.partial-a-b-c-1",  # of another machine, long ago
    ]
    for name in left:
        (store.folder / name).write_bytes(b"12345")
    os.utime(store.folder / left[-1], (1, 1))
    kept = [
        f"shards/.{'c' * 32}.safetensors.partial-{host}-{os.getpid()}",
        f"shards/.{'d' * 32}.safetensors.partial-elsewhere-{dead}",
    ]
    for name in kept:
        (store.folder / name).write_bytes(b"1")
    (store.folder / "shards/notes.txt").write_text("mine")
    assert collect(store) == Collected(tuple(sorted(left)), 25, (), tuple(sorted(kept)))
    assert content(store.folder).keys() == {*before, *kept, "shards/notes.txt"}


def test_a_shard_that_somebody_is_committing_stays(store: Store, dead: int) -> None:
    write(store, [7, 8])
    path = shard(store, 7, 8)
    index = store.folder / f"index/{path.stem}.parquet"
    index.rename(index.with_name(f".{index.name}.partial-{platform.node()}-{os.getpid()}"))
    found = collect(store)
    assert found.removed == ()
    assert len(found.in_hand) == 1
    assert path.exists()
    (store.folder / found.in_hand[0]).rename(
        index.with_name(f".{index.name}.partial-{platform.node()}-{dead}")
    )
    assert len(collect(store).removed) == 2
    assert not path.exists()


def test_a_shard_that_is_committed_meanwhile_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, [7, 8])
    index = store.folder / f"index/{shard(store, 7, 8).stem}.parquet"
    raw, read = index.read_bytes(), gc_module.read_index
    index.unlink()

    def commit_after(folder: Path) -> object:
        rows = read(folder)
        index.write_bytes(raw)
        return rows

    monkeypatch.setattr(gc_module, "read_index", commit_after)
    assert collect(store) == NOTHING
    assert torch.equal(store.gather(KEYS[7:9]), values([7, 8]))


@pytest.mark.parametrize("merged", [False, True])
def test_shards_that_are_gone_are_forgotten(store: Store, merged: bool) -> None:
    if merged:
        merge(store.folder)
    write(store, [7])
    names = tuple(sorted(path.stem for path in (shard(store, 4, 5), shard(store, 7))))
    for name in names:
        (store.folder / f"shards/{name}.safetensors").unlink()
    assert collect(store) == Collected((), 0, names, ())
    assert store.missing(KEYS[:8]) == KEYS[4:8]
    assert verify(store).problems == ()
    assert collect(store) == NOTHING


@pytest.mark.parametrize("merged", [False, True])
def test_shards_whose_haplotypes_are_in_others_are_removed(store: Store, merged: bool) -> None:
    write(store, [1, 4])  # one in each of the first two
    write(store, [3, 7])  # one of them nowhere else
    write(store, [1])
    if merged:
        merge(store.folder)
    gone = [shard(store, 1), shard(store, 1, 4)]
    size = sum(path.stat().st_size for path in gone)
    late = Store.open(store.folder)
    wanted = Collected(tuple(sorted(f"shards/{path.name}" for path in gone)), size, (), ())
    assert collect(store) == wanted
    for look in (late, store, Store.open(store.folder)):
        asked = [0, 1, 2, 3, 4, 5, 7]
        assert torch.equal(look.gather([KEYS[n] for n in asked]), values(asked))
    assert verify(store).problems == ()
    assert collect(store) == NOTHING


def test_of_two_shards_that_hold_the_same_one_stays(store: Store) -> None:
    write(store, [8, 9])
    write(store, [9, 8])
    assert len(collect(store).removed) == 1
    assert torch.equal(store.gather(KEYS[8:10]), values([8, 9]))


def test_a_damaged_shard_is_no_second_copy(store: Store) -> None:
    write(store, [4, 5, 6])
    path = shard(store, 4, 5, 6)
    path.write_bytes(path.read_bytes()[:-1])
    assert collect(store) == NOTHING
    assert torch.equal(Store.open(store.folder).gather(KEYS[:4]), values(range(4)))
    assert len(verify(store).problems) == 1


def test_a_shard_that_is_committed_while_others_are_removed_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removing hundreds of large files takes long enough for a process to come back and commit one."""
    paths = []
    for number in (7, 8):
        write(store, [number])
        paths.append(shard(store, number))
    first, last = sorted(paths)
    raw = {path: (store.folder / f"index/{path.stem}.parquet") for path in paths}
    kept = raw[last].read_bytes()
    for index in raw.values():
        index.unlink()
    unlink = Path.unlink

    def commit_meanwhile(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path == first:
            raw[last].write_bytes(kept)

    monkeypatch.setattr(Path, "unlink", commit_meanwhile)
    assert collect(store).removed == (str(first.relative_to(store.folder)),)
    assert last.exists()
