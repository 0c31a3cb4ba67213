"""Fits of some genes as bytes, and back, without the loss of a bit: what one process leaves for another."""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl

from glm2x.baselines.fitting import FittedGene
from glm2x.baselines.summary import FittedModel
from glm2x.reml import Heritability

_MANY = pl.List(pl.Float64)
_SCHEMA = {
    "gene": pl.String(),
    "predicted": _MANY,
    "individuals": pl.Int64(),
    "variants": pl.Int64(),
    "used": pl.Int64(),
    "cv_pearson": pl.Float64(),
    "cv_p": pl.Float64(),
    "heritability": _MANY,
    "intercept": pl.Float64(),
    "weights": _MANY,
    "means": _MANY,
    # of the gene, the same in each of its rows
    "null": pl.Boolean(),
    "unconverged": pl.List(pl.Struct({"model": pl.String(), "times": pl.Int64()})),
    "warnings": pl.List(pl.Struct({"message": pl.String(), "category": pl.String()})),
}


def as_bytes(genes: Sequence[str], fitted: Sequence[FittedGene]) -> bytes:
    """Return the fits of genes, one row a gene and model, as a parquet file."""
    rows = []
    for gene, one in zip(genes, fitted, strict=True):
        of_gene = {
            "gene": gene,
            "null": one.null,
            "unconverged": [{"model": m, "times": n} for m, n in one.unconverged.items()],
            "warnings": [{"message": text, "category": kind.__name__} for text, kind in one.warnings],
        }
        for model in one.models:
            h2 = model.heritability
            values = {**of_gene, **model._asdict(), "heritability": None if h2 is None else np.array(h2)}
            rows.append({name: _kept(value) for name, value in values.items()})
    columns = {name: pl.Series([row[name] for row in rows], dtype=kind) for name, kind in _SCHEMA.items()}
    buffer = BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


def from_bytes(content: bytes) -> dict[str, FittedGene]:
    """Return the fits that `as_bytes` made bytes of, by gene."""
    frame = pl.read_parquet(BytesIO(content))
    many = {name: frame[name] for name, kind in _SCHEMA.items() if kind == _MANY}
    found: dict[str, FittedGene] = {}
    for row, one in enumerate(frame.drop(list(many)).iter_rows(named=True)):
        gene = one["gene"]
        if gene not in found:
            unconverged = Counter({told["model"]: told["times"] for told in one["unconverged"]})
            others = [(told["message"], _category(told["category"])) for told in one["warnings"]]
            found[gene] = FittedGene([], one["null"], unconverged, others)
        arrays: dict[str, Any] = {
            name: None if column[row] is None else column[row].to_numpy() for name, column in many.items()
        }
        h2 = arrays.pop("heritability")
        values: dict[str, Any] = {name: one[name] for name in FittedModel._fields if name in one}
        told_h2 = None if h2 is None else Heritability(*h2.tolist())
        found[gene].models.append(FittedModel(**values, **arrays, heritability=told_h2))
    return found


def _kept(value: Any) -> Any:
    return pl.Series(value, dtype=pl.Float64) if isinstance(value, np.ndarray) else value


def _category(name: str) -> type[Warning]:
    kind = getattr(builtins, name, UserWarning)
    return kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
