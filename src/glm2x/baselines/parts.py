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
            rows.append({**of_gene, **model._asdict(), "heritability": None if h2 is None else list(h2)})
    columns = {name: [_plain(row[name]) for row in rows] for name in _SCHEMA}
    buffer = BytesIO()
    pl.DataFrame(columns, schema=_SCHEMA).write_parquet(buffer)
    return buffer.getvalue()


def from_bytes(content: bytes) -> dict[str, FittedGene]:
    """Return the fits that `as_bytes` made bytes of, by gene."""
    found: dict[str, FittedGene] = {}
    for row in pl.read_parquet(BytesIO(content), use_pyarrow=False).iter_rows(named=True):
        gene = row["gene"]
        if gene not in found:
            unconverged = Counter({one["model"]: one["times"] for one in row["unconverged"]})
            told = [(one["message"], _category(one["category"])) for one in row["warnings"]]
            found[gene] = FittedGene([], row["null"], unconverged, told)
        arrays = {k: None if row[k] is None else np.array(row[k]) for k in ("predicted", "weights", "means")}
        h2 = None if row["heritability"] is None else Heritability(*row["heritability"])
        values = {k: row[k] for k in FittedModel._fields} | arrays | {"heritability": h2}
        found[gene].models.append(FittedModel(**values))
    return found


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _category(name: str) -> type[Warning]:
    kind = getattr(builtins, name, UserWarning)
    return kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
