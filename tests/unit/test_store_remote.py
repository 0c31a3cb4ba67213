"""An embedding store in object storage: the bytes of one on this machine, also when things go wrong."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glm2x.embeddings import fetch
from glm2x.embeddings import store as store_module
from glm2x.embeddings.gc import collect
from glm2x.embeddings.index import index_path, read_index
from glm2x.embeddings.key import shard_name
from glm2x.embeddings.shard import as_bytes, shard_path, tensor_bytes
from glm2x.embeddings.status import require_complete
from glm2x.embeddings.store import Store
from glm2x.embeddings.verify import verify
from glm2x.errors import DataError, UsageError
from glm2x.url import Url
from s3_server import S3
from small_store import SPEC, content, key, values, write

FOLDER = Url("s3://b", "stores/nt")
INSIDE = "b/stores/nt/"
KEYS = [key(number) for number in range(12)]


@pytest.fixture
def store(s3: S3) -> Store:
    """Seven haplotypes in two shards; two of them are in both."""
    made = Store.create("s3://b/stores/nt", SPEC)
    write(made, range(4))
    write(made, range(2, 7))
    s3.asked.clear()
    return made


def name(*numbers: int) -> str:
    return shard_name([key(number) for number in numbers])


def test_its_objects_are_the_files_of_a_local_one(s3: S3, store: Store, tmp_path: Path) -> None:
    local = Store.create(tmp_path / "store", SPEC)
    write(local, range(4))
    write(local, range(2, 7))
    assert s3.below(INSIDE) == content(local.folder)
    assert store.consolidate() == local.consolidate() == 2
    assert s3.below(INSIDE) == content(local.folder)
    assert len(list((local.folder / "index").iterdir())) == 1
    assert Store.create(FOLDER, SPEC).spec == SPEC


def test_what_is_written_is_read(store: Store) -> None:
    for look in (store, Store.open(FOLDER)):
        assert len(look) == 7
        assert KEYS[6] in look
        assert look.missing([KEYS[9], KEYS[0], KEYS[7]]) == [KEYS[9], KEYS[7]]
        assert torch.equal(look.gather([*KEYS[:7][::-1], KEYS[1]]), values([*range(7)[::-1], 1]))
        assert torch.equal(look.read(KEYS[5]), values([5])[0])
        assert look.gather([]).shape == (0, 10, 4)
        assert look.gone() == []
        assert look.has_shard(name(0, 1, 2, 3))
        assert not look.has_shard(name(0))


def test_neighbours_are_one_request(s3: S3, store: Store) -> None:
    opened = Store.open(FOLDER)
    opened.gather([KEYS[3], KEYS[0], KEYS[2]])
    s3.asked.clear()
    opened.gather([KEYS[3], KEYS[0], KEYS[2]])
    assert [method for method, _ in s3.asked] == ["GET"]


def test_much_is_read_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "AT_ONCE", 2 * SPEC.bytes_of_one)
    monkeypatch.setattr(store_module, "READ_TOGETHER", 3 * SPEC.bytes_of_one)
    asked = [6, 0, 3, 1, 5, 2, 4]
    assert torch.equal(store.gather([KEYS[number] for number in asked]), values(asked))
    assert torch.equal(torch.stack(list(store.read_each([KEYS[number] for number in asked]))), values(asked))


def test_faults_change_nothing(s3: S3, tmp_path: Path) -> None:
    """Every third request ends in an error, is cut, or loses its answer."""
    local, faults = Store.create(tmp_path / "store", SPEC), (500, "cut", "lost", "half")

    def fault(method: str, asked: str) -> int | str | None:
        number = len(s3.asked)
        return None if number % 3 else faults[number // 3 % 4]

    s3.fault = fault
    remote = Store.create(FOLDER, SPEC)
    for made in (remote, local):
        write(made, range(4))
        write(made, range(4, 6))
        made.consolidate()
    assert torch.equal(Store.open(FOLDER).gather(KEYS[:6]), values(range(6)))
    s3.fault = None
    assert s3.below(INSIDE) == content(local.folder)


def test_copies_on_this_machine_are_read_instead(
    s3: S3, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made once, of each state of a shard, and made again where one is damaged."""
    monkeypatch.setenv("GLM2X_CACHE", str(tmp_path / "cache"))
    shard = f"shards/{name(0, 1, 2, 3)}.safetensors"

    def requests() -> int:
        s3.asked.clear()
        opened = Store.open(FOLDER)
        assert torch.equal(opened.gather(KEYS[:4]), values(range(4)))
        assert torch.equal(opened.read(KEYS[1]), values([1])[0])
        return s3.count("GET", "shards/")

    assert [requests(), requests()] == [1, 0]
    (copy,) = (tmp_path / "cache").rglob("*.safetensors")
    assert copy.read_bytes() == s3.objects[INSIDE + shard].content
    copy.write_bytes(copy.read_bytes()[:-1])
    assert [requests(), requests()] == [1, 0]
    for place in (index_path(FOLDER, name(0, 1, 2, 3)), shard_path(FOLDER, name(0, 1, 2, 3))):
        place.unlink()
    Store.open(FOLDER).write_shard(KEYS[:4], values(range(4)) * 2)
    assert torch.equal(Store.open(FOLDER).gather(KEYS[:4]), values(range(4)) * 2)
    s3.put(INSIDE + shard, copy.read_bytes()[:-1])
    with pytest.raises(DataError, match="a shard of the embedding store is damaged") as caught:
        Store.open(FOLDER).gather(KEYS[:4])
    assert caught.value.where == f"{FOLDER}/{shard}"
    shard_path(FOLDER, name(0, 1, 2, 3)).unlink()
    with pytest.raises(DataError, match="a shard of the embedding store is damaged"):
        Store.open(FOLDER).gather(KEYS[:4])


def test_what_others_write_and_merge_is_found(store: Store) -> None:
    other = Store.open(FOLDER)
    write(store, [8, 9])
    assert KEYS[8] not in other
    assert torch.equal(other.gather([KEYS[9]]), values([9]))
    store.consolidate()
    write(store, [10])
    other.refresh()
    assert KEYS[10] in other


def test_a_shard_without_index_is_no_shard_and_taken_as_it_is(s3: S3, store: Store) -> None:
    path = shard_path(FOLDER, name(8, 9))
    path.put(tensor_bytes(values([8, 9])))
    assert KEYS[8] not in Store.open(FOLDER)
    s3.asked.clear()
    write(store, [8, 9])
    assert s3.count("PUT", "shards/") == 0
    assert torch.equal(store.gather([KEYS[8]]), values([8]))


@pytest.mark.parametrize("there", [b"", b"no shard", tensor_bytes(values([3, 4]))])
def test_another_is_replaced(store: Store, there: bytes) -> None:
    shard_path(FOLDER, name(8, 9)).put(there)
    write(store, [8, 9])
    assert torch.equal(Store.open(FOLDER).gather([KEYS[8]]), values([8]))
    assert verify(store).problems == ()


@pytest.mark.parametrize("when", ["before the index", "after the index"])
def test_of_two_that_round_differently_the_index_is_of_what_remains(s3: S3, store: Store, when: str) -> None:
    rounded = values([8, 9]) * 1.5
    index, there = f"{INSIDE}index/{name(8, 9)}.parquet", f"{INSIDE}shards/{name(8, 9)}.safetensors"

    def other(method: str, asked: str) -> None:
        at = (
            (method == "PUT" and asked == index)
            if when == "before the index"
            else (method == "HEAD" and index in s3.objects)
        )
        if at and s3.objects[there].content != tensor_bytes(rounded):
            s3.put(there, tensor_bytes(rounded))

    s3.fault = other
    write(store, [8, 9])
    rows, _ = read_index(FOLDER)
    crc32 = rows.filter(rows["shard"] == name(8, 9))["crc32"].to_list()
    assert crc32 == [zlib.crc32(one.tobytes()) for one in as_bytes(rounded)]
    assert verify(store).problems == ()


def test_many_who_write_the_same_write_it_once_each(s3: S3) -> None:
    stores = [Store.create(FOLDER, SPEC) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: [write(store, numbers) for numbers in (range(4), range(4, 8))], stores))
    assert torch.equal(stores[0].gather(KEYS[:8]), values(range(8)))
    assert verify(stores[0]).problems == ()
    assert len(s3.below(f"{INSIDE}shards/")) == 2


def test_where_there_is_none_it_says_so(s3: S3) -> None:
    with pytest.raises(DataError, match="there is no embedding store") as caught:
        Store.open(FOLDER)
    assert (caught.value.where, caught.value.got) == ("s3://b/stores/nt", "no folder")
    s3.put("b/stores/nt/something", b"")
    with pytest.raises(UsageError, match="is no embedding store"):
        Store.create(FOLDER, SPEC)


def test_another_spec_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="the embedding store was made with"):
        Store.create(FOLDER, replace(SPEC, width=8))


def test_shards_that_are_damaged_or_gone_are_named(s3: S3, store: Store) -> None:
    path = shard_path(FOLDER, name(0, 1, 2, 3))
    whole = path.read_bytes()
    path.put(whole[:-1])
    with pytest.raises(DataError, match="a shard of the embedding store is damaged") as caught:
        Store.open(FOLDER).gather(KEYS[:1])
    assert caught.value.got == f"{len(whole) - 1:,} bytes"
    path.unlink()
    with pytest.raises(DataError, match="a shard of the embedding store is damaged") as caught:
        store.gather(KEYS[:1])
    assert caught.value.got == "no such file"
    assert store.gone() == [path.stem]
    with pytest.raises(DataError, match="1 shards that were written are gone"):
        require_complete(store)


def test_a_shard_that_is_gone_after_it_was_read_from_is_told(store: Store) -> None:
    store.gather(KEYS[:1])
    shard_path(FOLDER, name(0, 1, 2, 3)).unlink()
    with pytest.raises(DataError, match="a shard of the embedding store is damaged"):
        store.gather(KEYS[:1])
    assert torch.equal(store.gather(KEYS[4:5]), values([4]))


def test_a_damaged_index_is_named(s3: S3, store: Store) -> None:
    index_path(FOLDER, name(0, 1, 2, 3)).put(b"no parquet")
    with pytest.raises(DataError, match="an index file of the embedding store is damaged") as caught:
        Store.open(FOLDER)
    assert caught.value.where == f"s3://b/stores/nt/index/{name(0, 1, 2, 3)}.parquet"


def test_flipped_bits_are_named(s3: S3, store: Store) -> None:
    path = shard_path(FOLDER, name(0, 1, 2, 3))
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 0x10
    path.put(bytes(raw))
    found = verify(store)
    assert [(problem.shard, problem.key, problem.row) for problem in found.problems] == [
        (path.stem, KEYS[3], 3)
    ]
    assert (found.shards, found.haplotypes) == (2, 9)


def test_what_is_of_no_use_is_removed_when_it_is_old(s3: S3, store: Store) -> None:
    orphan = shard_path(FOLDER, name(8, 9))
    orphan.put(tensor_bytes(values([8, 9])))
    found = collect(store)
    assert (found.removed, found.in_hand) == ((), (f"shards/{orphan.name}",))
    s3.age(f"{INSIDE}shards/", 86_401)
    assert collect(store).removed == (f"shards/{orphan.name}",)
    write(store, range(7))  # all that the two shards hold
    found = collect(store)
    smaller = sorted(f"shards/{name(*numbers)}.safetensors" for numbers in (range(4), range(2, 7)))
    assert (list(found.removed), found.forgotten) == (smaller, ())
    assert torch.equal(store.gather(KEYS[:7]), values(range(7)))
    shard_path(FOLDER, name(*range(7))).unlink()
    assert collect(store).forgotten == (name(*range(7)),)
    assert len(store) == 0
    assert verify(store).shards == 0


def test_a_reader_follows_what_gc_has_left(store: Store) -> None:
    reader = Store.open(FOLDER)
    reader.gather(KEYS[:7])
    write(store, range(7))
    assert len(collect(store).removed) == 2
    assert torch.equal(reader.gather(KEYS[:7]), values(range(7)))
