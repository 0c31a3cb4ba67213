"""An evaluation folder as the report reads it: `metrics.json`, three tables and, where given, the split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.files import read_json, require_file
from glm2x.parquet import require_whole
from glm2x.report.comparison import Comparison, read_comparison
from glm2x.report.format import is_number
from glm2x.report.roles import Row, arrange
from glm2x.seal import unsealed

FORMAT_VERSION = 1
MAIN_CELL = "seen_gene/new_individual"

CELLS = (
    MAIN_CELL,
    "unseen_gene/new_individual",
    "seen_gene/training_individual",
    "unseen_gene/training_individual",
)
"""The four cells, in the order of the tables."""

_GENES = {"seen": "seen genes", "unseen": "unseen genes", "any": "genes of no stated side"}
_PEOPLE = {"new": "new people", "training": "training people", "any": "people of no stated side"}
_PER_GENE = ("cell", "label", "gene", "replicate", "pearson", "null")


@dataclass(frozen=True)
class Results:
    """One evaluation.

    Attributes
    ----------
    folder
        Where it was read from.
    metrics
        `metrics.json` as it stands.
    rows
        Its rows in the order of the tables.
    comparisons
        Paired differences of every cell.
    per_gene
        `per_gene.parquet`, all replicates; None when the file is missing.
    split
        `split.json`; None when the evaluation had none.
    """

    folder: Path
    metrics: Mapping[str, Any]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    per_gene: pl.DataFrame | None
    split: Mapping[str, Any] | None

    @property
    def cells(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Metrics by cell and label."""
        found: Mapping[str, Mapping[str, Mapping[str, Any]]] = self.metrics.get("cells") or {}
        return found

    @property
    def main_cell(self) -> str:
        """Seen genes in new people where there are any, else the first cell that there is."""
        return next(iter(self.cells), MAIN_CELL) if MAIN_CELL not in self.cells else MAIN_CELL

    @property
    def target(self) -> str | None:
        """The target mode; None when the predictions do not say."""
        found: str | None = self.metrics.get("target")
        return found

    @property
    def transductive(self) -> bool:
        """Whether the target is known to use test people's expression."""
        return bool(self.metrics.get("transductive")) or self.target == "residual-all"

    @property
    def data(self) -> Mapping[str, Any]:
        """What `metrics.json` says about the merged table."""
        found: Mapping[str, Any] = self.metrics.get("data") or {}
        return found

    def few_shot_points(self, cell: str) -> list[Mapping[str, Any]]:
        """Return the points of the few-shot curve in a cell that have a mean r; empty where there is none."""

        def drawn(point: Mapping[str, Any]) -> bool:
            counts = point.get("train_individuals"), point.get("draws")
            return is_number(point.get("mean_pearson")) and all(is_number(n) and n >= 1 for n in counts)

        return [p for p in self.metrics.get("few_shot") or [] if p.get("cell") == cell and drawn(p)]

    @property
    def shown_rows(self) -> tuple[Row, ...]:
        """The rows, but of each model in the few-shot curve only that which learnt from most people."""
        most: dict[tuple[Any, Any], int] = {}
        for point in self.few_shot_points(self.main_cell):
            key = point.get("model"), point.get("strategy")
            most[key] = max(int(point["train_individuals"]), most.get(key, 0))
        return tuple(
            row
            for row in self.rows
            if (row.model, row.strategy) not in most or row.train_individuals == most[row.model, row.strategy]
        )

    def comparison(self, a: str, b: str) -> Comparison | None:
        """Return `a` minus `b` in the main cell, turned around where the file has `b` minus `a`."""
        for c in self.comparisons:
            if c.cell == self.main_cell and (c.a, c.b) == (a, b):
                return c
            if c.cell == self.main_cell and (c.a, c.b) == (b, a):
                return c.turned()
        return None

    def rival(self, model: str, follow: Row) -> Row | None:
        """Return the row of a baseline that learnt from as many people as `follow` did."""
        found = [row for row in self.rows if row.model == model]
        same = [r for r in found if r.train_individuals == follow.train_individuals]
        return next(iter(same), found[0] if len(found) == 1 else None)

    def main_genes(self) -> pl.DataFrame | None:
        """Return the main cell of `per_gene`, averaged over replicates: one line a label and gene."""
        if self.per_gene is None:
            return None
        return self.per_gene.filter(pl.col("cell") == self.main_cell, pl.col("replicate") == "mean")

    def gene_differences(self, a: str, b: str) -> pl.DataFrame | None:
        """Return gene, individuals, difference (r of `a` less r of `b`), t, fdr in the main cell.

        None without `comparisons.parquet`, or where it does not hold the two.
        """
        path = self.folder / "comparisons.parquet"
        if not path.is_file():
            return None
        pair = pl.col("a").is_in([a, b]) & pl.col("b").is_in([a, b]) & (pl.col("a") != pl.col("b"))
        sign = pl.when(pl.col("a") == a).then(1.0).otherwise(-1.0)
        try:
            table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            found = (
                table.filter(pl.col("cell") == self.main_cell, pair, pl.col("difference").is_finite())
                .select("gene", "individuals", pl.col("difference", "t") * sign, "fdr")
                .sort("gene")
                .collect()
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(path, str(error)) from error
        return found if found.height else None

    def training_means(self, row: Row) -> pl.DataFrame | None:
        """Return gene and mean: what `training-mean` predicts, where it learnt from as many people.

        Without such a row it is the mean of the measurements of training and validation people in the
        predictions; None where they hold none.
        """
        table, blind = self.main_genes(), self.rival("training-mean", row)
        if table is not None and blind is not None and "mean_predicted" in table.columns:
            own = table.filter(pl.col("label") == blind.label)
            return own.select("gene", pl.col("mean_predicted").alias("mean")).drop_nulls()
        path = self.folder / "predictions.parquet"
        if not path.is_file():
            return None
        try:
            scanned = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            rows = (
                scanned.filter(
                    pl.col("individual_split").is_in(("train", "validation")),
                    pl.col("observed").is_not_null(),
                    pl.col("model") == row.model,
                    pl.col("strategy").eq_missing(pl.lit(row.strategy, dtype=pl.String)),
                )
                .select(*_as_categories("gene", "individual"), pl.col("observed"))
                .collect(engine="streaming")
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(path, str(error)) from error
        return _means_of_genes(rows).sort("gene") if rows.height else None

    def predictions(self, row: Row) -> pl.DataFrame | None:
        """Return gene, individual, observed, predicted of one row in the main cell; None without the file.

        Of several seeds and draws it is the first (`first_replicate` names it).
        """
        if not (self.folder / "predictions.parquet").is_file():
            return None
        genes, people = self.main_cell.split("/")
        side = {"seen_gene": "seen", "unseen_gene": "unseen"}.get(genes)
        person = {"new_individual": "test", "training_individual": "train"}.get(people)
        wanted = {
            "model": row.model,
            "strategy": row.strategy,
            "train_individuals": row.train_individuals,
            "gene_split": side,
            "individual_split": person,
        }
        try:
            table = pl.scan_parquet(self.folder / "predictions.parquet", glob=False, hive_partitioning=False)
            have = table.collect_schema().names()
            keep = [pl.col(k).eq_missing(pl.lit(v)) for k, v in wanted.items() if k in have]
            table = table.filter(*keep, pl.col("observed").is_not_null())
            for key in ("draw", "seed"):
                if key in have:
                    first = table.select(pl.col(key).min()).collect(engine="streaming").item()
                    table = table.filter(pl.col(key).eq_missing(pl.lit(first)))
            # names as categories: memory is to hold the numbers of one row, and little else
            columns = [*_as_categories("gene", "individual"), pl.col("observed", "predicted")]
            return table.select(columns).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(self.folder / "predictions.parquet", str(error)) from error

    def first_replicate(self, row: Row) -> str:
        """Return the seed and draw that `predictions` gives; empty where there is only one."""
        if self.per_gene is None:
            return ""
        here = self.per_gene.filter(
            pl.col("cell") == self.main_cell, pl.col("label") == row.label, pl.col("replicate") != "mean"
        )
        names = here["replicate"].unique(maintain_order=True).to_list()
        if len(names) < 2:
            return ""
        return f"seed {names[0]}" if names[0].isdigit() else str(names[0])


def _means_of_genes(rows: pl.DataFrame) -> pl.DataFrame:
    """Return gene and mean over individuals, each of whom counts once, in however many rows.

    By a matrix of 8 bytes a gene and individual: finding the rows that repeat takes ten times as much.
    """
    (genes, gene), (people, person) = (_numbered(rows[name]) for name in ("gene", "individual"))
    values = np.full((len(genes), len(people)), np.nan)
    values[gene, person] = rows["observed"].to_numpy()
    return pl.DataFrame({"gene": genes, "mean": np.nanmean(values, axis=1)})


def _numbered(names: pl.Series) -> tuple[pl.Series, NDArray[np.int64]]:
    """Return the different names, and of each entry which of them it is."""
    known = names.unique(maintain_order=True)
    codes = known.to_physical().to_numpy()
    place = np.empty(int(codes.max()) + 1, dtype=np.int64)
    place[codes] = np.arange(len(codes))
    return known.cast(pl.String), place[names.to_physical().to_numpy()]


def _as_categories(*columns: str) -> list[pl.Expr]:
    return [pl.col(column).cast(pl.String).cast(pl.Categorical) for column in columns]


def cell_words(cell: str) -> str:
    """Return a cell in words: `seen genes, new people`."""
    genes, _, people = cell.partition("/")
    side = genes.removesuffix("_gene"), people.removesuffix("_individual")
    return f"{_GENES.get(side[0], side[0])}, {_PEOPLE.get(side[1], side[1])}"


def read_results(folder: Path | str) -> Results:
    """Read an evaluation folder.

    Raises
    ------
    DataError
        The folder is no evaluation, is of another format version, or a file in it is damaged.
    """
    folder = Path(folder)
    if not (folder / "metrics.json").is_file():
        raise DataError(
            "this folder holds no evaluation",
            where=str(folder),
            got="no metrics.json",
            wanted="a folder written by glm2x evaluate",
            do=f"glm2x evaluate PREDICTIONS... --out {folder}",
        )
    metrics = read_json(folder / "metrics.json", verify=False)
    version = metrics.get("format_version") if isinstance(metrics, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            "the evaluation has a format that this version does not read",
            where=str(folder / "metrics.json"),
            got=f"format_version {version}",
            wanted=f"format_version {FORMAT_VERSION}",
            do=f"evaluate the predictions again: glm2x evaluate PREDICTIONS... --out {folder} --force",
        )
    metrics = unsealed(metrics, folder / "metrics.json")
    _require_complete(folder, metrics.get("files"))
    split = folder / "split.json"
    return Results(
        folder=folder,
        metrics=metrics,
        rows=arrange(metrics.get("rows") or []),
        comparisons=tuple(read_comparison(c) for c in metrics.get("comparisons") or []),
        per_gene=_read_per_gene(folder),
        split=read_json(split) if split.is_file() else None,
    )


def _require_complete(folder: Path, files: object) -> None:
    """Raise where a file that was written with an evaluation has gone: its part of the page would be none."""
    listed = [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
    for name in listed:
        if Path(name).name == name and not (folder / name).is_file():
            raise _unreadable(folder / name, "nothing at that path")


def _read_per_gene(folder: Path) -> pl.DataFrame | None:
    path = folder / "per_gene.parquet"
    if not path.is_file():
        return None
    try:
        require_whole(require_file(path))
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, str(error)) from error
    absent = [c for c in _PER_GENE if c not in frame.columns]
    if absent:
        raise _unreadable(path, f"no column {', '.join(absent)}")
    return frame


def _unreadable(path: Path, got: str) -> DataError:
    return DataError(
        f"{path.name} of the evaluation is not readable",
        where=str(path),
        got=got.splitlines()[0] if got else "",
        wanted="the file as glm2x evaluate wrote it",
        do=f"glm2x evaluate PREDICTIONS... --out {path.parent} --force",
    )
