"""`glm2x train`: one configuration becomes one run folder."""

from __future__ import annotations

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

    On several GPUs: torchrun --standalone --nproc-per-node 4 -m glm2x train CONFIG.

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
    from glm2x.config import load_config
    from glm2x.training.parallel import once_a_machine, started

    with once_a_machine():
        settings = load_config(config, set_)
    with started(settings.training) as ranks:
        cohort, split = ranks.together(lambda: (Cohort.open(settings.cohort), Split.load(settings.split)))
        if few_shot is not None or draws is not None:
            chosen = ranks.together(lambda: draws_of(split, settings.split, few_shot, draws))
            _train_draws(settings, cohort, chosen, ranks, resume=resume, force=force)
            return
        from glm2x.training.run import train as train_model  # torch: only now, when all else is right

        run = train_model(settings, cohort, split, resume=resume, force=force, progress=progress, ranks=ranks)
        if ranks.is_first:
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
