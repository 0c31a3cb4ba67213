"""Tables of predictions read and written piece by piece, so that memory does not grow with them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from glm2x.files import require_file
from glm2x.parquet import require_whole, write_table
from glm2x.place import Place, fetched
from glm2x.prediction_metadata import PredictionMetadata
from glm2x.predictions import COLUMNS, as_text, coerce, said_by, stored_metadata

PIECE = 16_384
"""Rows that are read together."""


class PredictionFile:
    """A file of predictions that is read piece by piece; rows of different pieces are not compared.

    Parameters
    ----------
    scratch
        A folder in which a CSV waits as parquet while its pieces are read, and a copy of what lies in object
        storage.

    Attributes
    ----------
    metadata, columns
        What the file says of its predictions, and the columns that it has.

    Raises
    ------
    DataError
        As `read_predictions`; an error of polars or the system where that has a message of its own.
    """

    def __init__(self, path: Place, scratch: Path) -> None:
        self.path = require_file(path, kind="predictions file")
        self._is_csv = path.name.endswith((".csv", ".csv.gz"))
        stored = file = fetched(self.path, scratch)
        if self._is_csv:
            stored = scratch / f"{len(list(scratch.iterdir()))}.parquet"
            pl.scan_csv(file, infer_schema=False, glob=False).sink_parquet(stored, row_group_size=PIECE)
        else:
            require_whole(stored, where=str(path))
        self._lazy = pl.scan_parquet(stored, glob=False, hive_partitioning=False)
        self._schema = self._lazy.collect_schema()
        self.columns = list(self._schema)
        said = {} if self._is_csv else pl.read_parquet_metadata(file)
        self.metadata = said_by(said, str(path))

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Give its rows, `PIECE` at a time at most, in the types of `COLUMNS`."""
        rows = int(self._lazy.select(pl.len()).collect().item())
        text = [c for c, dtype in self._schema.items() if dtype == pl.String and c in COLUMNS]
        names = [] if self._is_csv else text  # numbers of a CSV are text, too
        for start in range(0, rows, PIECE):
            piece = self._lazy.slice(start, PIECE).with_columns(pl.col(names).cast(pl.Categorical))
            yield coerce(piece.collect(engine="streaming"), self.path)

    def genes(self) -> dict[str | None, int]:
        """Return how many rows each gene has."""
        counts = self._lazy.group_by(pl.col("gene").cast(pl.String)).len().collect(engine="streaming")
        return dict(counts.iter_rows())


def write_parts(path: Path, frames: Iterable[pl.DataFrame], metadata: PredictionMetadata) -> None:
    """Write frames of the same columns, one after the other, as one parquet file; memory holds one of them.

    They wait in a folder beside the file until all are there.
    """
    waiting = path.with_name(f"{path.name}.parts")
    waiting.mkdir()
    parts: list[Path] = []
    for frame in frames:
        parts.append(waiting / f"{len(parts)}.parquet")
        as_text(frame).sink_parquet(parts[-1])
    lazy = pl.scan_parquet(parts, glob=False, hive_partitioning=False)
    write_table(lazy, path, stored_metadata(metadata), row_group_size=PIECE)
    shutil.rmtree(waiting)
