"""What launchers cost, beside a bare loop over the same unit of work.

    python benchmarks/launchers.py [--shards 2000] [--skip-ray]

The work is real and as small as it gets: a cohort of the demo data, one gene and one model a shard, the genes
taken again and again until there are so many shards. Of each launcher one line: seconds until the first shard
was begun (starting processes, importing, opening the cohort); seconds from there until the last was done; and
these over the loop's, which is what giving out shards costs. One worker should stay below 1.1 times the loop
(local), two approach half of it. Then the time between the kill of a worker and the first shard of its
successor.

All are measured in one run, one after the other, so that figures are ratios of neighbours in time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from glm2x.cli import run
from glm2x.progress import silent
from glm2x.work.board import Board
from glm2x.work.launchers.local import run_local
from glm2x.work.open import open_work
from glm2x.work.planned import Where
from glm2x.work.unit import read_log, run_shard

DATA = Path(__file__).parents[1] / "src/glm2x/demo/data"


def planned(folder: Path, shards: int) -> Path:
    """Return a work folder of so many shards of one gene, none of them done."""
    cohort, split, work = folder / "cohort", folder / "split.json", folder / "work"
    files = {"expression": "expression.bed.gz", "reference": "reference.fa.gz"}
    files |= {"individuals": "individuals.tsv", "covariates": "covariates.txt.gz"}
    words = [word for name, file in files.items() for word in (f"--{name}", str(DATA / file))]
    assert not run(
        ["cohort", "build", "--variants", str(DATA / "genotypes.vcf.gz"), *words, "--out", str(cohort)]
    )
    assert not run(["split", str(cohort), "--preset", "s250", "--out", str(split)])
    plan = ["work", "plan", "baseline", str(cohort), "--split", str(split), "--models", "ridge"]
    assert not run([*plan, "--genes-per-shard", "1", "--out", str(work)])
    content = json.loads((work / "plan.json").read_text())
    for name in ("shards", "titles"):
        content[name] = (content[name] * (shards // len(content[name]) + 1))[:shards]
    del content["checksum"]  # it is of the shorter plan
    (work / "plan.json").write_text(json.dumps(content))
    return work


def fresh(planned_: Path, name: str) -> Path:
    """Return a copy of the work in which nothing is done."""
    copy = planned_.parent / name
    shutil.copytree(planned_, copy, ignore=shutil.ignore_patterns("parts", "log", "claims", "errors"))
    return copy


def times(work: Path, started: float) -> tuple[float, float]:
    """Return seconds until the first shard was begun, and from there until the last was done."""
    lines = list(read_log(work))
    first = min(line["time"] for line in lines if line["event"] == "start")
    last = max(line["time"] for line in lines if line["event"] == "done")
    return first - started, last - first


def bare(planned_: Path) -> tuple[float, float]:
    work = fresh(planned_, "bare")
    started = time.time()
    opened = open_work(work)
    for i in range(len(opened)):
        assert run_shard(opened, i).state == "done"
    return times(work, started)


def command(work: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "glm2x", "work", "run", str(work), *map(str, options)]


def launched(planned_: Path, name: str, *options: object) -> tuple[float, float]:
    work = fresh(planned_, name)
    started = time.time()
    subprocess.run(command(work, *options), check=True, stderr=subprocess.DEVNULL)  # noqa: S603
    return times(work, started)


def local(planned_: Path) -> tuple[float, float]:
    """Run one worker process, as a run of several starts them."""
    work = fresh(planned_, "local1")
    opened, started = open_work(work), time.time()
    with silent("", 0) as bar:
        board = Board(opened, opened.undone(), bar, print)
        run_local(opened, board, Where(), 1, print)
    board.require_done()
    return times(work, started)


def recovery(planned_: Path, name: str, *options: object) -> float:
    """Return seconds between the kill of one of two workers and the first shard of its successor."""
    work = fresh(planned_, name)
    process = subprocess.Popen(command(work, *options), stderr=subprocess.DEVNULL)  # noqa: S603
    while len(known := set((work / "log").glob("*.jsonl"))) < 2:
        time.sleep(0.02)
    killed = time.time()
    os.kill(int(known.pop().stem.rpartition("-")[2]), signal.SIGKILL)
    assert process.wait() == 0
    begun = [
        json.loads(path.read_text().partition("\n")[0])["time"] for path in (work / "log").glob("*.jsonl")
    ]
    return max(begun) - killed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=2_000)
    parser.add_argument("--skip-ray", action="store_true")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    launchers = ["local"]
    if not arguments.skip_ray and importlib.util.find_spec("ray") is not None:
        launchers.append("ray")
    with tempfile.TemporaryDirectory() as folder:
        plan = planned(Path(folder), arguments.shards)
        found = {"bare loop": bare(plan), "in this process": launched(plan, "here", "--workers", 1)}
        for name in launchers:
            if name == "local":
                found["local, 1 worker"] = local(plan)
            for workers in (1, 2) if name == "ray" else (2,):
                words = ("--launcher", name, "--workers", workers)
                found[f"{name}, {workers} worker{'s' * (workers > 1)}"] = launched(
                    plan, f"{name}{workers}", *words
                )
        alone = found["bare loop"][1]
        print(
            f"{arguments.shards:,} shards; the bare loop takes {alone / arguments.shards * 1e3:.1f} ms each"
        )
        print(f"{'':<18}{'start, s':>10}{'shards, s':>11}{'over the loop':>15}")
        for name, (start, shards) in found.items():
            print(f"{name:<18}{start:>10.1f}{shards:>11.1f}{shards / alone:>15.2f}")
        for name in launchers:
            seconds = recovery(plan, f"{name} killed", "--launcher", name, "--workers", 2)
            print(f"{name}: {seconds:.1f} s from the kill of a worker to its successor's first shard")


if __name__ == "__main__":
    main()
