"""`glm2x work plan`: baselines, predictions and sweeps of trainings, put into shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glm2x.commands.arguments import require_positive
from glm2x.commands.options import FitOptions, PredictOptions
from glm2x.console import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glm2x.sidecar import Artefact
    from glm2x.work.folder import Plan


def baseline(
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
    from glm2x.commands.recorded import of_split
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing
    from glm2x.work.kinds.baseline import plan_baseline

    if keep_weights and options.few_shot is not None:
        raise UsageError("--keep-weights is of one fit and does not go with --few-shot")
    require_positive("--genes-per-shard", genes_per_shard)
    require_positive("--jobs", jobs)
    refuse_existing(out, force=False)
    request = request_of(options, keep_weights=keep_weights)
    opened, base, splits = splits_of(cohort, options)
    made = plan_baseline(
        out,
        opened,
        base,
        splits,
        request,
        genes_a_shard=genes_per_shard,
        jobs=jobs,
        say=lambda text: say(f"  note: {text}"),
    )
    _record(out, made, of_split(base, options.split))


def predict(
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
    from glm2x.commands.recorded import of_split
    from glm2x.files import read_list, refuse_existing
    from glm2x.provenance import artefacts

    require_positive("--genes-per-shard", genes_per_shard)
    require_positive("--threads", threads)
    refuse_existing(out, force=False)
    cohort = Cohort.open(options.cohort)
    split = Split.load(options.split) if options.split else None
    genes = read_list(options.genes) if options.genes else None
    individuals = read_list(options.individuals) if options.individuals else None
    from glm2x.work.kinds.predict import plan_predict  # torch: only now, when all else is right

    made = plan_predict(
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
    lists = artefacts(individuals=options.individuals, genes=options.genes)
    _record(out, made, [*of_split(split, options.split), *lists])


def sweep(
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
    from glm2x.config import shipped_names
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing
    from glm2x.provenance import artefact

    if not configs:
        raise UsageError("no configuration was given", wanted="YAML files, or names of shipped experiments")
    require_positive("--threads", threads)
    refuse_existing(out, force=False)
    from glm2x.work.kinds.sweep import Grid, plan_sweep, seeds_of

    made = plan_sweep(out, Grid(configs, set_, splits, seeds_of(seeds)), threads=threads)
    _record(out, made, [artefact("configuration", one) for one in configs if one not in shipped_names()])


def _record(out: Path, plan: Plan, more: Iterable[Artefact]) -> None:
    """Record how a work folder was planned, and say what is to be done."""
    from glm2x.commands.recorded import of_plan
    from glm2x.provenance import artefact, record

    record(out, outputs=[artefact("work", out)], inputs=[*of_plan(plan), *more])
    threads = f"{plan.threads} threads" if plan.threads > 1 else "1 thread"
    say(
        f"planned {len(plan.shards):,} shards, by {threads} each on {plan.device}; glm2x work run {out} "
        "makes them"
    )
