"""One run: the phases of a strategy, one after the other, in a folder that can be gone on with."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from glm2x import __version__
from glm2x.backbones.registry import get
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.target import Target, make_target
from glm2x.config import TrainConfig
from glm2x.embeddings.spec import StoreSpec
from glm2x.progress import Progress, silent
from glm2x.training.batches import parts_of
from glm2x.training.checkpoint import Checkpoint, Metadata, copy_for_prediction, load_checkpoint
from glm2x.training.fabric import start_fabric
from glm2x.training.inputs import Embeddings, HaplotypeSource, Inputs, inputs_of
from glm2x.training.loop import Log, PhaseRun, train_phase
from glm2x.training.model import ExpressionModel, build_model, head_name
from glm2x.training.parallel import Ranks, started
from glm2x.training.possible import require_batches, require_model, require_possible, starting_point
from glm2x.training.runfolder import RunFolder, require_startable, start
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
    ranks: Ranks | None = None,
) -> RunFolder:
    """Train the configuration's model and return its run folder, finished.

    On a CPU the result is a function of configuration, cohort, split, number of threads and type of
    CPU, whether or not the run was interrupted on the way: sums are split among threads, and kernels
    chosen by what the CPU can do. A run that is gone on with keeps its number of threads. Going on
    under another version of torch or on another device is allowed and told in the ``warnings`` of
    ``run.json``.

    Under torchrun all processes call it with the same arguments. Each batch is cut into as many parts
    as there are processes, which share the gradient of the whole batch's loss; the first process alone
    writes.

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
    ranks
        The processes that train together, where the caller has started them; by default those that
        torchrun has made ready.

    Raises
    ------
    UsageError
        A folder is in the way, or the configuration cannot be met.
    DataError
        The split is of another cohort; a checkpoint is damaged; that of ``start_from`` is of another
        model, or has learnt from test people or unseen genes.
    """
    with nullcontext(ranks) if ranks is not None else started(config.training) as together:
        return _train(
            _Call(config, cohort, split, target, source, resume=resume, force=force), together, progress
        )


@dataclass(frozen=True)
class _Call:
    """The arguments of `train`."""

    config: TrainConfig
    cohort: Cohort
    split: Split
    target: Target | None
    source: HaplotypeSource | None
    resume: bool
    force: bool


@dataclass(frozen=True)
class _Work:
    """What a run is of, after all that could be refused was looked at.

    `fresh` holds the model that the first phase starts with, until it does; none where a run is gone on with.
    """

    config: TrainConfig
    cohort: Cohort
    split: Split
    inputs: Inputs
    data: dict[str, PhaseData]
    origin: Checkpoint | None
    fresh: list[ExpressionModel]
    ranks: Ranks


def _train(call: _Call, ranks: Ranks, progress: Progress) -> RunFolder:
    config, run = call.config, RunFolder(Path(call.config.out))
    work = ranks.together(lambda: _prepare(call, run, ranks))
    identity = _identity(work)

    def begin() -> bool:
        start(config, identity, resume=call.resume, force=call.force)
        return bool(run.facts()["done"])

    if ranks.first(begin):
        return run
    with ExitStack() as stack:
        ranks.first(lambda: stack.enter_context(run.locked()))
        fabric = ranks.fabric or start_fabric(config.training)
        threads = ranks.first(lambda: _record_surroundings(run, fabric, ranks.size))
        stack.enter_context(reproducible(fabric.device, threads))
        _train_phases(work, run, fabric, progress if ranks.is_first else silent)
    return run


def _prepare(call: _Call, run: RunFolder, ranks: Ranks) -> _Work:
    """Refuse what can be refused before there is a folder, and build the model that a new run starts with."""
    config, cohort, split = call.config, call.cohort, call.split
    split.require_cohort(cohort)
    head = require_possible(config)
    origin = starting_point(config, split) if config.start_from is not None else None
    target = call.target
    if target is None:
        target = make_target(cohort, split, config.target, config.covariates_keep)
    source = HaplotypeDictionary(cohort, config.window) if call.source is None else call.source
    data = {phase.name: phase_data(phase, cohort, split, target) for phase in phases(config)}
    for phase in phases(config):
        require_batches(config, phase, data[phase.name], head, ranks.size)
    inputs = inputs_of(source, config.embeddings)
    if isinstance(inputs, Embeddings):
        if origin is not None:
            read = StoreSpec.from_json(origin.metadata.backbone_spec, str(origin.folder))
            read.require_same(inputs.store.spec, f"{inputs.store.folder}, and start_from {origin.folder}")
        columns = HAPLOTYPE_COLUMNS[config.haplotypes]
        for part in data.values():
            for samples in filter(None, (part.train, part.validation)):
                inputs.require(parts_of(samples, inputs, columns))
    require_startable(run, resume=call.resume, force=call.force)
    fresh = [] if call.resume and run.run.is_file() else [_model(config, origin)]
    return _Work(config, cohort, split, inputs, data, origin, fresh, ranks)


def _identity(work: _Work) -> dict[str, str | None]:
    """Return what a run must still be of when it is gone on with."""
    return {
        "cohort_digest": work.cohort.digest,
        "split_digest": work.split.digest,
        "store_digest": work.inputs.store.spec.digest if isinstance(work.inputs, Embeddings) else None,
        "start_from_digest": None if work.origin is None else work.origin.digest,
        **{f"{name}_samples_digest": part.digest() for name, part in work.data.items()},
    }


def _record_surroundings(run: RunFolder, fabric: Fabric, processes: int) -> int:
    """Record where the run is computed, warn where that has changed; return its number of threads."""
    facts = run.facts()
    now = {
        "device": str(fabric.device),
        "processes": processes,
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
        if facts["processes"] != processes:
            changes.append(f"processes {processes} after {facts['processes']}")
    if changes:
        text = f"gone on with under {' and '.join(changes)}: an uninterrupted run would end in other digits"
        now["warnings"] = [*facts.get("warnings", []), text]
    run.record(**now)
    return int(now["threads"])


def _train_phases(work: _Work, run: RunFolder, fabric: Fabric, progress: Progress) -> None:
    config, ranks = work.config, work.ranks
    todo = phases(config)
    reached = ranks.together(lambda: {phase.name: _last(run, phase) for phase in todo})
    counts = {name: part.counts for name, part in work.data.items()}

    def begin() -> None:
        run.cut_history({name: last.state.epoch for name, last in reached.items() if last})
        run.record(counts=counts)

    ranks.first(begin)
    touched = Touched() if work.origin is None else Touched.by(work.origin)
    people = len(touched.individuals.union(work.split.train, work.split.validation))
    for number, phase in enumerate(todo):
        touched = touched.and_phase(phase, work.data[phase.name], work.split)
        last = reached[phase.name]
        if last is not None and last.state.epoch == phase.epochs:
            continue
        before = run.result(todo[number - 1].name) if phase.start == "previous" else None
        model = ranks.together(partial(_phase_model, work, phase, last, before))
        ranks.first(partial(run.record, **_sizes(model)))
        metadata = _metadata(work, model, touched, people)
        columns = HAPLOTYPE_COLUMNS[config.haplotypes]
        of_phase = PhaseRun(
            phase, work.data[phase.name], config, work.inputs, run, metadata, columns, work.split, ranks
        )
        with _log(config, run, phase, last) if ranks.is_first else nullcontext(_unheard) as log:
            train_phase(of_phase, fabric, model, last, progress, log)
        del model  # its weights and gradients would stay on the device through the next phase

    def finish() -> None:
        copy_for_prediction(run.result(todo[-1].name), run.checkpoint, run.history)
        seconds = sum(epoch["seconds"] for epoch in run.read_history())
        run.finish(seconds)

    ranks.first(finish)


def _phase_model(work: _Work, phase: Phase, last: Checkpoint | None, before: Path | None) -> ExpressionModel:
    """Return the model as a phase starts or goes on with it.

    `last` is the checkpoint that it goes on from, `before` the folder of the previous phase's result.
    """
    if last is not None:
        return _model(work.config, last)
    if before is not None:
        return _model(work.config, load_checkpoint(before))
    model = work.fresh.pop() if work.fresh else _model(work.config, work.origin)
    if work.origin is None:
        model.start_at(float(work.data[phase.name].train.observed.mean(dtype=np.float64)))
    return model


def _model(config: TrainConfig, checkpoint: Checkpoint | None) -> ExpressionModel:
    """Return the model of a checkpoint; or one whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(config.training.seed, "initialise"))
        if checkpoint is None:
            return build_model(config)
        require_model(checkpoint)
        model = build_model(config, checkpoint.metadata.backbone_spec)
    checkpoint.load_into(model)
    return model


def _metadata(work: _Work, model: ExpressionModel, touched: Touched, people: int) -> Metadata:
    return Metadata(
        glm2x_version=__version__,
        backbone=work.config.backbone.name,
        backbone_spec=dict(model.backbone.spec),
        freeze=work.config.freeze,
        head=head_name(work.config),
        target=work.config.target,
        window=work.config.window,
        cohort_digest=work.cohort.digest,
        split_digest=work.split.digest,
        train_individuals=people,
        genes=tuple(sorted(touched.genes)),
        individuals_touched=tuple(sorted(touched.individuals)),
        backbone_package=get(work.config.backbone.name).package,
    )


def _last(run: RunFolder, phase: Phase) -> Checkpoint | None:
    folder = run.phase(phase.name) / "last"
    return load_checkpoint(folder) if folder.is_dir() else None


def _unheard(line: dict[str, Any]) -> None:
    """Log nothing."""


def _log(
    config: TrainConfig, run: RunFolder, phase: Phase, last: Checkpoint | None
) -> AbstractContextManager[Log]:
    if not config.training.tensorboard:
        return nullcontext(_unheard)
    return event_log(run.path / "tensorboard" / phase.name, last.state.epoch + 1 if last else 1)


def _sizes(model: ExpressionModel) -> dict[str, int]:
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "parameters_trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
