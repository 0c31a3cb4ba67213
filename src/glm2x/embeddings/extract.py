"""Filling a store: each process takes shards that nobody works on, until none is left."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from glm2x.backbones.language import LanguageModel
from glm2x.backbones.tiling import Tiling, embed
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.plan import PLANS, Plan, codes_of
from glm2x.embeddings.reduce import kept_of
from glm2x.embeddings.shard import DTYPES
from glm2x.embeddings.spec import StoreSpec
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.progress import Advance, Progress

CLAIMS = "claims"


@dataclass(frozen=True)
class Extracted:
    """What a process has done.

    Attributes
    ----------
    passes
        Windows that it sent through the model.
    shards
        Shards that it wrote.
    elsewhere
        Shards that other processes had in hand when it ended.
    """

    passes: int
    shards: int
    elsewhere: int


def extract(
    store: Store,
    plan: Plan,
    cohort: Cohort,
    model: LanguageModel,
    device: torch.device,
    progress: Progress,
) -> Extracted:
    """Work on a plan's shards until none is left that is neither stored nor in somebody else's hands.

    A process that is killed loses the shard it has in hand, and its claim with it.

    Raises
    ------
    DataError
        The cohort is another than the planned one, or the model another than the store's.
    """
    require_cohort(plan, cohort)
    require_model(store, model)
    model.to(device)
    dictionary = HaplotypeDictionary(cohort, store.spec.window)
    todo = _todo(store, plan.shards())
    passes = shards = 0
    with progress("embed", sum(map(len, todo)), "windows") as bar:
        while todo:
            done = told = 0
            for lines in todo:
                name = lines["shard"][0]
                with _claimed(store.folder, name) as mine:
                    if not mine:
                        continue
                    told += len(lines)
                    if store.has_shard(name):
                        bar.advance(len(lines), "by another process")
                        continue
                    values = _compute(model, dictionary, lines, store.spec, plan.batch, device, bar)
                    store.write_shard(lines["key"].to_list(), values)
                passes, shards, done = passes + len(lines), shards + 1, done + 1
            before, todo = todo, _todo(store, todo)
            bar.advance(sum(map(len, before)) - sum(map(len, todo)) - told, "by another process")
            if not done:
                break
    return Extracted(passes, shards, len(todo))


def _todo(store: Store, shards: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Return the shards of which the store lacks something."""
    store.refresh()
    return [lines for lines in shards if store.missing(lines["key"].to_list())]


def _compute(
    model: LanguageModel,
    dictionary: HaplotypeDictionary,
    lines: pl.DataFrame,
    spec: StoreSpec,
    batch: int,
    device: torch.device,
    bar: Advance,
) -> Tensor:
    """Return what the store keeps of a shard's haplotypes, [n, rows, width].

    They go through the model in the same batches whoever computes them.
    """
    values = torch.empty((len(lines), spec.rows, spec.width), dtype=DTYPES[spec.dtype])
    tiling = None if spec.tiling is None else Tiling(**spec.tiling)
    for start in range(0, len(lines), batch):
        part = lines[start : start + batch]
        codes = torch.cat([_letters(dictionary, *line) for line in part.iter_rows(named=False)])
        try:
            with torch.inference_mode():
                kept = kept_of(embed(model, codes.to(device), tiling, spec.strand), spec)
        except torch.OutOfMemoryError as error:
            raise _too_large(spec, len(part), error) from error
        _require_finite(kept, part)
        values[start : start + len(part)] = kept.cpu()
        bar.advance(len(part), part["gene"][-1])
    return values


def _letters(dictionary: HaplotypeDictionary, name: str, row: int, key: str, shard: str) -> Tensor:
    """Return a planned haplotype's letters, uint8 [1, window]."""
    gene = dictionary.gene(name)
    if row >= gene.n_unique:
        raise _not_the_cohort_s(name, row, f"{gene.n_unique:,} unique haplotypes", "that row")
    codes = codes_of(gene, [row])
    if sequence_key(codes[0]) != key:
        raise _not_the_cohort_s(name, row, f"sequence {sequence_key(codes[0])}", key)
    return torch.from_numpy(codes)


def _not_the_cohort_s(gene: str, row: int, got: str, wanted: str) -> DataError:
    return DataError(
        "a planned haplotype is not the cohort's",
        where=f"{gene}, row {row}",
        got=got,
        wanted=wanted,
        do=f"delete the plan (STORE/{PLANS}), and plan again: what is stored stays",
    )


def _too_large(spec: StoreSpec, windows: int, error: Exception) -> DataError:
    return DataError(
        f"the memory of the {spec.device} device does not hold what the model computes",
        got=f"{windows} windows of {spec.window:,} bp together; {str(error).partition('. ')[0]}",
        do="plan for fewer or shorter pieces: --batch-size 1, or --tile with another --out; the batch is the "
        f"plan's: delete that in STORE/{PLANS} first, what is stored stays",
    )


def _require_finite(kept: Tensor, lines: pl.DataFrame) -> None:
    if not bool(torch.isfinite(kept).all()):
        raise DataError(
            "the model's output is not finite",
            where=f"{lines['gene'][0]} to {lines['gene'][-1]}",
            got="NaN or infinity",
            wanted="numbers",
            do="look at the weights, and at the precision that the model computes in",
        )


def require_cohort(plan: Plan, cohort: Cohort) -> None:
    """Refuse a cohort that is not the planned one (`DataError`)."""
    if cohort.digest != plan.cohort_digest:
        raise DataError(
            "the cohort is another than the one that was planned with",
            where=str(cohort.folder),
            got=f"digest {cohort.digest[:12]}...",
            wanted=f"digest {plan.cohort_digest[:12]}...",
            do="give that one with --cohort, or plan again with this one",
        )


def require_model(store: Store, model: LanguageModel) -> None:
    """Refuse a model that is not the store's (`DataError`): other weights, another layer or precision."""
    replace(store.spec, model=dict(model.spec)).require_same(store.spec, str(store.folder))


@contextmanager
def _claimed(folder: Path, shard: str) -> Iterator[bool]:
    """Give whether this process may work on a shard; it is claimed until the block ends, or the process.

    Two that work on the same one write the same file: a file system without locks costs time, no more.
    """
    claims = folder / CLAIMS
    claims.mkdir(exist_ok=True)
    path = claims / shard
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)  # a link could lead anywhere
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                yield False
                return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def claims(folder: Path) -> int:
    """Return how many shards processes have in hand; what killed ones have left is not counted."""
    return sum(_is_held(path) for path in (folder / CLAIMS).glob("*"))


def _is_held(path: Path) -> bool:
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:  # done meanwhile
        return False
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EAGAIN)
    return False
