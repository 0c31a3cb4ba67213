"""How the benchmarks measure: CPU time of one thread, and what a child process takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

ROUNDS = 5


def microseconds(work: Callable[[int], object], times: int) -> float:
    """Return the CPU time of one call of ``work(i)`` in microseconds, the median of the rounds."""
    work(0)
    costs = []
    for turn in range(ROUNDS):
        started = time.process_time()
        for i in range(turn * times, (turn + 1) * times):
            work(i)
        costs.append((time.process_time() - started) / times * 1e6)
    return median(costs)


def in_child(script: str, *words: object) -> dict[str, Any]:
    """Run ``python script words...`` and return the last line it prints, a JSON object.

    ``wall`` and ``cpu`` in seconds are added to it.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, script, *map(str, words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"wall": time.perf_counter() - started, "cpu": cpu} | said
