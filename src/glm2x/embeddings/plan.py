"""What is to be embedded: the unique haplotypes of a cohort's genes, in the shards that will hold them.

A plan lies in its store as ``plans/NAME.parquet`` (gene, row, key, shard: one line a haplotype that the store
lacked) with ``plans/NAME.json`` beside it, which says whose haplotypes they are. Who works on a plan needs
nothing but the store and the cohort.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import PASSING_BYTES, GeneHaplotypes, HaplotypeDictionary
from glm2x.config import BackboneConfig
from glm2x.console import bytes_words
from glm2x.embeddings.key import is_name, sequence_key, shard_name
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.files import read_json, require_file, write_aside, write_json
from glm2x.parquet import require_whole, write_table
from glm2x.place import Place, local_copy
from glm2x.progress import Progress
from glm2x.seal import digest, unsealed
from glm2x.url import Url

FORMAT_VERSION = 1
PLANS = "plans"
REFERENCE = -1  # stands where the row of a unique haplotype is expected
SHARD_BYTES = 128_000_000
SHARD_HAPLOTYPES = 1_024
_SCHEMA = {"gene": pl.String, "row": pl.Int64, "key": pl.String, "shard": pl.String}
_KEYS_AT_ONCE = 16_384
_AT_ONCE = 64  # windows whose letters are made together
_LESS = "give another --out, fewer --genes or --individuals, a shorter --window, or --keep bins or mean"


@dataclass(frozen=True)
class Wanted:
    """The haplotypes of some genes and people.

    Attributes
    ----------
    table
        gene, row, key: each unique sequence once, of a gene the reference first; `row` counts the gene's
        unique haplotypes in the whole cohort.
    genes, individuals
        How many.
    """

    table: pl.DataFrame
    genes: int
    individuals: int

    @property
    def windows(self) -> int:
        """How many windows there are: two a person and gene, and a gene's reference."""
        return self.genes * (2 * self.individuals + 1)


def wanted_haplotypes(
    cohort: Cohort,
    window: int,
    genes: Sequence[str],
    individuals: Sequence[str],
    progress: Progress,
) -> Wanted:
    """Return the unique sequences of genes in people, the references included.

    Raises
    ------
    DataError
        A gene or person is not in the cohort, or the cohort has no reference.
    """
    names = list(dict.fromkeys(cohort.gene_ids[row] for row in cohort.gene_index(genes)))
    people = cohort.individual_index(individuals)
    dictionary = HaplotypeDictionary(cohort, window, kept_bytes=PASSING_BYTES)
    lines = _Lines()
    with progress("haplotypes", len(names), "genes") as bar:
        for name in names:
            gene = dictionary.gene(name)
            rows = [REFERENCE, *np.unique(gene.index[people]).tolist()]
            for row, key in zip(rows, keys_of(gene, rows), strict=True):
                lines.add(name, row, key)
            cohort.give_back()
            bar.advance(1, name)
    return Wanted(lines.table(), len(names), len(people))


class _Lines:
    """Lines of gene, row and key, each key once: a few at a time in Python's objects, which take the most."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._open: list[tuple[str, int, str]] = []
        self._frames: list[pl.DataFrame] = []

    def add(self, gene: str, row: int, key: str) -> None:
        """Add a line whose key is new."""
        short = bytes.fromhex(key)
        if short not in self._seen:
            self._seen.add(short)
            self._open.append((gene, row, key))
            if len(self._open) >= _KEYS_AT_ONCE:
                self._close()

    def table(self) -> pl.DataFrame:
        """Return all lines."""
        self._close()
        return pl.concat(self._frames)

    def _close(self) -> None:
        schema = {"gene": pl.String, "row": pl.Int64, "key": pl.String}
        self._frames.append(pl.DataFrame(self._open, schema=schema, orient="row"))
        self._open = []


def keys_of(gene: GeneHaplotypes, rows: Sequence[int]) -> list[str]:
    """Return the keys of a gene's haplotypes; `REFERENCE` is the reference's."""
    return [sequence_key(codes) for part in _parts(rows) for codes in codes_of(gene, part)]


def codes_of(gene: GeneHaplotypes, rows: Sequence[int]) -> NDArray[np.uint8]:
    """Return the letters of a gene's haplotypes, uint8 [len(rows), window]."""
    codes = gene.codes([max(row, 0) for row in rows])
    codes[[row == REFERENCE for row in rows]] = gene.reference
    return codes


def _parts(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


@dataclass(frozen=True)
class Plan:
    """A plan that was written.

    Attributes
    ----------
    name
        Names its files.
    cohort
        The cohort's folder when it was planned.
    cohort_digest
        Its digest.
    table
        gene, row, key, shard.
    batch
        Windows that go through the model together.
    threads
        Of a process on a CPU, on whose number the last bits depend; None, in plans of earlier versions: as
        many as torch takes.
    backbone
        What the model was built from; see `BackboneConfig`.
    """

    name: str
    cohort: Path
    cohort_digest: str
    table: pl.DataFrame
    batch: int
    threads: int | None
    backbone: BackboneConfig

    def shards(self) -> list[pl.DataFrame]:
        """Return the lines of each shard, in the order in which they are worked on."""
        return self.table.partition_by("shard", maintain_order=True)


def unplanned(store: Store, wanted: Wanted) -> pl.DataFrame:
    """Return the lines that neither the store holds nor an earlier plan has."""
    planned = {key for plan in read_plans(store.folder) for key in plan.table["key"]}
    left = []
    for part in wanted.table.iter_slices(_KEYS_AT_ONCE):
        lacking = set(store.missing(part["key"])) - planned
        left.append(part.filter(pl.col("key").is_in(list(lacking))))
    return pl.concat(left) if left else wanted.table


def waiting(store: Store) -> int:
    """Return how many haplotypes are planned and not stored yet."""
    return len(store.missing(key for plan in read_plans(store.folder) for key in plan.table["key"]))


def require_room(folder: Place, bytes_of_one: int, haplotypes: int, do: str = _LESS) -> int | None:
    """Return the free bytes where a store lies or will lie; None in object storage, which has no end.

    Raises
    ------
    DataError
        They are fewer than the haplotypes will take.
    """
    if isinstance(folder, Url):
        return None
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free, needed = shutil.disk_usage(there).free, haplotypes * bytes_of_one
    if needed > free:
        raise DataError(
            f"the embeddings do not fit on the disk: {bytes_words(needed)} for {haplotypes:,} haplotypes",
            where=str(folder),
            got=f"{bytes_words(free)} free",
            do=do,
        )
    return free


def write_plan(
    store: Store,
    cohort: Cohort,
    todo: pl.DataFrame,
    backbone: BackboneConfig,
    *,
    batch: int,
    threads: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    shard_haplotypes: int = SHARD_HAPLOTYPES,
) -> Plan:
    """Put lines into shards, of so many bytes and haplotypes at most, and write the plan into the store."""
    each = min(max(1, shard_bytes // store.spec.bytes_of_one), shard_haplotypes)
    parts = [
        part.with_columns(pl.lit(shard_name(part["key"].to_list()), dtype=pl.String).alias("shard"))
        for part in todo.iter_slices(each)
    ]
    table = pl.concat(parts, rechunk=True)
    name = digest([cohort.digest, todo["key"].to_list()])[:16]
    content = {
        "format_version": FORMAT_VERSION,
        "cohort": str(cohort.folder.absolute()),
        "cohort_digest": cohort.digest,
        "batch": batch,
        "threads": threads,
        "backbone": backbone.model_dump(mode="json"),
    }
    folder = store.folder / PLANS
    with write_aside(folder / f"{name}.parquet", force=True) as aside:
        write_table(table, aside)
    write_json(folder / f"{name}.json", content, force=True)  # its appearance makes it a plan
    return Plan(name, cohort.folder, cohort.digest, table, batch, threads, backbone)


def read_plans(folder: Place) -> list[Plan]:
    """Return the plans in a store's folder, by name.

    Raises
    ------
    DataError
        One is damaged, or of another format version.
    """
    paths: list[Place] = [*(folder / PLANS).glob("*.json")]
    return [_read_plan(path) for path in sorted(paths, key=str)]


def _read_plan(path: Place) -> Plan:
    content = read_json(path, verify=False)
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        raise _damaged(path, f"no format_version {FORMAT_VERSION}")
    table_path = require_file(path.with_suffix(".parquet"), kind="table of a plan")
    try:
        with local_copy(table_path) as file:
            require_whole(file, where=str(table_path))
            table = pl.read_parquet(file)
        cohort, cohort_digest, batch = content["cohort"], content["cohort_digest"], content["batch"]
        threads = content.get("threads")
        backbone = BackboneConfig.model_validate(content["backbone"])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, KeyError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if type(batch) is not int or not 1 <= batch < 2**31:
        raise _damaged(path, f"batch {batch}")
    if threads is not None and (type(threads) is not int or not 1 <= threads < 2**15):
        raise _damaged(path, f"threads {threads}")
    unsealed(content, path)
    plan = Plan(path.stem, Path(str(cohort)), str(cohort_digest), table, batch, threads, backbone)
    fault = _fault(plan)
    if fault is not None:
        raise _damaged(table_path, fault)
    return plan


def _fault(plan: Plan) -> str | None:
    """Return what is wrong with a plan's lines; None: nothing. Shards become names of files."""
    table = plan.table
    if dict(table.schema) != _SCHEMA:
        return ", ".join(f"{name} {kind}" for name, kind in table.schema.items())
    if table.null_count().sum_horizontal().item():
        return "cells without a value"
    strange = next((key for key in table["key"] if not is_name(key)), None)
    if strange is not None:
        return f"key {strange!r}"
    if table["key"].is_duplicated().any():
        return f"key {table.filter(pl.col('key').is_duplicated())['key'][0]} twice"
    if (table["row"] < REFERENCE).any():
        return f"row {table['row'].min()!r}"
    wrong = (s["shard"][0] for s in plan.shards() if s["shard"][0] != shard_name(s["key"].to_list()))
    strange = next(wrong, None)
    return None if strange is None else f"shard {strange!r}, which is not the name that its keys give"


def _damaged(path: Place, got: str) -> DataError:
    return DataError(
        "a plan of the embedding store is damaged, or of another version",
        where=str(path),
        got=got[:200],
        wanted=f"what glm2x embed plan writes in format_version {FORMAT_VERSION}",
        do=f"delete {path.stem}.json and {path.stem}.parquet, and plan again: what is stored stays",
    )
