"""Tables of predictions in files, sorted on the disk into blocks of genes: memory holds one block.

Models come one after the other in a file, and files one after the other; an evaluation wants all models of a
gene. So the rows are read once, piece by piece, and each is put with the others of its gene.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from glm2x.errors import DataError, Glm2xError
from glm2x.evaluation.table import Table, of_genes
from glm2x.genome.genes import unversioned
from glm2x.place import Place
from glm2x.prediction_pieces import PredictionFile
from glm2x.predictions import (
    COLUMNS,
    SWAPPED,
    merge_metadata,
    read_predictions,
    validate,
)

BLOCK = 16_384
"""Rows of a block, unless one gene alone has more."""

_LENGTH = 8  # bytes that say how long a frame is


@dataclass(frozen=True)
class PredictionFiles:
    """Files of predictions that are to be evaluated together.

    Parameters
    ----------
    paths
        One at least.
    genes
        Only these genes, with or without version; None for all.
    """

    paths: tuple[Place, ...]
    genes: tuple[str, ...] | None = None


class OnDisk:
    """Blocks in a folder, one file each: frames one after the other, in Arrow's IPC, compressed."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        folder.mkdir()

    def add(self, block: int, frame: pl.DataFrame) -> None:
        """Put rows at the end of a block."""
        held = io.BytesIO()
        frame.write_ipc_stream(held, compression="lz4")
        with self._path(block).open("ab") as handle:
            handle.write(held.tell().to_bytes(_LENGTH, "little"))
            handle.write(held.getbuffer())

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for block in range(self._count):
            if self._path(block).exists():
                yield pl.concat(list(self._frames(block)))

    def mapped(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> OnDisk:
        """Write the blocks as `change` makes them beside these, which are removed one by one."""
        made = OnDisk(self._folder.with_name(f"{self._folder.name}-changed"), self._count)
        for block in range(self._count):
            if self._path(block).exists():
                frame = change(pl.concat(list(self._frames(block))))
                if frame.height:
                    made.add(block, frame)
                self._path(block).unlink()
        return made

    def _frames(self, block: int) -> Iterator[pl.DataFrame]:
        with self._path(block).open("rb") as handle:
            while said := handle.read(_LENGTH):
                yield pl.read_ipc_stream(io.BytesIO(handle.read(int.from_bytes(said, "little"))))

    def _path(self, block: int) -> Path:
        return self._folder / str(block)


def open_table(files: PredictionFiles, scratch: Path) -> Table:
    """Return the table that files hold together, its rows sorted into blocks in `scratch`.

    Raises
    ------
    DataError, UsageError
        As `read_predictions` of the files, and `of_genes` of their genes.
    """
    try:
        table = _sorted(files.paths, scratch)
    except (Glm2xError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        # what is wrong is told by the whole of them: which row is the first, and how many there are
        table = Table.of(read_predictions(files.paths))
    return table if files.genes is None else of_genes(table, files.genes)


def _sorted(paths: Sequence[Place], scratch: Path) -> Table:
    files = [PredictionFile(path, scratch) for path in paths]
    sources = tuple((str(file.path), file.metadata) for file in files)
    metadata = merge_metadata(sources)
    columns = dict.fromkeys(column for file in files for column in file.columns)
    number_of = _numbered(files)
    blocks = OnDisk(scratch / "blocks", 1 + max(number_of.values()))
    known = pl.Series(list(number_of), dtype=pl.Categorical)
    number = pl.col("gene").replace_strict(
        known, pl.Series(list(number_of.values()), dtype=pl.UInt32), return_dtype=pl.UInt32
    )
    for piece in (piece for file in files for piece in file.pieces()):
        if SWAPPED in columns and SWAPPED not in piece.columns:
            piece = piece.with_columns(pl.lit(None, pl.Float64).alias(SWAPPED))
        for part in piece.with_columns(number.alias("_block")).partition_by("_block", maintain_order=True):
            blocks.add(part["_block"][0], part.drop("_block"))
    for frame in blocks:
        validate(frame, where=", ".join(map(str, paths)))
    ignored = tuple(column for column in columns if column not in (*COLUMNS, SWAPPED))
    return Table.from_blocks(blocks, metadata, sources, ignored)


def _numbered(files: Sequence[PredictionFile]) -> dict[str, int]:
    """Return the block of each gene: by name without version, so that all names of a gene are in one."""
    rows: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for file in files:
        for gene, count in file.genes().items():
            if gene is None:
                raise DataError("the column gene is empty", where=str(file.path))
            rows[unversioned(gene)] += count
            names.setdefault(unversioned(gene), []).append(gene)
    found: dict[str, int] = {}
    block = held = 0
    for stem in sorted(rows):
        if held and held + rows[stem] > BLOCK:
            block, held = block + 1, 0
        held += rows[stem]
        found |= dict.fromkeys(names[stem], block)
    if not found:
        raise DataError("the predictions table holds no rows", where=", ".join(str(f.path) for f in files))
    return found
