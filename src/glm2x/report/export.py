"""The tables beside the page: every number of it, unrounded, as CSV and Parquet, with an index."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

import glm2x
from glm2x.report.data import COLUMNS, Data

INDEX = "report-data.json"
FORMAT_VERSION = 1

_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"

_README = """\
The numbers of {page}, written by glm2x {version}: one table for each table and figure of the page.

{about}

Each table is there twice, with the same columns and nothing rounded:
  .parquet  every value as it is
  .csv      UTF-8, text in quotes; a field without a value is empty. A text that starts with one of
            = + - @, a tab or a line end has an apostrophe (') before it, because a spreadsheet would
            run it as a formula; the Parquet file has it without.

{index} holds what follows for programs. The page's links lead here only while this folder lies
beside the page under its own name. metrics.json and per_gene.parquet of the evaluation hold more.
"""


def data_folder(page: Path) -> Path:
    """Return the folder of a page's tables: `report-data` beside `report.html`."""
    return page.with_name(f"{page.stem}-data")


def by_name(found: Iterable[Data]) -> dict[str, Data]:
    """Return the tables by name, in their order on the page.

    Raises
    ------
    ValueError
        Two parts of the page name one table and mean another.
    """
    tables: dict[str, Data] = {}
    for data in found:
        known = tables.setdefault(data.name, data)
        if known.what != data.what or not known.frame.equals(data.frame):
            raise ValueError(f"two tables of the page are named {data.name}")
    return tables


def write_data(folder: Path, tables: Mapping[str, Data], *, page: str, about: str) -> None:
    """Write the tables, `README.txt` and the index into a folder that does not exist yet.

    Parameters
    ----------
    folder
        Where to; the caller writes it aside and renames it.
    page
        Name of the page's file.
    about
        What the numbers are of, in a line: target, window, split.
    """
    folder.mkdir()
    for name, data in tables.items():
        table = data.frame.with_columns(pl.selectors.float().fill_nan(None))
        table.write_parquet(folder / f"{name}.parquet", metadata={"glm2x.version": glm2x.__version__})
        harmless(table).write_csv(folder / f"{name}.csv", quote_style="non_numeric")
    index = {
        "format_version": FORMAT_VERSION,
        "glm2x_version": glm2x.__version__,
        "page": page,
        "tables": {
            name: {
                "what": data.what,
                "rows": data.frame.height,
                "columns": {column: COLUMNS[column] for column in data.frame.columns},
            }
            for name, data in tables.items()
        },
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.txt").write_text(_readme(tables, page, about), encoding="utf-8")


def harmless(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with an apostrophe before each text that a spreadsheet would run as a formula.

    The characters are those of OWASP's page on CSV injection.
    """
    text = pl.selectors.string()
    return table.with_columns(
        pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep()
    )


def _readme(tables: Mapping[str, Data], page: str, about: str) -> str:
    parts = [_README.format(page=page, version=glm2x.__version__, about=about, index=INDEX)]
    for name, data in tables.items():
        width = max(map(len, data.frame.columns))
        columns = (f"  {column:<{width}}  {COLUMNS[column]}" for column in data.frame.columns)
        parts.append("\n".join((f"{name}: {data.what} Lines: {data.frame.height:,}.", *columns, "")))
    return "\n".join(parts)
