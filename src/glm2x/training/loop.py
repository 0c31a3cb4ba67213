"""The loop of one phase: batches, steps, validation, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from glm2x.cohort.split import Split
from glm2x.config import TrainConfig, TrainingConfig
from glm2x.errors import DataError
from glm2x.training.batches import Batcher, HaplotypeSource, plan
from glm2x.training.checkpoint import Checkpoint, Metadata, State, save_checkpoint
from glm2x.training.inference import predict_samples, validation_loss, validation_pearson
from glm2x.training.model import ExpressionModel
from glm2x.training.progress import Advance, Progress
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
    source: HaplotypeSource
    run: RunFolder
    metadata: Metadata
    columns: tuple[int, ...]
    split: Split


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
    phase = work.phase
    optimizer = make_optimizer(work.config.training, phase, model)
    module, stepper = fabric.setup(model, optimizer)
    state = State(phase.name, epoch=0, step=0)
    if resume is not None:
        resume.load_optimizer_into(optimizer)
        state = resume.state
    seed = work.config.training.seed
    batcher = Batcher(
        work.data.train, work.source, work.columns, unique=work.config.training.batch == "haplotypes"
    )
    steps = len(_order(work, epoch=0))
    with progress(f"{phase.name} phase", (phase.epochs - state.epoch) * steps) as bar:
        for epoch in range(state.epoch, phase.epochs):
            began = time.monotonic()
            rate = phase.learning_rate * factor(work.config.training.schedule, epoch, phase.epochs)
            loss = _train_epoch(work, fabric, module, stepper, batcher, epoch, bar)
            state = replace(state, epoch=epoch + 1, step=state.step + steps)
            torch.manual_seed(stream(seed, phase.name, epoch, "validation"))
            judged, pearson = _validate(work, module, fabric.device)
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
            if fabric.is_global_zero:
                _write(work, model, state, optimizer, line, is_best=is_best)
                log(line)
            bar.advance(0, describe(line, phase.epochs))


def make_optimizer(training: TrainingConfig, phase: Phase, model: nn.Module) -> Optimizer:
    """Return the optimiser over the parameters that are trained."""
    kind = Adam if training.optimizer == "adam" else AdamW
    parameters = [p for p in model.parameters() if p.requires_grad]
    return kind(parameters, lr=phase.learning_rate, weight_decay=training.weight_decay)


def describe(line: dict[str, Any], epochs: int) -> str:
    """Return an epoch's line of the history for people."""
    text = f"epoch {line['epoch']}/{epochs}: loss {line['train_loss']:.4f}"
    if line["validation_loss"] is not None:
        text += f", validation {line['validation_loss']:.4f}"
    if line["validation_pearson"] is not None:
        text += f", r {line['validation_pearson']:.3f}"
    return text


def _order(work: PhaseRun, epoch: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    phase = work.phase
    key = (work.config.training.seed, phase.name, epoch)
    return plan(work.data.train, phase.sampler, phase.batch_size, key=key)


def _train_epoch(
    work: PhaseRun,
    fabric: Fabric,
    module: nn.Module,
    stepper: Optimizer,
    batcher: Batcher,
    epoch: int,
    bar: Advance,
) -> float:
    """Do one pass over the samples; return the loss, averaged over samples."""
    phase, training = work.phase, work.config.training
    order = _order(work, epoch)
    module.train()
    total = 0.0
    for step, rows in enumerate(order):
        torch.manual_seed(stream(training.seed, phase.name, epoch, step, fabric.global_rank))
        scale = factor(training.schedule, epoch + step / len(order), phase.epochs)
        for group in stepper.param_groups:
            group["lr"] = phase.learning_rate * scale
        batch = batcher.batch(rows).to(fabric.device)
        stepper.zero_grad()
        predicted = module(batch.inputs, batch.index).float()
        loss = phase.loss(predicted, batch.observed, batch.gene, batch.gene_sd)
        value = float(loss.detach())
        _require_finite(value, "training", f"{phase.name} phase, epoch {epoch + 1}, step {step + 1}")
        fabric.backward(loss)
        if training.gradient_clip is not None:
            fabric.clip_gradients(module, stepper, max_norm=training.gradient_clip)
        stepper.step()
        total += value * len(rows)
        bar.advance(1)
    return total / len(work.data.train)


def _require_finite(loss: float, kind: str, where: str) -> None:
    if not math.isfinite(loss):
        raise DataError(
            f"the {kind} loss is no longer a finite number",
            where=where,
            got=str(loss),
            do="lower training.learning_rate, or set training.precision: 32-true",
        )


def _validate(work: PhaseRun, module: nn.Module, device: torch.device) -> tuple[float | None, float | None]:
    """Return the validation loss and r; None without validation data, or where no r is defined."""
    samples = work.data.validation
    if samples is None:
        return None, None
    module.eval()
    predicted = predict_samples(module, samples, work.source, work.columns, device)
    return validation_loss(samples, predicted, work.phase.loss), validation_pearson(samples, predicted)


def _write(
    work: PhaseRun,
    model: nn.Module,
    state: State,
    optimizer: Optimizer,
    line: dict[str, Any],
    *,
    is_best: bool,
) -> None:
    folder = work.run.phase(work.phase.name)
    if is_best:
        save_checkpoint(folder / "best", model, work.config, work.split, state, work.metadata)
    work.run.add_history(line)
    save_checkpoint(folder / "last", model, work.config, work.split, state, work.metadata, optimizer)
