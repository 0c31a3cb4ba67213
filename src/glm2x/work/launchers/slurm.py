"""Work by an array of SLURM jobs, submitted by submitit: each has its share of the shards.

A job whose time is over, or that is preempted, is queued again and goes on: what it has made stays. submitit
keeps its own files, and what jobs say, in ``slurm/`` of the work folder; of one in object storage, in
``slurm/`` where they are submitted.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glm2x.errors import DataError, UsageError
from glm2x.place import Place
from glm2x.url import Url
from glm2x.work.launchers.local import thread_variables
from glm2x.work.open import open_work
from glm2x.work.planned import Where
from glm2x.work.unit import Work, run_shard

MOST_JOBS = 100  # where their number is not given
_TIMEOUTS = 20  # times that a job may be over its time before it is given up


@dataclass(frozen=True)
class Jobs:
    """What is asked of SLURM.

    Attributes
    ----------
    count
        Jobs of the array; None: one a shard, up to `MOST_JOBS`.
    partition, account
        Or None.
    minutes
        Of a job.
    gpus
        Of a job; None: one where GPUs compute.
    memory
        GB of a job, or None.
    setup
        Lines of shell.
    """

    count: int | None = None
    partition: str | None = None
    account: str | None = None
    minutes: int = 60
    gpus: int | None = None
    memory: float | None = None
    setup: tuple[str, ...] = ()

    def folder(self, work: Work) -> Path:
        """Return where submitit keeps its files."""
        if isinstance(work.folder, Url):
            return Path.cwd() / "slurm"
        return work.folder / "slurm"

    def parameters(self, work: Work) -> dict[str, Any]:
        """Return the parameters of submitit's SlurmExecutor."""
        gpus = self.gpus if self.gpus is not None else int(work.device == "cuda")
        exports = [f"export {name}={value}" for name, value in thread_variables(work).items()]
        asked = {
            "job_name": f"glm2x-{work.kind}",
            "time": self.minutes,
            "cpus_per_task": work.threads or 1,
            "partition": self.partition,
            "account": self.account,
            "gpus_per_node": gpus or None,
            "mem": None if self.memory is None else f"{round(self.memory * 1024)}MB",
            "setup": [*exports, *self.setup],
            "additional_parameters": {"requeue": True},
        }
        return {name: value for name, value in asked.items() if value is not None}

    def shares(self, work: Work) -> list[list[int]]:
        """Return the shards of each job: those that are not done, every so many-th."""
        todo = work.undone()
        count = min(len(todo), self.count or MOST_JOBS)
        return [todo[number::count] for number in range(count)]


@dataclass(frozen=True)
class Share:
    """What one job does."""

    folder: Place
    where: Where
    shards: list[int]

    def __call__(self) -> int:
        """Make the shards; return how many were made.

        Raises
        ------
        DataError
            Some failed; the others were made.
        """
        work = open_work(self.folder, self.where)
        outcomes = [run_shard(work, shard) for shard in self.shards]
        failed = [one for one in outcomes if one.state == "failed"]
        if failed:
            raise DataError(
                f"{len(failed):,} of {len(outcomes):,} shards failed",
                where=str(self.folder),
                got=f"{work.title(failed[0].shard)}: {failed[0].said}",
            )
        return sum(one.state == "done" for one in outcomes)

    def checkpoint(self) -> Any:
        """Return what to queue again: the same, of which the most is done by then."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(work: Work, where: Where, jobs: Jobs, executor: Any = None) -> list[str]:
    """Submit the jobs, and return their names.

    Parameters
    ----------
    executor
        One of submitit's (default: SLURM's).

    Raises
    ------
    UsageError
        submitit is not installed, or SLURM is not on this machine.
    """
    require_submitit()
    if executor is None:
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise UsageError(
                "there is no SLURM on this machine",
                got="no sbatch and srun among the programs",
                do="run it where jobs are submitted; --dry-run prints the script",
            )
        executor = _executor(work, jobs)
    shares = jobs.shares(work)
    if not shares:
        return []
    with executor.batch():
        submitted = [executor.submit(Share(work.folder, where, shards)) for shards in shares]
    return [str(job.job_id) for job in submitted]


def dry_run(work: Work, jobs: Jobs) -> str:
    """Return the script that SLURM would get."""
    require_submitit()
    executor = _executor(work, jobs)
    count = len(jobs.shares(work))
    if count > 1:
        executor.parameters["map_count"] = count
    # the script is no part of submitit's public interface; a test looks whether it still is there
    text: str = executor._make_submission_file_text(executor._submitit_command_str, "dry-run")
    return text


def require_submitit() -> Any:
    """Return the module (`UsageError` where it is not installed)."""
    try:
        import submitit
    except ImportError as error:
        raise UsageError(
            "--launcher slurm needs submitit, which is not installed", do="pip install 'glm2x[slurm]'"
        ) from error
    return submitit


def _executor(work: Work, jobs: Jobs) -> Any:
    """Return an executor for SLURM, also where there is none: a script can be written anywhere."""
    from submitit.slurm.slurm import SlurmExecutor

    class Anywhere(SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:
            return 2

    executor = Anywhere(jobs.folder(work), max_num_timeout=_TIMEOUTS)
    executor.update_parameters(**jobs.parameters(work))
    return executor
