"""A study in memory: a cohort of 24 people and three genes, its split, a table, and its leak checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.evaluation.cells import make_cells
from glm2x.evaluation.check import Check
from glm2x.evaluation.checks import run_checks
from glm2x.evaluation.table import Table
from glm2x.evaluation.tables import row_labels
from glm2x.genome.genes import Gene
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix

PEOPLE = tuple(f"p{i:02d}" for i in range(24))
TRAIN, VALIDATION, TEST = PEOPLE[:12], PEOPLE[12:14], PEOPLE[14:]
G1 = "ENSG00000000001.4"
GENES = (Gene(G1, "1", 10_000, "+"), Gene("g2", "1", 30_000, "-"), Gene("g3", "2", 10_000, "+"))
EXPRESSION = np.random.default_rng(0).normal(5, 1, (3, 24))
WINDOW = 20_000


def make_cohort(
    *,
    people: dict[str, list[Any]] | None = None,
    genotypes: np.ndarray | None = None,
    covariates: bool = False,
    scale: str = "log2",
    reference: tuple[str, ...] = (),
) -> Cohort:
    """A cohort in memory; `genotypes` are bool [2 * people, variants] of contig 1, A to C each."""
    table = pl.DataFrame({"individual": PEOPLE} | (people or {}))
    manifest = {
        "expression_scale": scale,
        "files": {"a": {"sha256": "0"}},
        "reference_contigs": list(reference),
        "counts": {"columns": {"1": 0, "2": 0}},
    }
    names = ("PC1",) if covariates else ()
    values = np.random.default_rng(1).normal(size=(len(names), len(PEOPLE)))
    cohort = Cohort(Path("cohort"), manifest, GENES, table, EXPRESSION, names, values)
    for contig in ("1", "2"):
        carried = (
            genotypes
            if genotypes is not None and contig == "1"
            else np.zeros((2 * len(PEOPLE), 0), dtype=bool)
        )
        count = carried.shape[1]
        cohort._references[contig] = np.zeros(count, dtype=np.uint8)
        columns = [(position, "A", "C") for position in range(count)]
        cohort._variants[contig] = PhasedVariants.of(contig, columns, carried.T)
    return cohort


def make_split(cohort: Cohort | None = None, **changes: Any) -> Split:
    values: dict[str, Any] = {
        "train": TRAIN,
        "validation": VALIDATION,
        "test": TEST,
        "seen": (G1, "g2"),
        "unseen": ("g3",),
        "reference_validation": (),
        "preset": "random",
        "seed": 0,
        "cohort_digest": cohort.digest if cohort else "c",
        "window": WINDOW,
    }
    return Split(**(values | changes))


def make_table(
    split: Split, model: str = "m", observed: np.ndarray = EXPRESSION, genes: slice = slice(None)
) -> pl.DataFrame:
    return from_matrix(
        model=model,
        genes=[gene.gene for gene in GENES[genes]],
        individuals=PEOPLE,
        predicted=EXPRESSION[genes] + np.random.default_rng(2).normal(size=EXPRESSION[genes].shape),
        observed=observed[genes],
        gene_split=split.gene_split,
        individual_split=split.individual_split,
        seed=0,
    )


def checks(
    frame: pl.DataFrame,
    *,
    cohort: Cohort | None = None,
    split: Split | None = None,
    target: str | None = "log",
    sources: tuple[PredictionMetadata, ...] = (),
    family: str | None = None,
    covariates: tuple[str, ...] | None = None,
) -> dict[str, Check]:
    predictions = Predictions(
        frame,
        PredictionMetadata(target=target, split_family=family, covariates=covariates),
        tuple((f"{i}.parquet", said) for i, said in enumerate(sources)),
    )
    cells = make_cells([frame], row_labels(frame))
    found = run_checks(Table.of(predictions), cells, cohort=cohort, split=split)
    return {check.name: check for check in found}
