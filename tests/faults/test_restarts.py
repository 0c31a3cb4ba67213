"""Training that torchrun or SLURM starts again when a process is lost: it goes on, and ends the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kill_server import Ended
from kill_world import VERBS, Stage, contents, copy_world, leftovers, staged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

SOAK = os.environ.get("GLM2X_SOAK") == "1"
SECONDS = 240
EPOCHS = 12
TRAIN = [word for word in VERBS["training"].words if word != "--resume"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage"), ("training",)) as one:
        yield one


def torchrun(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a training by two processes on a CPU, in a folder that `copy_world` made."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
    return subprocess.Popen(
        [*start, "-m", "glm2x", *TRAIN, "--set", f"training.epochs={EPOCHS}"],
        cwd=folder,
        env=os.environ
        | {
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Return what it said, after it has ended as it should."""
    try:
        said = process.communicate(timeout=SECONDS)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    return said


def rank(process: subprocess.Popen[str], wanted: int) -> int | None:
    """Return the process that is a rank of torchrun's."""
    for listed in Path(f"/proc/{process.pid}/task").glob("*/children"):
        for child in listed.read_text().split():
            if f"RANK={wanted}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
    return None


@pytest.mark.parametrize("lost", [0, 1] if SOAK else [1])
def test_torchrun_starts_again_what_has_lost_a_process(lost: int, stage: Stage, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "disturbed")]
    for folder in folders:
        folder.mkdir()
        copy_world(stage.world, folder)
    assert "started again" not in ended(torchrun(folders[0]))
    process = torchrun(folders[1], "--max-restarts", "1")
    history, deadline = folders[1] / "results/run/history.jsonl", time.monotonic() + SECONDS
    try:
        while not (history.is_file() and len(history.read_text().splitlines()) > EPOCHS // 2):
            assert process.poll() is None, "it ended before a process could be killed"
            assert time.monotonic() < deadline, "it does not get on"
            time.sleep(0.005)
        pid = rank(process, lost)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    said = ended(process)
    assert said.count("note: started again by torchrun ") == 1
    run, whole = (folder / "results/run" for folder in reversed(folders))
    assert contents(run) == contents(whole)
    assert json.loads((run / "run.json").read_text())["processes"] == 2
    assert leftovers(folders[1]) == []


def of_slurm(stage: Stage, folder: Path, job: int, restarts: int, *more: str, **options: Any) -> Ended:
    """Train in a job of SLURM's, as its variables say."""
    told = {"SLURM_JOB_ID": str(job), "SLURM_RESTART_COUNT": str(restarts), "SLURM_CLUSTER_NAME": "here"}
    setup = f"import os; os.environ.update({told})"
    return stage.server.run(*TRAIN, *more, folder=folder, below=folder, setup=setup, **options)


def test_a_job_of_slurm_that_is_queued_again_goes_on(stage: Stage, tmp_path: Path) -> None:
    copy_world(stage.world, tmp_path)
    touches = stage.wholes["training"].touches
    assert of_slurm(stage, tmp_path, 7, 0, touch=touches // 2).killed
    for job, restarts in ((7, 0), (8, 0), (8, 1)):  # a person, another job, another job that is queued again
        refused = of_slurm(stage, tmp_path, job, restarts)
        assert refused.code == 2, refused.said
        assert "the output folder holds an interrupted run" in refused.said
    again = of_slurm(stage, tmp_path, 7, 1, touch=touches // 4)
    assert again.killed
    done = of_slurm(stage, tmp_path, 7, 2)
    assert done.code == 0, done.said
    assert "note: started again by SLURM job 7 of here: goes on where the run stopped" in done.said
    assert contents(tmp_path / "results/run") == stage.wholes["training"].contents
    assert of_slurm(stage, tmp_path, 7, 3).code == 0  # it was ended after all was written


def test_a_run_that_replaces_another_is_not_begun_anew_each_time(stage: Stage, tmp_path: Path) -> None:
    copy_world(stage.world, tmp_path)
    assert stage.run("training", tmp_path).code == 0
    touches = stage.wholes["training"].touches
    first = of_slurm(stage, tmp_path, 7, 0, "--force", touch=touches // 2)
    assert first.killed
    history = tmp_path / "results/run/history.jsonl"
    before = history.read_text().splitlines()[0]
    done = of_slurm(stage, tmp_path, 7, 1, "--force")
    assert done.code == 0, done.said
    assert history.read_text().splitlines()[0] == before
    assert contents(tmp_path / "results/run") == stage.wholes["training"].contents
