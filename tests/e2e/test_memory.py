"""Memory does not grow with the data: each verb as a user starts it, on a study and on one ten times larger.

A study has 300 people and 40 genes, then 400; windows of 2,048 bp, and predictions of four models for
everybody: 48,000 rows, then 480,000. For the embeddings it is 20 genes, then 200: about 300 unique haplotypes
of 44 kB, then ten times as many, 130 MB. What a verb imports takes 140 to 250 MB; 480,000 rows held at once
took 100 to 200 MB more, so that a fifth is more than noise and less than holding them.
`benchmarks/memory.py` prints the numbers of larger studies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from glm2x.cli import run

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from memory import MODELS, WINDOW, predictions

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see peaks")

GROWTH = 1.2
PROGRAM = """
import json, sys
from pathlib import Path
from glm2x.cli import run
code = run(sys.argv[1:])
status = Path("/proc/self/status").read_text("utf-8")
print("PEAK " + json.dumps([code, int(status.partition("VmHWM:")[2].split()[0]) * 1024]))
"""


def peak(*words: object) -> int:
    """Run a command in a process of its own and return the largest memory that it had, bytes."""
    # as many threads everywhere: each has some memory of its own
    threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "2")
    command = [sys.executable, "-c", PROGRAM, *(str(word) for word in words)]
    done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code, found = json.loads(done.stdout.splitlines()[-1].removeprefix("PEAK "))
    assert code == 0, done.stderr
    return int(found)


def study(folder: Path, genes: int) -> Path:
    """Make a cohort of 300 people, its split, and four tables of predictions."""
    made = ("--genes", genes, "--individuals", 300, "--window", WINDOW)
    sides = ("--preset", "fraction", "--window", WINDOW)
    for words in (
        ("simulate", "--out", folder, *made),
        ("split", folder / "cohort", "--out", folder / "split.json", *sides),
    ):
        assert run([str(word) for word in words]) == 0
    predictions(folder, len(MODELS))
    return folder


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study of 40 genes and one of 400."""
    folder = tmp_path_factory.mktemp("memory")
    return study(folder / "one", 40), study(folder / "ten", 400)


def test_evaluating_and_drawing_ten_times_the_genes(studies: tuple[Path, Path]) -> None:
    peaks: dict[str, list[int]] = {"evaluate": [], "report": []}
    for folder in studies:
        tables = [folder / f"model-{number}.parquet" for number in range(len(MODELS))]
        known = ("--cohort", folder / "cohort", "--split", folder / "split.json")
        peaks["evaluate"].append(peak("evaluate", *tables, *known, "--out", folder / "evaluation"))
        peaks["report"].append(peak("report", folder / "evaluation"))
    rows = pl.scan_parquet(studies[1] / "evaluation/predictions.parquet").select(pl.len()).collect().item()
    assert rows == 480_000
    assert {verb: round(ten / one, 2) for verb, (one, ten) in peaks.items() if ten > GROWTH * one} == {}


def test_embedding_ten_times_the_haplotypes(studies: tuple[Path, Path]) -> None:
    cohort, stores = studies[1] / "cohort", {20: studies[0] / "store", 200: studies[1] / "store"}
    genes = pl.read_parquet(cohort / "genes.parquet")["gene"].to_list()
    peaks: dict[str, list[int]] = {"plan": [], "run": [], "finish": []}
    for count, store in stores.items():
        chosen = store.with_suffix(".txt")
        chosen.write_text("\n".join(genes[:count]) + "\n")
        words = ("--backbone", "kmer", "--cohort", cohort, "--genes", chosen, "--window", WINDOW)
        size = ("--shard-mb", 4, "--batch-size", 8, "--threads", 1)
        peaks["plan"].append(peak("embed", "plan", "--out", store, *words, *size))
        peaks["run"].append(peak("embed", "run", store, "--workers", 1))
        peaks["finish"].append(peak("embed", "finish", store))
    sizes = [sum(path.stat().st_size for path in store.rglob("*.safetensors")) for store in stores.values()]
    assert sizes[1] > 100_000_000
    assert sizes[1] > 8 * sizes[0]
    assert {verb: round(ten / one, 2) for verb, (one, ten) in peaks.items() if ten > GROWTH * one} == {}
