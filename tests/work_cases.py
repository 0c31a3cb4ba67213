"""Small work for the tests of launchers, and what they look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.work.unit import read_log

_STARTED: list[subprocess.Popen[str]] = []
QUICK = "training-mean,genotype-pcs,ridge,informed-ridge"


def glm2x(*words: object) -> int:
    """Run a command in this process."""
    return run([str(word) for word in words])


def start(*words: object) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "glm2x", *map(str, words)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _STARTED.append(process)
    return process


def end_started() -> None:
    """End what a test that failed has left; its workers notice."""
    while _STARTED:
        process = _STARTED.pop()
        if process.stderr is not None and not process.stderr.closed:
            process.kill()
            process.communicate()


def plan_baseline(cohort: Cohort, split: Path, out: Path, each: int = 1) -> None:
    """Plan baselines of so many genes a shard."""
    words = ("--split", split, "--models", QUICK, "--genes-per-shard", each, "--keep-weights")
    assert glm2x("work", "plan", "baseline", cohort.folder, *words, "--out", out) == 0


def plan_store(cohort: Cohort, genes: Path, out: Path, *more: object) -> None:
    """Plan a store of a few haplotypes a shard."""
    words = ("--backbone", "kmer", "--cohort", cohort.folder, "--genes", genes, "--window", 2_048)
    words = (*words, "--keep", "mean", "--device", "cpu", "--shard-haplotypes", 8, "--threads", 1, *more)
    assert glm2x("embed", "plan", *words, "--out", out) == 0


def results(folder: Path) -> dict[str, bytes]:
    """Return what a work folder or a store holds of results, by name."""
    kept = ("*.parquet", "shards/*", "index/*")
    return {str(p.relative_to(folder)): p.read_bytes() for glob in kept for p in folder.glob(glob)}


def starts(folder: Path) -> Counter[str]:
    """Return how often each shard was begun, by name."""
    return Counter(line["shard"] for line in read_log(folder) if line["event"] == "start")


def completed(folder: Path) -> Counter[str]:
    """Return how often each shard was made, by name."""
    return Counter(line["shard"] for line in read_log(folder) if line["event"] == "done")


def wait_until(there: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "it did not come to it"
        time.sleep(0.02)


def alive(pids: list[int]) -> list[int]:
    """Return those of some processes that are there, and no zombies."""
    return [pid for pid in pids if _state(pid) not in (None, "Z")]


def workers(folder: Path) -> list[int]:
    """Return the processes that have begun shards of a work, by their logs."""
    return sorted({int(path.stem.rpartition("-")[2]) for path in (folder / "log").glob("*.jsonl")})


def _state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def status(folder: Path, capsys) -> dict:
    """Return what ``glm2x work status --json`` prints."""
    capsys.readouterr()
    glm2x("work", "status", folder, "--json")
    return json.loads(capsys.readouterr().out)
