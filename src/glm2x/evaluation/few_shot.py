"""The few-shot curve: mean r against the number of people learnt from, over draws of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from glm2x.evaluation.summary import RowMetrics, draw_means, sample_sd
from glm2x.evaluation.tables import Cell

_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(("cell", "model", "strategy"), pl.String),
    **dict.fromkeys(("train_individuals", "draws", "seeds"), pl.Int64),
    **dict.fromkeys(("mean_pearson", "sd_draws", "lowest", "highest"), pl.Float64),
    **dict.fromkeys(("ci95_low", "ci95_high", "share_significant", "null_share"), pl.Float64),
}


def curve_points(cell: Cell, rows: Sequence[tuple[RowMetrics, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one point a model, strategy and number of people, of those that have draws or several numbers.

    Parameters
    ----------
    rows
        Metrics of each row of the cell, and its summary.

    Returns
    -------
    Dicts of `mean_pearson` (over draws; of a draw the mean over its seeds), `sd_draws` (of draws, null
    with one), the `lowest` and `highest` draw, and the summary's interval and shares.
    """
    keys = [metrics.row.key for metrics, _ in rows]
    points = []
    for metrics, summary in rows:
        key = metrics.row.key
        sizes = {k.train_individuals for k in keys if (k.model, k.strategy) == (key.model, key.strategy)}
        drawn = any(replicate.draw >= 0 for replicate in metrics.row.replicates)
        if key.train_individuals is None or not (drawn or len(sizes - {None}) > 1):
            continue
        means = [float(np.mean(seeds)) for seeds in draw_means(metrics).values()]
        low, high = summary["ci95_mean_pearson"]
        points.append(
            {
                "cell": cell.name,
                "model": key.model,
                "strategy": key.strategy,
                "train_individuals": key.train_individuals,
                "draws": len(means),
                "seeds": len(metrics.replicates),
                "mean_pearson": float(np.mean(means)),
                "sd_draws": sample_sd(means),
                "lowest": min(means),
                "highest": max(means),
                "ci95_low": low,
                "ci95_high": high,
                "share_significant": summary["share_significant"],
                "null_share": summary["null_share"],
            }
        )
    return sorted(points, key=lambda p: (p["model"], p["strategy"] or "", p["train_individuals"]))


def curve_table(points: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Return `few_shot.parquet`: one line a cell, model, strategy and number of people."""
    return pl.DataFrame(points, schema=_SCHEMA).with_columns(pl.col(pl.Float64).fill_nan(None))
