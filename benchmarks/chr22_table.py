"""The table of baselines on chromosome 22 by the command lines of docs/guides/baselines.md, measured beside wanted.

    python benchmarks/chr22_table.py FOLDER [--data ../shared/data/chr22]

Runs the shell lines under "Reproduce the table" as they stand there, in FOLDER (new), and prints for each
target and model the mean of r over genes that is wanted and that is measured, with what stands beside it in
metrics.json. Also that the target `residual` is refused for 38 people. One process; ends with 1 if a mean is
further from the wanted one than allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "guides" / "baselines.md"
SECTION = "## Reproduce the table"
CELL = "seen_gene/new_individual"
EXACT = ("elastic-net", "gblup", "ridge", "top-variant", "genotype-pcs")
WANTED = {
    "s250-log": (0.105, 0.113, 0.120, 0.108, 0.070),
    "s250-residual": (0.166, 0.172, 0.177, 0.161, 0.000),
    "s250-residual-all": (0.191, 0.195, 0.202, 0.185, -0.126),
    "r38-log": (0.061, 0.066, 0.074, 0.067, 0.042),
    "r38-residual-all": (0.117, 0.137, 0.151, 0.129, -0.026),
}
AT_LEAST = {
    ("s250-residual", "informed-ridge"): 0.183,
    ("s250-residual", "informed-gblup"): 0.177,
    ("r38-residual-all", "informed-ridge"): 0.153,
}
INFORMED = ("informed-ridge", "informed-gblup")


def shell_lines() -> str:
    """Return the first block of code of the section."""
    section = DOCUMENT.read_text().split(SECTION, 1)[1]
    return section.split("```bash\n", 1)[1].split("```", 1)[0]


def run(lines: str, folder: Path, data: Path) -> int:
    """Run shell lines in a folder; return the exit code of the last."""
    glm2x = f'glm2x() {{ "{sys.executable}" -m glm2x "$@"; }}\n'
    environment = os.environ | {"DATA": str(data.resolve())}
    done = subprocess.run(["bash", "-uc", glm2x + lines], cwd=folder, env=environment, check=False)  # noqa: S603, S607
    return done.returncode


def verdict(name: str, model: str, mean: float) -> tuple[str, bool]:
    """Return what is wanted of a model's mean, and whether it holds."""
    if model in EXACT:
        wanted = WANTED[name][EXACT.index(model)]
        return f"{wanted:.3f}", abs(mean - wanted) <= (0.01 if model == "elastic-net" else 0.004)
    if (name, model) in AT_LEAST:
        least = AT_LEAST[name, model]
        return f">= {least:.3f}", round(mean, 3) >= least
    return "", True


def main(folder: Path, data: Path) -> int:
    """Run and print; return the exit code."""
    folder.mkdir(parents=True)
    started = time.perf_counter()
    run(shell_lines(), folder, data)
    seconds = time.perf_counter() - started
    print(
        "| | model | wanted | mean r | median r | r > 0.1 at FDR 0.05 | null |\n|---|---|---|---|---|---|---|"
    )
    missed = []
    for name in WANTED:
        cell: dict[str, Any] = json.loads((folder / name / "metrics.json").read_text())["cells"][CELL]
        for model in (*EXACT, *INFORMED):
            here = cell[model]
            wanted, holds = verdict(name, model, here["mean_pearson"])
            missed += [] if holds else [f"{name} {model}"]
            numbers = f"{here['mean_pearson']:.4f} | {here['median_pearson']:.3f}"
            shares = f"{here['share_significant']:.3f} | {here['null_share']:.3f}"
            print(f"| {name} | {model} | {wanted} | {numbers} | {shares} |")
    refused = run(
        "glm2x baseline chr22 --split r38.json --target residual --models ridge --out refused.parquet",
        folder,
        data,
    )
    print(f"\n{seconds:.0f} s; r38 residual: exit code {refused}; missed: {', '.join(missed) or 'none'}")
    return int(bool(missed) or refused == 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/chr22"))
    given = parser.parse_args()
    sys.exit(main(given.folder, given.data))
