"""From the predictions table to matrices: the rows of a cell on common axes, in memory or in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.evaluation.tables import (
    GENE_CELLS,
    INDIVIDUAL_CELLS,
    KEY,
    MAIN_CELL,
    Cell,
    CellRow,
    Replicate,
    RowKey,
    is_constant,
)
from glm2x.files import mapped
from glm2x.predictions import compact

Rows = NDArray[np.uint32] | slice
_PIECE = 2**15  # rows of a table
_COLUMNS = [*KEY, "draw", "seed", "gene", "individual", "observed", "predicted"]
_SIDES = ["gene_split", "individual_split"]
_VALUES = ("predicted", "observed")


def make_cells(
    blocks: Iterable[pl.DataFrame], labels: Mapping[RowKey, str], scratch: Path | None = None
) -> tuple[Cell, ...]:
    """Return the cells that hold measurements, the main one first.

    Rows without a measurement are left out: they cannot be judged. Validation people are in no cell.
    The caller counts both.

    Parameters
    ----------
    blocks
        A table, all rows of a gene in one block; they are read twice.
    scratch
        A folder to put the matrices in: memory then holds one block of them, and what is read of them
        until a row is released. Without it they are in memory.
    """
    names = {
        (gene_split, individual_split): f"{gene_cell}/{individual_cell}"
        for gene_split, gene_cell in GENE_CELLS.items()
        for individual_split, individual_cell in INDIVIDUAL_CELLS.items()
    }
    axes: dict[str, _Axes] = {}
    for frame in blocks:
        for sides, part in _measured(frame).items():
            if sides in names:
                axes.setdefault(names[sides], _Axes()).add(part)
    made = {
        names[sides]: _Matrices(names[sides], axes[names[sides]].sorted(), labels, scratch)
        for sides in names
        if names[sides] in axes
    }
    for frame in blocks:
        for sides, part in _measured(frame).items():
            if sides in names:
                made[names[sides]].add(part)
    cells = [matrices.cell() for matrices in made.values()]
    return tuple(sorted(cells, key=lambda cell: cell.name != MAIN_CELL))


def _measured(frame: pl.DataFrame) -> dict[tuple[Any, ...], pl.DataFrame]:
    """Return the rows with a measurement, by sides; the frame itself where they are all, not a copy."""
    known = compact(frame.select(_COLUMNS + _SIDES))
    if known["observed"].null_count():
        known = known.filter(pl.col("observed").is_not_null())
    if not known.height:
        return {}
    varying = [column for column in _SIDES if not is_constant(known[column])]
    parts = known.partition_by(varying) if varying else [known]
    return {part.select(_SIDES).row(0): part for part in parts}


@dataclass
class _Axes:
    """The genes, individuals and replicates that a cell has."""

    genes: dict[str, None] = field(default_factory=dict)
    individuals: dict[str, None] = field(default_factory=dict)
    replicates: dict[tuple[Any, ...], dict[Replicate, None]] = field(default_factory=dict)

    def add(self, part: pl.DataFrame) -> None:
        self.genes |= dict.fromkeys(_names(part["gene"])[0])
        self.individuals |= dict.fromkeys(_names(part["individual"])[0])
        for key in _rows_of(part):
            self.replicates.setdefault(key[:-2], {})[_replicate(key)] = None

    def sorted(self) -> _Axes:
        """Return them in the order of a cell's axes."""
        return _Axes(
            dict.fromkeys(sorted(self.genes)),
            dict.fromkeys(sorted(self.individuals)),
            {key: dict.fromkeys(sorted(names)) for key, names in self.replicates.items()},
        )


class _Matrices:
    """The matrices of one cell, while blocks of its genes are put into them."""

    def __init__(self, name: str, axes: _Axes, labels: Mapping[RowKey, str], scratch: Path | None) -> None:
        self._name, self._scratch = name, scratch
        self._genes, self._individuals = tuple(axes.genes), tuple(axes.individuals)
        self._gene_at = {gene: at for at, gene in enumerate(self._genes)}
        self._person_at = {person: at for at, person in enumerate(self._individuals)}
        self._rows = {
            label: (key, tuple(axes.replicates[key.model, key.strategy, key.train_individuals]))
            for key, label in labels.items()
            if (key.model, key.strategy, key.train_individuals) in axes.replicates
        }
        self._whole: dict[tuple[str, str], NDArray[np.float64]] = {}

    def add(self, part: pl.DataFrame) -> None:
        """Put in the rows of one block; its genes are in no other."""
        genes, gene_of = _names(part["gene"])
        people, person_of = _names(part["individual"])
        at_gene = np.sort([self._gene_at[gene] for gene in genes])
        gene_of = _lookup(gene_of, [self._gene_at[gene] for gene in genes])
        local = np.full(len(self._genes), -1, dtype=np.int64)
        local[at_gene] = np.arange(len(at_gene))
        start_of = np.where(gene_of >= 0, local[gene_of], 0) * len(self._individuals)
        person_of = _lookup(person_of, [self._person_at[person] for person in people])
        at = _places(part, start_of, person_of)
        values = {column: part[column].to_numpy() for column in _VALUES}
        rows = _rows_of(part)
        nothing = np.zeros(0, dtype=np.uint32)
        for label, (key, names) in self._rows.items():
            chosen = [rows.get(_key_of(key, name), nothing) for name in names]
            shape = (len(names), len(at_gene), len(self._individuals))
            for column in _VALUES:
                self._put(label, column, at_gene, _matrix(shape, chosen, at, values[column]))

    def _put(self, label: str, column: str, genes: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        if self._scratch is not None:
            with self._path(label, column).open(
                "r+b" if self._path(label, column).exists() else "wb"
            ) as file:
                for replicate, matrix in enumerate(values):
                    self._write(file, replicate, genes, matrix)
        elif len(genes) == len(self._genes):
            self._whole[label, column] = values
        else:
            shape = (len(values), len(self._genes), len(self._individuals))
            self._whole.setdefault((label, column), np.empty(shape))[:, genes] = values

    def _write(
        self, file: IO[bytes], replicate: int, genes: NDArray[np.int64], matrix: NDArray[np.float64]
    ) -> None:
        """Write the lines of some genes where they belong, neighbours together."""
        ends = [*np.flatnonzero(np.diff(genes) != 1) + 1, len(genes)]
        first = 0
        for end in ends:
            line = replicate * len(self._genes) + int(genes[first])
            file.seek(line * len(self._individuals) * matrix.itemsize)
            file.write(matrix[first:end].data)
            first = end

    def cell(self) -> Cell:
        """Return the cell; all blocks are in it."""
        found = []
        for label, (key, names) in self._rows.items():
            if self._scratch is None:
                predicted, observed = (self._whole[label, column] for column in _VALUES)
                found.append(CellRow(key, label, names, predicted, observed))
                continue
            shape = (len(names), len(self._genes), len(self._individuals))
            maps = tuple(mapped(self._path(label, column)) for column in _VALUES)
            predicted, observed = (np.frombuffer(one, dtype=np.float64).reshape(shape) for one in maps)
            found.append(CellRow(key, label, names, predicted, observed, maps))
        return Cell(self._name, self._genes, self._individuals, tuple(found))

    def _path(self, label: str, column: str) -> Path:
        assert self._scratch is not None
        number = list(self._rows).index(label)
        return self._scratch / f"{self._name.replace('/', '-')}-{number}-{column}"


def _replicate(key: tuple[Any, ...]) -> Replicate:
    *_, draw, seed = key
    return Replicate(-1 if draw is None else draw, seed)


def _key_of(key: RowKey, replicate: Replicate) -> tuple[Any, ...]:
    draw = None if replicate.draw < 0 else replicate.draw
    return key.model, key.strategy, key.train_individuals, draw, replicate.seed


def _rows_of(frame: pl.DataFrame) -> dict[tuple[Any, ...], Rows]:
    """Return which rows each replicate of each row of the report has; where there is one, all, unlisted."""
    by = [*KEY, "draw", "seed"]
    varying = [column for column in by if not is_constant(frame[column])]
    if not varying:
        return {frame.select(by).row(0): slice(None)}
    parts = frame.select(by).with_row_index("_row").partition_by(varying)
    return {part.select(by).row(0): part["_row"].to_numpy() for part in parts}


def _places(
    frame: pl.DataFrame, start_of: NDArray[np.int64], individual_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return where each row of a table goes in a matrix: the start of its gene, and its individual."""
    gene = frame["gene"].to_physical().to_numpy()
    individual = frame["individual"].to_physical().to_numpy()
    at = np.empty(len(gene), dtype=np.int64)
    for piece in _pieces(len(gene)):
        np.add(start_of[gene[piece]], individual_of[individual[piece]], out=at[piece])
    return at


def _pieces(rows: int) -> list[slice]:
    """Return slices of rows whose numbers stay in the processor's cache: memory is what shaping costs."""
    return [slice(start, min(start + _PIECE, rows)) for start in range(0, rows, _PIECE)]


def _matrix(
    shape: tuple[int, int, int], rows: Sequence[Rows], at: NDArray[np.int64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the values of each replicate's rows at their places, float [R, G, P], NaN elsewhere."""
    matrix = np.empty(shape)
    for flat, chosen in zip(matrix.reshape(shape[0], -1), rows, strict=True):
        places = at[chosen]
        if len(places) < len(flat):  # else every place is written, for no prediction is there twice
            flat.fill(np.nan)
        flat[places] = values[chosen]
    return matrix


def _names(names: pl.Series) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names that there are, and by the number of its category the place of each; -1: none.

    No text is compared.
    """
    codes = names.to_physical().to_numpy()
    row = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    for piece in _pieces(len(codes)):
        row[codes[piece]] = np.arange(piece.start, piece.stop)
    known = np.flatnonzero(row >= 0)
    text = names.gather(row[known]).cast(pl.String).to_list()
    row[known] = np.arange(len(known))
    return text, row


def _lookup(place: NDArray[np.int64], at: Sequence[int]) -> NDArray[np.int64]:
    """Return by the number of a category where its name is among others, from its place; -1: none."""
    return np.where(place >= 0, np.asarray(at, dtype=np.int64)[place], -1)
