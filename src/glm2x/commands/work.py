"""`glm2x work run`, `status` and `finish`: what is planned in shards, made by anybody, and put together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glm2x.commands.arguments import require_positive
from glm2x.commands.options import RUN_DEFAULTS, AnyPlace, RunOptions
from glm2x.console import progress, say

if TYPE_CHECKING:
    from glm2x.work.planned import PlannedWork, Where
    from glm2x.work.unit import Work


def run(
    work: AnyPlace,
    /,
    options: RunOptions = RUN_DEFAULTS,
    *,
    shard: int | None = None,
) -> None:
    """Make every shard that is not done; several runs, on several machines, may be at it.

    A shard that fails does not stop the others: it is named at the end (exit 1), and tried by the next run.

    Parameters
    ----------
    work
        A work folder, or an embedding store with plans.
    shard
        Make this one only, as any scheduler may ask: the number of a shard, from 0.
    """
    from glm2x.errors import DataError, UsageError
    from glm2x.work.open import open_work
    from glm2x.work.run import run_one
    from glm2x.work.unit import error_path

    opened = open_work(work, where_of(options))
    if shard is None:
        if run_planned(opened, options):
            from glm2x.provenance import artefact, record

            record(work, outputs=[artefact("work", work)], device=opened.device, add=True)
        return
    if options.launcher != "local" or options.workers is not None:
        raise UsageError("--shard makes one shard in this process, without a launcher")
    outcome = run_one(opened, shard)
    title = opened.title(shard)
    if outcome.state == "failed":
        where = str(error_path(opened, shard))
        raise DataError("a shard failed", where=where, got=f"{title}: {outcome.said}")
    states = {"done": "is made", "there": "was there", "elsewhere": "is in the hands of another process"}
    say(f"{title} {states[outcome.state]}" + (f" (it was {outcome.said})" if outcome.said else ""))


def run_planned(opened: Work, options: RunOptions) -> list[int] | None:
    """Run what is planned as the options say; return the shards that were made, None where jobs make them."""
    from glm2x.errors import UsageError
    from glm2x.work.run import run_work

    require_positive("--workers", options.workers)
    require_positive("--slurm-time", options.slurm_time)
    if options.dry_run and options.launcher != "slurm":
        raise UsageError("--dry-run prints the script of --launcher slurm")
    if options.launcher == "slurm":
        from glm2x.work.launchers.slurm import Jobs, dry_run, submit

        jobs = Jobs(
            count=options.workers,
            partition=options.slurm_partition,
            account=options.slurm_account,
            minutes=options.slurm_time,
            gpus=options.slurm_gpus,
            memory=options.slurm_mem,
            setup=options.slurm_setup,
        )
        if options.dry_run:
            print(dry_run(opened, jobs))
            return None
        submitted = submit(opened, where_of(options), jobs)
        if submitted:
            say(
                f"submitted {len(submitted):,} jobs, {submitted[0]} the first; what they say lies in "
                f"{jobs.folder(opened)}"
            )
            say(f"glm2x work status {opened.folder} says how far they are")
        else:
            say("nothing is left to do")
        return None
    ran = run_work(
        opened,
        where_of(options),
        workers=options.workers,
        progress=progress,
        say=say,
        launcher=options.launcher,
        ray_address=options.ray_address,
    )
    there = f"; {ran.there:,} were made by others meanwhile" if ran.there else ""
    say(f"{len(ran.done):,} of {len(opened):,} shards made{there}")
    return ran.done


def finish(work: AnyPlace, /, *, cohort: Path | None = None) -> None:
    """Put the parts together into the file that the plain command writes; name what is missing (exit 1).

    Parameters
    ----------
    work
        A work folder, or an embedding store with plans.
    cohort
        The cohort's folder, where it has moved since it was planned with.
    """
    from glm2x.work.open import open_work
    from glm2x.work.planned import PlannedWork, Where
    from glm2x.work.status import require_complete

    opened = open_work(work, Where(cohort=cohort))
    require_complete(opened)
    if not isinstance(opened, PlannedWork):
        from glm2x.commands.embed import finish as finish_store

        finish_store(work)
        return
    assert isinstance(work, Path)  # a URL is that of a store
    written = opened.finish(lambda text: say(f"  note: {text}"))
    _record(work, opened, written, cohort)
    for path in written:
        say(f"written: {path}")


def _record(work: Path, opened: PlannedWork, written: list[Path], cohort: Path | None) -> None:
    """Record in a work folder how what was written there came about."""
    from glm2x.commands.recorded import of_checkpoint, of_plan
    from glm2x.provenance import artefact, record

    models = [one for folder in sorted(work.glob("runs/*/checkpoint")) for one in of_checkpoint(folder)]
    record(
        work,
        outputs=[*(artefact(path.stem, work / path.name) for path in written), *models],
        inputs=of_plan(opened.plan, cohort),
        add=True,
    )


def status(work: AnyPlace, /, *, json: bool = False) -> None:
    """Say how far work is, and what has failed (exit 1 where something has).

    Parameters
    ----------
    work
        A work folder, or an embedding store with plans.
    json
        As JSON.
    """
    from dataclasses import asdict
    from json import dumps

    from glm2x.errors import DataError
    from glm2x.work.open import open_work
    from glm2x.work.status import status_of

    opened = open_work(work)
    found = status_of(opened)
    if json:
        print(dumps(asdict(found), indent=2))
    else:
        print(
            f"{found.kind}: {found.done:,} of {found.shards:,} shards done, {found.in_hand:,} in hand; "
            f"{found.seconds:,.0f} s of computing so far"
        )
        for title in found.damaged:
            print(f"{title}: damaged, and made again by the next run")
    if found.failed:
        raise DataError(
            f"{len(found.failed):,} shards failed",
            where=str(opened.folder),
            got="\n".join(found.failed.values()),
            do="mend that and run it again: what is done stays",
        )


def where_of(options: RunOptions) -> Where:
    """Return where things lie now, as the options say."""
    from glm2x.work.planned import Where

    return Where(options.cohort, options.weights, options.remote_code)
