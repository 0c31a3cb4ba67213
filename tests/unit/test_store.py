from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from glm2x.embeddings import store as store_module
from glm2x.embeddings.index import ROWS, read_index, write_rows
from glm2x.embeddings.key import shard_name
from glm2x.embeddings.places import Places
from glm2x.embeddings.store import Store
from glm2x.errors import DataError, UsageError
from small_store import SPEC, content, key, values, write

KEYS = [key(number) for number in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Seven haplotypes in two shards; two of them are in both."""
    made = Store.create(tmp_path / "store", SPEC)
    write(made, range(4))
    write(made, range(2, 7))
    return made


def test_what_is_written_is_read(store: Store) -> None:
    opened = Store.open(store.folder)
    for look in (store, opened):
        assert look.spec == SPEC
        assert len(look) == 7
        assert KEYS[6] in look
        assert KEYS[7] not in look
        assert torch.equal(look.gather(KEYS[:7][::-1]), values(range(7)).flip(0))
        assert torch.equal(look.read(KEYS[5]), values([5])[0])


def test_a_key_may_be_asked_for_twice(store: Store) -> None:
    assert torch.equal(store.gather([KEYS[1], KEYS[1]]), values([1, 1]))
    assert store.gather([]).shape == (0, 10, 4)


def test_missing_keys_keep_their_order(store: Store) -> None:
    asked = [KEYS[9], KEYS[0], KEYS[7], KEYS[9], KEYS[8]]
    assert store.missing(asked) == [KEYS[9], KEYS[7], KEYS[8]]
    assert store.missing(iter(())) == []


def test_fp32_is_kept_exactly(tmp_path: Path) -> None:
    spec = replace(SPEC, keep="mean", rows=1, dtype="fp32")
    store = Store.create(tmp_path / "store", spec)
    write(store, [1, 2])
    assert store.gather([KEYS[2]]).dtype == torch.float32
    assert torch.equal(store.gather([KEYS[2], KEYS[1]]), values([2, 1], spec))


def test_what_is_missing_is_counted(store: Store) -> None:
    with pytest.raises(DataError, match="lacks 2 of 3 haplotypes") as caught:
        store.gather([KEYS[8], KEYS[0], KEYS[9], KEYS[8]])
    assert KEYS[8] in caught.value.got
    with pytest.raises(DataError, match="lacks 1 of 1 haplotypes"):
        store.read(KEYS[8])


def test_a_view_is_no_copy(store: Store) -> None:
    one, again = store.read(KEYS[3]), store.read(KEYS[3])
    assert one.data_ptr() == again.data_ptr()
    assert one.data_ptr() % 8 == 0


def test_writing_to_a_view_leaves_the_file_alone(store: Store) -> None:
    before = content(store.folder)
    store.read(KEYS[3]).zero_()
    assert content(store.folder) == before
    assert torch.equal(Store.open(store.folder).read(KEYS[3]), values([3])[0])


def test_a_batch_can_be_given(store: Store) -> None:
    out = torch.zeros(3, 10, 4, dtype=torch.bfloat16)
    given_back = store.gather(KEYS[:2], out[:2])
    assert given_back.data_ptr() == out.data_ptr()
    assert torch.equal(out[:2], values([0, 1]))
    assert not out[2].any()


@pytest.mark.parametrize(
    "out", [torch.zeros(2, 10, 4), torch.zeros(1, 10, 4, dtype=torch.bfloat16), values([0, 0]).mT]
)
def test_a_batch_that_does_not_fit(store: Store, out: torch.Tensor) -> None:
    with pytest.raises(AssertionError):
        store.gather(KEYS[:2], out)


def test_few_maps_are_kept_and_none_too_few(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_MAPPED", 2)
    for number in range(7, 12):
        write(store, [number])
    view = store.read(KEYS[0])
    open_before = _open_files()
    for _ in range(2):
        for number in range(12):
            assert torch.equal(store.read(KEYS[number]), values([number])[0])
    assert len(store._mapped) == 2
    if open_before:
        assert _open_files() == open_before
        mapped = Path("/proc/self/maps").read_text().count(str(store.folder))
        assert mapped == 3  # two, and the one that the view keeps
    assert torch.equal(view, values([0])[0])


def _open_files() -> int:
    """Return how many files this process has open; 0 where nobody says."""
    there = Path("/proc/self/fd")
    return len(list(there.iterdir())) if there.exists() else 0


def test_several_threads_may_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_MAPPED", 1)

    def read(turn: int) -> bool:
        asked = [(turn + step) % 7 for step in range(5)]
        return torch.equal(store.gather([KEYS[number] for number in asked]), values(asked))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(200)))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, store: Store) -> None:
    other = Store.create(tmp_path / "other", SPEC)
    write(other, range(2, 7))
    write(other, range(4))
    assert content(other.folder) == content(store.folder)
    assert sorted(content(store.folder)) == sorted(
        [
            "store.json",
            *(f"index/{shard_name(KEYS[a:b])}.parquet" for a, b in ((0, 4), (2, 7))),
            *(f"shards/{shard_name(KEYS[a:b])}.safetensors" for a, b in ((0, 4), (2, 7))),
        ]
    )


def test_a_shard_is_a_plain_safetensors_file(store: Store) -> None:
    with safe_open(store.folder / f"shards/{shard_name(KEYS[:4])}.safetensors", framework="pt") as tensors:
        assert list(tensors.keys()) == ["embeddings"]
        assert torch.equal(tensors.get_tensor("embeddings"), values(range(4)))


def test_a_shard_that_is_there_is_left_alone(store: Store) -> None:
    paths = [store.folder / name for name in content(store.folder)]
    before = [path.stat().st_mtime_ns for path in paths]
    assert write(store, range(4)) == shard_name(KEYS[:4])
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_shard_without_index_is_taken_where_it_is_the_same(store: Store) -> None:
    shard = store.folder / f"shards/{shard_name(KEYS[:4])}.safetensors"
    whole, inode = content(store.folder), shard.stat().st_ino
    (store.folder / f"index/{shard.stem}.parquet").unlink()
    write(Store.open(store.folder), range(4))
    assert content(store.folder) == whole
    assert shard.stat().st_ino == inode


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty", "lie"])
def test_a_shard_without_index_is_replaced_where_it_is_another(store: Store, spoil: str) -> None:
    shard = store.folder / f"shards/{shard_name(KEYS[:4])}.safetensors"
    whole, raw = content(store.folder), bytearray(shard.read_bytes())
    raw[-5] ^= 1
    lie = shard.read_bytes().replace(b"[4,10,4]", b"[4,4,10]")
    shard.write_bytes({"flip": bytes(raw), "cut": raw[:-1], "empty": b"", "lie": lie}[spoil])
    (store.folder / f"index/{shard.stem}.parquet").unlink()
    opened = Store.open(store.folder)
    assert KEYS[0] not in opened
    write(opened, range(4))
    assert content(store.folder) == whole
    assert torch.equal(opened.read(KEYS[0]), values([0])[0])


def test_a_shard_that_another_process_replaced_is_indexed_as_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers of one shard whose devices round otherwise: what is read has the checksums in the index."""
    from glm2x.embeddings import commit
    from glm2x.embeddings.verify import verify

    other, written = values([20, 21]), []

    def replace_it(path: Path, keys: list[str], crc32: list[int]) -> None:
        write_rows(path, keys, crc32)
        written.append(crc32)
        if len(written) == 1:
            shard = store.folder / f"shards/{shard_name(keys)}.safetensors"
            commit.write_tensor(shard.with_name("x"), other)
            shard.with_name("x").replace(shard)

    monkeypatch.setattr(commit, "write_rows", replace_it)
    store.write_shard(KEYS[8:10], values([8, 9]))
    assert len(written) == 2
    assert verify(store).problems == ()
    assert torch.equal(store.gather(KEYS[8:10]), other)


def test_keys_that_are_none(store: Store) -> None:
    for keys in (["a"], ["A" * 32], ["../" + "a" * 29], [KEYS[0] + "\n"], [" " * 32]):
        with pytest.raises(ValueError, match="is no key"):
            store.write_shard(keys, values([0]))
        with pytest.raises(ValueError, match="is no key"):
            store.missing(keys)
    for keys in ([KEYS[0], KEYS[0]], []):
        with pytest.raises(ValueError, match="each once"):
            store.write_shard(keys, values(range(2))[: len(keys)])


@pytest.mark.parametrize("wrong", [values([0]), values([0, 1]).float(), values([0, 1]).mT])
def test_values_that_do_not_fit(store: Store, wrong: torch.Tensor) -> None:
    with pytest.raises(AssertionError):
        store.write_shard(KEYS[8:10], wrong)


def test_values_that_are_not_contiguous(store: Store) -> None:
    store.write_shard(KEYS[8:10], values([8, 9]).mT.contiguous().mT)
    assert torch.equal(store.gather(KEYS[8:10]), values([8, 9]))


def test_others_are_seen_after_a_refresh(store: Store) -> None:
    other = Store.open(store.folder)
    write(other, [7, 8])
    assert KEYS[7] not in store
    store.refresh()
    assert KEYS[7] in store
    write(other, [9])
    assert torch.equal(store.read(KEYS[9]), values([9])[0])  # looks by itself before it says no


def test_whether_a_shard_is_there_is_told_without_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store.open(store.folder)
    written, left = write(other, [7, 8]), write(other, [9])
    (store.folder / f"index/{left}.parquet").unlink()  # as a killed process leaves it
    looks = []
    refresh = Store.refresh
    monkeypatch.setattr(Store, "refresh", lambda self: (looks.append(1), refresh(self))[1])
    assert store.has_shard(written)
    assert not store.has_shard("0" * 32)
    assert not looks
    assert not store.has_shard(left)
    other.consolidate()
    assert store.has_shard(written)


def test_what_was_written_is_put_among_the_others_when_it_is_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doing so takes as long as all the others are many."""
    before, placed = len(store), []
    with_rows = Places.with_rows
    monkeypatch.setattr(
        Places, "with_rows", lambda self, rows: (placed.append(len(rows)), with_rows(self, rows))[1]
    )
    for number in (7, 8, 9):
        write(store, [number])
    write(store, [8])  # which it has
    assert placed == []
    assert len(store) == before + 3
    assert placed == [3]
    assert torch.equal(store.gather([key(n) for n in (9, 7, 0)]), values([9, 7, 0]))


def test_shards_that_are_gone_are_named(store: Store) -> None:
    assert store.gone() == []
    name = write(store, [7])
    (store.folder / f"shards/{name}.safetensors").unlink()
    assert store.gone() == [name]


def test_merging_the_index_changes_nothing_but_files(store: Store) -> None:
    late = Store.open(store.folder)
    assert store.consolidate() == 2
    assert [p.name for p in (store.folder / "index").iterdir()] == [
        next((store.folder / "index").glob("merged-*.parquet")).name
    ]
    assert store.consolidate() == 1
    write(late, [7])
    for look in (store, late, Store.open(store.folder)):
        look.refresh()
        assert len(look) == 8
        assert torch.equal(look.gather(KEYS[:8]), values(range(8)))
    assert store.consolidate() == 2
    assert len(Store.open(store.folder)) == 8
    assert len(list((store.folder / "index").iterdir())) == 1


def test_merging_gives_the_same_bytes_whatever_came_first(tmp_path: Path) -> None:
    at_once, in_steps = (Store.create(tmp_path / name, SPEC) for name in ("one", "two"))
    for numbers in ([0, 1], [2], [3, 4]):
        write(at_once, numbers)
    at_once.consolidate()
    for numbers in ([3, 4], [2], [0, 1]):
        write(in_steps, numbers)
        in_steps.consolidate()
    assert content(at_once.folder) == content(in_steps.folder)


def test_a_merge_that_was_killed_harms_nothing(store: Store) -> None:
    parts = content(store.folder)
    store.consolidate()
    for name, raw in parts.items():  # not yet removed
        (store.folder / name).write_bytes(raw)
    opened = Store.open(store.folder)
    assert len(opened) == 7
    assert torch.equal(opened.gather(KEYS[:7]), values(range(7)))
    assert read_index(store.folder)[0].height == 9
    opened.consolidate()
    assert len(list((store.folder / "index").iterdir())) == 1


def test_an_index_that_is_merged_while_it_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    late, listed = Store.open(store.folder), store_module.list_files
    write(store, [7])

    def merged_after(folder: Path) -> frozenset[str]:
        found = listed(folder)
        store_module.merge(folder)
        return found

    monkeypatch.setattr(store_module, "list_files", merged_after)
    late.refresh()
    assert torch.equal(late.gather(KEYS[:8]), values(range(8)))


def test_nothing_was_written_yet(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "deep/store", SPEC)
    assert [p.name for p in store.folder.iterdir()] == ["store.json"]
    assert len(store) == 0
    assert store.missing(KEYS[:1]) == KEYS[:1]
    assert store.consolidate() == 0


def test_a_store_is_made_once(store: Store) -> None:
    assert len(Store.create(store.folder, SPEC)) == 7
    with pytest.raises(DataError, match="made with another window"):
        Store.create(store.folder, replace(SPEC, window=58))


def test_a_folder_of_other_things_is_no_place_for_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is no embedding store"):
        Store.create(tmp_path, SPEC)
    with pytest.raises(UsageError, match="is no embedding store"):
        Store.create(tmp_path / "thesis.txt", SPEC)


def test_two_processes_make_it_at_once(tmp_path: Path) -> None:
    (tmp_path / ".store.json.partial-elsewhere-1").write_text("{")
    assert len(Store.create(tmp_path, SPEC)) == 0


@pytest.mark.parametrize("depth", [1, 2])
def test_there_is_no_store(tmp_path: Path, depth: int) -> None:
    with pytest.raises(DataError, match="there is no embedding store"):
        Store.open(tmp_path if depth == 1 else tmp_path / "nothing")


def test_a_store_may_be_read_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [store.folder, store.folder / "shards", store.folder / "index"]
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    for path in (*files, *folders):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        opened = Store.create(store.folder, SPEC)
        assert torch.equal(opened.gather(KEYS[:7]), values(range(7)))
        assert torch.equal(opened.read(KEYS[1]), values([1])[0])

        def refuse(self: Path, *_: object, **__: object) -> None:  # what root may do nevertheless
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "touch", refuse)
        with pytest.raises(DataError, match="may not be written to"):
            write(opened, [9])
    finally:
        for path in folders:
            path.chmod(0o755)


def test_a_path_with_signs_that_mean_more_elsewhere(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "a=1 [x]*?{y}%", SPEC)
    write(store, [0])
    write(store, [1, 2])
    assert len(Store.open(store.folder)) == 3
    store.consolidate()
    assert torch.equal(Store.open(store.folder).gather(KEYS[:3]), values(range(3)))


@given(
    shards=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6, unique=True), max_size=8),
    shared=st.booleans(),
)
def test_places_are_found_whatever_the_keys(shards: list[list[int]], shared: bool) -> None:
    """Keys whose first half is the same are told apart; of several shards the first by name is taken."""

    def name(number: int) -> str:
        return f"{number % 3 if shared else number * 7:016x}{number:016x}"

    import polars as pl

    places, wanted = Places.none(), {}
    for numbers in shards:
        keys = [name(number) for number in numbers]
        shard = shard_name(keys)
        columns = {"shard": shard, "key": keys, "row": range(len(keys)), "crc32": 7}
        places = places.with_rows(pl.DataFrame(columns, schema=ROWS))
        for row, number in enumerate(numbers):
            wanted[number] = min(wanted.get(number, (shard, row)), (shard, row))
    found = places.locate([name(number) for number in range(31)])
    for number, (shard, row, crc32) in enumerate(zip(*found, strict=True)):
        assert crc32 == (0 if shard < 0 else 7)
        got = None if shard < 0 else (places.shards[shard], int(row))
        assert got == wanted.get(number)
    assert len(places.row) == len(wanted)


def test_a_full_disk_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from glm2x.embeddings import commit

    def full(path: Path, values: torch.Tensor) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = content(store.folder)
    monkeypatch.setattr(commit, "write_tensor", full)
    with pytest.raises(DataError, match="the disk is full"):
        write(store, [9])
    assert content(store.folder) == before
    assert KEYS[9] not in store
