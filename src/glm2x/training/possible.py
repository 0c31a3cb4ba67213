"""What can be refused of a training before there is a folder for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from glm2x.backbones.device import require_device
from glm2x.backbones.registry import get_as_made
from glm2x.config import TrainConfig
from glm2x.console import say
from glm2x.errors import DataError, Glm2xError, UsageError
from glm2x.heads.registry import build_head
from glm2x.training.batches import plan
from glm2x.training.checkpoint import CONFIG, Checkpoint, load_checkpoint
from glm2x.training.fabric import require_processes
from glm2x.training.model import build_model, head_name, shape_of
from glm2x.training.samples import PhaseData
from glm2x.training.strategies import Phase
from glm2x.training.touched import Touched

if TYPE_CHECKING:
    from glm2x.cohort.split import Split


def require_possible(config: TrainConfig) -> nn.Module:
    """Raise what is wrong with a configuration's backbone, store, head or devices.

    Return a head without memory.
    """
    shape = shape_of(config)
    with torch.device("meta"):  # shapes without memory
        head = build_head(head_name(config), *shape)
    require_device(config.training.device, where="training.device")
    require_processes(config.training.devices)
    return head


def require_model(checkpoint: Checkpoint) -> None:
    """Compare a checkpoint's weights with its configuration's model before any memory is asked for.

    Raises
    ------
    DataError
        Its backbone is of a package that is not installed; or its configuration, or what it says of its
        backbone, makes no model, or another.
    """
    told = checkpoint.metadata
    try:
        info = get_as_made(told.backbone, told.backbone_package, str(checkpoint.folder))
    except UsageError as error:  # one that glm2x does not have
        raise _no_model(checkpoint, error.what) from error
    if info.package != told.backbone_package:
        say(
            f"{checkpoint.folder} was trained with the backbone {info.name} of {told.backbone_package}, and "
            f"{info.package} is installed: its predictions may differ"
        )
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):  # shapes without memory
            model = build_model(checkpoint.config, checkpoint.metadata.backbone_spec)
    except (Glm2xError, LookupError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        what = error.what if isinstance(error, Glm2xError) else str(error).splitlines()[0]
        what = f"no key {what}" if isinstance(error, KeyError) else what
        raise _no_model(checkpoint, what) from error
    checkpoint.require_fit(model)


def require_batches(
    config: TrainConfig, phase: Phase, data: PhaseData, head: nn.Module, processes: int
) -> None:
    """Refuse batches that leave a process without work, or the head with too few haplotypes (`build_head`).

    With ``batch: haplotypes`` a sample is sure of one haplotype only. Where the people of a larger
    batch all share one, the head itself refuses it in the middle of an epoch.
    """
    needed = getattr(head, "least_haplotypes", 1)
    key = "training.batch_size" if phase.data == "personal" else "training.reference.batch_size"
    if phase.batch_size is not None and phase.batch_size < processes:
        raise UsageError(
            f"a batch of the {phase.name} phase is shared by all processes, and is too small for them",
            where=key,
            got=f"{phase.batch_size} samples for {processes} processes",
            wanted=f"at least {processes}",
        )
    plans = plan(data.train, phase.sampler, phase.batch_size, key=("size",))
    # of consecutive parts the last that is not empty is the smallest
    smallest = min(max(len(rows) // processes, 1) for rows in plans)
    both = phase.data == "personal" and config.haplotypes == "both" and config.training.batch == "people"
    if smallest * (2 if both else 1) < needed:
        raise UsageError(
            f"the {phase.name} phase has a batch of too few haplotypes for the head {head_name(config)}",
            where=key,
            got=f"a batch of {smallest} of {len(data.train)} samples"
            + (f" in each of {processes} processes" if processes > 1 else ""),
            wanted=f"at least {needed} haplotypes in every batch: in a window this short its BatchNorm "
            "is left with one value a haplotype",
            do="choose a batch size that leaves more over, or raise window",
        )


def _covariates(config: TrainConfig) -> str:
    kept = config.covariates_keep
    return "all covariates" if kept is None else ", ".join(sorted(kept))


def starting_point(config: TrainConfig, split: Split) -> Checkpoint:
    """Return the checkpoint of ``start_from``, after what would make it a wrong start is refused.

    Its backbone, head, target, covariates of residuals and window must be the configuration's, and it
    must not have learnt from the split's test people or unseen genes.
    """
    checkpoint = load_checkpoint(str(config.start_from))
    told = checkpoint.metadata
    for what, keys, got, wanted in (
        (
            "model",
            "backbone.name and head.name",
            f"backbone {told.backbone}, head {told.head}",
            f"backbone {config.backbone.name}, head {head_name(config)}",
        ),
        ("target", "target", told.target, config.target),
        ("window", "window", f"{told.window} bp", f"{config.window} bp"),
        ("target", "covariates_keep", _covariates(checkpoint.config), _covariates(config)),
    ):
        if got != wanted:
            raise DataError(
                f"the checkpoint in start_from is of another {what}",
                where=str(config.start_from),
                got=got,
                wanted=wanted,
                do=f"set {keys} to the checkpoint's, or choose another",
            )
    Touched.by(checkpoint).require_apart(
        split,
        what="the checkpoint in start_from",
        where=str(config.start_from),
        do="start from one that was trained with this split, or from scratch",
    )
    return checkpoint


def _no_model(checkpoint: Checkpoint, what: str) -> DataError:
    return DataError(
        "the checkpoint's configuration makes no model",
        where=str(checkpoint.folder / CONFIG),
        got=what,
        do="restore it from a copy, or train again",
    )
