"""The split: how many people and genes are on each side, and what is on none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from glm2x.report.data import Data, frame
from glm2x.report.format import MISSING, base_pairs, clean, count, counted
from glm2x.report.parts import WITH_COHORT, Cell, Column, Missing, Table, TableRow
from glm2x.report.results import Results
from glm2x.report.section import Subject

_SIDES = ("training", "validation", "test")


def context(subject: Subject) -> dict[str, Any]:
    """Return the counts a side, the split's facts, the genes left out, and what is missing."""
    table, pairs, excluded, missing = split_section(subject.results)
    return {"sides": table, "facts": pairs, "excluded": excluded, "missing_parts": missing}


def split_section(
    results: Results,
) -> tuple[Table | None, list[tuple[str, str]], Table | None, list[Missing]]:
    """Return the counts a side, the split's facts, the genes left out, and what is missing."""
    split = results.split
    if split is None:
        sizes = results.data.get("cells") or {}
        rows = tuple(
            TableRow(clean(name), (Cell(count(size.get("genes"))), Cell(count(size.get("individuals")))))
            for name, size in sizes.items()
        )
        head = (Column("cell"), Column("genes"), Column("people"))
        said = (
            Table(
                "What the predictions table says of its sides",
                head,
                rows,
                css="compact",
                data=_sizes_data(sizes),
            )
            if rows
            else None
        )
        notice = Missing(
            "No split was given, so who was on which side cannot be shown. To show it:", WITH_COHORT
        )
        return said, [], None, [notice]

    def size(key: str) -> int:
        return len(split.get(key) or ())

    rows = (
        TableRow("people", tuple(Cell(count(size(k))) for k in ("train", "validation", "test"))),
        TableRow(
            "genes seen",
            (Cell(count(size("seen"))), Cell(count(size("reference_validation"))), Cell(count(size("seen")))),
        ),
        TableRow("genes unseen", (Cell(MISSING), Cell(MISSING), Cell(count(size("unseen"))))),
    )
    columns = (Column(""), Column("training"), Column("validation"), Column("test"))
    lines: list[dict[str, Any]] = [
        {"side": "people"}
        | {to: size(key) for to, key in zip(_SIDES, ("train", "validation", "test"), strict=True)},
        {
            "side": "genes seen",
            "training": size("seen"),
            "validation": size("reference_validation"),
            "test": size("seen"),
        },
        {"side": "genes unseen", "test": size("unseen")},
    ]
    data = Data(
        "split",
        "One line a row of the table.",
        frame(lines, {"side": pl.String, **dict.fromkeys(_SIDES, pl.Int64)}),
    )
    table = Table("People and genes on each side", columns, rows, css="compact", data=data)
    excluded: Mapping[str, str] = split.get("excluded_genes") or {}
    pairs = [
        ("preset", clean(str(split.get("preset") or MISSING))),
        ("seed", str(split.get("seed")) if split.get("seed") is not None else "none"),
        ("window that keeps gene sets apart", base_pairs(split.get("window"))),
        ("validation people", "choose the epoch of personal phases; in no result"),
        ("validation genes", "among the seen genes; choose the epoch of a reference phase"),
        ("genes in neither set", count(len(excluded))),
        ("split digest", clean(str(split.get("digest") or MISSING))),
        ("cohort digest", clean(str(split.get("cohort_digest") or MISSING))),
    ]
    populations = results.data.get("populations")
    if populations:
        listed = sorted(populations.items(), key=lambda item: (-item[1], item[0]))
        pairs.insert(3, ("populations, people", ", ".join(f"{clean(p)} {count(n)}" for p, n in listed)))
    left_out = None
    if excluded:
        body = tuple(TableRow(clean(gene), (Cell(clean(why)),)) for gene, why in excluded.items())
        named = (Column("gene"), Column("why it is in neither set", css="text wrap"))
        left_out = Table(
            f"{counted(len(excluded), 'gene')} in neither set", named, body, data=_excluded_data(excluded)
        )
    return table, pairs, left_out, []


def _sizes_data(sizes: Mapping[str, Mapping[str, Any]]) -> Data:
    lines = [{"cell": name, **size} for name, size in sizes.items()]
    schema = {"cell": pl.String, "genes": pl.Int64, "individuals": pl.Int64}
    return Data("split", "One line a cell.", frame(lines, schema))


def _excluded_data(excluded: Mapping[str, str]) -> Data:
    lines = [{"gene": gene, "reason": why} for gene, why in excluded.items()]
    return Data("excluded-genes", "One line a gene.", frame(lines, {"gene": pl.String, "reason": pl.String}))
