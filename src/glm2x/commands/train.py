"""`glm2x train`: one configuration becomes one run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glm2x.console import progress, say

if TYPE_CHECKING:
    from glm2x.training.runfolder import RunFolder


def train(
    config: str,
    /,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
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
    resume
        Go on where the run stopped; it ends in the same numbers as an uninterrupted one on CPU.
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
        from glm2x.training.run import train as train_model  # torch: only now, when all else is right

        run = train_model(settings, cohort, split, resume=resume, force=force, progress=progress, ranks=ranks)
        if ranks.is_first:
            _tell(run, f"{settings.backbone.name} ({settings.strategy})")


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
