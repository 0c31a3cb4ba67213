"""Work by SLURM: the script it gets, and jobs by submitit's executors and by a stand-in for sbatch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.work.launchers.slurm import Jobs, Share, submit
from glm2x.work.open import open_work
from glm2x.work.planned import Where
from work_cases import QUICK, completed, glm2x, plan_baseline, results, starts, wait_until

pytestmark = pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra slurm")

# submitit closes neither its logs nor what it knows of its processes
leaves_files_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

# runs the jobs of an array one after the other, as SLURM would on a node
SBATCH = """#!{python}
import os, re, subprocess, sys
text = open(sys.argv[1]).read()
array = re.search(r"--array=0-(\\d+)", text)
jobs = range(int(array[1]) + 1) if array else [None]
program = [sys.executable, "-c", '''
import os, subprocess, sys
for job in {jobs}:
    seen = dict(os.environ, SLURM_JOB_ID="17" if job is None else str(18 + job), SLURM_NTASKS="1")
    if job is not None:
        seen |= dict(SLURM_ARRAY_JOB_ID="17", SLURM_ARRAY_TASK_ID=str(job))
    subprocess.run(["bash", sys.argv[1]], env=seen)
'''.replace("{jobs}", repr(list(jobs))), sys.argv[1]]
copy = sys.argv[1] + ".kept"
open(copy, "w").write(text)
program[-1] = copy
subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print("Submitted batch job 17")
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do
    case "$1" in --output|--error) shift 2;; *) shift;; esac
done
exec "$@"
"""


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slurm")
    replace(demo_split, seen=demo_split.seen[:4]).save(folder / "split.json")
    words = ("baseline", demo_cohort.folder, "--split", folder / "split.json", "--models", QUICK)
    plain = folder / "plain"
    more = ("--genes-out", plain / "genes.parquet", "--weights-out", plain / "weights.parquet")
    assert glm2x(*words, "--out", plain / "predictions.parquet", *more) == 0
    return folder


@pytest.fixture
def work(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> Path:
    plan_baseline(demo_cohort, folder / "split.json", tmp_path / "work")
    return tmp_path / "work"


def test_the_script(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert glm2x("work", "run", work, "--shard", 2) == 0
    asked = ("--slurm-partition", "long", "--slurm-account", "lab", "--slurm-time", 90, "--slurm-mem", 1.5)
    words = ("--launcher", "slurm", "--workers", 2, *asked, "--slurm-setup", "module load x", "--dry-run")
    capsys.readouterr()
    assert glm2x("work", "run", work, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    wanted = {"array=0-1%2", "partition=long", "account=lab", "time=90", "mem=1536MB", "cpus-per-task=1"}
    assert wanted | {"requeue", "job-name=glm2x-baseline", "signal=USR2@90"} <= told
    assert {"export OMP_NUM_THREADS=1", "module load x"} <= set(lines)
    assert not any("gpus" in line for line in lines)
    assert lines.index("module load x") < next(n for n, line in enumerate(lines) if line.startswith("srun"))


def test_without_slurm_it_says_so(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(work))
    assert glm2x("work", "run", work, "--launcher", "slurm") == 2
    assert "there is no SLURM on this machine" in capsys.readouterr().err
    assert glm2x("work", "run", work, "--dry-run") == 2
    assert "--dry-run prints the script of --launcher slurm" in capsys.readouterr().err


def test_without_submitit_it_says_how_to_install_it(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert glm2x("work", "run", work, "--launcher", "slurm") == 2
    assert "pip install 'glm2x[slurm]'" in capsys.readouterr().err


@leaves_files_open
def test_jobs_of_submitit_in_this_process(folder: Path, work: Path) -> None:
    import submitit

    opened = open_work(work)
    shares = Jobs(count=3).shares(opened)
    assert shares == [[0, 3], [1], [2]]
    executor = submitit.DebugExecutor(folder=work / "slurm")
    jobs = [executor.submit(Share(work, Where(), shards)) for shards in shares]
    assert [job.result() for job in jobs] == [2, 1, 1]
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")


@leaves_files_open
def test_jobs_of_submitit_in_processes_of_their_own(folder: Path, work: Path) -> None:
    import submitit

    executor = submitit.LocalExecutor(folder=work / "slurm")
    executor.update_parameters(timeout_min=5)
    assert len(submit(open_work(work), Where(), Jobs(count=2), executor)) == 2
    wait_until(lambda: len(completed(work)) == 4)
    wait_until(lambda: not open_work(work).undone())
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")
    assert submit(open_work(work), Where(), Jobs(), executor) == []


def test_a_job_that_is_queued_again_has_the_same_share(work: Path) -> None:
    again = Share(work, Where(), [1, 3]).checkpoint()
    assert again.function == Share(work, Where(), [1, 3])


def test_by_the_command_and_a_stand_in_for_sbatch(
    folder: Path,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH.replace("{python}", sys.executable)), ("srun", SRUN)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert glm2x("work", "run", work, "--launcher", "slurm", "--workers", 2) == 0
    assert "submitted 2 jobs, 17_0 the first" in capsys.readouterr().err
    wait_until(lambda: not open_work(work).undone())
    assert set(starts(work).values()) == {1}
    assert glm2x("work", "finish", work) == 0
    assert results(work) == results(folder / "plain")
    wait_until(lambda: not _running(work))


def _running(work: Path) -> bool:
    """Whether processes still name the work: they end by themselves."""
    time.sleep(0.2)
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return str(work) in found
