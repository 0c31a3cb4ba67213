"""The process that runs the cases: it imports the command line once and forks for each case.

Reads one JSON object a line ({"words", "folder", "windows", "seconds"}) and answers with one
({"status", "killed"}): the exit code of the command, negative for a signal. The case's standard error
goes to `stderr` in its folder; where the command succeeds, what the cohort holds goes to `read.json`.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl  # noqa: F401  imported here so that no case waits for it

from glm2x import cli
from glm2x.cohort import build
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.genome.sequence import decode

UNREADABLE = 99  # the build succeeded, and what it built could not be read
MEMORY = 6 << 30  # bytes of address space: what asks for more gets MemoryError and not the machine


def read_back(folder: Path, windows: list[int]) -> dict[str, Any]:
    """Return everything a built cohort says, as JSON: haplotypes one at a time and through the dictionary."""
    cohort = Cohort.open(folder)
    cohort.verify()
    sequences: dict[str, Any] = {}
    for window in windows:
        dictionary = HaplotypeDictionary(cohort, window)
        for gene in cohort.gene_ids:
            builder, unique = dictionary.window_of(gene), dictionary.gene(gene)
            rows = range(2 * len(cohort.individuals))
            single = [decode(builder.haplotype(row)) for row in rows]
            codes = unique.codes()
            assert [decode(codes[row]) for row in unique.index.ravel()] == single
            sequences[f"{gene} {window}"] = single
    return {
        "genes": [[g.gene, g.contig, g.tss, g.strand] for g in cohort.genes],
        "individuals": list(cohort.individuals),
        "people": cohort.people.to_dicts(),
        "expression": np.where(np.isnan(cohort.expression), None, cohort.expression).tolist(),
        "covariate_names": list(cohort.covariate_names),
        "covariates": np.where(np.isnan(cohort.covariates), None, cohort.covariates).tolist(),
        "sequences": sequences,
        "reference_target": np.where(np.isnan(target := cohort.reference_target), None, target).tolist(),
        "gene_sides": list(cohort.gene_sides),
        "records": cohort.manifest["counts"]["records"],
    }


def run_case(case: dict[str, Any]) -> int:
    """Run one case in this (forked) process and return its exit code."""
    folder = Path(case["folder"])
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        code = cli.run(case["words"])
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    if code or "windows" not in case:
        return code
    try:
        content = read_back(folder / "out" / "cohort", case["windows"])
        (folder / "read.json").write_text(json.dumps(content))
    except BaseException:
        traceback.print_exc()
        return UNREADABLE
    return 0


def wait(child: int, seconds: float) -> dict[str, Any]:
    """Wait for a case, and end one that hangs."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return {"status": os.waitstatus_to_exitcode(status), "killed": False}
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"status": -signal.SIGKILL, "killed": True}
        time.sleep(0.002)


def main() -> None:
    """Serve cases until standard input ends."""
    os.fsync = lambda _: None  # the disk is trusted here: waiting for it is two thirds of a case
    assert build
    options = ("--variants", "--expression", "--out")
    words = [word for option in options for word in (option, f"no-such-file{option}")]
    with contextlib.redirect_stderr(io.StringIO()):  # what is made once at the first call is made here
        assert cli.run(["cohort", "build", *words]) == 1
    gc.freeze()  # pages that no case has to copy
    for line in sys.stdin:
        case = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 98
            try:
                code = run_case(case)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(json.dumps(wait(child, case["seconds"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
