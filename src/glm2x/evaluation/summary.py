"""One row of the report in one cell: metrics of its genes, and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.evaluation.heritability import Heritability
from glm2x.evaluation.metrics import (
    Array,
    GeneMetrics,
    across_genes_spearman,
    benjamini_hochberg,
    gene_metrics,
    masked_pearson,
    pearson_p,
)
from glm2x.evaluation.tables import Cell, CellRow
from glm2x.evaluation.uncertainty import Interval

SIGNIFICANT_R = 0.1
SIGNIFICANT_FDR = 0.05


@dataclass(frozen=True)
class RowMetrics:
    """Metrics of one row's genes.

    Parameters
    ----------
    replicates
        Those of each seed and draw.
    mean
        Over the replicates: r and the other metrics are averaged gene by gene, p is that of the
        average r, a gene is null where it is in every replicate.
    across_genes, training_mean_across
        Mean over people of Spearman's r across genes; and what predicting each gene's training mean has
        on the same genes and people, without anything personal.
    heritability
        Of the same genes, or None.
    people
        How many individuals have a prediction and a measurement.
    """

    row: CellRow
    replicates: tuple[GeneMetrics, ...]
    mean: GeneMetrics
    across_genes: float
    training_mean_across: float
    people: int
    heritability: Heritability | None = None


def row_metrics(
    row: CellRow,
    training_mean: Array,
    population: NDArray[np.int64] | None,
    components: Array | None = None,
    heritability: Heritability | None = None,
) -> RowMetrics:
    """Return the metrics of a row.

    Parameters
    ----------
    training_mean
        Float [R, G].
    population
        Int [P], or None.
    components
        Float [P, C], genotype PCs, or None.
    """
    pairs = list(zip(row.predicted, row.observed, training_mean, strict=True))
    replicates = tuple(
        gene_metrics(x, y, training_mean=means, population=population, components=components)
        for x, y, means in pairs
    )
    across = [across_genes_spearman(x, y) for x, y, _ in pairs]
    blind = [across_genes_spearman(x, y, instead=means) for x, y, means in pairs]
    known = np.isfinite(row.predicted) & np.isfinite(row.observed)
    return RowMetrics(
        row,
        replicates,
        _average(replicates),
        float(_mean(np.array(across))),
        float(_mean(np.array(blind))),
        int(known.any(axis=(0, 1)).sum()),
        heritability,
    )


_AVERAGED = (
    *("spearman", "r2", "slope", "within_population", "partial"),
    *("mean_predicted", "mean_observed", "difference_r2"),
)


def _average(replicates: tuple[GeneMetrics, ...]) -> GeneMetrics:
    if len(replicates) == 1:
        return replicates[0]
    # People differ between replicates only where draws do; the fewest keep p honest. A replicate
    # without the gene has no part in its average.
    known = np.isfinite([m.pearson for m in replicates])
    counted = known | ~known.any(axis=0)
    n = np.min([m.individuals for m in replicates], axis=0, where=counted, initial=np.iinfo(np.int64).max)
    r = _nanmean([m.pearson for m in replicates])
    p = pearson_p(r, n)
    averaged = {name: _nanmean([getattr(m, name) for m in replicates]) for name in _AVERAGED}
    null = np.all([m.null for m in replicates], axis=0, where=counted)
    return GeneMetrics(individuals=n, pearson=r, p=p, fdr=benjamini_hochberg(p), null=null, **averaged)


def summarise(metrics: RowMetrics, interval: Interval) -> dict[str, Any]:
    """Return the block of `metrics.json` of one row in one cell; NaN where not defined."""
    m = metrics.mean
    defined = np.isfinite(m.pearson)
    genes = int(defined.sum())
    found = m.fdr < SIGNIFICANT_FDR
    nan = float("nan")
    return {
        "genes": genes,
        "genes_undefined": int((~defined).sum()),
        "individuals": metrics.people,
        "mean_pearson": _mean(m.pearson),
        "median_pearson": _median(m.pearson),
        "mean_spearman": _mean(m.spearman),
        "median_spearman": _median(m.spearman),
        "mean_r2": _mean(m.r2),
        "median_r2": _median(m.r2),
        "mean_slope": _mean(m.slope),
        "median_slope": _median(m.slope),
        "mean_pearson_within_population": _mean(m.within_population),
        "mean_partial_pearson": _mean(m.partial),
        "heritable": _heritable(metrics),
        "gene_mean": _gene_mean(m),
        "difference": {"mean_r2": _mean(m.difference_r2), "median_r2": _median(m.difference_r2)},
        "ci95_mean_pearson": list(interval.ci95),
        "se_mean_pearson": interval.se,
        "df_mean_pearson": interval.df,
        "share_significant": float((found & (m.pearson > SIGNIFICANT_R)).sum() / genes) if genes else nan,
        "share_negative_significant": float((found & (m.pearson < 0)).sum() / genes) if genes else nan,
        "null_share": float(m.null[defined].mean()) if genes else nan,
        "mean_pearson_nonnull": _mean(m.pearson[~m.null]),
        "across_genes": {
            "mean_spearman": metrics.across_genes,
            "training_mean_spearman": metrics.training_mean_across,
        },
        "seeds": _seeds(metrics),
    }


def _heritable(metrics: RowMetrics) -> dict[str, Any] | None:
    """Return r / sqrt(h2) over the genes whose h2 is significant; None where h2 was not estimated."""
    if metrics.heritability is None:
        return None
    accuracy = metrics.heritability.accuracy(metrics.mean.pearson)
    return {
        "genes": int(np.isfinite(accuracy).sum()),
        "mean_pearson": _mean(np.where(np.isfinite(accuracy), metrics.mean.pearson, np.nan)),
        "mean_accuracy": _mean(accuracy),
        "median_accuracy": _median(accuracy),
    }


def _gene_mean(m: GeneMetrics) -> dict[str, float]:
    """Return how well the means of genes over people are predicted, across genes."""
    defined = np.isfinite(m.mean_predicted) & np.isfinite(m.mean_observed)
    x, y = m.mean_predicted[defined], m.mean_observed[defined]
    r, _ = masked_pearson(x[None], y[None], np.ones((1, len(x)), dtype=np.bool_))
    squares, total = ((x - y) ** 2).sum(), ((y - y.mean()) ** 2).sum() if len(y) else 0.0
    nan = float("nan")
    return {
        "pearson": float(r[0]),
        "r2": float(1 - squares / total) if total > 0 else nan,
        "rmse": float(np.sqrt(squares / len(x))) if len(x) else nan,
    }


def draw_means(metrics: RowMetrics) -> dict[int, list[float]]:
    """Return mean r of each seed, by draw (-1 where there are no draws)."""
    means: dict[int, list[float]] = {}
    for replicate, found in zip(metrics.row.replicates, metrics.replicates, strict=True):
        means.setdefault(replicate.draw, []).append(_mean(found.pearson))
    return means


def _seeds(metrics: RowMetrics) -> dict[str, Any]:
    """Return mean r of each seed and draw, and how it varies: over all, seeds of a draw, and draws.

    The variance between seeds is the mean over draws of that of each draw's seeds.
    """
    means = [_mean(m.pearson) for m in metrics.replicates]
    names = [replicate.name for replicate in metrics.row.replicates]
    by_draw = draw_means(metrics)
    within = [float(np.var(values, ddof=1)) for values in by_draw.values() if len(values) > 1]
    return {
        "n": len(means),
        "mean_pearson_by_seed": dict(zip(names, means, strict=True)),
        "sd": sample_sd(means),
        "sd_between_seeds": float(np.sqrt(np.mean(within))) if within else float("nan"),
        "sd_between_draws": sample_sd([float(np.mean(values)) for values in by_draw.values()]),
    }


def sample_sd(values: Sequence[float]) -> float:
    """Return the standard deviation (n - 1 in the denominator); NaN of fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def per_gene_frame(cell: Cell, metrics: RowMetrics) -> pl.DataFrame:
    """Return one row a gene and replicate, first those of the mean over replicates."""
    frames = [_frame(cell, metrics, metrics.mean, "mean", None, None)]
    for replicate, found in zip(metrics.row.replicates, metrics.replicates, strict=True):
        draw = None if replicate.draw < 0 else replicate.draw
        frames.append(_frame(cell, metrics, found, replicate.name, replicate.seed, draw))
    return pl.concat(frames)


def _frame(
    cell: Cell, metrics: RowMetrics, found: GeneMetrics, replicate: str, seed: int | None, draw: int | None
) -> pl.DataFrame:
    row = metrics.row
    values = {f.name: getattr(found, f.name) for f in fields(GeneMetrics)}
    values["pearson_within_population"] = values.pop("within_population")
    values["partial_pearson"] = values.pop("partial")
    nothing = np.full(len(cell.genes), np.nan)
    h2 = metrics.heritability or Heritability(nothing, nothing, 0)
    values |= {"h2": h2.h2, "h2_p": h2.p, "accuracy": h2.accuracy(found.pearson)}
    present = values["individuals"] > 0
    order = (
        "individuals",
        "pearson",
        "spearman",
        "r2",
        "slope",
        "pearson_within_population",
        "partial_pearson",
        "accuracy",
        "h2",
        "h2_p",
        "mean_predicted",
        "mean_observed",
        "difference_r2",
        "p",
        "fdr",
        "null",
    )
    frame = pl.DataFrame({"gene": cell.genes} | {name: values[name] for name in order})
    return (
        frame.with_columns(pl.col(pl.Float64).fill_nan(None))
        .filter(pl.Series(present))
        .select(
            pl.lit(cell.name).alias("cell"),
            pl.lit(row.label).alias("label"),
            pl.lit(row.key.model).alias("model"),
            pl.lit(row.key.strategy, dtype=pl.String).alias("strategy"),
            pl.lit(row.key.train_individuals, dtype=pl.Int64).alias("train_individuals"),
            "gene",
            pl.lit(replicate).alias("replicate"),
            pl.lit(seed, dtype=pl.Int64).alias("seed"),
            pl.lit(draw, dtype=pl.Int64).alias("draw"),
            *order,
        )
    )


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _nanmean(arrays: list[Array]) -> Array:
    """Return the mean of [G] arrays over those that are finite; NaN where none is."""
    stacked = np.array(arrays)
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
