"""A trained model's predictions as the table that evaluation reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import Target, log_expression, make_target
from glm2x.place import Place
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix
from glm2x.progress import Progress, silent
from glm2x.training.checkpoint import Checkpoint, load_checkpoint
from glm2x.training.parallel import ALONE, Ranks
from glm2x.training.predict import predict
from glm2x.training.touched import Touched


def predictions_of(
    folder: Path | str,
    cohort: Cohort,
    *,
    split: Split | None = None,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
    embeddings: Place | str | None = None,
    device: str = "auto",
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> Predictions:
    """Predict with a checkpoint and return the table, measurements beside where the cohort has them.

    Parameters
    ----------
    folder
        A checkpoint folder. One of a reference phase is a model of the strategy `reference`.
    split
        Whose sides the table states; by default the split that the model was trained with, which
        lies in the checkpoint. Another must leave the people and genes that the model was trained
        on or validated with (its ancestors included) out of its test people and unseen genes.
    genes, individuals
        Which, in this order; all of the cohort's by default. Genes may be named without versions.
    embeddings
        The store to read, of a model that is trained on one; by default that of its configuration.
    ranks
        The processes that share the genes; all of them get the whole table.

    Raises
    ------
    DataError
        The checkpoint is damaged, or has learnt from the split's test people or unseen genes.
    """
    asked = requested(folder, cohort, split=split, genes=genes, individuals=individuals)
    predicted = predict(
        folder,
        cohort,
        asked.genes,
        asked.individuals,
        embeddings=embeddings,
        device=device,
        progress=progress,
        ranks=ranks,
    )
    return asked.table(cohort, predicted)


@dataclass(frozen=True)
class Requested:
    """What a table of predictions is to be of.

    Attributes
    ----------
    checkpoint
    split
        Whose sides the table states.
    genes, individuals
        In the order of the table, genes by their names in the cohort.
    """

    checkpoint: Checkpoint
    split: Split
    genes: tuple[str, ...]
    individuals: tuple[str, ...]

    def table(self, cohort: Cohort, predicted: NDArray[np.float64]) -> Predictions:
        """Return the table of predictions, float64 [genes, individuals]."""
        checkpoint, sides = self.checkpoint, self.split
        config, metadata = checkpoint.config, checkpoint.metadata
        target = _target(checkpoint, cohort, sides)
        where = np.ix_(cohort.gene_index(self.genes), cohort.individual_index(self.individuals))
        frame = from_matrix(
            model=config.backbone.name,
            strategy="reference" if checkpoint.state.phase == "reference" else config.strategy,
            genes=self.genes,
            individuals=self.individuals,
            predicted=predicted,
            observed=None if target is None else target.values[where],
            gene_split=sides.gene_split,
            individual_split=sides.individual_split,
            seed=config.training.seed,
            train_individuals=metadata.train_individuals,
            draw=Split.load(checkpoint.split).draw,
        )
        return Predictions(
            frame,
            PredictionMetadata(
                target=metadata.target,
                window=metadata.window,
                cohort_digest=cohort.digest,
                split_digest=sides.digest,
                glm2x_version=__version__,
                split_family=sides.family,
                covariates=_covariates(checkpoint, target),
                checkpoint_digest=checkpoint.digest,
            ),
        )


def requested(
    folder: Path | str,
    cohort: Cohort,
    *,
    split: Split | None = None,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
) -> Requested:
    """Look at what a table is to be of before anything is predicted; see `predictions_of`."""
    checkpoint = load_checkpoint(folder)
    sides = split or Split.load(checkpoint.split)
    Touched.by(checkpoint).require_apart(
        sides,
        what="the model",
        where=str(checkpoint.folder),
        do="leave --split out, or train a model with this split",
    )
    rows = np.arange(len(cohort.genes)) if genes is None else cohort.gene_index(genes)
    people = cohort.individuals if individuals is None else tuple(individuals)
    return Requested(checkpoint, sides, tuple(cohort.gene_ids[row] for row in rows), people)


def _target(checkpoint: Checkpoint, cohort: Cohort, split: Split) -> Target | None:
    """Return the target that the model was trained for, where it is known.

    In another cohort than the split's, the logarithm is the same for everybody; other targets are
    relative to training people who may not be there, and are left out.
    """
    config = checkpoint.config
    if split.cohort_digest == cohort.digest:
        return make_target(cohort, split, config.target, config.covariates_keep)
    if config.target != "log":
        return None
    values = log_expression(cohort)
    return Target("log", values, np.full(len(values), np.nan))


def _covariates(checkpoint: Checkpoint, target: Target | None) -> tuple[str, ...] | None:
    """Return what was regressed out; in another cohort, what the configuration names."""
    if target is not None:
        return target.covariates or None
    kept = checkpoint.config.covariates_keep
    return None if kept is None else tuple(sorted(kept))
