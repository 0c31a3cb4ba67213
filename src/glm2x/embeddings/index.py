"""The index of an embedding store on disk: which shard has which haplotypes. A file in it is the commit.

``index/SHARD.parquet`` holds the rows of one shard: key, row, crc32. ``index/merged-DIGEST.parquet`` holds
those of many: shard, key, row, crc32. A shard may stand in both, and a key in several shards.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, overload

import polars as pl

from glm2x.embeddings.key import DIGITS, is_name
from glm2x.errors import DataError
from glm2x.files import write_aside
from glm2x.parquet import require_whole, write_table
from glm2x.place import Place, local_copy, names_in
from glm2x.url import Url

INDEX = "index"
SUFFIX = ".parquet"

_MERGED = "merged-"
_COLUMNS = {"key": pl.String, "row": pl.UInt32, "crc32": pl.UInt32}
ROWS = pl.Schema({"shard": pl.String, **_COLUMNS})
_NAME = f"^[0-9a-f]{{{DIGITS}}}$"
_AT_ONCE = 16_384  # rows, and the rest of a shard
_THREADS = 16  # that read from object storage: each waits, most of the time
_TRIES = 20  # looks at a folder whose files others merge meanwhile


@overload
def index_path(folder: Path, shard: str) -> Path: ...
@overload
def index_path(folder: Url, shard: str) -> Url: ...
def index_path(folder: Place, shard: str) -> Place:
    """Return where the index of one shard of a store lies."""
    return folder / INDEX / f"{shard}{SUFFIX}"


def list_files(folder: Place) -> frozenset[str]:
    """Return the names of the index files of a store.

    Raises
    ------
    DataError
        Something in the folder is called as no index file is, or is no file.
    """
    names = set()
    try:
        found = names_in(folder / INDEX)
    except FileNotFoundError:  # nothing was written yet
        return frozenset()
    for name in found:
        if not name.endswith(SUFFIX) or name.startswith("."):
            continue  # what is being written, or is nothing of ours
        if not is_name(name.removesuffix(SUFFIX).removeprefix(_MERGED)):
            raise _damaged(
                folder / INDEX / name,
                got="a name that no index file has",
                wanted=f"SHARD{SUFFIX}, of hexadecimal digits",
            )
        names.add(name)
    return frozenset(names)


def read_files(folder: Place, names: Collection[str]) -> pl.DataFrame:
    """Return the rows of index files, in the order of shards: columns as `ROWS`; no shard stands twice.

    Raises
    ------
    FileNotFoundError
        One is gone: another process has merged it.
    DataError
        One is damaged.
    """
    paths = [folder / INDEX / name for name in sorted(names)]
    merged = [path for path in paths if path.name.startswith(_MERGED)]
    frames = [_read_merged(path) for path in merged]
    single = [path for path in paths if not path.name.startswith(_MERGED)]
    if isinstance(folder, Url):
        with ThreadPoolExecutor(_THREADS) as pool:
            frames.append(pl.concat([pl.DataFrame(schema=ROWS), *pool.map(_read_one, single)]))
    else:
        frames.append(_read_shards([path for path in single if isinstance(path, Path)]))
    rows = frames[0]
    for frame in frames[1:]:
        known = rows["shard"].unique()
        rows = pl.concat([rows, frame.filter(~pl.col("shard").is_in(known.implode()))])
    return rows.sort("shard", "row", maintain_order=True)


def read_index(folder: Place) -> tuple[pl.DataFrame, frozenset[str]]:
    """Return all rows of a store's index, as `read_files`, and the names of the files they are from."""
    for _ in range(_TRIES):
        names = list_files(folder)
        try:
            return read_files(folder, names), names
        except FileNotFoundError:
            continue
    raise DataError("the index of the embedding store changes all the time", where=str(folder / INDEX))


def write_rows(path: Path, keys: Sequence[str], crc32: Sequence[int]) -> None:
    """Write the index of one shard: the same content gives the same bytes."""
    frame = pl.DataFrame({"key": list(keys), "row": range(len(keys)), "crc32": crc32}, schema=_COLUMNS)
    write_table(frame, path, compression="uncompressed", statistics=False)


def merge(folder: Place, without: Collection[str] = ()) -> int:
    """Put all index files into one, and remove them; return how many there were.

    A process that is killed meanwhile leaves more files than needed, and none too few.

    Parameters
    ----------
    without
        Shards to forget.
    """
    rows, names = read_index(folder)
    rows = rows.filter(~pl.col("shard").is_in(list(without)))
    merged = folder / INDEX / f"{_MERGED}{_digest(rows)}{SUFFIX}"
    if rows.height and merged.name not in names:
        with write_aside(merged, force=True) as aside:
            write_table(rows, aside, compression="zstd", statistics=False)
        sync_folder(merged.parent)
    for name in names - {merged.name}:
        (folder / INDEX / name).unlink(missing_ok=True)
    return len(names)


def sync_folder(folder: Place) -> None:
    """Flush a folder to the disk: what was renamed in it so comes before all that follows."""
    if isinstance(folder, Url):
        return  # whose objects are there when they have been sent
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(rows: pl.DataFrame) -> str:
    """Return a digest of the rows of an index: shards, which are named by their keys, and checksums."""
    content = hashlib.blake2b(
        "\n".join(rows["shard"].unique(maintain_order=True)).encode(), digest_size=DIGITS // 2
    )
    content.update(rows["crc32"].to_numpy().tobytes())
    return content.hexdigest()


def _read_shards(paths: Sequence[Path]) -> pl.DataFrame:
    """Return the rows of the index files of one shard each; all at once, or, where that fails, one by one."""
    if not paths:
        return pl.DataFrame(schema=ROWS)
    _require_files(paths)
    try:
        frame = _read(paths)
        whole = frame.schema == {**_COLUMNS, "shard": pl.String} and _fault(frame) is None
        if whole and frame["shard"].n_unique() == len(paths):
            return frame.select(ROWS.names())
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError):
        pass  # which file it is, and what is wrong, is found below
    return pl.concat([_read_one(path) for path in paths])


def _read(paths: Sequence[Path]) -> pl.DataFrame:
    scanned = pl.scan_parquet(list(paths), glob=False, hive_partitioning=False, include_file_paths="shard")
    stem = pl.col("shard").str.head(-len(SUFFIX)).str.tail(DIGITS)
    return scanned.with_columns(stem).collect()


def _read_one(path: Place) -> pl.DataFrame:
    frame = _checked(path, _COLUMNS)
    return frame.select(pl.lit(path.stem).alias("shard"), *_COLUMNS)


def _read_merged(path: Place) -> pl.DataFrame:
    if isinstance(path, Path):
        _require_files([path])
    return _checked(path, ROWS)


def _checked(path: Place, schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return the rows of one index file (`DataError` where it is damaged)."""
    try:
        with local_copy(path) as file:
            if isinstance(path, Url):
                require_whole(file, where=str(path), do=_mend(path))
            frame = pl.read_parquet(file, glob=False, hive_partitioning=False)
    except FileNotFoundError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise _damaged(path, got=(str(error).splitlines() or [type(error).__name__])[0][:200]) from error
    if dict(frame.schema) != dict(schema):
        got = ", ".join(f"{name} {kind}" for name, kind in frame.schema.items())
        raise _damaged(path, got=got, wanted=", ".join(f"{name} {kind}" for name, kind in schema.items()))
    fault = _fault(frame if "shard" in schema else frame.with_columns(pl.lit(path.stem).alias("shard")))
    if fault is not None:
        raise _damaged(path, got=fault, wanted="each shard's rows from 0 on, and each key once in it")
    return frame


def _fault(frame: pl.DataFrame) -> str | None:
    """Return what is wrong with rows of whole shards one after the other; None: nothing."""
    if not frame.height:
        return "no rows"
    if frame.null_count().sum_horizontal().item():
        return "cells without a value"
    first = pl.col("shard") != pl.col("shard").shift(1, fill_value="")
    starts = frame.select(first.arg_true()).to_series()
    parts = _whole_shards(frame, starts)
    for part in parts:
        for column in ("shard", "key"):
            strange = part.filter(~pl.col(column).str.contains(_NAME))
            if strange.height:
                return f"{column} {strange[column][0][:80]!r}"
        wanted = pl.when(first).then(0).otherwise(pl.col("row").cast(pl.Int64).shift(1) + 1)
        lost = part.filter(pl.col("row") != wanted)
        if lost.height:
            return f"row {lost['row'][0]:,} of shard {lost['shard'][0]} out of its order"
    if frame["shard"].gather(starts).is_duplicated().any():
        return "a shard that stands twice"
    for part in parts:
        repeated = part.filter(pl.struct("shard", "key").is_duplicated())
        if repeated.height:
            return f"key {repeated['key'][0]} twice in shard {repeated['shard'][0]}"
    return None


def _whole_shards(frame: pl.DataFrame, starts: pl.Series) -> list[pl.DataFrame]:
    """Return the rows in parts of whole shards: to look at all at once takes several times their memory."""
    cuts = [0]
    for start in starts:
        if start - cuts[-1] >= _AT_ONCE:
            cuts.append(start)
    return [frame[start:end] for start, end in zip(cuts, [*cuts[1:], frame.height], strict=True)]


def _require_files(paths: Sequence[Path]) -> None:
    """Refuse what is damaged, or no file: a folder or a pipe, on which reading would go astray."""
    for path in paths:
        if not path.is_file():
            if not path.exists() and not path.is_symlink():
                raise FileNotFoundError(path)
            raise _damaged(path, got="no file", wanted="a file")
        require_whole(path, do=_mend(path))


def _damaged(path: Place, *, got: str, wanted: str = "key, row and crc32 of each haplotype") -> DataError:
    return DataError(
        "an index file of the embedding store is damaged",
        where=str(path),
        got=got,
        wanted=wanted,
        do=_mend(path),
    )


def _mend(path: Place) -> str:
    return (
        f"restore it from a copy, or delete {INDEX}/{path.name}: glm2x embed run then computes again what it "
        "named"
    )
