"""Which rows meet, and whether Williams's test and the paired interval say what is true."""

from __future__ import annotations

from mmap import mmap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.comparisons import PeopleDraws, choose_pairs, compare, williams
from glm2x.evaluation.metrics import gene_metrics
from glm2x.evaluation.tables import CellRow, Replicate, RowKey, row_labels
from glm2x.evaluation.training_means import MODEL, TrainingMeans
from glm2x.evaluation.uncertainty import make_draws
from glm2x.predictions import from_matrix


def row(
    predicted: np.ndarray,
    observed: np.ndarray,
    model: str = "m",
    strategy: str | None = None,
    n: int | None = None,
) -> CellRow:
    """A row of one replicate from [G, P], of several from [R, G, P]."""
    predicted = predicted if predicted.ndim == 3 else predicted[None]
    replicates = tuple(Replicate(-1, seed) for seed in range(len(predicted)))
    label = " ".join(str(part) for part in (model, strategy, n) if part is not None)
    stacked = np.broadcast_to(observed, predicted.shape).copy()
    return CellRow(RowKey(model, strategy, n), label, replicates, predicted, stacked)


def training_means(table: pl.DataFrame, row: CellRow, genes: tuple[str, ...]) -> np.ndarray:
    return TrainingMeans([table], predicted=MODEL in table["model"].to_list()).of(row, genes)


def test_williams_is_the_published_number() -> None:
    # Steiger (1980): femininity .4 and masculinity .5 with verbal ability, .1 with each other, 103
    # people. R's psych: r.test(n = 103, r12 = .4, r13 = .5, r23 = .1) gives t = -0.89, p = 0.37.
    t, p = williams(np.array([0.4]), np.array([0.5]), np.array([0.1]), np.array([103]))
    assert t[0] == pytest.approx(-0.8913, abs=1e-4)
    assert p[0] == pytest.approx(0.3749, abs=1e-4)


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_williams_rejects_one_in_twenty_when_nothing_differs(shared: float) -> None:
    rng = np.random.default_rng(7)
    genes, people = 4000, 40
    y = rng.normal(size=(genes, people))
    common = np.sqrt(shared) * rng.normal(size=(genes, people))
    a, b = (0.4 * y + common + np.sqrt(1 - shared) * rng.normal(size=y.shape) for _ in range(2))
    r_ab = gene_metrics(a, b).pearson
    _, p = williams(gene_metrics(a, y).pearson, gene_metrics(b, y).pearson, r_ab, np.full(genes, people))
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_predictions_that_mirror_one_another_have_a_t() -> None:
    # As r_ab goes to -1 with r_b = -r_a, t goes to r_a sqrt((n - 3) / (1 - r_a^2)).
    t, p = williams(np.array([0.3]), np.array([-0.3]), np.array([-1.0]), np.array([50]))
    assert t[0] == pytest.approx(0.3 * np.sqrt(47 / 0.91), rel=1e-6)
    assert p[0] == pytest.approx(0.0362, abs=1e-4)


def test_predictions_that_are_one_another_do_not_differ_by_rounding() -> None:
    _, p = williams(np.array([0.5]), np.array([0.5 + 1e-11]), np.array([1.0]), np.array([50]))
    assert p[0] > 0.99


def test_a_null_prediction_is_tested_as_no_correlation() -> None:
    null, fine = np.array([True, True, False]), np.array([True, False, False])
    r_a, r_b = np.array([0.0, 0.0, 0.3]), np.array([0.0, 0.3, 0.3])
    t, p = williams(r_a, r_b, np.array([0.0, 0.0, 1.0]), np.full(3, 50), null_a=null, null_b=fine)
    assert p[0] == 1
    # r = 0.3 in 50 people: t = 0.3 sqrt(48 / 0.91).
    assert t[1] == pytest.approx(-0.3 * np.sqrt(48 / 0.91))
    assert p[1] == pytest.approx(0.0343, abs=1e-4)
    assert (t[2], p[2]) == (0, 1)


def test_too_few_people_have_no_p() -> None:
    _, p = williams(np.array([0.1, 0.1]), np.array([0.2, 0.2]), np.array([0.0, 0.0]), np.array([3, 4]))
    assert np.isnan(p).tolist() == [True, False]


def test_pairs_are_made_once_and_against_every_linear_model() -> None:
    x = np.zeros((1, 3))
    rows = [
        row(x, x, "training-mean"),
        row(x, x, "elastic-net"),
        row(x, x, "gblup"),
        row(x, x, "ridge"),
        row(x, x, "onehot", "reference"),
        row(x, x, "onehot", "reference-then-personal"),
    ]
    pairs = [(a.label, b.label) for a, b in choose_pairs(rows)]
    linear = ["elastic-net", "ridge", "gblup"]
    assert pairs == [
        *(("training-mean", other) for other in linear),
        ("elastic-net", "ridge"),
        ("elastic-net", "gblup"),
        ("gblup", "ridge"),
        *(("onehot reference", other) for other in linear),
        *(("onehot reference-then-personal", other) for other in linear),
        ("onehot reference-then-personal", "onehot reference"),
    ]


def test_the_strategies_of_a_model_meet_each_other_and_a_baseline_of_another_origin_is_one() -> None:
    x = np.zeros((1, 3))
    steps = ("reference", "personal", "reference-then-personal")
    rows = [row(x, x, "ridge"), row(x, x, "ridge (b)"), *(row(x, x, "deep", step) for step in steps)]
    assert [(a.label, b.label) for a, b in choose_pairs(rows)] == [
        ("ridge (b)", "ridge"),
        ("deep reference", "ridge"),
        ("deep personal", "ridge"),
        ("deep personal", "deep reference"),
        ("deep reference-then-personal", "ridge"),
        ("deep reference-then-personal", "deep reference"),
        ("deep reference-then-personal", "deep personal"),
    ]


def test_rows_meet_linear_models_of_as_many_training_people() -> None:
    x = np.zeros((1, 3))
    rows = [row(x, x, "ridge", n=10), row(x, x, "ridge", n=50), row(x, x, "deep", n=50)]
    assert [(a.label, b.label) for a, b in choose_pairs(rows)] == [("deep 50", "ridge 50")]


def test_a_row_meets_the_reference_row_of_as_many_training_people() -> None:
    x = np.zeros((1, 3))
    steps = ("reference", "reference-then-personal")
    rows = [row(x, x, "deep", step, n=n) for n in (10, 50) for step in steps]
    assert [(a.label, b.label) for a, b in choose_pairs(rows)] == [
        ("deep reference-then-personal 10", "deep reference 10"),
        ("deep reference-then-personal 50", "deep reference 50"),
    ]


def test_a_comparison_is_of_what_both_have() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(4, 30))
    a, b = y + rng.normal(size=y.shape), y + rng.normal(size=y.shape)
    a[0] = np.nan
    b[1, :10] = np.nan
    people = PeopleDraws(make_draws(np.arange(4), np.arange(30), draws=100))
    found = compare(row(a, y), row(b, y), people)
    assert found.genes.tolist() == [False, True, True, True]
    assert found.individuals.tolist() == [0, 20, 30, 30]
    mask = np.isfinite(a) & np.isfinite(b)
    expected_a = gene_metrics(np.where(mask, a, np.nan), y).pearson
    expected_b = gene_metrics(np.where(mask, b, np.nan), y).pearson
    np.testing.assert_allclose(found.pearson_a, expected_a)
    assert found.interval.mean == pytest.approx((expected_a - expected_b)[1:].mean())
    assert np.isnan(found.p[0])


@pytest.mark.parametrize("in_files", [False, True])
def test_kept_draws_are_of_their_own_people(in_files: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 30))
    first, second = np.ones((2, 30), dtype=bool), np.arange(60).reshape(2, 30) % 2 == 0
    draws = make_draws(np.arange(2), np.arange(30), draws=20)
    people = PeopleDraws(draws, tmp_path if in_files else None)

    def drawn(kept: PeopleDraws, mask: np.ndarray) -> np.ndarray:
        return np.concatenate([part.copy() for _, part in kept.of(row(x, y), mask)])

    of_first = drawn(people, first)
    assert of_first.shape == (2, 20)
    for mask in (second, first):
        np.testing.assert_array_equal(drawn(people, mask), drawn(PeopleDraws(draws), mask))
    assert isinstance(people._kept["m"][1], mmap) == in_files


def test_a_row_against_itself_does_not_differ() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(4, 30))
    x = y + rng.normal(size=y.shape)
    found = compare(row(x, y), row(2 * x + 1, y), PeopleDraws(make_draws(np.arange(4), np.arange(30))))
    assert found.interval.mean == pytest.approx(0, abs=1e-12)
    assert found.interval.p > 0.99
    assert (found.share_better(1), found.share_better(-1)) == (0, 0)
    np.testing.assert_array_equal(found.p, 1)


def test_a_better_row_is_found_and_paired_errors_are_narrow() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(30, 100))
    base = 0.3 * y + rng.normal(size=y.shape)
    better = base + 0.1 * y
    worse = compare(row(base, y), row(better, y), PeopleDraws(make_draws(np.arange(30), np.arange(100))))
    assert worse.interval.mean < 0
    assert worse.interval.p < 1e-10
    assert worse.share_better(-1) > 0.9
    assert worse.share_better(1) == 0


def test_seeds_are_averaged_gene_by_gene() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=(3, 20))
    seeds = y + rng.normal(size=(2, 3, 20))
    other = y + rng.normal(size=(3, 20))
    found = compare(row(seeds, y), row(other, y, "b"), PeopleDraws(make_draws(np.arange(3), np.arange(20))))
    np.testing.assert_allclose(
        found.pearson_a, (gene_metrics(seeds[0], y).pearson + gene_metrics(seeds[1], y).pearson) / 2
    )
    expected = (gene_metrics(seeds[0], other).pearson + gene_metrics(seeds[1], other).pearson) / 2
    np.testing.assert_allclose(found.pearson_ab, expected)


def frame(
    model: str, strategy: str | None = None, n: int | None = None, seed: int = 0, **sides: str
) -> pl.DataFrame:
    """Two genes, three people; predictions are the gene's number, measurements 1 to 3 more than that."""
    return from_matrix(
        model=model,
        strategy=strategy,
        genes=["g1", "g2"],
        individuals=["a", "b", "c"],
        predicted=np.array([[1.0] * 3, [2.0] * 3]),
        observed=np.array([[1.0, 2.0, 3.0], [2.0, 3.0, np.nan]]),
        gene_split=lambda _: sides.get("gene", "seen"),
        individual_split=lambda _: sides.get("individual", "test"),
        seed=seed,
        train_individuals=n,
    )


def test_labels_name_what_tells_rows_apart_and_no_more() -> None:
    table = pl.concat(
        [
            frame("onehot", "reference-then-personal", 50),
            frame("onehot", "reference"),
            frame("zebra", "personal"),
            frame("ridge", n=50),
            frame("ridge", n=10),
            frame("training-mean"),
            frame("onehot reference"),
        ]
    )
    assert list(row_labels(table).values()) == [
        "training-mean",
        "ridge n=10",
        "ridge n=50",
        "onehot reference",
        "onehot reference-then-personal",
        "onehot reference (2)",
        "zebra",
    ]


def test_cells_are_named_by_sides_and_leave_validation_people_out() -> None:
    table = pl.concat(
        [
            frame("m", seed=0, gene="unseen", individual="train"),
            frame("m", seed=1),
            frame("m", seed=2, individual="validation"),
        ]
    )
    cells = make_cells([table], row_labels(table))
    assert [cell.name for cell in cells] == ["seen_gene/new_individual", "unseen_gene/training_individual"]
    assert cells[0].rows[0].replicates == (Replicate(-1, 1),)
    assert cells[0].rows[0].mask.tolist() == [[True, True, True], [True, True, False]]


def test_without_sides_the_cell_says_any() -> None:
    table = frame("m").with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("gene_split", "individual_split")
    )
    assert [cell.name for cell in make_cells([table], row_labels(table))] == ["any_gene/any_individual"]


def test_training_means_come_from_the_training_mean_row() -> None:
    table = pl.concat([frame("training-mean"), frame("m", n=7)])
    cell = make_cells([table], row_labels(table))[0]
    np.testing.assert_array_equal(training_means(table, cell.rows[1], cell.genes), [[1.0, 2.0]])


def test_training_means_come_else_from_training_and_validation_people() -> None:
    train = frame("m", individual="train").filter(pl.col("individual") != "c")
    table = pl.concat(
        [
            train,
            train.with_columns(model=pl.lit("k", pl.Categorical)),
            frame("m").filter(pl.col("individual") == "c"),
        ]
    )
    cell = make_cells([table], row_labels(table))[0]
    np.testing.assert_array_equal(training_means(table, cell.rows[0], cell.genes), [[1.5]])
    alone = frame("m")
    cell = make_cells([alone], row_labels(alone))[0]
    assert np.isnan(training_means(alone, cell.rows[0], cell.genes)).all()
