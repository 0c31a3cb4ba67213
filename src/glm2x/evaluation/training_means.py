"""Each gene's mean over training people, as a table of predictions says it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.evaluation.tables import CellRow

MODEL = "training-mean"


class TrainingMeans:
    """The mean of each gene, number of training people and draw.

    It is what the model `training-mean` predicts where that is in the table (of the row's own draw
    and number of training people, where it has them), else the mean of the measurements of
    training and validation people in the table.

    Parameters
    ----------
    blocks
        The table, all rows of a gene in one block.
    predicted
        Whether `training-mean` is among its models.
    """

    def __init__(self, blocks: Iterable[pl.DataFrame], *, predicted: bool) -> None:
        self._exact = pl.concat([_means(frame, predicted=predicted) for frame in blocks])
        # A mean of another draw will do only when all draws have the same.
        ranges = self._exact.group_by("gene").agg(
            pl.col("value").min().alias("low"), pl.col("value").max().alias("high")
        )
        self._same = {g: low for g, low, high in ranges.iter_rows() if high - low <= 1e-9 * (1 + abs(high))}

    def of(self, row: CellRow, genes: Sequence[str]) -> NDArray[np.float64]:
        """Return those of a row, float [R, G], NaN where the table does not hold one."""
        means = np.full((len(row.replicates), len(genes)), np.nan)
        size = pl.lit(row.key.train_individuals, pl.Int64)
        for r, replicate in enumerate(row.replicates):
            draw = pl.lit(None if replicate.draw < 0 else replicate.draw, pl.Int64)
            own = self._exact.filter(
                pl.col("train_individuals").eq_missing(size) & pl.col("draw").eq_missing(draw)
            )
            values = dict(own.select("gene", "value").iter_rows())
            means[r] = [values.get(gene, self._same.get(gene, np.nan)) for gene in genes]
        return means


def _means(frame: pl.DataFrame, *, predicted: bool) -> pl.DataFrame:
    if predicted:
        said = frame.filter(pl.col("model") == MODEL).with_columns(value=pl.col("predicted"))
    else:
        # One measurement an individual, however many models the table holds.
        once = ("gene", "individual", "train_individuals", "draw")
        fitted = pl.col("individual_split").is_in(("train", "validation"))
        said = frame.filter(fitted, pl.col("observed").is_not_null()).unique(once, maintain_order=True)
        said = said.with_columns(value=pl.col("observed"))
    return said.group_by("gene", "train_individuals", "draw").agg(pl.col("value").mean())
