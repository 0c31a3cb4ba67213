"""The history as TensorBoard events, where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glm2x.errors import UsageError


@contextmanager
def event_log(folder: Path, first_epoch: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Give what writes one epoch's line of the history to event files in `folder`.

    Parameters
    ----------
    folder
        Where the event files go; made if need be.
    first_epoch
        The first epoch (from 1) that will be written; events of it and later ones, left by an
        interrupted run, are hidden.

    Raises
    ------
    UsageError
        The package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "training.tensorboard needs the package tensorboard, which is not installed",
            where="training.tensorboard",
            got=str(error),
            do='pip install "glm2x[tensorboard]", or set training.tensorboard: false',
        ) from error
    writer = SummaryWriter(str(folder), purge_step=first_epoch)

    def log(line: dict[str, Any]) -> None:
        for name in ("train_loss", "validation_loss", "validation_pearson", "learning_rate", "seconds"):
            if line[name] is not None:
                writer.add_scalar(name, line[name], line["epoch"])
        writer.flush()

    try:
        yield log
    finally:
        writer.close()
