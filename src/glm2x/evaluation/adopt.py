"""What a table does not say is taken from cohort and split: names of genes, measurements, sides.

So a stranger's three columns (gene, individual, predicted) are evaluated beside our models.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from glm2x.evaluation.tables import gene_rows
from glm2x.evaluation.target_checks import values_of
from glm2x.genome.genes import unversioned
from glm2x.predictions import KEY, Predictions, compact


@dataclass(frozen=True)
class Adopted:
    """A table as it is evaluated, and what was done to it.

    Parameters
    ----------
    predictions
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

    predictions: Predictions
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
    predictions: Predictions,
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
    said = predictions.metadata.target
    if target is not None and said not in (None, target):
        raise UsageError(
            "--target is for tables that do not say theirs",
            got=f"--target {target}, and the predictions are of {said}",
            do="leave --target out",
        )
    predictions = replace(predictions, frame=compact(predictions.frame))
    predictions, renamed, unknown = _named(predictions, cohort)
    absent = _unknown_people(predictions.frame, cohort)
    predictions = _with_sides(predictions, split)
    if target is not None:
        predictions = replace(predictions, metadata=replace(predictions.metadata, target=target))
    adopted = Adopted(predictions, renamed, unknown, absent)
    return adopted if cohort is None else _filled(adopted, cohort, split)


def _named(predictions: Predictions, cohort: Cohort | None) -> tuple[Predictions, int, int]:
    """Call each gene as the cohort does, or else by the first of its names: versions may differ."""
    frame = predictions.frame
    genes = frame["gene"].unique(maintain_order=True).cast(pl.String).to_list()
    first: dict[str, str] = {}
    names: dict[str, str] = {}
    unknown = 0
    for gene, row in zip(genes, gene_rows(cohort, genes), strict=True):
        if cohort is not None and row is not None:
            names[gene] = cohort.gene_ids[row]
        else:
            names[gene] = first.setdefault(unversioned(gene), gene)
            unknown += cohort is not None
    renamed = {old: new for old, new in names.items() if old != new}
    if renamed:
        frame = frame.with_columns(_mapped("gene", names))
        twice = frame.select(KEY).is_duplicated()
        if twice.any():
            first_twice = frame.row(int(twice.arg_max() or 0), named=True)
            raise DataError(
                f"two names of one gene give {int(twice.sum())} predictions twice",
                where=", ".join(name for name, _ in predictions.sources) or "the table",
                got="first: {gene} of {individual} by {model}".format(**first_twice),
                wanted="one prediction a gene and individual, whatever the version of the gene's name",
                do="leave one of the names out of the table",
            )
    return replace(predictions, frame=frame), len(renamed), unknown


def _mapped(column: str, values: Mapping[str, str | None]) -> pl.Expr:
    return pl.col(column).replace_strict(
        pl.Series(list(values), dtype=pl.Categorical),
        pl.Series(list(values.values()), dtype=pl.Categorical),
        return_dtype=pl.Categorical,
    )


def _unknown_people(frame: pl.DataFrame, cohort: Cohort | None) -> int:
    if cohort is None:
        return 0
    return len(set(frame["individual"].unique()) - set(cohort.individuals))


def _with_sides(predictions: Predictions, split: Split | None) -> Predictions:
    """Fill in the sides that the table does not say, and refuse a split that is not of the table's base.

    In the rows of a draw only test people are filled in: whom it learnt from, another draw does not say.
    """
    if split is None:
        return predictions
    said = predictions.metadata.family
    if said is not None and said != split.family:
        raise UsageError(
            "the predictions were made with another split",
            got=f"split {said[:12]} in the predictions, {split.family[:12]} given",
            wanted="the split they were made with, or another draw of the same base",
            do="give that one, or none",
        )
    gene = _mapped("gene", {gene: split.gene_split(gene) for gene in predictions.frame["gene"].unique()})
    people = {name: split.individual_split(name) for name in predictions.frame["individual"].unique()}
    person = _mapped("individual", people)
    frame = predictions.frame.with_columns(
        pl.coalesce("gene_split", gene),
        pl.coalesce("individual_split", pl.when(pl.col("draw").is_null() | (person == "test")).then(person)),
    )
    return replace(predictions, frame=frame)


def _filled(adopted: Adopted, cohort: Cohort, split: Split | None) -> Adopted:
    """Fill in the measurements of models that have none, in the target of the table.

    A model that has some keeps its own: what stands beside others may be on another scale.
    """
    predictions = adopted.predictions
    frame = predictions.frame
    measured = frame.group_by("model").agg(pl.col("observed").is_not_null().any().alias("any"))
    bare = measured.filter(~pl.col("any"))["model"].sort().to_list()
    if not bare:
        return adopted
    metadata = replace(predictions.metadata, target=predictions.metadata.target or "log")
    predictions = replace(predictions, metadata=metadata)
    rows = frame.with_row_index("_at").filter(pl.col("model").is_in(bare))
    observed = np.full(frame.height, np.nan)
    why: dict[str, None] = {}
    parts: list[tuple[pl.DataFrame, NDArray[np.float64] | str]]
    if metadata.target == "log":
        parts = [(rows, log_expression(cohort))]
    elif split is None:
        parts = [(rows, "needs --split")]
    else:
        draws = learnt_people(rows, split)
        parts = [(one.rows, values_of(one, predictions, cohort, split)) for one in draws]
    for part, values in parts:
        if isinstance(values, str):
            why[f"the {metadata.target} target {values}"] = None
        else:
            observed[part["_at"].to_numpy()] = _looked_up(part, values, cohort)
    filled = int(np.isfinite(observed).sum())
    if not filled:
        return replace(adopted, not_filled=tuple(why))
    column = pl.Series("observed", observed).fill_nan(None)
    frame = frame.with_columns(observed=pl.coalesce("observed", column))
    return replace(
        adopted,
        predictions=replace(predictions, frame=frame),
        observed_filled=filled,
        filled_models=tuple(bare),
        not_filled=tuple(why),
    )


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
