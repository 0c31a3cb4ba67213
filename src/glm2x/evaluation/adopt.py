"""What a table does not say is taken from cohort and split: names of genes, measurements, sides.

So a stranger's three columns (gene, individual, predicted) are evaluated beside our models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import log_expression
from glm2x.config import TargetMode
from glm2x.errors import DataError, UsageError
from glm2x.evaluation.learnt import learnt_people
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import gene_rows
from glm2x.evaluation.target_checks import values_of
from glm2x.genome.genes import unversioned
from glm2x.prediction_metadata import PredictionMetadata
from glm2x.predictions import KEY


@dataclass(frozen=True)
class Adopted:
    """A table as it is evaluated, and what was done to it.

    Parameters
    ----------
    table
        The table.
    genes_renamed
        How many names of genes became the cohort's, or another file's: they differed by a version.
    genes_unknown, individuals_unknown
        How many the cohort does not hold; 0 without a cohort.
    observed_filled
        How many measurements are the cohort's: those of models of which the table has none.
    filled_models
        Those models.
    not_filled
        Why measurements of such a model could not be filled in; empty where they could.
    """

    table: Table
    genes_renamed: int = 0
    genes_unknown: int = 0
    individuals_unknown: int = 0
    observed_filled: int = 0
    filled_models: tuple[str, ...] = ()
    not_filled: tuple[str, ...] = ()

    def counts(self) -> dict[str, Any]:
        """Return what `metrics.json` says of it."""
        return {
            "genes_renamed": self.genes_renamed,
            "genes_unknown": self.genes_unknown,
            "individuals_unknown": self.individuals_unknown,
            "observed_filled": self.observed_filled,
            "filled_models": list(self.filled_models),
            "not_filled": list(self.not_filled),
        }


def adopt(
    table: Table,
    cohort: Cohort | None,
    split: Split | None,
    target: TargetMode | None = None,
) -> Adopted:
    """Return a table with what it does not say filled in.

    Parameters
    ----------
    target
        The mode of a table that does not say its own. Where neither says and measurements are to be
        filled in, it is `log`.

    Raises
    ------
    UsageError
        The split is not of the table's base, or `target` is not the table's mode.
    DataError
        Two names of one gene give one model two predictions.
    """
    said = table.metadata.target
    if target is not None and said not in (None, target):
        raise UsageError(
            "--target is for tables that do not say theirs",
            got=f"--target {target}, and the predictions are of {said}",
            do="leave --target out",
        )
    _require_family(table, split)
    names = _Names(table, cohort)
    absent = 0 if cohort is None else len(set(table.people_names) - set(cohort.individuals))
    sides = None if split is None else _Sides(split, names.found, table.people_names)
    metadata = table.metadata if target is None else replace(table.metadata, target=target)
    filling = None if cohort is None else _filling(replace(table, metadata=metadata), cohort, split, sides)

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        frame = names.given(frame)
        if sides is not None:
            frame = sides.given(frame)
        return frame if filling is None else filling.given(frame)

    made = table.changed(change)
    names.require_once(table)
    if filling is not None and filling.filled:
        metadata = filling.metadata
    return Adopted(
        replace(made, metadata=metadata),
        genes_renamed=names.renamed,
        genes_unknown=names.unknown,
        individuals_unknown=absent,
        observed_filled=0 if filling is None else filling.filled,
        filled_models=filling.models if filling is not None and filling.filled else (),
        not_filled=() if filling is None else filling.why,
    )


class _Names:
    """Calls each gene as the cohort does, or else by the first of its names: versions may differ.

    Attributes
    ----------
    renamed, unknown
        How many names became others, and how many the cohort does not hold.
    found
        The names that genes have now.
    """

    def __init__(self, table: Table, cohort: Cohort | None) -> None:
        genes = table.genes["gene"].unique(maintain_order=True).cast(pl.String).to_list()
        first: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self.unknown = 0
        for gene, row in zip(genes, gene_rows(cohort, genes), strict=True):
            if cohort is not None and row is not None:
                self._names[gene] = cohort.gene_ids[row]
            else:
                self._names[gene] = first.setdefault(unversioned(gene), gene)
                self.unknown += cohort is not None
        self.renamed = sum(old != new for old, new in self._names.items())
        self.found = list(dict.fromkeys(self._names.values()))
        self._twice = 0
        self._first: dict[str, Any] = {}

    def given(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows with their genes so called; what is there twice then is counted."""
        if not self.renamed:
            return frame
        frame = frame.with_columns(_mapped("gene", self._names))
        twice = frame.select(KEY).is_duplicated()
        if twice.any() and not self._twice:
            self._first = frame.row(int(twice.arg_max() or 0), named=True)
        self._twice += int(twice.sum())
        return frame

    def require_once(self, table: Table) -> None:
        """Refuse a table in which a prediction is there twice, by two names of its gene (`DataError`)."""
        if self._twice:
            raise DataError(
                f"two names of one gene give {self._twice} predictions twice",
                where=table.names,
                got="first: {gene} of {individual} by {model}".format(**self._first),
                wanted="one prediction a gene and individual, whatever the version of the gene's name",
                do="leave one of the names out of the table",
            )


def _mapped(column: str, values: Mapping[str, str | None]) -> pl.Expr:
    return pl.col(column).replace_strict(
        pl.Series(list(values), dtype=pl.Categorical),
        pl.Series(list(values.values()), dtype=pl.Categorical),
        return_dtype=pl.Categorical,
    )


def _require_family(table: Table, split: Split | None) -> None:
    said = table.metadata.family
    if split is not None and said is not None and said != split.family:
        raise UsageError(
            "the predictions were made with another split",
            got=f"split {said[:12]} in the predictions, {split.family[:12]} given",
            wanted="the split they were made with, or another draw of the same base",
            do="give that one, or none",
        )


class _Sides:
    """Fills in the sides that rows do not say.

    In the rows of a draw only test people are filled in: whom it learnt from, another draw does not say.
    """

    def __init__(self, split: Split, genes: Sequence[str], people: Sequence[str]) -> None:
        gene = _mapped("gene", {gene: split.gene_split(gene) for gene in genes})
        self._gene = pl.coalesce("gene_split", gene)
        person = _mapped("individual", {name: split.individual_split(name) for name in people})
        own = pl.when(pl.col("draw").is_null() | (person == "test")).then(person)
        self._person = pl.coalesce("individual_split", own)

    def given(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows with both sides."""
        return frame.with_columns(self._gene, self._person)

    def people(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return lines of people (`Table.people`) with their sides."""
        return frame.with_columns(self._person).unique(maintain_order=True)


@dataclass(frozen=True)
class _Part:
    """Values for the bare models' rows: of one draw and number of people, or of all."""

    chosen: pl.Expr
    values: NDArray[np.float64]


class _Filling:
    """Fills in the measurements of models that have none, and counts them.

    Attributes
    ----------
    models, why
        Those models; and why measurements could not be filled in.
    metadata
        What is said of the table once some were.
    filled
        How many were.
    """

    def __init__(
        self,
        cohort: Cohort,
        models: tuple[str, ...],
        parts: Sequence[_Part],
        why: tuple[str, ...],
        metadata: PredictionMetadata,
    ) -> None:
        self.models, self.why, self.metadata, self.filled = models, why, metadata, 0
        self._cohort, self._parts = cohort, parts

    def given(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the cohort's measurements where a bare model has none."""
        observed = np.full(frame.height, np.nan)
        bare = frame.with_row_index("_at").filter(pl.col("model").is_in(self.models))
        for part in self._parts:
            rows = bare.filter(part.chosen)
            if rows.height:
                observed[rows["_at"].to_numpy()] = _looked_up(rows, part.values, self._cohort)
        self.filled += int(np.isfinite(observed).sum())
        column = pl.Series("observed", observed).fill_nan(None)
        return frame.with_columns(observed=pl.coalesce("observed", column))


def _filling(table: Table, cohort: Cohort, split: Split | None, sides: _Sides | None) -> _Filling | None:
    """Return what fills in measurements, in the target of the table; None where every model has some.

    A model that has some keeps its own: what stands beside others may be on another scale.
    """
    bare = tuple(model for model in table.model_names if model not in table.measured)
    if not bare:
        return None
    metadata = replace(table.metadata, target=table.metadata.target or "log")
    why: dict[str, None] = {}
    parts: list[_Part] = []
    found: list[tuple[pl.Expr, NDArray[np.float64] | str]]
    if metadata.target == "log":
        found = [(pl.lit(value=True), log_expression(cohort))]
    elif split is None or sides is None:
        found = [(pl.lit(value=True), "needs --split")]
    else:
        people = sides.people(table.people.filter(pl.col("model").is_in(bare)))
        found = [(one.rows, values_of(one, metadata, cohort, split)) for one in learnt_people(people, split)]
    for chosen, values in found:
        if isinstance(values, str):
            why[f"the {metadata.target} target {values}"] = None
        else:
            parts.append(_Part(chosen, values))
    return _Filling(cohort, bare, parts, tuple(why), metadata)


def _looked_up(rows: pl.DataFrame, values: NDArray[np.float64], cohort: Cohort) -> NDArray[np.float64]:
    """Return the cohort's value of each row, NaN where it has none."""
    places = []
    genes = rows["gene"].unique().to_list()
    of_gene = dict(zip(genes, gene_rows(cohort, genes), strict=True))
    of_person = {name: column for column, name in enumerate(cohort.individuals)}
    for column, known in (("gene", of_gene), ("individual", of_person)):
        names = rows[column].unique().to_list()
        found = pl.Series([known.get(name) for name in names], dtype=pl.Int64)
        codes = rows[column].replace_strict(
            pl.Series(names, dtype=pl.Categorical), found, return_dtype=pl.Int64
        )
        places.append(codes.fill_null(-1).to_numpy())
    row, column_of = places
    both = (row >= 0) & (column_of >= 0)
    return np.where(both, values[np.maximum(row, 0), np.maximum(column_of, 0)], np.nan)
