"""Which rows of a predictions table belong together, and in which cell.

A *row* of the report is a model (with its strategy and its number of training people where it has
several). A *replicate* is one seed and draw of a row. A *cell* is seen or unseen genes crossed with
new or training people.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.evaluation.table import Table
from glm2x.files import give_back
from glm2x.genome.genes import index_of_names, unversioned

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


KEY = ("model", "strategy", "train_individuals")
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
    mapped
        Of a row that lies in files, what maps them into memory; nobody may write to it.
    """

    key: RowKey
    label: str
    replicates: tuple[Replicate, ...]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    mapped: tuple[mmap, ...] = field(default=(), compare=False, repr=False)

    def release(self) -> None:
        """Give back the memory of a row that lies in files; what is read again comes from them."""
        for file in self.mapped:
            give_back(file)

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


def largest_window(table: Table, split: Split | None) -> int | None:
    """Return the largest window in bp that a file, the merged table or the split says; None if none does.

    Where files differ, the merged table says none.
    """
    said = [table.metadata.window, *(m.window for _, m in table.sources)]
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
    keys = [RowKey(*values) for values in _combinations(frame, KEY)]
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


def _combinations(frame: pl.DataFrame, by: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the combinations of values that there are; columns of one value cost no sorting."""
    varying = [column for column in by if not is_constant(frame[column])]
    if not varying:
        return [frame.select(by).row(0)]
    fixed = [
        pl.lit(frame[0, column], frame.schema[column]).alias(column) for column in by if column not in varying
    ]
    return frame.select(varying).unique().with_columns(fixed).select(by).rows()


def is_constant(series: pl.Series) -> bool:
    """Whether all values are the same, nulls included."""
    nulls = series.null_count()
    if nulls:
        return nulls == len(series)
    numbers = series.to_physical() if series.dtype == pl.Categorical else series
    return bool(numbers.min() == numbers.max())
