"""What three sizes of study take, on paper, from what is measured here.

    python benchmarks/sizes.py [--people 200 800] [--genes 10 40]

Simulated cohorts of two numbers of people by two of genes go through `cohort build`, `baseline` (elastic net,
ridge, GBLUP) and `evaluate`, each in a process of its own, of which the CPU time counts. A verb's time is
taken to be ``fixed + genes * (a + b * people)``, none of them negative, by least squares over the four
points; windows, stores and GPU hours are those of `glm2x plan` on paper. Half a million people are 600 times
as many as were measured: read that column as an order of magnitude.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from glm2x.console import bytes_words
from glm2x.study.show import hours_words

SIZES = ((150, 200), (3_202, 20_000), (490_000, 20_000))
LANGUAGE = ("nucleotide-transformer-v2", "caduceus-ph", "evo2")
MODELS = "elastic-net,ridge,gblup"


def glm2x(*words: object) -> float:
    """Run a command in a process; return its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "glm2x", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603
    if done.returncode not in (0, 3):  # 3: a check of the evaluation failed, as of 20 one does by chance
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))


def measured(people: int, genes: int, folder: Path) -> dict[str, float]:
    """Return the CPU seconds of each verb, and the cohort's bytes of genotypes."""
    simulated, cohort, split = folder / "simulated", folder / "cohort", folder / "split.json"
    glm2x("simulate", "--individuals", people, "--genes", genes, "--out", simulated)
    given = [
        word
        for option, name in (
            ("--variants", "genotypes.vcf.gz"),
            ("--expression", "expression.bed.gz"),
            ("--reference", "reference.fa.gz"),
        )
        for word in (option, simulated / name)
    ]
    table, sides = folder / "baselines.parquet", ("--split", split)
    seconds = {
        "cohort build": glm2x("cohort", "build", *given, "--expression-scale", "log2", "--out", cohort)
    }
    glm2x("split", cohort, "--train-share", 0.7, "--preset", "fraction", "--out", split)
    seconds["baseline"] = glm2x("baseline", cohort, *sides, "--models", MODELS, "--jobs", 1, "--out", table)
    out = folder / "evaluation"
    seconds["evaluate"] = glm2x("evaluate", table, "--cohort", cohort, *sides, "--out", out)
    seconds["bytes"] = sum(path.stat().st_size for path in (cohort / "variants").rglob("*") if path.is_file())
    return seconds


def planned(backbone: str, size: tuple[int, int], keep: str) -> dict[str, Any]:
    """Return what `glm2x plan` says on paper."""
    people, genes = size
    words = ("--people", people, "--genes", genes, "--train-people", people * 7 // 10)
    command = [sys.executable, "-m", "glm2x", "plan", *map(str, words), "--backbones", backbone]
    command += ["--keep", keep, "--disk-gb", "1e12", "--json"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(said.stdout)["backbones"][0]
    return found


def fitted(points: dict[tuple[int, int], float]) -> NDArray[np.float64]:
    """Return fixed, a gene's and a gene's and person's share."""
    design = np.array([[1.0, genes, genes * people] for people, genes in points])
    shares: NDArray[np.float64] = nnls(design, np.array(list(points.values())))[0]
    return shares


def row(name: str, cells: list[str]) -> None:
    print("| " + " | ".join([name, *cells]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs=2, default=[200, 800])
    parser.add_argument("--genes", type=int, nargs=2, default=[10, 40])
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    points = {}
    for people, genes in product(arguments.people, arguments.genes):
        with tempfile.TemporaryDirectory() as folder:
            points[people, genes] = measured(people, genes, Path(folder))
    row("", [f"{people:,} people, {genes:,} genes" for people, genes in SIZES])
    row("---", ["---:"] * len(SIZES))
    papers = [planned("caduceus-ph", size, "mean") for size in SIZES]
    row("windows of 64 kb", [f"{one['windows']:,}" for one in papers])
    row("unique ones", [f"{one['unique_windows']:,}" for one in papers])
    for verb in ("cohort build", "baseline", "evaluate", "bytes"):
        law = fitted({at: found[verb] for at, found in points.items()})
        costs = [float(law @ (1, genes, genes * people)) for people, genes in SIZES]
        say = bytes_words if verb == "bytes" else lambda seconds: hours_words(seconds / 3600)
        name = "genotypes in the cohort" if verb == "bytes" else f"`{verb}`, one core"
        row(name, [say(cost) for cost in costs])
    for backbone in LANGUAGE:
        tokens, mean = ([planned(backbone, size, keep) for size in SIZES] for keep in ("tokens", "mean"))
        row(f"{backbone}, all tokens", [bytes_words(one["stored_bytes"]) for one in tokens])
        row(f"{backbone}, one mean", [bytes_words(one["stored_bytes"]) for one in mean])
        row(f"{backbone}, one A100", [hours_words(one["pass_hours"]) for one in mean])


if __name__ == "__main__":
    main()
