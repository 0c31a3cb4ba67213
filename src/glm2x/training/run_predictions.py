"""What a finished run predicts for the people and genes of its split, made once and kept in its folder."""

from __future__ import annotations

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, UsageError
from glm2x.predictions import Predictions, read_predictions, write_predictions
from glm2x.progress import Progress, silent
from glm2x.training.checkpoint import Checkpoint, load_checkpoint
from glm2x.training.runfolder import RunFolder
from glm2x.training.tabulate import predictions_of

PREDICTIONS = "predictions.parquet"


def kept_predictions(run: RunFolder, *, force: bool = False) -> Predictions | None:
    """Return the table that a run's own checkpoint made; None where there is none, or an older one.

    Parameters
    ----------
    force
        Take a table that does not say which checkpoint made it for an older one.

    Raises
    ------
    DataError
        The run is not finished, or the table is damaged.
    UsageError
        The table does not say which checkpoint made it.
    """
    checkpoint = _finished(run)
    path = run.path / PREDICTIONS
    if not path.is_file():
        return None
    found = read_predictions(path)
    made_by = found.metadata.checkpoint_digest
    if made_by is None and not force:
        raise UsageError(
            "the run's predictions do not say which checkpoint made them",
            where=str(path),
            do="--force makes them again; or give the table itself instead of the run, or remove it",
        )
    return found if made_by == checkpoint.digest else None


def make_predictions(run: RunFolder, cohort: Cohort, *, progress: Progress = silent) -> Predictions:
    """Predict everybody of the run's split with its checkpoint, and keep the table in the run's folder.

    Raises
    ------
    DataError
        The run is not finished, its checkpoint is damaged, or it is of another cohort.
    """
    checkpoint = _finished(run)
    wanted = checkpoint.metadata.cohort_digest
    if cohort.digest != wanted:
        raise DataError(
            "the run was trained with another cohort",
            where=str(run.path),
            got=f"cohort {cohort.digest[:12]} in {cohort.folder}",
            wanted=f"cohort {wanted[:12]}",
            do="say with --cohort where that one is; or glm2x predict this one, and give the table",
        )
    split = Split.load(checkpoint.split)
    table = predictions_of(
        run.checkpoint,
        cohort,
        genes=(*split.seen, *split.unseen),
        individuals=(*split.train, *split.validation, *split.test),
        device=checkpoint.config.training.device,
        progress=progress,
    )
    path = run.path / PREDICTIONS
    write_predictions(path, table, force=True)  # what is there is of an older checkpoint
    return read_predictions(path)


def _finished(run: RunFolder) -> Checkpoint:
    if not run.facts().get("done"):
        raise DataError(
            "the run is not finished, so it has no checkpoint to predict with",
            where=str(run.path),
            do=f"glm2x train {run.config} --resume; or --no-predict shows its training alone",
        )
    return load_checkpoint(run.checkpoint)
