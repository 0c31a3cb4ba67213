"""The worker that runs the damaged inputs: one process a session, which forks for each case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz_case import Run

SECONDS = 60  # a case takes 0.1 s; what has not ended by then hangs
ONE_THREAD = ("POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # a fork keeps one only


@pytest.fixture(scope="session")
def run_case() -> Iterator[Run]:
    """Return a function that runs the words of a command in a fork, with `folder` for what it prints."""
    program = Path(__file__).with_name("fuzz_worker.py")
    environment = os.environ | dict.fromkeys(ONE_THREAD, "1") | {"PYTHONFAULTHANDLER": ""}
    worker = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None

    def run(words: list[str], folder: Path, **more: Any) -> dict[str, Any]:
        assert worker.stdin is not None
        assert worker.stdout is not None
        case = {"words": words, "folder": str(folder), "seconds": SECONDS, **more}
        worker.stdin.write(json.dumps(case) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        assert line, "the worker has ended"
        answer: dict[str, Any] = json.loads(line)
        answer["stderr"] = (folder / "stderr").read_bytes().decode(errors="replace")
        return answer

    yield run
    worker.stdin.close()
    worker.stdout.close()
    worker.wait()
