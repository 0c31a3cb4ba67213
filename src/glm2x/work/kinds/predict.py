"""Predictions of a checkpoint by stretches of the genome: what `glm2x predict` writes, made in parts.

A part holds everybody: a gene's unique haplotypes are computed once, whoever carries them, and in the same
batches as by the plain command. ``split.json`` is the split that was given, where one was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm2x.backbones.device import default_threads, require_device, torch_threads
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.embeddings.store import Store
from glm2x.files import sha256
from glm2x.place import Place, place
from glm2x.predictions import write_predictions
from glm2x.training.checkpoint import STATE, load_checkpoint
from glm2x.training.predict import Predictor
from glm2x.training.tabulate import requested
from glm2x.work.folder import Input, Plan, write_plan
from glm2x.work.planned import PlannedWork, Say
from glm2x.work.stretches import stretches

SPLIT = "split.json"


def plan_predict(
    out: Path,
    checkpoint: Path,
    cohort: Cohort,
    *,
    split: Split | None,
    genes: Sequence[str] | None,
    individuals: Sequence[str] | None,
    embeddings: Place | None,
    device: str,
    threads: int | None,
    genes_a_shard: int,
) -> Plan:
    """Write a work folder whose shards are genes that are neighbours.

    Parameters
    ----------
    threads
        Of a worker on a CPU (default: as many as torch takes here).
    genes_a_shard
        At most.

    Raises
    ------
    UsageError, DataError
        As `glm2x.training.tabulate.predictions_of`; or there is something at `out`.
    """
    asked = requested(checkpoint, cohort, split=split, genes=genes, individuals=individuals)
    store = embeddings or asked.checkpoint.config.embeddings
    people = cohort.individual_index(asked.individuals)
    kind = require_device(device)
    Predictor(checkpoint, cohort, people, embeddings=embeddings, device=kind).require(asked.genes)
    inputs = {
        "cohort": Input(str(cohort.folder.absolute()), cohort.digest),
        "checkpoint": Input(str(checkpoint.absolute()), sha256(checkpoint / STATE)),
    }
    if store is not None:
        inputs["embeddings"] = Input(str(place(store).absolute()), Store.open(store).spec.digest)
    chosen = stretches(cohort, asked.genes, genes_a_shard)
    plan = Plan(
        "predict",
        {"genes": asked.genes, "individuals": asked.individuals},
        inputs,
        [stretch.genes for stretch in chosen],
        [str(stretch) for stretch in chosen],
        threads or default_threads(),
        kind,
    )
    write_plan(out, plan, lambda folder: None if split is None else split.save(folder / SPLIT))
    return plan


class _Predict:
    """The kind; see `glm2x.work.planned.Kind`."""

    def maker(self, work: PlannedWork) -> Callable[[Any], bytes]:
        plan = work.plan
        cohort, checkpoint = _opened(work)
        people = cohort.individual_index(plan.arguments["individuals"])
        store = plan.store()
        if store is not None:
            plan.require("embeddings", Store.open(store).spec.digest, store)
        predictor = Predictor(checkpoint, cohort, people, embeddings=store, device=plan.device)

        def make(genes: Any) -> bytes:
            with torch_threads(plan.threads):
                return _as_bytes(np.stack([predictor.gene(gene) for gene in genes]))

        return make

    def lacking(self, work: PlannedWork, shard: Any) -> str | None:
        return None

    def finish(self, work: PlannedWork, say: Say) -> list[Path]:
        cohort, checkpoint = _opened(work)
        genes, people = work.plan.arguments["genes"], work.plan.arguments["individuals"]
        row_of = {gene: row for row, gene in enumerate(genes)}
        predicted = np.full((len(genes), len(people)), np.nan)
        for i, shard in enumerate(work.plan.shards):
            shape = (len(shard), len(people))
            predicted[[row_of[gene] for gene in shard]] = work.part(i, partial(_from_bytes, shape=shape))
        path = work.folder / SPLIT
        split = Split.load(path) if path.is_file() else None
        asked = requested(checkpoint, cohort, split=split, genes=genes, individuals=people)
        out = work.folder / "predictions.parquet"
        write_predictions(out, asked.table(cohort, predicted), force=True)
        return [out]


KIND = _Predict()


def _opened(work: PlannedWork) -> tuple[Cohort, Path]:
    """Return the cohort, and where the checkpoint lies; both are the planned ones."""
    plan = work.plan
    place, checkpoint = plan.input("cohort", work.where.cohort), plan.input("checkpoint")
    cohort = Cohort.open(place)
    plan.require("cohort", cohort.digest, place)
    load_checkpoint(checkpoint)
    plan.require("checkpoint", sha256(checkpoint / STATE), checkpoint)
    return cohort, checkpoint


def _from_bytes(content: bytes, shape: tuple[int, int]) -> NDArray[np.float64]:
    values = np.load(BytesIO(content), allow_pickle=False)
    if values.dtype != np.float64 or values.shape != shape:
        raise ValueError(f"{values.dtype}, shape {values.shape} instead of float64, {shape}")
    return np.asarray(values)


def _as_bytes(values: NDArray[np.float64]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
