"""A few-shot curve of a trained model: a run for each draw of a few people, and one table of all of them.

======================== ====================================================================
``NAME/``                 the run of a draw (`glm2x.training.runfolder`), such as ``few-shot-n10-draw0``
``splits/NAME.json``      the split of a draw; ``few-shot-all`` has the configuration's own
``predictions.parquet``   everybody's predictions by all runs
======================== ====================================================================

Each run is what `glm2x train` makes of the draw's split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.config import TrainConfig
from glm2x.errors import DataError, Glm2xError, UsageError
from glm2x.files import refuse_existing
from glm2x.predictions import Predictions, write_predictions
from glm2x.progress import Progress, silent
from glm2x.training.checkpoint import load_checkpoint
from glm2x.training.parallel import ALONE, Ranks
from glm2x.training.possible import require_batches, require_possible
from glm2x.training.run import train
from glm2x.training.runfolder import RunFolder, require_startable
from glm2x.training.samples import phase_data
from glm2x.training.strategies import phases
from glm2x.training.tabulate import predictions_of
from glm2x.training.touched import Touched

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort

PREDICTIONS = "predictions.parquet"
SPLITS = "splits"


@dataclass(frozen=True)
class DrawRun:
    """The run of one draw: its name, its configuration (with its own `out` and `split`) and its split."""

    name: str
    config: TrainConfig
    split: Split


def draw_runs(config: TrainConfig, splits: Mapping[str, Split]) -> tuple[DrawRun, ...]:
    """Return the run of each draw.

    Parameters
    ----------
    splits
        By name, as `glm2x.cohort.few_shot.few_shot_splits` gives them; one that is no draw is the
        configuration's own.
    """
    out = Path(config.out)
    return tuple(
        DrawRun(
            name,
            config.model_copy(
                update={
                    "out": str(out / name),
                    "split": config.split if split.draw is None else str(out / SPLITS / f"{name}.json"),
                }
            ),
            split,
        )
        for name, split in splits.items()
    )


def train_draws(
    config: TrainConfig,
    cohort: Cohort,
    splits: Mapping[str, Split],
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress = silent,
    ranks: Ranks = ALONE,
    tell: Callable[[DrawRun, RunFolder], None] | None = None,
) -> Path:
    """Train a model for each draw, predict the people of its split, and write one table.

    What can be refused of any draw is refused before the first is trained.

    Parameters
    ----------
    config
        What to train; runs lie in folders of its ``out``.
    splits
        See `draw_runs`.
    resume
        Go on: finished runs stay as they are, the interrupted one is gone on with, the others are
        trained. The table is written anew.
    force
        Replace the runs and the table.
    progress
        Shows how far each run is.
    ranks
        The processes that train together.
    tell
        Called in the first process with each run when it is finished.

    Returns
    -------
    The file of the table. Its `train_individuals` and `draw` tell the runs apart.

    Raises
    ------
    UsageError, DataError
        As `glm2x.training.run.train`, of any draw; or the checkpoint of ``start_from`` has learnt
        from people whom a draw does not hold, whose number would then be no number of people.
    """
    out = Path(config.out)
    table, runs = out / PREDICTIONS, draw_runs(config, splits)
    ranks.together(lambda: _require_startable(out, runs, resume=resume, force=force))
    ranks.together(lambda: _require_possible(runs, cohort, ranks))
    ranks.first(lambda: _write_splits(runs, force=force))
    made: list[Predictions] = []
    for one in runs:
        run = train(one.config, cohort, one.split, resume=resume, force=force, progress=progress, ranks=ranks)
        people = (*one.split.train, *one.split.validation, *one.split.test)
        genes = (*one.split.seen, *one.split.unseen)
        made.append(
            predictions_of(
                run.checkpoint,
                cohort,
                genes=genes,
                individuals=people,
                embeddings=one.config.embeddings,
                device=one.config.training.device,
                progress=progress,
                ranks=ranks,
            )
        )
        if ranks.is_first and tell is not None:
            tell(one, run)
    ranks.first(lambda: write_predictions(table, _together(made), force=resume or force))
    return table


def _require_startable(out: Path, runs: tuple[DrawRun, ...], *, resume: bool, force: bool) -> None:
    if RunFolder(out).run.is_file():
        raise UsageError(
            "the output folder is itself a run, and the runs of draws would lie in it",
            where=str(out),
            do="give another out",
        )
    for one in runs:
        require_startable(RunFolder(Path(one.config.out)), resume=resume, force=force)
    refuse_existing(out / PREDICTIONS, force=resume or force)
    for one in runs:
        path = Path(one.config.split)
        if one.split.draw is None or force or not path.is_file():
            continue
        if Split.load(path).digest != one.split.digest:
            raise DataError(
                "the runs in the output folder were started with another split",
                where=str(path),
                got=f"{one.name} of the split {one.split.family[:12]}",
                do="give the same one, or --force to start anew",
            )


def _require_possible(runs: tuple[DrawRun, ...], cohort: Cohort, ranks: Ranks) -> None:
    """Refuse now what a later draw would be refused for: its batches, its target, and where it starts."""
    config = runs[0].config
    head = require_possible(config)
    touched = Touched() if config.start_from is None else Touched.by(load_checkpoint(config.start_from))
    for one in runs:
        one.split.require_cohort(cohort)
        more = sorted(touched.individuals.difference(one.split.train, one.split.validation))
        if more:
            raise DataError(
                "the checkpoint in start_from has learnt from people whom a draw does not hold",
                where=str(config.start_from),
                got=f"{one.name}: {len(more)} people more, such as {more[0]}",
                wanted="a model that has learnt from the people of every draw at most: else their number "
                "is not what the curve says",
                do="leave start_from out; reference-then-personal trains its first phase on each draw",
            )
        try:
            target = make_target(cohort, one.split, config.target, config.covariates_keep)
            for phase in phases(config):
                require_batches(config, phase, phase_data(phase, cohort, one.split, target), head, ranks.size)
        except Glm2xError as error:
            error.where = f"{one.name}: {error.where}" if error.where else one.name
            raise


def _write_splits(runs: tuple[DrawRun, ...], *, force: bool) -> None:
    for one in runs:
        path = Path(one.config.split)
        if one.split.draw is not None and (force or not path.is_file()):
            one.split.save(path, force=force)


def _together(made: list[Predictions]) -> Predictions:
    """Return the predictions of all runs as one table; several draws share the base's family."""
    if len(made) == 1:
        return made[0]
    frame = pl.concat([one.frame for one in made])
    return Predictions(frame, replace(made[0].metadata, split_digest=None))
