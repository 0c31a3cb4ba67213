"""`glm2x train`: one configuration becomes one run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glm2x.commands.arguments import draws_of
from glm2x.console import progress, say

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.config import TrainConfig
    from glm2x.training.parallel import Ranks
    from glm2x.training.runfolder import RunFolder


def train(
    config: str,
    /,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    few_shot: str | None = None,
    draws: int | None = None,
    resume: bool = False,
    force: bool = False,
) -> None:
    """Train a model; the run folder holds checkpoints, the resolved configuration and the history.

    On several GPUs: torchrun --standalone --nproc-per-node 4 -m glm2x train CONFIG. A run that torchrun
    (--max-restarts) or SLURM (--requeue) has begun and starts again goes on by itself.

    Parameters
    ----------
    config
        A YAML file, or the name of a shipped experiment (glm2x config show).
    set_
        Overrides such as training.epochs=5; may be given several times.
    few_shot
        Instead of everybody, so many people to learn from, by commas, such as 10,20,50,100,all: one run
        for each draw, in its own folder below out, and OUT/predictions.parquet of all of them.
    draws
        How often so many people are drawn (default: 5).
    resume
        Go on where the run stopped; it ends in the same numbers as an uninterrupted one on CPU. Of
        draws, finished runs stay as they are.
    force
        Replace the run in the folder.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.commands.recorded import is_on_record, seconds_so_far
    from glm2x.config import load_config
    from glm2x.training.parallel import once_a_machine, started
    from glm2x.training.restarts import starter_again

    with once_a_machine():
        settings = load_config(config, set_)
    out = Path(settings.out)
    with started(settings.training) as ranks:
        again = ranks.first(lambda: starter_again(out))
        if again is not None:
            resume, force = True, False
            if ranks.is_first:
                say(f"  note: started again by {again}: goes on where the run stopped")
        earlier = seconds_so_far(out) if resume else 0.0
        nothing_to_do = resume and is_on_record(out)
        cohort, split = ranks.together(lambda: (Cohort.open(settings.cohort), Split.load(settings.split)))
        if few_shot is not None or draws is not None:
            chosen = ranks.together(lambda: draws_of(split, settings.split, few_shot, draws))
            _train_draws(settings, cohort, chosen, ranks, resume=resume, force=force)
            if ranks.is_first:
                from glm2x.training.runfolder import RunFolder

                first = RunFolder(out / next(iter(chosen)))
                _record(config, settings, cohort, split, first, earlier)
            return
        from glm2x.training.run import train as train_model  # torch: only now, when all else is right

        run = train_model(settings, cohort, split, resume=resume, force=force, progress=progress, ranks=ranks)
        if ranks.is_first:
            if not nothing_to_do:
                _record(config, settings, cohort, split, run, earlier)
            _tell(run, f"{settings.backbone.name} ({settings.strategy})")


def _train_draws(
    settings: TrainConfig,
    cohort: Cohort,
    splits: dict[str, Split],
    ranks: Ranks,
    *,
    resume: bool,
    force: bool,
) -> None:
    from glm2x.training.few_shot import DrawRun, train_draws

    def tell(one: DrawRun, run: RunFolder) -> None:
        learnt = (
            f"{len(one.split.train)} people to train on, {len(one.split.validation)} to choose epochs with"
        )
        _tell(run, f"{one.name} ({learnt})")

    table = train_draws(
        settings, cohort, splits, resume=resume, force=force, progress=progress, ranks=ranks, tell=tell
    )
    if ranks.is_first:
        say(f"{len(splits)} runs; predictions of all in {table}, from which glm2x evaluate draws the curve")


def _record(
    config: str, settings: TrainConfig, cohort: Cohort, split: Split, run: RunFolder, earlier: float
) -> None:
    """Record how a run came about, or those of draws, of which `run` is one."""
    from glm2x.commands.recorded import checkpoints_in, of_checkpoint, of_cohort, of_split, of_store
    from glm2x.config import shipped_names
    from glm2x.provenance import artefact, artefacts, record
    from glm2x.training.few_shot import PREDICTIONS

    out = Path(settings.out)
    table = out / PREDICTIONS
    record(
        out,
        outputs=[
            artefact("run", out),
            *checkpoints_in(out),
            *([artefact("predictions", table)] if table.is_file() else []),
        ],
        inputs=[
            *(of_cohort(cohort, settings.cohort), *of_split(split, settings.split)),
            *(*of_store(settings.embeddings), *of_checkpoint(settings.start_from)),
            *artefacts(configuration=None if config in shipped_names() else config),
        ],
        device=run.facts()["device"],
        earlier=earlier,
    )


def _tell(run: RunFolder, what: str) -> None:
    facts = run.facts()
    for warning in facts.get("warnings", []):
        say(f"  note: {warning}")
    sizes = f"{facts['parameters']:,} parameters"
    if facts["parameters_trained"] != facts["parameters"]:
        sizes += f", {facts['parameters_trained']:,} of them trained"
    where = f"{facts['seconds']:.0f} s on {facts['device'].partition(':')[0]}"
    if facts["processes"] > 1:
        where += f" in {facts['processes']} processes"
    say(f"trained {what}: {sizes}, {where}")
    say(f"written to {run.path} (the model: {run.path / 'checkpoint'})")
