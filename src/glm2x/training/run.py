"""One run: the phases of a strategy, one after the other, in a folder that can be gone on with."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from glm2x import __version__
from glm2x.backbones.registry import get
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.target import Target, make_target
from glm2x.config import TrainConfig
from glm2x.errors import DataError, UsageError
from glm2x.files import sha256
from glm2x.heads.registry import build_head
from glm2x.training.batches import HaplotypeSource, plan
from glm2x.training.checkpoint import STATE, Checkpoint, Metadata, copy_for_prediction, load_checkpoint
from glm2x.training.fabric import require_device, start_fabric
from glm2x.training.loop import Log, PhaseRun, train_phase
from glm2x.training.model import ExpressionModel, build_model, head_name
from glm2x.training.progress import Progress, silent
from glm2x.training.runfolder import RunFolder, start
from glm2x.training.samples import PhaseData, phase_data
from glm2x.training.seeds import reproducible, stream
from glm2x.training.strategies import Phase, phases
from glm2x.training.tensorboard import event_log
from glm2x.training.touched import Touched

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.training.fabric import Fabric

HAPLOTYPE_COLUMNS: dict[str | int, tuple[int, ...]] = {"both": (0, 1), 1: (0,), 2: (1,)}


def train(
    config: TrainConfig,
    cohort: Cohort,
    split: Split,
    *,
    target: Target | None = None,
    source: HaplotypeSource | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> RunFolder:
    """Train the configuration's model and return its run folder, finished.

    On a CPU the result is a function of configuration, cohort, split, number of threads and type of
    CPU, whether or not the run was interrupted on the way: sums are split among threads, and kernels
    chosen by what the CPU can do. A run that is gone on with keeps its number of threads. Going on
    under another version of torch or on another device is allowed and told in the ``warnings`` of
    ``run.json``.

    Parameters
    ----------
    config
        What to train and where to write it (``out``).
    cohort, split
        People and genes, and which of them train.
    target
        The values to learn; by default those of ``config.target``.
    source
        Where haplotypes come from; by default the cohort's haplotype dictionary.
    resume
        Go on with the run in the folder; a finished one is returned as it is.
    force
        Replace the run in the folder.
    progress
        Shows how far it is.

    Raises
    ------
    UsageError
        A folder is in the way, or the configuration cannot be met.
    DataError
        The split is of another cohort; a checkpoint is damaged; that of ``start_from`` is of another
        model, or has learnt from test people or unseen genes.
    """
    split.require_cohort(cohort)
    # all that can be refused is refused before there is a folder
    head = _require_possible(config)
    origin = _starting_point(config, split) if config.start_from is not None else None
    if target is None:
        target = make_target(cohort, split, config.target)
    if source is None:
        source = HaplotypeDictionary(cohort, config.window)
    data = {phase.name: phase_data(phase, cohort, split, target) for phase in phases(config)}
    for phase in phases(config):
        _require_batches(config, phase, data[phase.name], head)
    run = start(config, _identity(cohort, split, data, origin), resume=resume, force=force)
    if run.facts()["done"]:
        return run
    with run.locked():
        fabric = start_fabric(config.training)
        threads = _record_surroundings(run, fabric)
        with reproducible(fabric.device.type, threads):
            _train_phases(config, run, data, source, fabric, cohort, split, origin, progress)
    return run


def _require_possible(config: TrainConfig) -> nn.Module:
    """Raise what is wrong with a configuration's backbone, head or device; return a head without memory."""
    info = get(config.backbone.name)
    with torch.device("meta"):  # shapes without memory
        head = build_head(head_name(config), info.width, info.tokens_for(config.window))
    require_device(config.training.device)
    return head


def _require_batches(config: TrainConfig, phase: Phase, data: PhaseData, head: nn.Module) -> None:
    """Refuse batches of fewer haplotypes than the head can be trained on (`build_head`).

    With ``batch: haplotypes`` a sample is sure of one haplotype only. Where the people of a larger
    batch all share one, the head itself refuses it in the middle of an epoch.
    """
    needed = getattr(head, "least_haplotypes", 1)
    smallest = min(len(rows) for rows in plan(data.train, phase.sampler, phase.batch_size, key=("size",)))
    both = phase.data == "personal" and config.haplotypes == "both" and config.training.batch == "people"
    if smallest * (2 if both else 1) < needed:
        raise UsageError(
            f"the {phase.name} phase has a batch of too few haplotypes for the head {head_name(config)}",
            where="training.batch_size" if phase.data == "personal" else "training.reference.batch_size",
            got=f"a batch of {smallest} of {len(data.train)} samples",
            wanted=f"at least {needed} haplotypes in every batch: in a window this short its BatchNorm "
            "is left with one value a haplotype",
            do="choose a batch size that leaves more over, or raise window",
        )


def _identity(
    cohort: Cohort, split: Split, data: dict[str, PhaseData], origin: Checkpoint | None
) -> dict[str, str | None]:
    """Return what a run must still be of when it is gone on with."""
    return {
        "cohort_digest": cohort.digest,
        "split_digest": split.digest,
        "start_from_digest": None if origin is None else sha256(origin.folder / STATE),
        **{f"{name}_samples_digest": part.digest() for name, part in data.items()},
    }


def _record_surroundings(run: RunFolder, fabric: Fabric) -> int:
    """Record where the run is computed, warn where that has changed; return its number of threads."""
    facts = run.facts()
    now = {
        "device": str(fabric.device),
        "threads": facts.get("threads", torch.get_num_threads()),  # of the interrupted run, if there was one
        "versions": {
            "glm2x": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
    changes = []
    if "versions" in facts:
        torch_before, device_before = facts["versions"]["torch"], facts["device"].partition(":")[0]
        if torch_before != torch.__version__:
            changes.append(f"torch {torch.__version__} after {torch_before}")
        if device_before != fabric.device.type:
            changes.append(f"device {fabric.device.type} after {device_before}")
    if changes:
        text = f"gone on with under {' and '.join(changes)}: an uninterrupted run would end in other digits"
        now["warnings"] = [*facts.get("warnings", []), text]
    run.record(**now)
    return int(now["threads"])


def _train_phases(
    config: TrainConfig,
    run: RunFolder,
    data: dict[str, PhaseData],
    source: HaplotypeSource,
    fabric: Fabric,
    cohort: Cohort,
    split: Split,
    origin: Checkpoint | None,
    progress: Progress,
) -> None:
    todo = phases(config)
    reached = {phase.name: _last(run, phase) for phase in todo}
    run.cut_history({name: last.state.epoch for name, last in reached.items() if last})
    run.record(counts={name: part.counts for name, part in data.items()})
    touched = Touched() if origin is None else Touched.by(origin)
    people = len(touched.individuals.union(split.train, split.validation))
    for number, phase in enumerate(todo):
        touched = touched.and_phase(phase, data[phase.name], split)
        model = _initial_model(config)
        last = reached[phase.name]
        if last is not None and last.state.epoch == phase.epochs:
            continue
        samples = data[phase.name].train
        if last is not None:
            last.load_into(model)
        elif phase.start == "previous":
            load_checkpoint(run.result(todo[number - 1].name)).load_into(model)
        elif origin is not None:
            origin.load_into(model)
        else:
            model.start_at(float(samples.observed.mean(dtype=np.float64)))
        metadata = Metadata(
            glm2x_version=__version__,
            backbone=config.backbone.name,
            head=head_name(config),
            target=config.target,
            window=config.window,
            cohort_digest=cohort.digest,
            split_digest=split.digest,
            train_individuals=people,
            genes=tuple(sorted(touched.genes)),
            individuals_touched=tuple(sorted(touched.individuals)),
        )
        columns = HAPLOTYPE_COLUMNS[config.haplotypes]
        work = PhaseRun(phase, data[phase.name], config, source, run, metadata, columns, split)
        with _log(config, run, phase, last) as log:
            train_phase(work, fabric, model, last, progress, log)
    copy_for_prediction(run.result(todo[-1].name), run.checkpoint, run.history)
    seconds = sum(epoch["seconds"] for epoch in run.read_history())
    run.record(**_sizes(model), seconds=round(seconds, 3), done=True)


def _last(run: RunFolder, phase: Phase) -> Checkpoint | None:
    folder = run.phase(phase.name) / "last"
    return load_checkpoint(folder) if folder.is_dir() else None


def _initial_model(config: TrainConfig) -> ExpressionModel:
    """Return the model with initial weights that depend on the seed alone."""
    torch.manual_seed(stream(config.training.seed, "initialise"))
    return build_model(config)


def _starting_point(config: TrainConfig, split: Split) -> Checkpoint:
    """Return the checkpoint of ``start_from``, after what would make it a wrong start is refused.

    Its backbone, head, target and window must be the configuration's, and it must not have learnt
    from the split's test people or unseen genes.
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


def _log(
    config: TrainConfig, run: RunFolder, phase: Phase, last: Checkpoint | None
) -> AbstractContextManager[Log]:
    if not config.training.tensorboard:
        return nullcontext(lambda line: None)
    return event_log(run.path / "tensorboard" / phase.name, last.state.epoch + 1 if last else 1)


def _sizes(model: ExpressionModel) -> dict[str, int]:
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
