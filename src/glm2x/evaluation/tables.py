"""From the predictions table to matrices: which rows belong together, and in which cell.

A *row* of the report is a model (with its strategy and its number of training people where it has
several). A *replicate* is one seed and draw of a row. A *cell* is seen or unseen genes crossed with
new or training people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError
from glm2x.genome.genes import index_of_names, unversioned
from glm2x.predictions import Predictions, compact

GENE_CELLS = {"seen": "seen_gene", "unseen": "unseen_gene", None: "any_gene"}
INDIVIDUAL_CELLS = {"test": "new_individual", "train": "training_individual", None: "any_individual"}
DEFAULT_WINDOW = 64_000
"""bp, where neither a file nor the split says one."""

MAIN_CELL = "seen_gene/new_individual"
BASELINES = (
    "training-mean",
    "genotype-pcs",
    "top-variant",
    "elastic-net",
    "lasso",
    "gblup",
    "ridge",
    "informed-gblup",
    "informed-ridge",
)


def is_baseline(model: str) -> bool:
    """Whether a model is a baseline, also one that is called after its origin, as `ridge (run-a)`."""
    return model.partition(" (")[0] in BASELINES


Rows = NDArray[np.uint32] | slice
_KEY = ("model", "strategy", "train_individuals")
_PIECE = 2**15  # rows of a table
_STRATEGIES = ("reference", "personal", "reference-then-personal")


@dataclass(frozen=True, order=True)
class Replicate:
    """One seed and draw of a row; null draw = -1, so that replicates sort."""

    draw: int
    seed: int

    @property
    def name(self) -> str:
        """`"0"` for seed 0, `"draw 1 seed 0"` where there are draws."""
        return str(self.seed) if self.draw < 0 else f"draw {self.draw} seed {self.seed}"


@dataclass(frozen=True)
class RowKey:
    """What makes one row of the report."""

    model: str
    strategy: str | None
    train_individuals: int | None


@dataclass(frozen=True)
class CellRow:
    """The predictions of one row in one cell.

    Parameters
    ----------
    replicates
        The R seeds and draws, sorted.
    predicted, observed
        Float [R, G, P]; NaN where there is no prediction or no measurement.
    """

    key: RowKey
    label: str
    replicates: tuple[Replicate, ...]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool [G, P]: predicted and measured in every replicate."""
        both = np.isfinite(self.predicted) & np.isfinite(self.observed)
        return np.asarray(both.all(axis=0))


@dataclass(frozen=True)
class Cell:
    """All rows of one cell on common axes: G genes and P individuals, each sorted by name."""

    name: str
    genes: tuple[str, ...]
    individuals: tuple[str, ...]
    rows: tuple[CellRow, ...]


def of_genes(predictions: Predictions, names: Iterable[str]) -> Predictions:
    """Return the predictions of some genes, with or without version, so that all rows are of the same.

    Raises
    ------
    DataError
        There is none of any of them.
    """
    wanted = {unversioned(name) for name in names}
    found = predictions.frame["gene"].unique().cast(pl.String).to_list()
    kept = [gene for gene in found if unversioned(gene) in wanted]
    if not kept:
        raise DataError(
            "the tables hold none of the genes of the list",
            got=f"{len(wanted)} genes, such as {min(wanted, default='(none)')}",
            wanted=f"some of {len(found)} genes, such as {min(found, default='(none)')}",
            do="give another list with --genes, or none",
        )
    frame = predictions.frame.filter(pl.col("gene").cast(pl.String).is_in(kept))
    return replace(predictions, frame=frame)


def largest_window(predictions: Predictions, split: Split | None) -> int | None:
    """Return the largest window in bp that a file, the merged table or the split says; None if none does.

    Where files differ, the merged table says none.
    """
    said = [predictions.metadata.window, *(m.window for _, m in predictions.sources)]
    said += [split.window] if split is not None else []
    return max((window for window in said if window is not None), default=None)


def gene_rows(cohort: Cohort | None, genes: Iterable[str]) -> list[int | None]:
    """Return the cohort's row of each gene, with or without version; None where it has none."""
    rows = {} if cohort is None else index_of_names(cohort.gene_ids)
    return [rows.get(gene, rows.get(unversioned(gene))) for gene in genes]


def row_labels(frame: pl.DataFrame) -> dict[RowKey, str]:
    """Return the label of each row of the report, in the order they are shown.

    The model's name; with the strategy when the model has several; with `n=` the number of training
    people when there are several of those. Baselines come first, in the protocol's order.
    """
    keys = [RowKey(*values) for values in _combinations(frame, _KEY)]
    keys.sort(key=_display_order)
    labels: dict[RowKey, str] = {}
    for key in keys:
        strategies = {k.strategy for k in keys if k.model == key.model}
        sizes = {k.train_individuals for k in keys if (k.model, k.strategy) == (key.model, key.strategy)}
        label = key.model
        if len(strategies) > 1 and key.strategy is not None:
            label += f" {key.strategy}"
        if len(sizes) > 1 and key.train_individuals is not None:
            label += f" n={key.train_individuals}"
        # A stranger's model may be called just as another one's model and strategy together.
        same = sum(other == label for other in labels.values())
        labels[key] = f"{label} ({same + 1})" if same else label
    return labels


def _display_order(key: RowKey) -> tuple[int, str, int, str, int]:
    name = key.model.partition(" (")[0]
    baseline = BASELINES.index(name) if name in BASELINES else len(BASELINES)
    strategy = key.strategy or ""
    step = _STRATEGIES.index(strategy) + 1 if strategy in _STRATEGIES else 0
    size = -1 if key.train_individuals is None else key.train_individuals
    return baseline, key.model, step, strategy, size


def make_cells(frame: pl.DataFrame, labels: Mapping[RowKey, str]) -> tuple[Cell, ...]:
    """Return the cells that hold measurements, the main one first.

    Rows without a measurement are left out: they cannot be judged. Validation people are in no cell.
    The caller counts both.
    """
    columns = [*_KEY, "draw", "seed"]
    columns += ["gene", "individual", "observed", "predicted", "gene_split", "individual_split"]
    measured = compact(frame.select(columns))
    if measured["observed"].null_count():
        measured = measured.filter(pl.col("observed").is_not_null())
    parts = _parts(measured, ["gene_split", "individual_split"]) if measured.height else {}
    cells = []
    for gene_split, gene_cell in GENE_CELLS.items():
        for individual_split, individual_cell in INDIVIDUAL_CELLS.items():
            part = parts.pop((gene_split, individual_split), None)
            if part is not None:
                cells.append(_make_cell(f"{gene_cell}/{individual_cell}", part, labels))
    return tuple(sorted(cells, key=lambda cell: cell.name != MAIN_CELL))


def _parts(frame: pl.DataFrame, by: Sequence[str]) -> dict[tuple[Any, ...], pl.DataFrame]:
    """Return the rows of each combination of values; the frame itself where there is one, not a copy."""
    varying = [column for column in by if not _constant(frame[column])]
    if not varying:
        return {frame.select(by).row(0): frame}
    return {part.select(by).row(0): part for part in frame.partition_by(varying)}


def _combinations(frame: pl.DataFrame, by: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the combinations of values that there are; columns of one value cost no sorting."""
    varying = [column for column in by if not _constant(frame[column])]
    if not varying:
        return [frame.select(by).row(0)]
    fixed = [
        pl.lit(frame[0, column], frame.schema[column]).alias(column) for column in by if column not in varying
    ]
    return frame.select(varying).unique().with_columns(fixed).select(by).rows()


def _constant(series: pl.Series) -> bool:
    """Whether all values are the same, nulls included."""
    nulls = series.null_count()
    if nulls:
        return nulls == len(series)
    numbers = series.to_physical() if series.dtype == pl.Categorical else series
    return bool(numbers.min() == numbers.max())


def _make_cell(name: str, frame: pl.DataFrame, labels: Mapping[RowKey, str]) -> Cell:
    genes, gene_of = _axis(frame["gene"])
    individuals, individual_of = _axis(frame["individual"])
    # where a row of the table goes in the matrix
    at = _places(frame, gene_of * len(individuals), individual_of)
    parts: dict[tuple[Any, ...], dict[Replicate, Rows]] = {}
    for (*key_of, draw, seed), rows in _rows_of(frame, [*_KEY, "draw", "seed"]).items():
        parts.setdefault(tuple(key_of), {})[Replicate(-1 if draw is None else draw, seed)] = rows
    values = [frame[column].to_numpy() for column in ("predicted", "observed")]
    found = []
    for key, label in labels.items():
        replicates = parts.get((key.model, key.strategy, key.train_individuals))
        if replicates is not None:
            names = tuple(sorted(replicates))
            shape = (len(names), len(genes), len(individuals))
            predicted, observed = (
                _matrix(shape, [replicates[name] for name in names], at, column) for column in values
            )
            found.append(CellRow(key, label, names, predicted, observed))
    return Cell(name, genes, individuals, tuple(found))


def _places(
    frame: pl.DataFrame, start_of: NDArray[np.int64], individual_of: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return where each row of a table goes in a matrix: the start of its gene, and its individual."""
    gene = frame["gene"].to_physical().to_numpy()
    individual = frame["individual"].to_physical().to_numpy()
    at = np.empty(len(gene), dtype=np.int64)
    for piece in _pieces(len(gene)):
        np.add(start_of[gene[piece]], individual_of[individual[piece]], out=at[piece])
    return at


def _pieces(rows: int) -> list[slice]:
    """Return slices of rows whose numbers stay in the processor's cache: memory is what shaping costs."""
    return [slice(start, min(start + _PIECE, rows)) for start in range(0, rows, _PIECE)]


def _rows_of(frame: pl.DataFrame, by: Sequence[str]) -> dict[tuple[Any, ...], Rows]:
    """Return which rows have each combination of values; where there is one, all, without a list."""
    varying = [column for column in by if not _constant(frame[column])]
    if not varying:
        return {frame.select(by).row(0): slice(None)}
    parts = frame.select(by).with_row_index("_row").partition_by(varying)
    return {part.select(by).row(0): part["_row"].to_numpy() for part in parts}


def _matrix(
    shape: tuple[int, int, int], rows: Sequence[Rows], at: NDArray[np.int64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the values of each replicate's rows at their places, float [R, G, P], NaN elsewhere."""
    matrix = np.empty(shape)
    for flat, chosen in zip(matrix.reshape(shape[0], -1), rows, strict=True):
        places = at[chosen]
        if len(places) < len(flat):  # else every place is written, for no prediction is there twice
            flat.fill(np.nan)
        flat[places] = values[chosen]
    return matrix


def _axis(names: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names that there are, sorted, and the place of each by the number of its category.

    No text is compared but once a name.
    """
    codes = names.to_physical().to_numpy()
    row = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    for piece in _pieces(len(codes)):
        row[codes[piece]] = np.arange(piece.start, piece.stop)
    known = np.flatnonzero(row >= 0)
    text = names.gather(row[known]).cast(pl.String)
    order = text.arg_sort().to_numpy()
    row[known[order]] = np.arange(len(known))
    return tuple(text.gather(order)), row


def training_means(frame: pl.DataFrame, row: CellRow, genes: Sequence[str]) -> NDArray[np.float64]:
    """Return each gene's mean over training people, float [R, G], NaN where the table does not hold it.

    It is what the model `training-mean` predicts where that is in the table (of the row's own draw
    and number of training people, where it has them), else the mean of the measurements of
    training and validation people in the table.
    """
    said = frame.filter(pl.col("model") == "training-mean").with_columns(value=pl.col("predicted"))
    if said.height == 0:
        # One measurement an individual, however many models the table holds.
        once = ("gene", "individual", "train_individuals", "draw")
        fitted = pl.col("individual_split").is_in(("train", "validation"))
        said = frame.filter(fitted, pl.col("observed").is_not_null()).unique(once, maintain_order=True)
        said = said.with_columns(value=pl.col("observed"))
    exact = said.group_by("gene", "train_individuals", "draw").agg(pl.col("value").mean())
    by_key = {(g, n, d): v for g, n, d, v in exact.iter_rows()}
    # A mean of another draw will do only when all draws have the same.
    ranges = exact.group_by("gene").agg(
        pl.col("value").min().alias("low"), pl.col("value").max().alias("high")
    )
    by_gene = {g: low for g, low, high in ranges.iter_rows() if high - low <= 1e-9 * (1 + abs(high))}
    means = np.full((len(row.replicates), len(genes)), np.nan)
    for r, replicate in enumerate(row.replicates):
        draw = None if replicate.draw < 0 else replicate.draw
        for g, gene in enumerate(genes):
            key = (gene, row.key.train_individuals, draw)
            means[r, g] = by_key.get(key, by_gene.get(gene, np.nan))
    return means
