"""The loop of one phase: batches, steps, validation, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from glm2x.cohort.split import Split
from glm2x.config import TrainConfig, TrainingConfig
from glm2x.errors import DataError
from glm2x.progress import Advance, Progress
from glm2x.training.batches import Batch, Batcher, plan
from glm2x.training.checkpoint import Checkpoint, Metadata, State, save_checkpoint
from glm2x.training.gather import gather
from glm2x.training.inference import predict_samples, validation_loss, validation_pearson
from glm2x.training.inputs import Inputs
from glm2x.training.model import ExpressionModel
from glm2x.training.parallel import Ranks
from glm2x.training.prefetch import prefetched
from glm2x.training.runfolder import RunFolder
from glm2x.training.samples import PhaseData
from glm2x.training.schedule import factor
from glm2x.training.seeds import stream
from glm2x.training.strategies import Phase

if TYPE_CHECKING:
    from glm2x.training.fabric import Fabric

Log = Callable[[dict[str, Any]], None]  # takes one epoch's line of the history


@dataclass(frozen=True)
class PhaseRun:
    """Everything that a phase is run with; see `train_phase`."""

    phase: Phase
    data: PhaseData
    config: TrainConfig
    inputs: Inputs
    run: RunFolder
    metadata: Metadata
    columns: tuple[int, ...]
    split: Split
    ranks: Ranks

    @property
    def learning_rate(self) -> float:
        """The learning rate of the phase before its schedule, by ``training.learning_rate_rule``."""
        by_devices = self.config.training.learning_rate_rule == "times-devices"
        return self.phase.learning_rate * (self.ranks.size if by_devices else 1)


@dataclass(frozen=True)
class _Trained:
    """A model set up for training, and what makes its batches.

    `module` is the model in Fabric's wrapper, which casts, and shares gradients with other processes.
    """

    fabric: Fabric
    model: ExpressionModel
    module: Any
    stepper: Optimizer
    batcher: Batcher


def train_phase(
    work: PhaseRun,
    fabric: Fabric,
    model: ExpressionModel,
    resume: Checkpoint | None,
    progress: Progress,
    log: Log,
) -> None:
    """Train `model` for a phase and leave its `last` and, with validation data, `best` checkpoint.

    After each epoch are written, in this order, `best` (if it is), the line of the history, and
    `last`. `last` is what counts as done: whatever is newer is written again, with the same
    numbers, when a killed run is gone on with.

    Parameters
    ----------
    work
        The phase, its data and where it is written.
    fabric
        Device and precision.
    model
        With the weights that the phase starts or goes on from.
    resume
        The phase's `last` checkpoint, to restore the optimiser and go on after its epoch.

    Raises
    ------
    DataError
        The training or validation loss is no longer a finite number.
    """
    phase, training, ranks = work.phase, work.config.training, work.ranks
    optimizer = make_optimizer(training, work.learning_rate, model)
    module, stepper = fabric.setup(model, optimizer)
    state = State(phase.name, epoch=0, step=0)
    if resume is not None:
        resume.load_optimizer_into(optimizer)
        state = resume.state
    batcher = Batcher(
        work.data.train,
        work.inputs,
        work.columns,
        unique=training.batch == "haplotypes",
        trunk_once=model.trunk_is_frozen and not model.backbone.precomputed,
        ranks=ranks,
    )
    trained = _Trained(fabric, model, module, stepper, batcher)
    batches = len(_order(work, epoch=0))
    steps = math.ceil(batches / phase.accumulate)
    samples = (phase.epochs - state.epoch) * len(work.data.train)
    with progress(f"{phase.name} phase", samples, "samples") as bar:
        for epoch in range(state.epoch, phase.epochs):
            began = time.monotonic()
            rate = work.learning_rate * factor(training.schedule, epoch, phase.epochs)
            loss = _train_epoch(work, trained, epoch, bar)
            ranks.average_statistics(model)
            state = replace(state, epoch=epoch + 1, step=state.step + steps)
            torch.manual_seed(stream(training.seed, phase.name, epoch, "validation"))
            judged, pearson = _validate(work, trained)
            if judged is not None:
                _require_finite(judged, "validation", f"{phase.name} phase, epoch {epoch + 1}")
            is_best = judged is not None and (state.best is None or judged < state.best)
            if is_best:
                state = replace(state, best=judged, best_epoch=state.epoch)
            line = {
                "phase": phase.name,
                "epoch": state.epoch,
                "train_loss": loss,
                "validation_loss": judged,
                "validation_pearson": pearson,
                "learning_rate": rate,
                "seconds": round(time.monotonic() - began, 3),
            }
            ranks.first(partial(_write, work, model, state, optimizer, line, log, is_best=is_best))
            bar.advance(0, describe(line, phase.epochs))


def make_optimizer(training: TrainingConfig, learning_rate: float, model: nn.Module) -> Optimizer:
    """Return the optimiser over the parameters that are trained; ``sgd`` has no momentum."""
    kinds: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD}
    parameters = [p for p in model.parameters() if p.requires_grad]
    settings: dict[str, Any] = {"lr": learning_rate, "weight_decay": training.weight_decay}
    return kinds[training.optimizer](parameters, **settings)


def describe(line: dict[str, Any], epochs: int) -> str:
    """Return an epoch's line of the history for people."""
    text = f"epoch {line['epoch']}/{epochs}: loss {line['train_loss']:.4f}"
    if line["validation_loss"] is not None:
        text += f", validation {line['validation_loss']:.4f}"
    if line["validation_pearson"] is not None:
        text += f", r {line['validation_pearson']:.3f}"
    return text


def _order(work: PhaseRun, epoch: int) -> list[NDArray[np.int64]]:
    phase = work.phase
    key = (work.config.training.seed, phase.name, epoch)
    return plan(work.data.train, phase.sampler, phase.batch_size, key=key)


def _train_epoch(work: PhaseRun, trained: _Trained, epoch: int, bar: Advance) -> float:
    """Do one pass over the samples; return the loss, averaged over samples.

    Each `accumulate` batches, or what is left of them at the end, make one step.
    """
    phase, training, fabric = work.phase, work.config.training, trained.fabric
    order = _order(work, epoch)
    starts = range(0, len(order), phase.accumulate)
    pin = fabric.device.type == "cuda"

    def make(rows: NDArray[np.int64]) -> Batch:
        batch = trained.batcher.batch(rows)
        if not pin:
            return batch
        with torch.cuda.device(fabric.device):  # a thread's own device would be the first GPU
            return batch.pinned()

    trained.module.train()
    total = 0.0
    with prefetched(make, order) as batches:
        for number, start in enumerate(starts):
            group = order[start : start + phase.accumulate]
            scale = factor(training.schedule, epoch + number / len(starts), phase.epochs)
            for parameters in trained.stepper.param_groups:
                parameters["lr"] = work.learning_rate * scale
            trained.stepper.zero_grad()
            people = sum(map(len, group))
            for step, rows in enumerate(group, start):
                torch.manual_seed(stream(training.seed, phase.name, epoch, step, work.ranks.rank))
                batch = next(batches).to(fabric.device)
                with fabric.no_backward_sync(trained.module, enabled=step < start + len(group) - 1):
                    loss = _loss(work, trained.module, batch)
                    value = float(loss.detach())
                    where = f"{phase.name} phase, epoch {epoch + 1}, step {step + 1}"
                    _require_finite(value, "training", where)
                    fabric.backward(loss * (len(rows) / people))
                total += value * len(rows)
                bar.advance(len(rows))
            if training.gradient_clip is not None:
                fabric.clip_gradients(trained.module, trained.stepper, max_norm=training.gradient_clip)
            trained.stepper.step()
    return total / len(work.data.train)


def _loss(work: PhaseRun, module: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of the whole batch: the same number in every process that has a share of it."""
    ranks = work.ranks
    predicted = module(batch.inputs, batch.index, batch.seen).float()
    if ranks.size > 1:
        predicted = gather(predicted[: batch.sizes[ranks.rank]], batch.sizes, ranks.rank)
    return work.phase.loss(predicted, batch.observed, batch.gene, batch.gene_sd)


def _require_finite(loss: float, kind: str, where: str) -> None:
    if not math.isfinite(loss):
        raise DataError(
            f"the {kind} loss is no longer a finite number",
            where=where,
            got=str(loss),
            do="lower training.learning_rate, or set training.precision: 32-true",
        )


def _validate(work: PhaseRun, trained: _Trained) -> tuple[float | None, float | None]:
    """Return the validation loss and r; None without validation data, or where no r is defined.

    Each process computes its share of the genes with the model itself: its wrapper would wait for as many
    calls in the others.
    """
    samples, model = work.data.validation, trained.model
    if samples is None:
        return None, None
    trained.module.eval()

    def forward(inputs: Tensor, index: Tensor) -> Tensor:
        with trained.fabric.autocast():
            return cast(Tensor, model(inputs, index))

    predicted = predict_samples(
        forward,
        samples,
        work.inputs,
        work.columns,
        trained.fabric.device,
        model.windows_at_once(work.config.window),
        work.ranks,
    )
    return validation_loss(samples, predicted, work.phase.loss), validation_pearson(samples, predicted)


def _write(
    work: PhaseRun,
    model: nn.Module,
    state: State,
    optimizer: Optimizer,
    line: dict[str, Any],
    log: Log,
    *,
    is_best: bool,
) -> None:
    folder = work.run.phase(work.phase.name)
    if is_best:
        save_checkpoint(folder / "best", model, work.config, work.split, state, work.metadata)
    work.run.add_history(line)
    save_checkpoint(folder / "last", model, work.config, work.split, state, work.metadata, optimizer)
    log(line)
