"""A `glm2x` for the pages that starts at once: see `forking`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# what takes long to import
COMMON = """\
import cyvcf2, lightning_fabric, matplotlib.figure, polars, safetensors.torch, scipy.stats, torch
import sklearn.linear_model
import glm2x.baselines.run, glm2x.cohort.build, glm2x.evaluation.evaluate, glm2x.report.page
import glm2x.training.run
"""


def path_with(folder: Path) -> str:
    """Return a PATH on which a folder's programs come first, then those of this environment."""
    return os.pathsep.join((str(folder), str(Path(sys.executable).parent), os.environ["PATH"]))


@contextmanager
def started_at_once(own: Path, setup: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Start the server of commands; give the folder of the `glm2x` that asks it."""
    forking, socket, binaries = Path(__file__).with_name("forking.py"), own / "commands", own / "bin"
    (own / "setup.py").write_text(setup)
    binaries.mkdir()
    program = binaries / "glm2x"
    words = shlex.join([sys.executable, "-S", "-E", str(forking), "--call", str(socket)])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    log = own / "server.log"
    everything = {name: value for name, value in {**os.environ, **environment}.items() if value}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, str(forking), str(socket), str(own / "setup.py")],
            env=everything,
            cwd=own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not socket.exists():
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield binaries
    finally:
        server.kill()
        server.wait()
