"""Simulate a cohort into a folder: its input files, the cohort built from them, and the truth."""

from __future__ import annotations

from pathlib import Path

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.sources import CohortSources
from glm2x.files import refuse_existing, write_aside, write_json
from glm2x.parquet import write_table
from glm2x.predictions import write_predictions
from glm2x.simulate import files, truth
from glm2x.simulate.cohort import SimulatedCohort, simulate
from glm2x.simulate.settings import Settings


def write_simulation(settings: Settings, out: Path | str, *, force: bool = False) -> SimulatedCohort:
    """Draw a cohort and write it; nothing in the folder holds a time or a path.

    Raises
    ------
    UsageError
        `out` exists and `force` is not set.
    DataError
        A contig has no variant, or the disk is full.
    """
    refuse_existing(out, force=force)
    simulated = simulate(settings)
    with write_aside(out, force=force) as folder:
        folder.mkdir()
        files.write_inputs(simulated, folder)
        sources = CohortSources(
            variants=folder / files.GENOTYPES,
            expression=folder / files.EXPRESSION,
            reference=folder / files.REFERENCE,
            individuals=folder / files.INDIVIDUALS,
            covariates=folder / files.COVARIATES if settings.covariates else None,
        )
        build_cohort(sources, folder / "cohort", expression_scale="log2", variant_kind=settings.variant_kind)
        write_json(folder / "truth.json", truth.describe(simulated))
        with write_aside(folder / "truth.parquet") as aside:
            write_table(truth.effects_table(simulated), aside)
        predictions = truth.oracle(simulated, Cohort.open(folder / "cohort"))
        write_predictions(folder / "oracle.parquet", predictions)
    return simulated
