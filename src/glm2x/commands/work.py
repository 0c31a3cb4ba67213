"""`glm2x work`: what takes long, planned in shards, run on a laptop or a cluster, and put together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glm2x.commands.options import RUN_DEFAULTS, FitOptions, PredictOptions, RunOptions
from glm2x.console import progress, say

if TYPE_CHECKING:
    from glm2x.work.folder import Plan
    from glm2x.work.planned import Where
    from glm2x.work.unit import Work


def plan_baseline(
    cohort: Path,
    /,
    options: FitOptions,
    *,
    out: Path,
    genes_per_shard: int = 20,
    keep_weights: bool = False,
    jobs: int | None = None,
) -> None:
    """Plan what glm2x baseline does, in shards of neighbouring genes.

    What is learnt over all genes, such as the prior of the informed models, is learnt now.

    Parameters
    ----------
    cohort
        A cohort folder; it needs no reference.
    out
        The work folder to write.
    genes_per_shard
        At most.
    keep_weights
        Also keep the weights of the models of variants, for glm2x weights.
    jobs
        Processes that learn now (default: one a core, where it pays).
    """
    from glm2x.commands.baseline import request_of, splits_of
    from glm2x.files import refuse_existing
    from glm2x.work.kinds.baseline import plan_baseline as plan

    _require_positive("--genes-per-shard", genes_per_shard)
    _require_positive("--jobs", jobs)
    refuse_existing(out, force=False)
    request = request_of(options, keep_weights=keep_weights)
    opened, base, splits = splits_of(cohort, options)
    made = plan(
        out,
        opened,
        base,
        splits,
        request,
        genes_a_shard=genes_per_shard,
        jobs=jobs,
        say=lambda text: say(f"  note: {text}"),
    )
    _tell_planned(out, made)


def plan_predict(
    checkpoint: Path,
    /,
    options: PredictOptions,
    *,
    out: Path,
    genes_per_shard: int = 20,
    threads: int | None = None,
) -> None:
    """Plan what glm2x predict does, in shards of neighbouring genes.

    Parameters
    ----------
    checkpoint
        A checkpoint folder, such as RUN/checkpoint.
    out
        The work folder to write.
    genes_per_shard
        At most.
    threads
        Of a process on a CPU, whoever starts it (default: one a core of this machine).
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.files import read_list, refuse_existing

    _require_positive("--genes-per-shard", genes_per_shard)
    _require_positive("--threads", threads)
    refuse_existing(out, force=False)
    cohort = Cohort.open(options.cohort)
    split = Split.load(options.split) if options.split else None
    genes = read_list(options.genes) if options.genes else None
    individuals = read_list(options.individuals) if options.individuals else None
    from glm2x.work.kinds.predict import plan_predict as plan  # torch: only now, when all else is right

    made = plan(
        out,
        checkpoint,
        cohort,
        split=split,
        genes=genes,
        individuals=individuals,
        embeddings=options.embeddings,
        device=options.device,
        threads=threads,
        genes_a_shard=genes_per_shard,
    )
    _tell_planned(out, made)


def plan_sweep(
    *configs: str,
    out: Path,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    seeds: str | None = None,
    splits: tuple[Path, ...] = (),
    threads: int | None = None,
) -> None:
    """Plan trainings of each configuration with each seed on each split, one run a shard.

    Parameters
    ----------
    configs
        YAML files, or names of shipped experiments (glm2x config show).
    out
        The work folder to write; runs will lie in OUT/runs.
    set_
        Overrides of all, such as training.epochs=5; may be given several times.
    seeds
        Such as 0,1,2 or 0-4 (default: the configurations' own).
    splits
        Files of splits; may be given several times (default: the configurations' own).
    threads
        Of a process on a CPU, whoever starts it (default: one a core of this machine).
    """
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing

    if not configs:
        raise UsageError("no configuration was given", wanted="YAML files, or names of shipped experiments")
    _require_positive("--threads", threads)
    refuse_existing(out, force=False)
    from glm2x.work.kinds.sweep import Grid, seeds_of
    from glm2x.work.kinds.sweep import plan_sweep as plan

    _tell_planned(out, plan(out, Grid(configs, set_, splits, seeds_of(seeds)), threads=threads))


def run(
    work: Path,
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
        run_planned(opened, options)
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

    _require_positive("--workers", options.workers)
    _require_positive("--slurm-time", options.slurm_time)
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
        ray=options.launcher == "ray",
        ray_address=options.ray_address,
    )
    there = f"; {ran.there:,} were made by others meanwhile" if ran.there else ""
    say(f"{len(ran.done):,} of {len(opened):,} shards made{there}")
    return ran.done


def finish(work: Path, /, *, cohort: Path | None = None) -> None:
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
    for path in opened.finish(lambda text: say(f"  note: {text}")):
        say(f"written: {path}")


def status(work: Path, /, *, json: bool = False) -> None:
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


def _tell_planned(out: Path, plan: Plan) -> None:
    threads = f"{plan.threads} threads" if plan.threads > 1 else "1 thread"
    say(
        f"planned {len(plan.shards):,} shards, by {threads} each on {plan.device}; glm2x work run {out} "
        "makes them"
    )


def _require_positive(option: str, value: int | None) -> None:
    from glm2x.errors import UsageError

    if value is not None and value < 1:
        raise UsageError(f"{option} is 1 or more", got=str(value))
