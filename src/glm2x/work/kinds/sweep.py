"""Many trainings: configurations x splits x seeds, one run a shard, in ``runs/NAME`` of the work folder.

A run that was interrupted is gone on with, as by ``glm2x train --resume``. Its part is its line of the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from glm2x.backbones.device import default_threads, require_device, torch_threads
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.config import TrainConfig, load_config, parse_config
from glm2x.embeddings.store import Store
from glm2x.errors import DataError, UsageError
from glm2x.files import write_aside
from glm2x.place import place
from glm2x.training.checkpoint import load_checkpoint
from glm2x.training.possible import require_possible
from glm2x.training.run import train
from glm2x.training.runfolder import RunFolder
from glm2x.work.folder import PLAN, Input, Plan, write_plan
from glm2x.work.planned import PlannedWork, Say

RUNS, TABLE = "runs", "runs.csv"
COLUMNS = {
    "run": pl.String(),
    "backbone": pl.String(),
    "strategy": pl.String(),
    "split": pl.String(),
    "seed": pl.Int64(),
    "epochs": pl.Int64(),
    "best_epoch": pl.Int64(),
    "best_validation_loss": pl.Float64(),
    "parameters": pl.Int64(),
    "parameters_trained": pl.Int64(),
    "seconds": pl.Float64(),
    "checkpoint": pl.String(),
}
"""Columns of the table; `checkpoint` is a path in the work folder, `best_*` of the last phase."""


@dataclass(frozen=True)
class Grid:
    """What is trained.

    Attributes
    ----------
    configs
        Files, or names of shipped experiments.
    overrides
        ``key=value``, of all.
    splits, seeds
        Instead of the configurations' own; empty: those.
    """

    configs: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    splits: tuple[Path, ...] = ()
    seeds: tuple[int, ...] = ()

    def runs(self) -> dict[str, TrainConfig]:
        """Return the configuration of each run by its name; paths are absolute, and `out` is the name.

        Raises
        ------
        UsageError
            A configuration cannot be, or two runs would have the same name.
        """
        found: dict[str, TrainConfig] = {}
        for config in self.configs:
            base = load_config(config, self.overrides)
            for split in self.splits or (Path(base.split),):
                for seed in self.seeds or (base.training.seed,):
                    words = [
                        Path(config).stem,
                        *([split.stem] if len(self.splits) > 1 else []),
                        f"seed{seed}",
                    ]
                    name = "-".join(words)
                    if name in found:
                        raise UsageError(
                            "two runs of the sweep would have the same name",
                            got=name,
                            do="give files of different names, and each seed and split once",
                        )
                    found[name] = _resolved(base, name, split, seed)
        return found


def plan_sweep(out: Path, grid: Grid, *, threads: int | None) -> Plan:
    """Write a work folder with one run a shard.

    Parameters
    ----------
    threads
        Of a worker on a CPU (default: as many as torch takes here).

    Raises
    ------
    UsageError, DataError
        What `glm2x.training.run.train` would refuse of a configuration, a cohort or a split; runs that are
        of several devices; or there is something at `out`.
    """
    runs = grid.runs()
    inputs: dict[str, Input] = {}
    for config in runs.values():
        require_possible(config)
        _add_inputs(inputs, config)
    devices = {require_device(config.training.device, where="training.device") for config in runs.values()}
    if len(devices) != 1:
        raise UsageError("the runs of a sweep compute on one kind of device", got=", ".join(sorted(devices)))
    device = devices.pop()
    plan = Plan(
        "sweep",
        {},
        inputs,
        [{"run": name, "config": config.model_dump(mode="json")} for name, config in runs.items()],
        list(runs),
        threads or default_threads(),
        device,
    )
    write_plan(out, plan, lambda folder: (folder / RUNS).mkdir())
    return plan


class _Sweep:
    """The kind; see `glm2x.work.planned.Kind`."""

    def maker(self, work: PlannedWork) -> Callable[[Any], bytes]:
        plan = work.plan

        def make(shard: Any) -> bytes:
            name = _run_name(shard, work.folder)
            config = parse_config(shard["config"], where=f"{work.folder}, {name}")
            cohort = Cohort.open(plan.input(f"cohort {config.cohort}", work.where.cohort))
            plan.require(f"cohort {config.cohort}", cohort.digest, cohort.folder)
            split = Split.load(config.split)
            plan.require(f"split {config.split}", split.digest, Path(config.split))
            changes: dict[str, Any] = {"out": str(work.folder / RUNS / name), "cohort": str(cohort.folder)}
            changes["training"] = config.training.model_copy(update={"device": plan.device})
            with torch_threads(plan.threads):
                run = train(config.model_copy(update=changes), cohort, split, resume=True)
            return json.dumps(_line(name, config, run)).encode()

        return make

    def lacking(self, work: PlannedWork, shard: Any) -> str | None:
        run = work.folder / RUNS / _run_name(shard, work.folder)
        return None if (run / "checkpoint").is_dir() else "damaged: its run has gone"

    def finish(self, work: PlannedWork, say: Say) -> list[Path]:
        lines = [work.part(i, json.loads) for i in range(len(work))]
        out = work.folder / TABLE
        with write_aside(out, force=True) as aside:
            pl.DataFrame(lines, schema=COLUMNS).write_csv(aside)
        return [out]


KIND = _Sweep()


def _run_name(shard: Any, folder: Path) -> str:
    """Return the name of a shard's run, which is that of a folder among the others (`DataError`)."""
    name = shard["run"]
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise DataError(
            "a run of a sweep cannot be a folder of that name",
            where=str(folder / PLAN),
            got=repr(name)[:80],
            wanted="a name without a slash",
            do="plan again in another folder",
        )
    return name


def _resolved(base: TrainConfig, name: str, split: Path, seed: int) -> TrainConfig:
    """Return a run's configuration with absolute paths."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else str(place(path).absolute())

    def listed(path: str) -> str:
        return path if path == "all" else str(Path(path).absolute())

    changes: dict[str, Any] = {
        "out": name,
        "split": str(split.absolute()),
        **{key: absolute(getattr(base, key)) for key in ("cohort", "embeddings", "start_from")},
        "backbone": base.backbone.model_copy(update={"weights": absolute(base.backbone.weights)}),
        "genes": base.genes.model_copy(
            update={key: listed(getattr(base.genes, key)) for key in ("reference", "personal")}
        ),
        "training": base.training.model_copy(update={"seed": seed}),
    }
    return base.model_copy(update=changes)


def _add_inputs(inputs: dict[str, Input], config: TrainConfig) -> None:
    """Add what a run reads, each thing once."""
    cohort = f"cohort {config.cohort}"
    if cohort not in inputs:
        inputs[cohort] = Input(config.cohort, Cohort.open(config.cohort).digest)
    name = f"split {config.split}"
    if name not in inputs:
        split = Split.load(config.split)
        split.require_cohort(Cohort.open(config.cohort))
        inputs[name] = Input(config.split, split.digest)
    if config.embeddings is not None:
        digest = Store.open(config.embeddings).spec.digest
        inputs[f"embeddings {config.embeddings}"] = Input(config.embeddings, digest)


def _line(name: str, config: TrainConfig, run: RunFolder) -> dict[str, Any]:
    facts, state = run.facts(), load_checkpoint(run.checkpoint).state
    return {
        "run": name,
        "backbone": config.backbone.name,
        "strategy": config.strategy,
        "split": Path(config.split).name,
        "seed": config.training.seed,
        "epochs": len(run.read_history()),
        "best_epoch": state.best_epoch,
        "best_validation_loss": state.best,
        "parameters": facts["parameters"],
        "parameters_trained": facts["parameters_trained"],
        "seconds": facts["seconds"],
        "checkpoint": f"{RUNS}/{name}/checkpoint",
    }


def seeds_of(text: str | None) -> tuple[int, ...]:
    """Read ``0,1,2`` or ``0-4``; none where nothing was given (`UsageError` for anything else)."""
    seeds: list[int] = []
    for word in text.split(",") if text is not None else ():
        first, dash, last = word.strip().partition("-")
        if not (first.isdecimal() and (not dash or last.isdecimal())):
            raise UsageError("--seeds is a list of seeds", got=str(text), wanted="such as 0,1,2 or 0-4")
        seeds += range(int(first), int(last or first) + 1)
    return tuple(seeds)
