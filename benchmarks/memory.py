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


def embedded(folder: Path, cohort: Path, genes: int) -> Iterator[tuple[str, int]]:
    """Yield what planning, computing and finishing the embeddings of some genes' windows takes."""
    names = (cohort.parent / "genes.txt", folder)
    names[0].write_text("\n".join(gene_names(cohort)[:genes]) + "\n")
    plan = ("--backbone", "kmer", "--cohort", cohort, "--out", folder, "--window", WINDOW)
    yield "embed plan", glm2x("embed", "plan", *plan, "--genes", names[0], "--shard-mb", 4)
    yield "embed run", glm2x("embed", "run", folder)
    yield "embed finish", glm2x("embed", "finish", folder)


def gene_names(cohort: Path) -> list[str]:
    """Return a cohort's genes."""
    import polars as pl

    return pl.read_parquet(cohort / "genes.parquet")["gene"].to_list()


def shown(title: str, one: dict[str, int], ten: dict[str, int]) -> None:
    """Print both peaks of each verb and their ratio."""
    print(f"\n{title:<52}{'x 1':>8}{'x 10':>8}{'ratio':>8}")
    for name, few in one.items():
        ratio = ten[name] / few
        over = "" if ratio < GOAL else f"  ABOVE {GOAL}"
        print(f"{name:<52}{few / 1e6:>5.0f} MB{ten[name] / 1e6:>5.0f} MB{ratio:>8.2f}{over}", flush=True)


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
    cohort = folder / "genes/cohort"
    few = dict(embedded(folder / "store-one", cohort, genes))
    many = dict(embedded(folder / "store-many", cohort, FACTOR * genes))
    shown(f"windows of {WINDOW:,} bp of {genes:,} genes; {FACTOR} times the genes", few, many)


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
