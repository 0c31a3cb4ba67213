"""Kept covariates go from a configuration into the run, its predictions, weights and what starts from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fit_command import baseline
from training_fakes import FakeCohort, FakeSource, make_config, make_split, make_values, run_training

from glm2x.baselines.weights import load_weights
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.commands.weights import apply
from glm2x.errors import DataError
from glm2x.predictions import read_predictions
from glm2x.training import run as run_module
from glm2x.training.run import train

ONE = {"target": "residual", "covariates_keep": ["PC1"], "training__epochs": 1}


def test_a_run_takes_its_residuals_after_the_kept_covariates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def made(cohort: Any, split: Split, mode: str, keep: Any) -> Any:
        asked.append((mode, keep))
        return make_values()

    monkeypatch.setattr(run_module, "make_target", made)
    train(make_config(tmp_path / "run", **ONE), FakeCohort(), make_split(), source=FakeSource())
    assert asked == [("residual", ("PC1",))]


def test_a_start_of_other_covariates_is_refused(tmp_path: Path) -> None:
    start = run_training(tmp_path / "start", **ONE).checkpoint
    again = run_training(tmp_path / "again", start_from=str(start), **ONE)
    assert again.facts()["done"]
    with pytest.raises(DataError, match="in start_from is of another target") as caught:
        run_training(tmp_path / "run", start_from=str(start), **(ONE | {"covariates_keep": ["PC2", "PC1"]}))
    assert (caught.value.got, caught.value.wanted) == ("PC1", "PC1, PC2")


def test_weights_remember_the_covariates(demo_cohort: Cohort, demo_split: Split, tmp_path: Path) -> None:
    replace(demo_split, seen=demo_split.seen[:2]).save(tmp_path / "split.json")
    baseline(
        demo_cohort.folder,
        split=tmp_path / "split.json",
        out=tmp_path / "p.parquet",
        models="ridge",
        target="residual",
        covariates_keep="genotype_PC1",
        weights_out=tmp_path / "w.parquet",
    )
    assert load_weights(tmp_path / "w.parquet").metadata.covariates == ("genotype_PC1",)
    apply(tmp_path / "w.parquet", cohort=demo_cohort.folder, out=tmp_path / "a.parquet")
    assert read_predictions(tmp_path / "a.parquet").metadata.covariates == ("genotype_PC1",)
