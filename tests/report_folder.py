"""A synthetic evaluation folder and run folder for the tests of the report, and its page as they read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from glm2x.predictions import COLUMNS

HOSTILE = "<script>alert('x')</script>&\"q\" $\\frac{1}$ \u202e漢"
HEADINGS = [  # of the page, in their order
    "In short",
    "The four cells",
    "Every row: seen genes, new people",
    "Against the linear models",
    "Across genes",
    "Within populations",
    "Calibration",
    "Best and worst genes: predicted against observed",
    "Loci",
    "Training",
    "The split",
    "Checks and controls",
    "Every gene",
    "How this was made",
    "To reproduce",
]

MAIN = "seen_gene/new_individual"
OTHER = "unseen_gene/new_individual"

BASELINES = ("training-mean", "genotype-pcs", "top-variant", "elastic-net", "gblup", "ridge")
_DIFFERENCES = {"cell": pl.String, "a": pl.String, "b": pl.String, "gene": pl.String} | {
    "individuals": pl.Int64,
    **dict.fromkeys(("pearson_a", "pearson_b", "difference", "t", "fdr"), pl.Float64),
}

# (model, strategy): how much of the true signal is in its predictions.
ROWS: dict[tuple[str, str | None], float] = {
    ("training-mean", None): 0.0,
    ("genotype-pcs", None): 0.15,
    ("top-variant", None): 0.7,
    ("elastic-net", None): 0.8,
    ("gblup", None): 0.95,
    ("ridge", None): 1.0,
    ("onehot", "reference"): 0.05,
    ("onehot", "reference-then-personal"): 0.75,
}


def label_of(model: str, strategy: str | None) -> str:
    return model if strategy is None else f"{model} {strategy}"


def make_predictions(
    rows: dict[tuple[str, str | None], float], genes: int, people: int, seed: int = 0
) -> pl.DataFrame:
    """Return a predictions table in which a few genes have a strong signal; the last quarter is unseen."""
    random = np.random.default_rng(seed)
    strength = np.clip(random.gamma(0.5, 0.3, genes), 0, 0.8)
    level = random.uniform(0.5, 7, genes)
    signal = random.normal(size=(genes, people))
    noise = random.normal(size=(genes, people))
    observed = level[:, None] + 0.8 * (
        np.sqrt(strength)[:, None] * signal + np.sqrt(1 - strength)[:, None] * noise
    )
    frames = []
    for (model, strategy), share in rows.items():
        wrong = random.normal(size=(genes, people)) * np.sqrt(max(0.0, 1 - share)) * 0.3
        spread = 0.8 * strength[:, None] * (share * signal + wrong) if share else np.zeros_like(signal)
        if model == "elastic-net":
            spread[strength < 0.02] = 0
        frames.append(
            pl.DataFrame(
                {
                    "model": model,
                    "strategy": pl.Series([strategy] * (genes * people), dtype=pl.String),
                    "gene": np.repeat([f"ENSG{215000 + 37 * g:011d}" for g in range(genes)], people),
                    "individual": np.tile([f"HG{i:05d}" for i in range(96, 96 + people)], genes),
                    "observed": observed.ravel(),
                    "predicted": (level[:, None] + spread).ravel(),
                    "gene_split": np.repeat(
                        ["unseen" if g >= 0.75 * genes and genes > 3 else "seen" for g in range(genes)],
                        people,
                    ),
                    "individual_split": "test",
                    "seed": 0,
                    "train_individuals": pl.Series([None] * (genes * people), dtype=pl.Int64),
                    "draw": pl.Series([None] * (genes * people), dtype=pl.Int64),
                },
                schema_overrides=dict(COLUMNS),
            ).select(list(COLUMNS))
        )
    return pl.concat(frames)


def write_folder(
    folder: Path,
    *,
    rows: dict[tuple[str, str | None], float] | None = None,
    genes: int = 26,
    people: int = 108,
    split: bool = True,
    gap: float | None = None,
) -> Path:
    """Write an evaluation folder; `gap` sets every difference of the model to the linear rows by hand."""
    rows = ROWS if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    frame = make_predictions(rows, genes, people)
    frame.write_parquet(folder / "predictions.parquet", metadata={"glm2x.target": "log"})
    per_gene = _per_gene(frame, rows)
    per_gene.write_parquet(folder / "per_gene.parquet")
    _gene_differences(per_gene, people).write_parquet(folder / "comparisons.parquet")
    cells = {
        cell: _summaries(part, people) for (cell,), part in per_gene.group_by("cell", maintain_order=True)
    }
    labels = list(dict.fromkeys(per_gene["label"]))
    metrics: dict[str, Any] = {
        "format_version": 1,
        "glm2x_version": "0.1.0",
        "target": "log",
        "window": 64000,
        "transductive": False,
        "data": {
            "rows": frame.height,
            "genes": genes,
            "individuals": people,
            "rows_without_observed": 3,
            "validation_individuals": 38,
            "cells": {c: {"genes": len(v), "individuals": people} for c, v in cells.items()},
            "files": [
                {"name": "baselines.parquet", "target": "log", "window": 64000, "glm2x_version": "0.1.0"},
                {"name": "model.parquet", "target": "log", "window": 64000, "glm2x_version": "0.1.0"},
            ],
            "ignored_columns": [],
            "cohort_digest": "1f" * 32,
            "split_digest": "2e" * 32 if split else None,
            "split_preset": "full" if split else None,
            "populations": {"GBR": 26, "FIN": 28, "CEU": 25, "TSI": 29} if split else None,
        },
        "rows": [
            {"label": label_of(*key), "model": key[0], "strategy": key[1], "train_individuals": None}
            for key in rows
        ],
        "cells": cells,
        "comparisons": _comparisons(cells, labels, gap, people),
        "controls": {
            MAIN: {
                label: {
                    "permutations": 1000,
                    "permuted_mean_pearson": 0.0004,
                    "permuted_sd": 0.0213,
                    "permutation_p": 0.001,
                }
                for label in labels[3:]
            }
        },
        "checks": [
            {
                "name": "people on two sides",
                "status": "pass",
                "detail": "No person is on two sides.",
                "leak": True,
            },
            {
                "name": "windows overlapping between gene sets",
                "status": "fail",
                "detail": "3 unseen genes overlap.",
                "leak": True,
            },
            {
                "name": "close relatives across sides",
                "status": "warn",
                "detail": "Not judged: 4,812 variants.",
                "leak": True,
            },
            {"name": "REF mismatch", "status": "not run", "detail": "Needs --cohort.", "leak": True},
        ],
        "notes": [
            "The cohort holds common SNPs only; rare variants and indels need another cohort or a simulation."
        ],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1))
    if split:
        (folder / "split.json").write_text(json.dumps(_split(genes, people)))
    return folder


def write_large_folder(folder: Path, *, genes: int, people: int) -> Path:
    """Write an evaluation of many genes in eight rows; its predictions are of the model and 400 of them."""
    write_folder(folder, genes=4, people=people)
    random = np.random.default_rng(0)
    metrics = json.loads((folder / "metrics.json").read_text())
    names = [f"ENSG{g:011d}" for g in range(genes)]
    labels = [row["label"] for row in metrics["rows"]]
    r = {label: np.clip(random.normal(0.1, 0.15, genes), -1, 1) for label in labels}
    table = pl.concat(
        [
            pl.DataFrame({"gene": names, "pearson": r[label]}).with_columns(
                cell=pl.lit(MAIN), label=pl.lit(label), replicate=pl.lit("mean"), null=pl.lit(False),
                individuals=people, slope=pl.col("pearson") * 3, mean_predicted=pl.lit(2.0),
                h2=pl.col("pearson").abs() / 2, accuracy=pl.col("pearson"),
            )
            for label in labels
        ]
    )  # fmt: skip
    table.write_parquet(folder / "per_gene.parquet")
    _gene_differences(table, people).write_parquet(folder / "comparisons.parquet")
    best = np.argsort(-r["onehot reference-then-personal"])
    drawn = np.concatenate([best[:200], best[-200:]])
    predicted = pl.read_parquet(folder / "predictions.parquet").filter(
        pl.col("strategy") == "reference-then-personal", pl.col("gene") == pl.col("gene").first()
    )
    pl.concat([predicted.with_columns(gene=pl.lit(names[g])) for g in drawn]).write_parquet(
        folder / "predictions.parquet"
    )
    return folder


def _per_gene(frame: pl.DataFrame, rows: dict[tuple[str, str | None], float]) -> pl.DataFrame:
    lines = []
    for model, strategy in rows:
        part = frame.filter(
            pl.col("model") == model, pl.col("strategy").eq_missing(pl.lit(strategy, dtype=pl.String))
        )
        for (gene,), one in part.group_by("gene", maintain_order=True):
            constant = float(one["predicted"].to_numpy().std()) < 1e-9
            r = 0.0 if constant else float(np.corrcoef(one["observed"], one["predicted"])[0, 1])
            h2 = 0.05 * (int(gene[-3:]) % 9)
            lines.append(
                {
                    "cell": f"{one['gene_split'][0]}_gene/new_individual",
                    "label": label_of(model, strategy),
                    "model": model,
                    "strategy": strategy,
                    "gene": gene,
                    "contig": str(1 + int(gene[-3:]) % 22),
                    "tss": 1_000 * int(gene[-5:]),
                    "replicate": "mean",
                    "individuals": one.height,
                    "pearson": r,
                    "null": constant,
                    "p": 0.004 if r > 0.2 else 0.3,
                    "fdr": 0.02 if r > 0.2 else 0.6,
                    "slope": None if constant else 0.1 * (int(gene[-3:]) % 7),
                    "mean_predicted": float(one["predicted"].mean()),
                    "h2": h2,
                    "accuracy": r / np.sqrt(h2) if h2 > 0.1 else None,
                }
            )
    return pl.DataFrame(lines, infer_schema_length=None)


def _summaries(part: pl.DataFrame, people: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (label,), one in part.group_by("label", maintain_order=True):
        r, null = one["pearson"].to_numpy(), one["null"].to_numpy()
        mean, half = float(r.mean()), 0.02 + float(r.std()) / np.sqrt(r.size)
        found[str(label)] = {
            "genes": int(r.size),
            "genes_undefined": 0,
            "individuals": people,
            "mean_pearson": mean,
            "median_pearson": float(np.median(r)),
            "mean_spearman": mean * 0.96,
            "mean_r2": mean**2 - 0.5,
            "median_r2": mean**2 - 0.01,
            "ci95_mean_pearson": [mean - half, mean + half],
            "share_significant": float((r > 0.2).mean()),
            "share_negative_significant": float((r < -0.2).mean()),
            "null_share": float(null.mean()),
            "mean_pearson_nonnull": float(r[~null].mean()) if (~null).any() else None,
            "median_slope": 0.42,
            "mean_pearson_within_population": mean - 0.011,
            "mean_partial_pearson": mean - 0.012,
            "by_population": {
                name: {
                    "individuals": size,
                    "genes": int(r.size),
                    "mean_pearson": mean + gain,
                    "ci95_mean_pearson": [mean + gain - 0.1, mean + gain + 0.1],
                }
                for name, size, gain in (("CEU", 25, 0.031), ("FIN", 28, -0.027), ("GBR", 26, 0.004))
            },
            "heritable": {"genes": 7, "mean_pearson": mean, "mean_accuracy": 0.6, "median_accuracy": 0.61},
            "gene_mean": {"pearson": 0.99, "r2": 0.987, "rmse": 0.05},
            "difference": {"mean_r2": -0.3, "median_r2": -0.003},
            "across_genes": {"mean_spearman": 0.949, "training_mean_spearman": 0.947},
            "seeds": {
                "n": 1,
                "mean_pearson_by_seed": {"0": mean},
                "sd": None,
                "sd_between_seeds": None,
                "sd_between_draws": None,
            },
        }
    return found


def _gene_differences(per_gene: pl.DataFrame, people: int) -> pl.DataFrame:
    """Return each model less each linear one: t is difference / 0.1, and 5 % FDR is at 0.02."""
    frames = []
    tested = [label for label in per_gene["label"].unique(maintain_order=True) if label not in BASELINES]
    for a in tested:
        for b in ("elastic-net", "gblup", "ridge"):
            pair = per_gene.filter(pl.col("label") == a).join(
                per_gene.filter(pl.col("label") == b), on=("cell", "gene"), suffix="_b"
            )
            frames.append(
                pair.select(
                    "cell",
                    pl.lit(a).alias("a"),
                    pl.lit(b).alias("b"),
                    "gene",
                    pl.lit(people, dtype=pl.Int64).alias("individuals"),
                    pl.col("pearson").alias("pearson_a"),
                    "pearson_b",
                    (pl.col("pearson") - pl.col("pearson_b")).alias("difference"),
                ).with_columns(
                    t=10 * pl.col("difference"),
                    fdr=pl.when(pl.col("difference").abs() > 0.02).then(0.01).otherwise(0.5),
                )
            )
    return pl.concat(frames) if frames else pl.DataFrame(schema=_DIFFERENCES)


def _comparisons(
    cells: dict[str, Any], labels: list[str], gap: float | None, people: int
) -> list[dict[str, Any]]:
    found = []
    tested = [label for label in labels if label_of("onehot", "x")[:6] in label or HOSTILE in label]
    for a in tested:
        for b in labels:
            if a == b or a not in cells.get(MAIN, {}):
                continue
            difference = (
                cells[MAIN][a]["mean_pearson"] - cells[MAIN][b]["mean_pearson"] if gap is None else gap
            )
            found.append(
                {
                    "a": a, "b": b, "cell": MAIN, "difference": difference,
                    "ci95": [difference - 0.03, difference + 0.03],
                    "p": 0.0004 if abs(difference) > 0.03 else 0.4,
                    "se": 0.0153, "genes": cells[MAIN][a]["genes"], "individuals": people,
                    "share_a_better": 0.0385, "share_b_better": 0.1154, "smallest_difference": 0.0429,
                }
            )  # fmt: skip
    return found


def add_few_shot(folder: Path, sizes: tuple[int, ...] = (10, 50, 250), draws: int = 3) -> Path:
    """Put each row of a folder in several sizes, of which all but the largest have draws.

    Mean r of a size is that of the row times its place among the sizes over their number; its draws are
    0.01 apart.
    """
    metrics = json.loads((folder / "metrics.json").read_text())
    table = pl.read_parquet(folder / "per_gene.parquet")
    points, frames, rows = [], [], []
    cells: dict[str, dict[str, Any]] = {cell: {} for cell in metrics["cells"]}
    for row in metrics["rows"]:
        for place, size in enumerate(sizes, start=1):
            label, share = f"{row['label']} n={size}", place / len(sizes)
            rows.append(row | {"label": label, "train_individuals": size})
            frames.append(
                table.filter(pl.col("label") == row["label"]).with_columns(
                    label=pl.lit(label), train_individuals=pl.lit(size), pearson=share * pl.col("pearson")
                )
            )
            for name, cell in metrics["cells"].items():
                mean = share * cell[row["label"]]["mean_pearson"]
                number = 1 if size == max(sizes) else draws
                by_draw = {f"draw {d} seed 0": mean + 0.01 * (d - (number - 1) / 2) for d in range(number)}
                sd = float(np.std(list(by_draw.values()), ddof=1)) if number > 1 else None
                seeds = {"n": number, "mean_pearson_by_seed": by_draw, "sd": sd, "sd_between_draws": sd}
                cells[name][label] = cell[row["label"]] | {"mean_pearson": mean, "seeds": seeds}
                points.append(
                    {
                        "cell": name, "model": row["model"], "strategy": row["strategy"],
                        "train_individuals": size, "draws": number, "seeds": number,
                        "mean_pearson": mean, "sd_draws": sd,
                        "lowest": min(by_draw.values()), "highest": max(by_draw.values()),
                        "ci95_low": mean - 0.1, "ci95_high": mean + 0.1,
                        "share_significant": 0.25, "null_share": 0.125,
                    }
                )  # fmt: skip
    metrics |= {"rows": rows, "cells": cells, "few_shot": points, "comparisons": [], "controls": {}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    pl.concat(frames).write_parquet(folder / "per_gene.parquet")
    predictions = pl.read_parquet(folder / "predictions.parquet")
    pl.concat(
        [predictions.with_columns(train_individuals=pl.lit(n, dtype=pl.Int64)) for n in sizes]
    ).write_parquet(folder / "predictions.parquet")
    return folder


def _split(genes: int, people: int) -> dict[str, Any]:
    return {
        "format_version": 1,
        "digest": "2e" * 32,
        "train": [f"HG{i:05d}" for i in range(5000, 5212)],
        "validation": [f"HG{i:05d}" for i in range(6000, 6038)],
        "test": [f"HG{i:05d}" for i in range(96, 96 + people)],
        "seen": [f"g{i}" for i in range(genes - genes // 4)],
        "unseen": [f"g{i}" for i in range(genes - genes // 4, genes)],
        "reference_validation": ["g0", "g1"],
        "preset": "full",
        "seed": 0,
        "cohort_digest": "1f" * 32,
        "window": 64000,
        "excluded_genes": {"ENSG00000099999": "its window overlaps one of an unseen gene"},
    }


def write_run(folder: Path, *, epochs: int = 18) -> Path:
    """Write a run folder with a reference and a personal phase."""
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text(
        "backbone: {name: onehot}\nhead: {name: tower}\nstrategy: reference-then-personal\ntarget: "
        "log\nwindow: 64000\n"
        "training: {epochs: 18, seed: 0}\n"
    )
    facts = {
        "device": "cpu",
        "seconds": 412.6,
        "parameters": 1_203_457,
        "versions": {"torch": "2.13.0", "glm2x": "0.1.0"},
    }
    (folder / "run.json").write_text(json.dumps(facts))
    lines = []
    for phase, offset in (("reference", 1.2), ("personal", 0.4)):
        for epoch in range(1, epochs + 1):
            train = offset * np.exp(-epoch / 5) + 0.1
            lines.append(
                {
                    "phase": phase, "epoch": epoch, "train_loss": train,
                    "validation_loss": train + 0.05 + 0.0006 * epoch**2,
                    "validation_pearson": 0.2 - 0.1 * np.exp(-epoch / 4),
                    "learning_rate": 1e-4, "seconds": 11.4,
                }
            )  # fmt: skip
    (folder / "history.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return folder


def change_metrics(folder: Path, **values: object) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | values))
