"""One run: the phases of a strategy, one after the other, in a folder that can be gone on with."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from glm2x import __version__
from glm2x.backbones.registry import get
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.target import Target, make_target
from glm2x.config import TrainConfig
from glm2x.errors import DataError
from glm2x.heads.registry import build_head
from glm2x.training.batches import HaplotypeSource
from glm2x.training.checkpoint import Checkpoint, Metadata, copy_for_prediction, load_checkpoint
from glm2x.training.fabric import require_device, start_fabric
from glm2x.training.loop import Log, PhaseRun, train_phase
from glm2x.training.model import ExpressionModel, build_model, head_name
from glm2x.training.progress import Progress, silent
from glm2x.training.runfolder import RunFolder, start
from glm2x.training.samples import PhaseData, phase_data
from glm2x.training.seeds import reproducible, stream
from glm2x.training.strategies import Phase, phases
from glm2x.training.tensorboard import event_log

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.training.fabric import Fabric

COLUMNS: dict[str | int, tuple[int, ...]] = {"both": (0, 1), 1: (0,), 2: (1,)}


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

    On a CPU the result is a pure function of configuration, cohort and split, whether or not the
    run was interrupted on the way.

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
        The split is of another cohort, or a checkpoint is damaged.
    """
    split.require_cohort(cohort)
    # all that can be refused is refused before there is a folder
    _require_possible(config)
    if target is None:
        target = make_target(cohort, split, config.target)
    if source is None:
        source = HaplotypeDictionary(cohort, config.window)
    data = {phase.name: phase_data(phase, cohort, split, target) for phase in phases(config)}
    run = start(
        config, {"cohort_digest": cohort.digest, "split_digest": split.digest}, resume=resume, force=force
    )
    facts = run.facts()
    if facts["done"]:
        return run
    with run.locked():
        threads = facts.get("threads", torch.get_num_threads())  # of the interrupted run, where there was one
        run.record(threads=threads)
        fabric = start_fabric(config.training)
        with reproducible(fabric.device.type, threads):
            _train_phases(config, run, data, source, fabric, cohort, split, progress)
    return run


def _require_possible(config: TrainConfig) -> None:
    """Raise what is wrong with the backbone, head, device or start of a configuration."""
    info = get(config.backbone.name)
    with torch.device("meta"):  # shapes without memory
        build_head(head_name(config), info.width, info.tokens_for(config.window))
    require_device(config.training.device)
    if config.start_from is not None:
        _starting_point(config)


def _train_phases(
    config: TrainConfig,
    run: RunFolder,
    data: dict[str, PhaseData],
    source: HaplotypeSource,
    fabric: Fabric,
    cohort: Cohort,
    split: Split,
    progress: Progress,
) -> None:
    todo = phases(config)
    reached = {phase.name: _last(run, phase) for phase in todo}
    run.cut_history({name: last.state.epoch for name, last in reached.items() if last})
    run.record(counts={name: part.counts for name, part in data.items()})
    for number, phase in enumerate(todo):
        model = _initial_model(config)
        last = reached[phase.name]
        if last is not None and last.state.epoch == phase.epochs:
            continue
        samples = data[phase.name].train
        if last is not None:
            last.load_into(model)
        elif phase.start == "previous":
            load_checkpoint(run.result(todo[number - 1].name)).load_into(model)
        elif config.start_from is not None:
            _starting_point(config).load_into(model)
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
            train_individuals=len(split.train),
            genes=tuple(samples.genes[samples.gene[rows[0]]] for rows in samples.by_gene()),
        )
        columns = COLUMNS[config.haplotypes]
        work = PhaseRun(phase, data[phase.name], config, source, run, metadata, columns, split)
        with _log(config, run, phase, last) as log:
            train_phase(work, fabric, model, last, progress, log)
    copy_for_prediction(run.result(todo[-1].name), run.checkpoint, run.history)
    seconds = sum(epoch["seconds"] for epoch in run.read_history())
    run.record(**_facts(model, fabric), seconds=round(seconds, 3), done=True)


def _last(run: RunFolder, phase: Phase) -> Checkpoint | None:
    folder = run.phase(phase.name) / "last"
    return load_checkpoint(folder) if folder.is_dir() else None


def _initial_model(config: TrainConfig) -> ExpressionModel:
    """Return the model with initial weights that depend on the seed alone."""
    torch.manual_seed(stream(config.training.seed, "initialise"))
    return build_model(config)


def _starting_point(config: TrainConfig) -> Checkpoint:
    """Return the checkpoint of ``start_from``; its backbone and head must be the configuration's."""
    checkpoint = load_checkpoint(str(config.start_from))
    got = (checkpoint.metadata.backbone, checkpoint.metadata.head)
    wanted = (config.backbone.name, head_name(config))
    if got != wanted:
        raise DataError(
            "the checkpoint in start_from is of another model",
            where=str(config.start_from),
            got=f"backbone {got[0]}, head {got[1]}",
            wanted=f"backbone {wanted[0]}, head {wanted[1]}",
            do="set backbone.name and head.name to the checkpoint's, or choose another",
        )
    return checkpoint


def _log(
    config: TrainConfig, run: RunFolder, phase: Phase, last: Checkpoint | None
) -> AbstractContextManager[Log]:
    if not config.training.tensorboard:
        return nullcontext(lambda line: None)
    return event_log(run.path / "tensorboard" / phase.name, last.state.epoch + 1 if last else 1)


def _facts(model: ExpressionModel, fabric: Fabric) -> dict[str, Any]:
    return {
        "device": str(fabric.device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "versions": {
            "glm2x": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }
