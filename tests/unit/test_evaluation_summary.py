"""Summaries of a row: seeds and draws, gene means, genes with heritability; and the few-shot curve."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from glm2x.evaluation.few_shot import curve_points, curve_table
from glm2x.evaluation.heritability import Heritability
from glm2x.evaluation.summary import RowMetrics, per_gene_frame, row_metrics, summarise
from glm2x.evaluation.tables import Cell, CellRow, Replicate, RowKey
from glm2x.evaluation.uncertainty import Interval

NAN = float("nan")
GENES, PEOPLE = ("a", "b", "c"), tuple(f"p{i}" for i in range(12))
OBSERVED = np.random.default_rng(0).normal([[2.0], [5.0], [9.0]], 1, (3, 12))


def measured(
    *replicates: tuple[int, int],
    noise: float = 1.0,
    model: str = "ridge",
    people: int | None = None,
    heritability: Heritability | None = None,
) -> RowMetrics:
    """Metrics of a row with these (draw, seed) replicates."""
    predicted = np.array(
        [
            OBSERVED + noise * np.random.default_rng([draw + 1, seed]).normal(size=OBSERVED.shape)
            for draw, seed in replicates
        ]
    )
    names = tuple(Replicate(draw, seed) for draw, seed in replicates)
    observed = np.broadcast_to(OBSERVED, predicted.shape)
    row = CellRow(RowKey(model, None, people), f"{model} n={people}", names, predicted, observed)
    means = np.broadcast_to([2.0, 5.0, 9.0], (len(replicates), 3))
    return row_metrics(row, means, None, None, heritability)


def summary(metrics: RowMetrics) -> dict[str, object]:
    return summarise(metrics, Interval(0.3, 0.1, 10))


def test_seeds_and_draws_vary_apart() -> None:
    metrics = measured(*((draw, seed) for draw in range(2) for seed in range(3)))
    seeds = summary(metrics)["seeds"]
    assert isinstance(seeds, dict)
    means = np.array(list(seeds["mean_pearson_by_seed"].values())).reshape(2, 3)  # draw, seed
    assert list(seeds["mean_pearson_by_seed"])[:2] == ["draw 0 seed 0", "draw 0 seed 1"]
    assert seeds["sd"] == pytest.approx(means.std(ddof=1))
    assert seeds["sd_between_seeds"] == pytest.approx(np.sqrt(means.var(axis=1, ddof=1).mean()))
    assert seeds["sd_between_draws"] == pytest.approx(means.mean(axis=1).std(ddof=1))
    alone = summary(measured((-1, 0)))["seeds"]
    assert isinstance(alone, dict)
    assert np.isnan([alone["sd"], alone["sd_between_seeds"], alone["sd_between_draws"]]).all()


def test_the_means_of_genes_are_judged_apart_and_beside_the_training_mean() -> None:
    metrics = measured((-1, 0))
    found = summary(metrics)
    x, y = metrics.row.predicted[0], OBSERVED
    mean = found["gene_mean"]
    assert isinstance(mean, dict)
    assert mean["pearson"] == pytest.approx(np.corrcoef(x.mean(axis=1), y.mean(axis=1))[0, 1])
    assert mean["rmse"] == pytest.approx(np.sqrt(((x.mean(axis=1) - y.mean(axis=1)) ** 2).mean()))
    total = ((y.mean(axis=1) - y.mean()) ** 2).sum()
    assert mean["r2"] == pytest.approx(1 - 3 * mean["rmse"] ** 2 / total)
    across = found["across_genes"]
    assert isinstance(across, dict)
    by_person = [stats.spearmanr([2, 5, 9], y[:, p]).statistic for p in range(12)]
    assert across["training_mean_spearman"] == pytest.approx(np.mean(by_person))
    by_person = [stats.spearmanr(x[:, p], y[:, p]).statistic for p in range(12)]
    assert across["mean_spearman"] == pytest.approx(np.mean(by_person))


def test_r_over_the_root_of_h2_is_of_genes_with_a_significant_h2() -> None:
    h2 = Heritability(np.array([0.25, 0.5, NAN]), np.array([0.001, 0.9, NAN]), 50)
    metrics = measured((-1, 0), heritability=h2)
    found = summary(metrics)["heritable"]
    r = metrics.mean.pearson[0]
    assert found == {
        "genes": 1,
        "mean_pearson": pytest.approx(r),
        "mean_accuracy": pytest.approx(r / 0.5),
        "median_accuracy": pytest.approx(r / 0.5),
    }
    assert summary(measured((-1, 0)))["heritable"] is None
    cell = Cell("seen_gene/new_individual", GENES, PEOPLE, (metrics.row,))
    frame = per_gene_frame(cell, metrics).filter(replicate="mean")
    assert frame["h2"].to_list() == [0.25, 0.5, None]
    assert frame["h2_p"].to_list() == [0.001, 0.9, None]
    assert frame["accuracy"].to_list() == [pytest.approx(2 * r), None, None]


def test_the_curve_is_the_mean_over_draws_with_its_sd() -> None:
    rows = [
        measured((0, 0), (0, 1), (1, 0), (1, 1), people=10, noise=3.0),
        measured((-1, 0), people=250),
        measured((-1, 0), model="fixed", people=250),  # of one number and no draw: no curve
        measured((-1, 0), model="unknown"),
    ]
    cell = Cell("seen_gene/new_individual", GENES, PEOPLE, tuple(metrics.row for metrics in rows))
    points = curve_points(cell, [(metrics, summary(metrics)) for metrics in rows])
    assert [(p["model"], p["train_individuals"], p["draws"], p["seeds"]) for p in points] == [
        ("ridge", 10, 2, 4),
        ("ridge", 250, 1, 1),
    ]
    means = np.array([m.pearson.mean() for m in rows[0].replicates]).reshape(2, 2).mean(axis=1)
    assert points[0]["mean_pearson"] == pytest.approx(means.mean())
    assert points[0]["sd_draws"] == pytest.approx(means.std(ddof=1))
    assert (points[0]["lowest"], points[0]["highest"]) == (means.min(), means.max())
    assert np.isnan(points[1]["sd_draws"])
    table = curve_table(points)
    assert table["sd_draws"].to_list() == [points[0]["sd_draws"], None]
    assert table["ci95_low"].to_list() == [Interval(0.3, 0.1, 10).ci95[0]] * 2
    assert curve_table([]).schema == table.schema
    assert table.schema["strategy"] == pl.String


def test_a_gene_that_a_seed_lacks_is_the_other_seeds() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 30)), np.broadcast_to(rng.normal(size=(3, 30)), (2, 3, 30)).copy()
    x[1, 0] = x[1, 1] = np.nan
    x[0, 1] = 1.0
    key = RowKey("m", None, None)
    row = CellRow(key, "m", (Replicate(-1, 0), Replicate(-1, 1)), x, y)
    mean = row_metrics(row, np.zeros((2, 3)), None).mean
    assert mean.individuals.tolist() == [30, 30, 30]
    assert mean.p[0] == pytest.approx(stats.pearsonr(x[0, 0], y[0, 0]).pvalue)
    assert mean.null.tolist() == [False, True, False]
