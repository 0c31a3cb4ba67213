"""The informed baselines on real data with few people: what a learnt prior adds, and to whom it owes it.

Chromosome 22 of GEUVADIS (608 genes), the published people: 38 to learn from, 79 to judge. Residuals are
of coefficients fitted on everyone, as the protocol's row of that name has it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.baselines.run import run_baselines
from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.freeze import make_split
from glm2x.cohort.presets import preset_people
from glm2x.cohort.sources import CohortSources
from glm2x.cohort.target import make_target
from glm2x.errors import UsageError


@pytest.fixture(scope="module")
def cohort(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    data = shared_data / "chr22"
    folder = tmp_path_factory.mktemp("chr22") / "cohort"
    sources = CohortSources(
        variants=data / "genotypes.chr22.vcf.gz",
        expression=data / "genes.50percent.chr22.bed.gz",
        covariates=data / "genes.covariates.pc50.txt.gz",
    )
    build_cohort(sources, folder)
    return Cohort.open(folder)


def test_the_prior_lifts_both_models_of_38_people(cohort: Cohort) -> None:
    split = make_split(cohort, preset_people(cohort, "published-50-100"), window=64_000)
    assert (len(split.train), len(split.validation), len(split.test)) == (38, 0, 79)
    with pytest.raises(UsageError, match="53 covariates are too many for 38 training people"):
        make_target(cohort, split, "residual")
    target = make_target(cohort, split, "residual-all")
    models = ["ridge", "informed-ridge", "gblup", "informed-gblup"]
    made = run_baselines(cohort, split, target, models, jobs=1)
    frame = made.predictions.frame.filter(pl.col("individual_split").cast(pl.String) == "test")
    scores = frame.group_by("model", "gene", maintain_order=True).agg(
        pl.when(pl.col("predicted").std() < 1e-3 * pl.col("observed").std())
        .then(0.0)
        .otherwise(pl.corr("observed", "predicted"))
        .alias("r")
    )
    mean = {str(model): float(rows["r"].mean()) for (model,), rows in scores.group_by("model")}
    assert scores.height == 4 * 608
    assert mean["ridge"] == pytest.approx(0.151, abs=0.002)
    assert mean["gblup"] == pytest.approx(0.137, abs=0.002)
    assert mean["informed-ridge"] == pytest.approx(0.1545, abs=0.001)
    assert mean["informed-gblup"] == pytest.approx(0.1416, abs=0.001)
    assert made.prior is not None
    near, far = made.prior.coefficients
    assert near == pytest.approx(-1.1, abs=0.1)  # about the inverse of the distance, from 1 kb on
    assert far < 0
    assert np.isfinite(far)
