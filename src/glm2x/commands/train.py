"""`glm2x train`: one configuration becomes one run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glm2x.console import progress, say


def train(
    config: str,
    /,
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    resume: bool = False,
    force: bool = False,
) -> None:
    """Train a model; the run folder holds checkpoints, the resolved configuration and the history.

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

    settings = load_config(config, set_)
    cohort, split = Cohort.open(settings.cohort), Split.load(settings.split)
    from glm2x.training.run import train as train_model  # torch: only now, when all else is right

    run = train_model(settings, cohort, split, resume=resume, force=force, progress=progress)
    facts = run.facts()
    for warning in facts.get("warnings", []):
        say(f"  note: {warning}")
    say(
        f"trained {settings.backbone.name} ({settings.strategy}): {facts['parameters']:,} parameters, "
        f"{facts['seconds']:.0f} s on {facts['device']}"
    )
    say(f"written to {run.path} (the model: {Path(run.path) / 'checkpoint'})")
