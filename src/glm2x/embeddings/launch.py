"""Starting the work on a store's plans: in this process, or in several on this machine, one a GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from glm2x.backbones.packages import package_of
from glm2x.backbones.registry import build_language_model, get_as_made
from glm2x.cohort.cohort import Cohort
from glm2x.embeddings.extract import Extracted, extract, require_cohort
from glm2x.embeddings.plan import Plan, read_plans
from glm2x.embeddings.store import Store
from glm2x.errors import DataError, UsageError
from glm2x.progress import Progress
from glm2x.provenance import PART


def run_here(
    store: Store,
    *,
    cohort: Path | None = None,
    weights: Path | None = None,
    remote_code: bool = False,
    progress: Progress,
) -> Extracted:
    """Work on all plans of a store in this process.

    Parameters
    ----------
    cohort, weights
        Where the cohort and the folder of weights lie now; by default where they were when planned. Plans
        of other cohorts than `cohort` are worked on after its own, from where theirs were.
    remote_code
        Whether code that comes with the model may run: a plan that says so is not enough.

    Raises
    ------
    UsageError
        There is no plan; the store's device is not on this machine; code would run unasked.
    DataError
        `cohort` is that of no plan, or that of a plan is not where it was; see `extract`.
    """
    plans = _plans(store)
    _require_device(store)
    device = torch.device(store.spec.device)
    given = None if cohort is None else Cohort.open(cohort)
    if given is not None:
        plans.sort(key=lambda plan: plan.cohort_digest != given.digest)
        require_cohort(plans[0], given)
    passes = shards = elsewhere = 0
    model, built_from = None, None
    for plan in plans:
        if not store.missing(plan.table["key"].to_list()):
            continue
        config = plan.backbone
        if config.remote_code and not remote_code:
            raise UsageError(
                "the plan's model runs code of its own",
                where=f"{store.folder}, plan {plan.name}",
                got=f"{config.model or config.weights} at {config.revision}",
                do="give --remote-code to let it run, if you trust it",
            )
        if weights is not None:
            config = config.model_copy(update={"weights": str(weights)})
        opened = given if given is not None and given.digest == plan.cohort_digest else _cohort_of(plan)
        get_as_made(config.name, package_of(store.spec.model, str(store.folder)), str(store.folder))
        if model is None or config != built_from:
            model = None  # before there is another: two may be too many for the device
            model, built_from = build_language_model(config), config
        done = extract(store, plan, opened, model, device, progress)
        passes, shards = passes + done.passes, shards + done.shards
        elsewhere += done.elsewhere
    return Extracted(passes, shards, elsewhere)


def _cohort_of(plan: Plan) -> Cohort:
    """Return the cohort that a plan was made with, from where it lay."""
    if not plan.cohort.is_dir():
        raise DataError(
            "the cohort is not where it was when it was planned with",
            where=f"plan {plan.name}",
            got=f"no folder {plan.cohort}",
            do="say with --cohort where it lies now",
        )
    return Cohort.open(plan.cohort)


def processes_for(store: Store, processes: int | None) -> int:
    """Return how many processes to start: one a GPU where the number is not given, one on a CPU.

    Raises
    ------
    UsageError
        Fewer than 1, or more than there are GPUs.
    """
    _require_device(store)
    there = torch.cuda.device_count() if store.spec.device == "cuda" else None
    if processes is None:
        return there or 1
    if processes < 1 or (there is not None and processes > there):
        wanted = "1 or more" if there is None else f"1 to {there}, one a GPU"
        raise UsageError("--processes cannot be that number", got=str(processes), wanted=wanted)
    return processes


def run_processes(store: Store, processes: int, options: Sequence[str]) -> None:
    """Run ``glm2x embed run`` in several processes, each on a GPU or on its share of the cores.

    When this process is told to end, so are they.

    Raises
    ------
    DataError
        Some failed; the others have gone on.
    """
    _plans(store)
    command = [sys.executable, "-m", "glm2x", "embed", "run", str(store.folder), "--processes", "1", *options]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(processes):
            child = subprocess.Popen(command, env=_environment(store, number, processes))  # noqa: S603
            started.append(child)
        codes = [child.wait() for child in started]
    finally:
        for child in started:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in started:
            child.wait()
    failed = [code for code in codes if code]
    if failed:
        raise DataError(
            f"{len(failed)} of {processes} processes failed",
            where=str(store.folder),
            got=f"exit codes {', '.join(map(str, codes))}; what they said stands above",
            do="mend that and run it again: what is stored stays",
        )


def _environment(store: Store, number: int, processes: int) -> dict[str, str]:
    """Return what one of several processes sees of the machine."""
    seen = os.environ | {PART: "1"}
    if store.spec.device == "cuda":
        # by the names that a scheduler may have given us already
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
        seen["CUDA_VISIBLE_DEVICES"] = names[number]
    else:
        threads = max(1, torch.get_num_threads() // processes)
        seen["OMP_NUM_THREADS"] = str(threads)
    return seen


def _plans(store: Store) -> list[Plan]:
    plans = read_plans(store.folder)
    if not plans:
        raise UsageError(
            "nothing is planned in this store", where=str(store.folder), do="glm2x embed plan --out STORE"
        )
    return plans


def _require_device(store: Store) -> None:
    from glm2x.backbones.device import require_device

    require_device(store.spec.device, where=f"{store.folder}, which is to be filled on {store.spec.device}")
