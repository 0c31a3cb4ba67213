"""The files of a cohort folder, written; see docs/formats/cohort.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.expression import ExpressionTable
from glm2x.errors import DataError
from glm2x.files import sha256
from glm2x.genome.genes import Gene, contig_key
from glm2x.genome.haplotypes.storage import map_array
from glm2x.genome.reference.whole import read_contigs


def write_reference(folder: Path, path: Path, genes: Sequence[Gene]) -> dict[str, NDArray[np.uint8] | None]:
    """Write the contigs that have genes, one array each; return them mapped into memory.

    Where a FASTA has `22` and `chr22`, the one that is named as the cohort's contig is taken.

    Raises
    ------
    DataError
        A contig is not in the FASTA, or a gene's TSS lies outside it.
    """
    by_key = {contig_key(gene.contig): gene.contig for gene in genes}
    written: dict[str, str] = {}

    def wanted(name: str) -> bool:
        contig = by_key.get(contig_key(name))
        return contig is not None and (contig not in written or name == contig)

    for name, codes in read_contigs(path, wanted):
        if codes is not None:
            contig = by_key[contig_key(name)]
            np.save(folder / f"{contig}.npy", codes, allow_pickle=False)
            written[contig] = name
    absent = [contig for contig in by_key.values() if contig not in written]
    if absent:
        raise DataError(
            f"contig {absent[0]} has genes and is not in the reference",
            where=str(path),
            got=f"{len(absent)} such contigs: {', '.join(absent[:5])}",
            wanted="every gene's contig (22 and chr22 are the same)",
            do="give a FASTA that has them, or leave those genes out (--contigs names the contigs to take)",
        )
    contigs: dict[str, NDArray[np.uint8] | None] = {}
    for contig in written:
        contigs[contig] = map_array(folder / f"{contig}.npy")
    _require_inside(genes, {c: len(a) for c, a in contigs.items() if a is not None}, path)
    return contigs


def _require_inside(genes: Sequence[Gene], lengths: dict[str, int], path: Path) -> None:
    beyond = [gene for gene in genes if not 0 <= gene.tss < lengths[gene.contig]]
    if beyond:
        first = beyond[0]
        raise DataError(
            "a gene's TSS lies outside its contig",
            where=f"{first.gene}, contig {first.contig} of {path}",
            got=f"{first.contig}:{first.tss:,} (0-based), and {len(beyond) - 1} more",
            wanted=f"below {lengths[first.contig]:,}",
            do="check that expression and reference are of the same genome build",
        )


def write_genes(path: Path, genes: Sequence[Gene], expression: ExpressionTable) -> None:
    """Write where the genes are, and what the expression's format says of them beside values."""
    reference = expression.reference if expression.reference is not None else np.full(len(genes), np.nan)
    pl.DataFrame(
        {
            "gene": [g.gene for g in genes],
            "contig": [g.contig for g in genes],
            "tss": [g.tss for g in genes],
            "strand": [g.strand for g in genes],
            "reference_target": reference,
            "side": list(expression.gene_sides or (None,) * len(genes)),
        },
        schema_overrides={"tss": pl.Int64, "reference_target": pl.Float64, "side": pl.String},
    ).with_columns(pl.col("reference_target").fill_nan(None)).write_parquet(path)


def write_matrix(
    path: Path, label: str, names: Sequence[str], individuals: Sequence[str], values: NDArray[np.float64]
) -> None:
    """Write a label column, then one float64 column an individual; NaN becomes null."""
    if label in individuals:
        raise DataError(
            f"an individual is called {label}, which is the name of a column of {path.name}",
            wanted="another name",
            do="rename the individual in all files",
        )
    columns = {name: values[:, j] for j, name in enumerate(individuals)}
    frame = pl.DataFrame({label: list(names), **columns})
    frame.with_columns(pl.col(pl.Float64).fill_nan(None)).write_parquet(path)


def describe_source(path: Path) -> dict[str, Any]:
    """Return a file's name, bytes and SHA-256; no path and no time: equal inputs, equal manifests."""
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def describe_files(folder: Path) -> dict[str, Any]:
    """Return bytes and SHA-256 of every file of a folder, by its path there."""
    return {
        str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
