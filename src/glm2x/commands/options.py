"""Options that several commands share; cyclopts takes their fields for options of the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, Token

from glm2x.place import Place, place

DEFAULT_BASELINES = "training-mean,genotype-pcs,top-variant,elastic-net,ridge,gblup"


def _place(_: object, tokens: Sequence[Token]) -> Place:
    return place(tokens[0].value)


AnyPlace = Annotated[Place, Parameter(converter=_place, n_tokens=1, accepts_keys=False)]
"""A path or URL of an embedding store or a table of predictions."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What baselines are fitted, to what, and to whom.

    Attributes
    ----------
    split
        The split's JSON file.
    models
        By commas: training-mean, genotype-pcs, top-variant, elastic-net, lasso, ridge, gblup,
        informed-ridge, informed-gblup (with a prior on each variant, learnt over all genes).
    target
        log, or residual after covariates (fitted on training people), or residual-all (on everyone);
        z-score or inverse-normal, of log among training people, gene by gene.
    window
        Variants of this many base pairs around the TSS.
    prior_window
        The same of the informed models, whose prior falls with the distance.
    variant_scores
        A table of scores for the prior of the informed models, .parquet or text: columns contig,
        position (1-based, as in a VCF), ref, alt, score, and gene where a score is of one gene only.
        The larger a score, the likelier an effect: give absolute values of effects.
    embeddings
        An embedding store: also fit ridge-BACKBONE, on people's embeddings pooled over the window.
    covariates_keep
        The covariates of the cohort to regress out, by commas (default: all).
    few_shot
        Instead of everybody, so many people to learn from, by commas, such as 10,20,50,100,all. All
        draws go into one table.
    draws
        How often so many people are drawn (default: 5).
    """

    split: Path
    models: str = DEFAULT_BASELINES
    target: Literal["log", "residual", "residual-all", "z-score", "inverse-normal"] = "log"
    window: int = 64_000
    prior_window: int = 400_000
    variant_scores: Path | None = None
    embeddings: AnyPlace | None = None
    covariates_keep: str | None = None
    few_shot: str | None = None
    draws: int | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Whom and what a trained model predicts.

    Attributes
    ----------
    cohort
        The people's cohort folder.
    individuals
        Whom to predict, one a line (default: everybody in the cohort).
    genes
        What to predict, one a line (default: all of the cohort).
    split
        Whose sides the table states (default: the split that the model was trained with).
    embeddings
        The embedding store, of a model trained on one (default: that of its configuration).
    device
        Where to compute.
    """

    cohort: Path
    individuals: Path | None = None
    genes: Path | None = None
    split: Path | None = None
    embeddings: AnyPlace | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Who works on what is planned.

    Attributes
    ----------
    launcher
        Processes on this machine; actors of Ray; or an array of SLURM jobs.
    workers
        How many processes, actors or jobs (default: one a GPU; on CPUs, one for the plan's threads).
    cohort
        The cohort's folder, where it has moved since it was planned with.
    weights
        Of a store: the weights' folder, where it has moved.
    remote_code
        Of a store: say so again where the plan lets code run that comes with the model.
    ray_address
        Of the Ray cluster, or auto (default: Ray is started on this machine alone).
    slurm_partition
        Of each job.
    slurm_account
        Of each job.
    slurm_time
        Minutes of a job; one that is over is queued again and goes on.
    slurm_gpus
        Of a job (default: one where GPUs compute).
    slurm_mem
        Gigabytes of a job.
    slurm_setup
        A line of shell before a job starts, such as "module load cuda"; may be given several times.
    dry_run
        Print the script that SLURM would get, and submit nothing.
    """

    launcher: Literal["local", "ray", "slurm"] = "local"
    workers: Annotated[int | None, Parameter(name=("--workers", "--processes"))] = None
    cohort: Path | None = None
    weights: Path | None = None
    remote_code: bool = False
    ray_address: str | None = None
    slurm_partition: str | None = None
    slurm_account: str | None = None
    slurm_time: int = 60
    slurm_gpus: int | None = None
    slurm_mem: float | None = None
    slurm_setup: tuple[str, ...] = ()
    dry_run: bool = False


RUN_DEFAULTS = RunOptions()
