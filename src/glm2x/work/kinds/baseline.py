"""Baselines by stretches of the genome: what `glm2x baseline` writes, made in parts.

What is learnt over all genes (genotype PCs, the prior of the informed models) is learnt when it is planned,
and lies in the work folder: every part is fitted with the same.

============================= ===================================================
``splits/NAME.json``           each split: the planned one, or the draws of it
``learnt/NAME.npy``            its genotype PCs, float64 [individuals, components]
``learnt/NAME.json``           its prior
============================= ===================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from glm2x.baselines.fitting import BaselineRun, FittedGene, Fitting, Learnt, prepare
from glm2x.baselines.parts import as_bytes, from_bytes
from glm2x.baselines.prior import Prior
from glm2x.baselines.run import combined
from glm2x.baselines.weights import write_weights
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.files import read_json, sha256, write_aside, write_json
from glm2x.parquet import write_table
from glm2x.predictions import write_predictions
from glm2x.work.fit_request import FitRequest
from glm2x.work.folder import Input, Plan, write_plan
from glm2x.work.planned import PlannedWork, Say
from glm2x.work.stretches import stretches

SPLITS, LEARNT = "splits", "learnt"


def plan_baseline(
    out: Path,
    cohort: Cohort,
    base: Split,
    splits: Mapping[str, Split],
    request: FitRequest,
    *,
    genes_a_shard: int,
    jobs: int | None,
    say: Say,
) -> Plan:
    """Learn what is learnt over all genes, and write the work folder.

    Parameters
    ----------
    base
        The split that was given.
    splits
        By name: that one, or draws of it.
    genes_a_shard
        At most; a shard's genes are neighbours.
    jobs
        Processes that learn; None takes every CPU where there are enough genes.

    Raises
    ------
    UsageError, DataError
        As `run_baselines`; or there is something at `out`.
    """
    splits = {name or "split": split for name, split in splits.items()}
    learnt: dict[str, Learnt] = {}
    shards: list[dict[str, Any]] = []
    titles = []
    for name, split in splits.items():
        fitting = prepare(request.asked(cohort, split), say, jobs=jobs)
        learnt[name] = fitting.learnt
        for stretch in stretches(cohort, fitting.genes, genes_a_shard):
            shards.append({"split": name, "genes": stretch.genes})
            titles.append(f"{name}, {stretch}" if len(splits) > 1 else str(stretch))
    arguments = request.as_json() | {"splits": list(splits)}
    inputs = {"cohort": Input(str(cohort.folder.absolute()), cohort.digest)}
    if request.scores is not None:
        inputs["scores"] = Input(str(request.scores.absolute()), sha256(request.scores))
    if request.embeddings is not None:
        from glm2x.embeddings.store import Store

        digest = Store.open(request.embeddings).spec.digest
        inputs["embeddings"] = Input(str(request.embeddings.absolute()), digest)
    plan = Plan("baseline", arguments, inputs, shards, titles, threads=1, device="cpu")

    def beside(folder: Path) -> None:
        base.save(folder / "split.json")
        for name, split in splits.items():
            split.save(folder / SPLITS / f"{name}.json")
            _write_learnt(folder / LEARNT, name, learnt[name])

    write_plan(out, plan, beside)
    return plan


class _Opened:
    """What the shards of a plan are fitted with; the fitting of one split at a time is kept."""

    def __init__(self, work: PlannedWork) -> None:
        plan, self.folder = work.plan, work.folder
        place = plan.input("cohort", work.where.cohort)
        self.cohort = Cohort.open(place)
        plan.require("cohort", self.cohort.digest, place)
        arguments = dict(plan.arguments)
        self.splits: list[str] = arguments.pop("splits")
        scores, embeddings = plan.input("scores") if "scores" in plan.inputs else None, plan.store()
        if scores is not None:
            plan.require("scores", sha256(scores), scores)
        if embeddings is not None:
            from glm2x.embeddings.store import Store

            plan.require("embeddings", Store.open(embeddings).spec.digest, embeddings)
        self.request = FitRequest.from_json(arguments, scores, embeddings)
        self.fitting = lru_cache(maxsize=1)(self._fitting)

    def _fitting(self, name: str) -> Fitting:
        split = Split.load(self.folder / SPLITS / f"{name}.json")
        learnt = _read_learnt(self.folder / LEARNT, name)
        return prepare(self.request.asked(self.cohort, split), _unheard, learnt=learnt)


class _Baseline:
    """The kind; see `glm2x.work.planned.Kind`."""

    def maker(self, work: PlannedWork) -> Callable[[Any], bytes]:
        opened = _Opened(work)

        def make(shard: Any) -> bytes:
            genes = shard["genes"]
            return as_bytes(genes, list(opened.fitting(shard["split"]).fit(genes)))

        return make

    def lacking(self, work: PlannedWork, shard: Any) -> str | None:
        return None

    def finish(self, work: PlannedWork, say: Say) -> list[Path]:
        opened = _Opened(work)
        runs: list[BaselineRun] = []
        for name in opened.splits:
            fitted: dict[str, FittedGene] = {}
            for i, shard in enumerate(work.plan.shards):
                if shard["split"] == name:
                    fitted |= work.part(i, partial(_of_genes, genes=shard["genes"]))
            fitting = opened.fitting(name)
            runs.append(fitting.together([fitted[gene] for gene in fitting.genes], say))
        return _write(runs, Split.load(work.folder / "split.json"), work.folder)


KIND = _Baseline()


def _of_genes(content: bytes, genes: Sequence[str]) -> dict[str, FittedGene]:
    fitted = from_bytes(content)
    if list(fitted) != list(genes):
        raise ValueError(f"fits of {len(fitted)} genes, other than the {len(genes)} that were planned")
    return fitted


def _write(runs: Sequence[BaselineRun], base: Split, folder: Path) -> list[Path]:
    """Write what the verb writes."""
    import polars as pl

    written = [folder / "predictions.parquet", folder / "genes.parquet"]
    write_predictions(written[0], combined(runs, base), force=True)
    with write_aside(written[1], force=True) as aside:
        write_table(pl.concat([run.genes for run in runs]), aside)
    if runs[0].weights is not None:
        written.append(folder / "weights.parquet")
        write_weights(written[-1], runs[0].weights, force=True)
    return written


def _write_learnt(folder: Path, name: str, learnt: Learnt) -> None:
    folder.mkdir(exist_ok=True)
    if learnt.components is not None:
        np.save(folder / f"{name}.npy", learnt.components, allow_pickle=False)
    if learnt.prior is not None:
        write_json(folder / f"{name}.json", asdict(learnt.prior))


def _read_learnt(folder: Path, name: str) -> Learnt:
    components, prior = folder / f"{name}.npy", folder / f"{name}.json"
    values: dict[str, Any] = read_json(prior) if prior.is_file() else {}
    listed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Learnt(
        np.load(components, allow_pickle=False) if components.is_file() else None,
        Prior(**listed) if listed else None,
    )


def _unheard(text: str) -> None:
    """Say nothing: it was said when it was planned."""
