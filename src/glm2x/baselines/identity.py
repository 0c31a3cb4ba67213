"""Which variant is which: tables of variants and the columns of a cohort, by place and alleles."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from glm2x.genome.haplotypes.variants import Alleles, PhasedVariants, trim_shared
from glm2x.genome.sequence import decode

KEY = ["position", "ref", "alt"]
"""What names a variant of a contig: 0-based position of the first base of `ref`, and the alleles."""


def texts(alleles: Alleles) -> list[str]:
    """Return many alleles as letters."""
    whole, start = decode(alleles.codes), alleles.start.tolist()
    return [whole[a:b] for a, b in pairwise(start)]


def columns_of(variants: PhasedVariants, columns: slice | None = None) -> pl.DataFrame:
    """Return `KEY` and `column` (its number) of a contig's columns, or of some."""
    columns = slice(0, len(variants.position)) if columns is None else columns
    return pl.DataFrame(
        {
            "position": variants.position[columns],
            "ref": texts(variants.ref.between(columns)),
            "alt": texts(variants.alt.between(columns)),
            "column": range(columns.start, columns.stop),
        },
        schema={"position": pl.Int64, "ref": pl.String, "alt": pl.String, "column": pl.Int64},
    )


def smallest(frame: pl.DataFrame) -> pl.DataFrame:
    """Return variants with their alleles in the form that a cohort keeps, see `PhasedVariants`."""
    long = (frame["ref"].str.len_bytes() > 1) | (frame["alt"].str.len_bytes() > 1)
    if not long.any():
        return frame
    rows = [
        _smallest(*row) if is_long else row
        for row, is_long in zip(frame.select(KEY).iter_rows(), long, strict=True)
    ]
    made = pl.DataFrame(rows, schema=dict(frame.select(KEY).schema), orient="row")
    return frame.with_columns(made[name] for name in KEY)


def _smallest(position: int, ref: str, alt: str) -> tuple[int, str, str]:
    front, removed, put = trim_shared(ref, alt)
    if removed and put:
        return position + front, removed, put
    if front:
        before = ref[front - 1]
        return position + front - 1, before + removed, before + put
    behind = ref[len(removed) : len(removed) + 1]
    return position, removed + behind, put + behind
