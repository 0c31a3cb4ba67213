"""Strategies: each is a list of phases, and a phase says what it trains on and from where it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glm2x.config import TrainConfig
from glm2x.training.losses import Loss

REFERENCE_BATCH = 8


@dataclass(frozen=True)
class Phase:
    """One stage of a strategy.

    Attributes
    ----------
    name
        Names the phase's folder in the run.
    data
        ``reference``: one sample a gene, the reference window and the gene's reference target;
        ``personal``: every seen gene in every training person.
    start
        ``scratch``: new weights (or ``start_from``); ``previous``: the previous phase's `best`
        checkpoint where it has one, else its `last`.
    genes
        ``all`` or the file with the list of genes.
    epochs, batch_size, accumulate, learning_rate, sampler
        As in the configuration; `batch_size` None takes all people of a gene.
    loss
        What is minimised, and, on validation data, what chooses `best`.
    """

    name: str
    data: Literal["reference", "personal"]
    start: Literal["scratch", "previous"]
    genes: str
    epochs: int
    batch_size: int | None
    accumulate: int
    learning_rate: float
    sampler: Literal["random", "gene"]
    loss: Loss


def phases(config: TrainConfig) -> tuple[Phase, ...]:
    """Return the phases of the configuration's strategy, in order."""
    if config.strategy == "reference":
        return (_reference(config),)
    if config.strategy == "personal":
        return (_personal(config, "scratch"),)
    return (_reference(config), _personal(config, "previous"))


def _reference(config: TrainConfig) -> Phase:
    """Return the reference phase: the loss has no pairwise term, since a gene has one sample.

    Of `mean-difference` the mean is then all there is: the squared error, whatever `mean_weight`.
    Where ``training.reference`` leaves a value null it is the personal phase's; a batch size that
    is null there too (all people of a gene) becomes the published 8 genes.
    """
    training, own = config.training, config.training.reference
    return Phase(
        name="reference",
        data="reference",
        start="scratch",
        genes=config.genes.reference,
        epochs=own.epochs or training.epochs,
        batch_size=own.batch_size or training.batch_size or REFERENCE_BATCH,
        accumulate=own.accumulate or training.accumulate,
        learning_rate=own.learning_rate or training.learning_rate,
        sampler="random",
        loss=Loss(kind=config.loss.kind),
    )


def _personal(config: TrainConfig, start: Literal["scratch", "previous"]) -> Phase:
    training, loss = config.training, config.loss
    return Phase(
        name="personal",
        data="personal",
        start=start,
        genes=config.genes.personal,
        epochs=training.epochs,
        batch_size=training.batch_size,
        accumulate=training.accumulate,
        learning_rate=training.learning_rate,
        sampler=training.sampler,
        loss=Loss(loss.kind, loss.pairwise, loss.alpha, loss.mean_weight),
    )
