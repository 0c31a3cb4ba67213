"""What an evaluation costs, beside a loop over genes with scipy: all in one run, on random numbers.

    python benchmarks/evaluation.py [--genes 10000] [--people 500] [--models 5] [--draws 1000]

CPU time of one thread. Three things, each in a process of its own:

- Metrics of one model from the table of predictions: every column of ``per_gene.parquet`` that needs no
  cohort, beside polars' ``group_by`` with ``scipy.stats.spearmanr`` of each gene, and with ``pearsonr`` and
  ``linregress`` too, which is nearer to the same numbers; on a tenth of the genes, times ten. Whether both
  have the same Spearman's r is checked.
- All models of one cell as `glm2x evaluate` does it: metrics, intervals, permuted people, and the
  comparison of each model with elastic net, ridge and GBLUP.
- The table on disk to the validated table in memory: peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}

import numpy as np
import polars as pl
from scipy import stats

from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.evaluate import evaluate_cell
from glm2x.evaluation.metrics import gene_metrics
from glm2x.evaluation.study import Study
from glm2x.evaluation.tables import MAIN_CELL, Cell, CellRow, Replicate, RowKey, row_labels
from glm2x.evaluation.training_means import MODEL as TRAINING_MEAN
from glm2x.evaluation.training_means import TrainingMeans
from glm2x.predictions import Predictions, from_matrix, read_predictions, write_predictions
from measuring import in_child

MODELS = ("top-variant", "elastic-net", "gblup", "ridge", "theirs")
PEER_SHARE = 10


def matrices(genes: int, people: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and measurements, float64 [genes, people], correlated by about 0.3."""
    observed = np.random.default_rng(0).normal(5, 1, (genes, people))
    return 0.3 * observed + np.random.default_rng(seed + 1).normal(size=observed.shape), observed


def names(genes: int, people: int) -> tuple[list[str], list[str]]:
    return [f"ENSG{g:011d}.1" for g in range(genes)], [f"HG{p:05d}" for p in range(people)]


def table(genes: int, people: int, model: str, seed: int) -> pl.DataFrame:
    predicted, observed = matrices(genes, people, seed)
    axes = names(genes, people)
    return from_matrix(
        model=model,
        genes=axes[0],
        individuals=axes[1],
        predicted=predicted,
        observed=observed,
        gene_split=lambda _: "seen",
        individual_split=lambda _: "test",
        seed=0,
    )


def metrics(genes: int, people: int) -> dict[str, float]:
    """Time the metrics of one model and the peer's."""
    frame = table(genes, people, "ridge", 0)
    started = time.process_time()
    labels = row_labels(frame)
    (cell,) = make_cells([frame], labels)
    (row,) = cell.rows
    between = time.process_time()
    found = gene_metrics(row.predicted[0], row.observed[0])
    ours, of_matrices = time.process_time() - started, time.process_time() - between

    few = frame.head(genes // PEER_SHARE * people).with_columns(pl.col("gene").cast(pl.String))
    seconds = []
    for tests in ((stats.spearmanr,), (stats.spearmanr, stats.pearsonr, stats.linregress)):
        started, theirs = time.process_time(), {}
        for (gene,), part in few.group_by("gene"):
            x, y = part["predicted"].to_numpy(), part["observed"].to_numpy()
            theirs[gene], *_ = [test(x, y) for test in tests]
        seconds.append((time.process_time() - started) * PEER_SHARE)
    same = np.allclose([theirs[gene].statistic for gene in sorted(theirs)], found.spearman[: len(theirs)])
    return {
        "ours": ours,
        "of_matrices": of_matrices,
        "spearman": seconds[0],
        "three": seconds[1],
        "same": float(same),
    }


def cell_of_models(genes: int, people: int, models: int, draws: int) -> dict[str, float]:
    """Time one cell of several models."""
    axes = names(genes, people)
    rows = []
    for seed, model in enumerate(MODELS[:models]):
        predicted, observed = matrices(genes, people, seed)
        key = RowKey(model, None, None)
        rows.append(CellRow(key, model, (Replicate(-1, 0),), predicted[None], observed[None]))
    cell = Cell(MAIN_CELL, tuple(axes[0]), tuple(axes[1]), tuple(rows))
    means = np.random.default_rng(1).normal(5, 1, (genes, 1))
    known = from_matrix(
        model=TRAINING_MEAN,
        genes=axes[0],
        individuals=["anybody"],
        predicted=means,
        observed=None,
        gene_split=lambda _: "seen",
        individual_split=lambda _: "train",
        seed=0,
    )
    started = time.process_time()
    result = evaluate_cell(cell, TrainingMeans([known], predicted=True), Study(None, 64_000), draws, 1_000, 0)
    return {"cpu_seconds": time.process_time() - started, "comparisons": float(len(result.comparisons))}


def reading(path: str) -> dict[str, float]:
    """Time reading a table."""
    started = time.process_time()
    frame = read_predictions(path).frame
    return {
        "seconds": time.process_time() - started,
        "rows": frame.height,
        "held": frame.estimated_size() / 1e9,
    }


def peak_gb() -> float:
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("genes", 10_000), ("people", 500), ("models", len(MODELS)), ("draws", 1_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="+", help=argparse.SUPPRESS)  # how the processes are started
    given = parser.parse_args()
    size = (given.genes, given.people)
    if given.only:
        what, *words = given.only
        found = {
            "metrics": lambda: metrics(*size),
            "cell": lambda: cell_of_models(*size, given.models, given.draws),
            "reading": lambda: reading(*words),
        }[what]()
        print(json.dumps(found | {"peak": peak_gb()}))
        return
    sizes = (
        "--genes",
        given.genes,
        "--people",
        given.people,
        "--models",
        given.models,
        "--draws",
        given.draws,
    )
    one = in_child(__file__, *sizes, "--only", "metrics")
    print(f"metrics of {given.genes:,} genes x {given.people} people, one model, from the table, CPU s:")
    print(f"  glm2x {one['ours']:.2f}, of which {one['of_matrices']:.2f} once the table is matrices")
    for what, said in (("spearman", "spearmanr"), ("three", "spearmanr, pearsonr and linregress")):
        whole, alone = one[what] / one["ours"], one[what] / one["of_matrices"]
        print(f"  group_by and {said} {one[what]:.2f} ({PEER_SHARE} x a tenth):")
        print(f"    {whole:.1f} times; {alone:.1f} times what the metrics take of matrices")
    print(f"  the same Spearman's r: {'yes' if one['same'] else 'NO'}")
    cell = in_child(__file__, *sizes, "--only", "cell")
    print(
        f"{given.models} models, {given.draws:,} draws, 1,000 permutations, "
        f"{cell['comparisons']:.0f} comparisons: {cell['cpu_seconds']:.1f} CPU s, at most "
        f"{cell['peak']:.1f} GB"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        write_predictions(path, Predictions(table(*size, "ridge", 0)))
        read = in_child(__file__, *sizes, "--only", "reading", path)
    print(
        f"reading {read['rows']:,.0f} rows: {read['seconds']:.1f} CPU s, {read['held']:.2f} GB held, at most "
        f"{read['peak']:.2f} GB in the process"
    )


if __name__ == "__main__":
    main()
