"""`glm2x baseline`: linear models of the same variants in the same people."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from glm2x.console import progress, say

DEFAULT = "training-mean,genotype-pcs,top-variant,elastic-net,ridge,gblup"


def baseline(
    cohort: Path,
    /,
    *,
    split: Path,
    out: Path,
    models: str = DEFAULT,
    target: Literal["log", "residual", "residual-all"] = "log",
    window: int = 64_000,
    covariates_keep: str | None = None,
    jobs: int | None = None,
    force: bool = False,
) -> None:
    """Fit baselines on training and validation people and predict everybody of the split.

    Parameters
    ----------
    cohort
        A cohort folder; it needs no reference.
    split
        The split's JSON file.
    out
        The table to write: .parquet, or .csv.
    models
        By commas: training-mean, genotype-pcs, top-variant, elastic-net, lasso, ridge, gblup.
    target
        log, or residual after covariates (fitted on training people), or residual-all (on everyone).
    window
        Variants of this many base pairs around the TSS.
    covariates_keep
        The covariates of the cohort to regress out, by commas (default: all).
    jobs
        Processes (default: one a core, where it pays).
    force
        Replace what is there.
    """
    from glm2x.baselines.run import run_baselines
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import make_target
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing
    from glm2x.genome.genes import require_window
    from glm2x.predictions import write_predictions

    refuse_existing(out, force=force)
    opened, sides = Cohort.open(cohort), Split.load(split)
    sides.require_cohort(opened)
    kept = [name.strip() for name in covariates_keep.split(",")] if covariates_keep is not None else None
    if kept is not None and target == "log":
        raise UsageError("--covariates-keep goes with --target residual or residual-all")
    require_window(window)
    if jobs is not None and jobs < 1:
        raise UsageError("--jobs is a number of processes", got=str(jobs), wanted="1 or more")
    goal = make_target(opened, sides, target, kept)
    names = [name.strip() for name in models.split(",") if name.strip()]
    with progress("baselines", len(sides.seen)) as bar:
        table = run_baselines(
            opened,
            sides,
            goal,
            names,
            window,
            jobs=jobs,
            progress=lambda done, total: bar.advance(),
            say=lambda sentence: say(f"  note: {sentence}"),
        )
    write_predictions(out, table, force=force)
    say(f"{len(names)} baselines of {table.frame['gene'].n_unique()} genes; written to {out}")
