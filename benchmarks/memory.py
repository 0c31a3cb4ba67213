"""What each verb has in memory at most, and how much more of it with ten times the data: all in one run.

    python benchmarks/memory.py [--genes 60] [--people 300] [--models 4] [--folder FOLDER]

Each verb is a process of its own, as a user starts it; its peak is what the system says of its resident
memory (VmHWM). Three things grow, one at a time, tenfold:

- genes: a simulated cohort of that many genes and people, and the predictions of that many models for all
  of them (sums of dosages by random weights), evaluated with and without cohort and split, and drawn;
- people: the same with ten times the people;
- haplotypes: the windows of that many genes through the backbone ``kmer``: planned, computed and finished;
  short ones with all their tokens, and long ones of which the mean is kept.

Beside them a cohort is built, a linear baseline fitted, and a model trained and its predictions made, of the
same genes. Printed are both peaks and their ratio; below 1.2 is the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from measuring import in_child

MODELS = ("elastic-net", "gblup", "ridge", "theirs")
FACTOR = 10
GOAL = 1.2
WINDOW = 2_048


def peak() -> int:
    """Return the largest resident memory of this process in bytes."""
    text = Path("/proc/self/status").read_text("utf-8")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024


def verb(words: list[str]) -> None:
    """Be ``glm2x words...``, silently, and print the peak."""
    from glm2x.cli import run

    with redirect_stdout(sys.stderr):
        code = run(words)
    print(json.dumps({"code": code, "peak": peak()}))


def predictions(folder: Path, models: int) -> None:
    """Write ``model-0.parquet`` and so on: sums of dosages by random weights."""
    import numpy as np

    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import log_expression
    from glm2x.predictions import PredictionMetadata, Predictions, from_matrix, write_predictions

    cohort, split = Cohort.open(folder / "cohort"), Split.load(folder / "split.json")
    observed = log_expression(cohort)
    for number in range(models):
        rng, predicted = np.random.default_rng(number), np.empty_like(observed)
        for row, gene in enumerate(cohort.gene_ids):  # of DNA alone, or the checks would find it out
            dosage = cohort.dosages(gene, WINDOW).dosage
            predicted[row] = observed[row].mean() + dosage @ rng.normal(size=dosage.shape[1])
        frame = from_matrix(
            model=MODELS[number] if number < len(MODELS) else f"theirs-{number}",
            genes=cohort.gene_ids,
            individuals=cohort.individuals,
            predicted=predicted,
            observed=observed,
            gene_split=split.gene_split,
            individual_split=split.individual_split,
            seed=0,
        )
        said = PredictionMetadata(target="log", window=WINDOW)
        write_predictions(folder / f"model-{number}.parquet", Predictions(frame, said))


def glm2x(*words: object) -> int:
    """Run a verb in a process of its own and return its peak in bytes."""
    said = in_child(__file__, "verb", *words)
    if said["code"]:
        raise SystemExit(f"glm2x {' '.join(map(str, words))} ended with {said['code']}")
    return int(said["peak"])


def study(folder: Path, genes: int, people: int, models: int) -> None:
    """Make a cohort, a split and the predictions of some models."""
    glm2x(
        "simulate", "--out", folder, "--genes", genes, "--individuals", people, "--window", WINDOW, "--force"
    )
    sides = ("--out", folder / "split.json", "--preset", "fraction", "--window", WINDOW, "--force")
    glm2x("split", folder / "cohort", *sides)
    in_child(__file__, "predictions", folder, models)


def judged(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield what evaluating and drawing a study takes."""
    tables = sorted(folder.glob("model-*.parquet"))
    known = ("--cohort", folder / "cohort", "--split", folder / "split.json")
    yield "evaluate", glm2x("evaluate", *tables, "--out", folder / "alone", "--force")
    yield "evaluate --cohort --split", glm2x("evaluate", *tables, *known, "--out", folder / "all", "--force")
    yield "report", glm2x("report", folder / "all", "--force")


def embedded(folder: Path, cohort: Path, genes: int, *more: object) -> Iterator[tuple[str, int]]:
    """Yield what planning, computing and finishing the embeddings of some genes' windows takes."""
    names = listed(folder.with_suffix(".genes"), gene_names(cohort)[:genes])
    plan = ("--backbone", "kmer", "--cohort", cohort, "--out", folder, "--genes", names, "--batch-size", 8)
    yield "embed plan", glm2x("embed", "plan", *plan, *more)
    yield "embed run", glm2x("embed", "run", folder)
    yield "embed finish", glm2x("embed", "finish", folder)


def made(folder: Path, checkpoint: Path) -> Iterator[tuple[str, int]]:
    """Yield what building a study's cohort, a linear baseline and a model's predictions take."""
    files = ("--variants", folder / "genotypes.vcf.gz", "--expression", folder / "expression.bed.gz")
    files += ("--reference", folder / "reference.fa.gz", "--expression-scale", "log2")
    yield "cohort build", glm2x("cohort", "build", *files, "--out", folder / "again", "--force")
    fit = ("--split", folder / "split.json", "--models", "training-mean,ridge", "--window", WINDOW)
    out = ("--jobs", 1, "--out", folder / "baseline.parquet", "--force")
    yield "baseline", glm2x("baseline", folder / "cohort", *fit, *out)
    out = ("--out", folder / "predicted.parquet", "--device", "cpu", "--force")
    yield "predict", glm2x("predict", checkpoint, "--cohort", folder / "cohort", *out)


def trained(folder: Path) -> Path:
    """Train a small model for one epoch on a study, and return its checkpoint."""
    settings = {
        "cohort": folder / "cohort",
        "split": folder / "split.json",
        "out": folder / "run",
        "window": WINDOW,
        "training.epochs": 1,
        "training.device": "cpu",
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    glm2x("train", "onehot-personal", *words, "--force")
    return folder / "run/checkpoint"


def listed(path: Path, names: list[str]) -> Path:
    """Write a list and return its path."""
    path.write_text("\n".join(names) + "\n")
    return path


def gene_names(cohort: Path) -> list[str]:
    """Return a cohort's genes."""
    import polars as pl

    return pl.read_parquet(cohort / "genes.parquet")["gene"].to_list()


def people_names(cohort: Path) -> list[str]:
    """Return a cohort's people."""
    import polars as pl

    return pl.read_parquet(cohort / "individuals.parquet")["individual"].to_list()


def shown(title: str, one: dict[str, int], ten: dict[str, int]) -> None:
    """Print both peaks of each verb and their ratio."""
    print(f"\n{title:<64}{'x 1':>8}{'x 10':>8}{'ratio':>8}")
    for name, few in one.items():
        ratio = ten[name] / few
        over = "" if ratio < GOAL else f"  ABOVE {GOAL}"
        print(f"{name:<64}{few / 1e6:>5.0f} MB{ten[name] / 1e6:>5.0f} MB{ratio:>8.2f}{over}", flush=True)


def main(genes: int, people: int, models: int, folder: Path) -> None:
    """Measure and print."""
    sizes = {"one": (genes, people), "genes": (FACTOR * genes, people), "people": (genes, FACTOR * people)}
    peaks = {}
    for name, size in sizes.items():
        study(folder / name, *size, models)
        peaks[name] = dict(judged(folder / name))
    title = f"{genes:,} genes, {people:,} people, {models} models"
    for name in ("genes", "people"):
        shown(f"{title}; {FACTOR} times the {name}", peaks["one"], peaks[name])
    checkpoint = trained(folder / "one")
    found = {name: dict(made(folder / name, checkpoint)) for name in ("one", "genes")}
    shown(f"{genes:,} genes, {people:,} people; {FACTOR} times the genes", found["one"], found["genes"])
    short = folder / "genes/cohort"
    options = ("--window", WINDOW, "--shard-mb", 4)
    few = dict(embedded(folder / "short-1", short, genes, *options))
    many = dict(embedded(folder / "short-10", short, FACTOR * genes, *options))
    shown(f"windows of {WINDOW:,} bp, all tokens, {genes:,} genes; {FACTOR} times the genes", few, many)
    glm2x("simulate", "--out", folder / "long", "--genes", FACTOR * genes, "--individuals", people, "--force")
    long = folder / "long/cohort"
    options = ("--keep", "mean", "--shard-haplotypes", 64, "--individuals")
    options += (listed(folder / "long.people", people_names(long)[:10]),)
    few = dict(embedded(folder / "long-1", long, genes, *options))
    many = dict(embedded(folder / "long-10", long, FACTOR * genes, *options))
    shown(f"windows of 64,000 bp, means, {genes:,} genes; {FACTOR} times the genes", few, many)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "verb":
        verb(sys.argv[2:])
    elif len(sys.argv) > 1 and sys.argv[1] == "predictions":
        predictions(Path(sys.argv[2]), int(sys.argv[3]))
        print(json.dumps({}))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
        for name, default in (("genes", 60), ("people", 300), ("models", len(MODELS))):
            parser.add_argument(f"--{name}", type=int, default=default)
        parser.add_argument("--folder", type=Path, help="where to work, and what is made stays")
        given = parser.parse_args()
        with tempfile.TemporaryDirectory() as scratch:
            main(given.genes, given.people, given.models, given.folder or Path(scratch))
