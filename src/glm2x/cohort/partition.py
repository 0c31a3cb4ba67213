"""The table of the published benchmark: a row for each sample and gene, and the sample `ref`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.tables import names_of, numbers_of, positions_of
from glm2x.errors import DataError
from glm2x.genome.genes import Gene, GeneSide
from glm2x.text import Delimited

COLUMNS = ("sample", "gene", "chr", "TSS", "strand", "split", "log_TPM")
REFERENCE = "ref"  # the sample whose rows hold the targets of the reference sequence

_FACTS = ["gene", "chr", "TSS", "strand", "split"]  # equal in all rows of a gene
_SIDES: dict[str, GeneSide] = {"train": "seen", "test": "unseen"}


@dataclass(frozen=True)
class Partition:
    """What the published table holds.

    Attributes
    ----------
    genes, individuals
        In the order in which they first appear; `ref` is no individual.
    values
        float64 ``[genes, individuals]``, log TPM as written, NaN where there is no row.
    reference
        float64 ``[genes]``: the value of the `ref` row, NaN where there is none.
    gene_sides
        `seen` for genes whose split is `train`, `unseen` for `test`.
    """

    genes: tuple[Gene, ...]
    individuals: tuple[str, ...]
    values: NDArray[np.float64]
    reference: NDArray[np.float64]
    gene_sides: tuple[GeneSide, ...]


class _Names:
    """Numbers names in the order in which they appear."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}

    def codes(self, names: pl.Series) -> NDArray[np.int32]:
        found = names.unique(maintain_order=True).to_list()
        codes = [self.number.setdefault(name, len(self.number)) for name in found]
        return names.replace_strict(found, codes, return_dtype=pl.Int32).to_numpy()


def is_partition(columns: Sequence[str]) -> bool:
    """Whether a header is that of the published table, as far as nothing else has these names."""
    return {"sample", "gene", "log_tpm"} <= {column.lower() for column in columns}


def read_partition(table: Delimited) -> Partition:
    """Read the published table (9 million rows), in blocks.

    The TSS is taken as it stands, 0-based, so that windows are the published ones.

    Raises
    ------
    DataError
        A column is missing, the file is damaged, a value is no number, a sample and gene stand together
        twice, a gene has two places, strands or splits, or there is nobody beside `ref`.
    """
    path = table.path
    by_name = {column.lower(): column for column in table.columns}
    absent = [name for name in COLUMNS if name.lower() not in by_name]
    if absent:
        raise DataError(
            f"the published partition table has no column {absent[0]}",
            where=str(path),
            got=f"columns {', '.join(table.columns[:8])}",
            wanted=", ".join(COLUMNS),
        )
    samples, genes = _Names(), _Names()
    facts = pl.DataFrame(schema=dict.fromkeys(_FACTS, pl.String))
    cells: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]] = []
    for raw in table.frames():
        frame = raw.select(pl.col(by_name[name.lower()]).alias(name) for name in COLUMNS)
        for name in ("sample", "gene"):
            names_of(frame, name, path)
        values = numbers_of(frame, ["log_TPM"], "gene", path)[:, 0]
        cells.append((genes.codes(frame["gene"]), samples.codes(frame["sample"]), values))
        facts = pl.concat([facts, frame.select(_FACTS).unique(maintain_order=True)]).unique(
            maintain_order=True
        )
    placed, sides = _genes(facts, genes.number, path)
    individuals = tuple(name for name in samples.number if name != REFERENCE)
    if not individuals:
        raise DataError(
            "the published partition table holds nobody",
            where=str(path),
            got=f"rows of {REFERENCE} only" if samples.number else "no row",
            wanted="a row for each sample and gene",
        )
    place = {name: i for i, name in enumerate((*individuals, REFERENCE))}  # the reference is the last column
    column = np.array([place[name] for name in samples.number])
    matrix = np.full((len(placed), len(individuals) + 1), np.nan)
    seen = np.zeros(matrix.shape, dtype=bool)
    for gene, sample, values in cells:
        matrix[gene, column[sample]] = values
        seen[gene, column[sample]] = True
    if int(seen.sum()) != sum(len(values) for _, _, values in cells):
        raise _repeated(cells, tuple(genes.number), tuple(samples.number), path)
    return Partition(placed, individuals, matrix[:, :-1], matrix[:, -1].copy(), sides)


def _genes(
    facts: pl.DataFrame, number: dict[str, int], path: Path
) -> tuple[tuple[Gene, ...], tuple[GeneSide, ...]]:
    """Return the genes, in the order of their numbers; each must have one place, strand and split."""
    # pandas writes whole numbers as 12.0 where a column once had a gap
    facts = facts.with_columns(pl.col("TSS").str.strip_suffix(".0")).unique(maintain_order=True)
    for column, wanted in (("strand", ("+", "-")), ("split", tuple(_SIDES))):
        odd = facts.filter(~pl.col(column).fill_null("").is_in(wanted))
        if odd.height:
            raise DataError(
                f"a gene's {column} is neither {' nor '.join(wanted)}",
                where=f"{odd['gene'][0]} in {path}",
                got=repr(odd[column][0]),
                wanted=" or ".join(wanted),
            )
    names_of(facts, "chr", path)
    tss = positions_of(facts, "TSS", "gene", path)
    if facts.height != len(number):
        twice = facts.filter(pl.col("gene").is_duplicated())
        gene = twice["gene"][0]
        rows = twice.filter(pl.col("gene") == gene)
        column = next(c for c in _FACTS[1:] if rows[c].n_unique() > 1)
        raise DataError(
            f"{gene} has more than one {column} in the published partition table",
            where=str(path),
            got=", ".join(rows[column].unique(maintain_order=True).head(3)),
            wanted="the same in all rows of a gene",
        )
    order = np.argsort([number[gene] for gene in facts["gene"]])
    columns = (facts["gene"], facts["chr"], tss.tolist(), facts["strand"], facts["split"])
    ordered = [[column[int(i)] for column in columns] for i in order]
    return tuple(Gene(*row[:4]) for row in ordered), tuple(_SIDES[row[4]] for row in ordered)


def _repeated(
    cells: Sequence[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]],
    genes: Sequence[str],
    samples: Sequence[str],
    path: Path,
) -> DataError:
    """Return the error that names the first sample and gene that stand together twice."""
    gene = np.concatenate([cell[0] for cell in cells]).astype(np.int64)
    sample = np.concatenate([cell[1] for cell in cells])
    pair = gene * len(samples) + sample
    first = np.unique(pair, return_index=True)[1]
    again = int(np.setdiff1d(np.arange(len(pair)), first)[0])
    return DataError(
        "a sample and a gene stand together twice in the published partition table",
        where=f"{samples[sample[again]]} and {genes[gene[again]]} in {path}",
        got=f"{len(pair) - len(first):,} such rows",
        wanted="one row for each sample and gene",
    )
