"""Predictions as an evaluation reads them: a block of genes at a time, and what little holds of all of them.

A table in memory is one block. A table in files is sorted into blocks of genes on the disk (`stored`), of
which memory holds one: whatever the number of genes, no step sees more than some ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from glm2x.errors import DataError
from glm2x.files import write_aside
from glm2x.genome.genes import unversioned
from glm2x.prediction_pieces import write_parts
from glm2x.predictions import KEY, PredictionMetadata, Predictions, compact, validate

_PEOPLE = [*(column for column in KEY if column != "gene"), "individual_split"]
_GENES = ["model", "draw", "gene", "gene_split"]
_WAITING = 32_768  # lines at least, before those that are the same become one


class Blocks(Protocol):
    """Where the rows of a table are: all rows of a gene in one block, in the order in which they came."""

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Give the blocks, columns as in `glm2x.predictions.COLUMNS`; names are categorical."""
        ...

    def mapped(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Blocks:
        """Return the blocks as `change` makes them, once each, in their order."""
        ...


class InMemory:
    """One block, which is the whole table."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __iter__(self) -> Iterator[pl.DataFrame]:
        yield self.frame

    def mapped(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> InMemory:
        """Return the table as `change` makes it."""
        return InMemory(change(self.frame))


@dataclass(frozen=True)
class Table:
    """A table of predictions in blocks.

    Parameters
    ----------
    blocks
        Its rows.
    people
        Each combination of model, strategy, seed, number of training people, draw, individual and side of
        the individual that there is, once. It has the names of those columns, and none of genes: what is
        true of it is true of the table, whatever the number of genes.
    genes
        Each combination of model, draw, gene and side of the gene, once, in the order of the blocks.
    measured
        The models that have measurements.
    rows, unmeasured
        How many rows there are, and how many of them have no measurement.
    metadata, sources, ignored_columns
        As in `Predictions`.
    """

    blocks: Blocks
    people: pl.DataFrame
    genes: pl.DataFrame
    measured: frozenset[str]
    rows: int
    unmeasured: int
    metadata: PredictionMetadata
    sources: tuple[tuple[str, PredictionMetadata], ...]
    ignored_columns: tuple[str, ...]

    @classmethod
    def of(cls, predictions: Predictions) -> Table:
        """Return a table that is in memory."""
        said = predictions.metadata, predictions.sources, predictions.ignored_columns
        return cls.from_blocks(InMemory(compact(predictions.frame)), *said)

    @classmethod
    def from_blocks(
        cls,
        blocks: Blocks,
        metadata: PredictionMetadata,
        sources: tuple[tuple[str, PredictionMetadata], ...] = (),
        ignored_columns: tuple[str, ...] = (),
    ) -> Table:
        """Return a table whose rows are in blocks; each is read once."""
        facts = _Facts()
        for frame in blocks:
            facts.add(frame)
        return facts.table(blocks, metadata, sources, ignored_columns)

    def changed(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Table:
        """Return the table whose blocks are as `change` makes them."""
        facts = _Facts()

        def counted(frame: pl.DataFrame) -> pl.DataFrame:
            made = change(frame)
            facts.add(made)
            return made

        blocks = self.blocks.mapped(counted)
        return facts.table(blocks, self.metadata, self.sources, self.ignored_columns)

    def frame(self) -> pl.DataFrame:
        """Return all rows in one frame, in the order of the blocks: as much memory as they take."""
        return pl.concat(list(self.blocks), how="diagonal")

    @property
    def names(self) -> str:
        """The files that it is from, for messages."""
        return ", ".join(name for name, _ in self.sources) or "the table"

    @property
    def gene_names(self) -> list[str]:
        """The genes, each once, sorted by name."""
        return self.genes["gene"].unique().sort().to_list()

    @property
    def people_names(self) -> list[str]:
        """The individuals, each once, sorted by name."""
        return self.people["individual"].unique().sort().to_list()

    @property
    def model_names(self) -> list[str]:
        """The models, each once, sorted by name."""
        return self.people["model"].unique().sort().to_list()

    def validation_people(self) -> int:
        """Return how many individuals some row labels as of validation."""
        return self.people.filter(pl.col("individual_split") == "validation")["individual"].n_unique()

    def write(self, path: Path) -> None:
        """Write it as one file of predictions, block after block (`DataError` where it is not valid)."""

        def valid() -> Iterator[pl.DataFrame]:
            for frame in self.blocks:
                validate(frame, where=str(path))
                yield frame

        with write_aside(path) as aside:
            write_parts(aside, valid(), self.metadata)


class _Facts:
    """What is gathered of blocks as they pass."""

    def __init__(self) -> None:
        self._people = _Unique(_PEOPLE)
        self._genes: list[pl.DataFrame] = []  # no gene is in two blocks
        self._measured: set[str] = set()
        self._rows = self._unmeasured = 0

    def add(self, frame: pl.DataFrame) -> None:
        self._people.add(frame)
        self._genes.append(frame.select(_GENES).unique(maintain_order=True))
        known = frame.filter(pl.col("observed").is_not_null())["model"].unique()
        self._measured.update(known.cast(pl.String).to_list())
        self._rows += frame.height
        self._unmeasured += frame["observed"].null_count()

    def table(
        self,
        blocks: Blocks,
        metadata: PredictionMetadata,
        sources: tuple[tuple[str, PredictionMetadata], ...],
        ignored_columns: tuple[str, ...],
    ) -> Table:
        return Table(
            blocks,
            self._people.found(),
            pl.concat(self._genes),
            frozenset(self._measured),
            self._rows,
            self._unmeasured,
            metadata,
            sources,
            ignored_columns,
        )


class _Unique:
    """The different lines of some columns, of frames that come one after the other."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._parts: list[pl.DataFrame] = []

    def add(self, frame: pl.DataFrame) -> None:
        self._parts.append(frame.select(self._columns).unique(maintain_order=True))
        known, *more = (part.height for part in self._parts)
        if sum(more) > max(known, _WAITING):
            self._parts = [self.found()]

    def found(self) -> pl.DataFrame:
        return pl.concat(self._parts).unique(maintain_order=True)


def of_genes(table: Table, names: Iterable[str]) -> Table:
    """Return the rows of some genes, with or without version, so that all models are of the same.

    Raises
    ------
    DataError
        There is none of any of them.
    """
    wanted = {unversioned(name) for name in names}
    found = table.gene_names
    kept = [gene for gene in found if unversioned(gene) in wanted]
    if not kept:
        raise DataError(
            "the tables hold none of the genes of the list",
            got=f"{len(wanted)} genes, such as {min(wanted, default='(none)')}",
            wanted=f"some of {len(found)} genes, such as {min(found, default='(none)')}",
            do="give another list with --genes, or none",
        )
    return table.changed(lambda frame: frame.filter(pl.col("gene").cast(pl.String).is_in(kept)))
