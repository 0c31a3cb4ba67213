"""Who starts a training again when a process or a machine of it is lost: torchrun, or SLURM.

``torchrun --max-restarts N`` runs the same command again when one of its processes has ended, and SLURM when
a node has failed or a job was preempted. Nobody is there then to type ``--resume``. A run says in
``run.json`` who had started it (`BY`); the same starter, when it starts again, goes on with it. A run that
somebody else began is refused, as ever.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from glm2x.files import read_json

BY = "started_by"


def starters() -> dict[str, int]:
    """Return who has started this process, and how often it had started it before; empty for a person.

    A starter is known by the number of its job, or of its process on this machine.
    """
    found = {}
    if "SLURM_JOB_ID" in os.environ:
        cluster = os.environ.get("SLURM_CLUSTER_NAME", "a cluster")
        found[f"SLURM job {os.environ['SLURM_JOB_ID']} of {cluster}"] = _count("SLURM_RESTART_COUNT")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        name = f"torchrun {os.environ['TORCHELASTIC_RUN_ID']}, process {os.getppid()} of {platform.node()}"
        found[name] = _count("TORCHELASTIC_RESTART_COUNT")
    return found


def starter_again(out: Path) -> str | None:
    """Return the starter that begins again what it had begun, a run or runs of draws in a folder; or None."""
    again = [name for name, times in starters().items() if times]
    begun_by: set[str] = set()
    for path in (*out.glob("run.json"), *out.glob("*/run.json")) if again else ():
        facts = read_json(path)
        begun_by.update(facts.get(BY, ()) if isinstance(facts, dict) else ())
    return next((name for name in again if name in begun_by), None)


def _count(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() else 0
