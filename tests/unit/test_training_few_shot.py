"""Runs of draws of a few people: each is the run of its own split, all go into one table, and they resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from training_fakes import (
    GENES,
    PEOPLE,
    FakeCohort,
    FakeSource,
    StoppedError,
    make_config,
    make_split,
    make_values,
    run_training,
    stop_after,
)

from glm2x.cohort.few_shot import few_shot_splits
from glm2x.cohort.split import Split
from glm2x.errors import DataError, UsageError
from glm2x.files import sha256
from glm2x.predictions import read_predictions
from glm2x.training import few_shot, run, tabulate
from glm2x.training import predict as predict_module
from glm2x.training.few_shot import train_draws
from glm2x.training.runfolder import RunFolder

NAMES = ("few-shot-n3-draw0", "few-shot-n3-draw1", "few-shot-all")
QUICK = {"training__epochs": 1}


def put_fakes(patch: pytest.MonkeyPatch) -> None:
    for module in (few_shot, run, tabulate):
        patch.setattr(module, "make_target", lambda *_: make_values())
    for module in (run, predict_module):
        patch.setattr(module, "HaplotypeDictionary", lambda cohort, window: FakeSource(window))
    patch.setattr(FakeCohort, "genes", GENES, raising=False)


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    put_fakes(monkeypatch)


def train_fakes(out: Path, counts: tuple[int | None, ...] = (3, None), **options: Any) -> pl.DataFrame:
    known = {key: options.pop(key) for key in ("resume", "force", "progress", "tell") if key in options}
    splits = few_shot_splits(options.pop("base", make_split()), counts, range(2))
    return read_predictions(
        train_draws(make_config(out, **(QUICK | options)), FakeCohort(), splits, **known)
    ).frame


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        put_fakes(patch)
        out = tmp_path_factory.mktemp("whole") / "curve"
        train_fakes(out)
    return out


def test_each_run_is_that_of_its_own_split(whole: Path, tmp_path: Path) -> None:
    table = read_predictions(whole / "predictions.parquet")
    base = make_split()
    assert (table.metadata.split_digest, table.metadata.family) == (None, base.digest)
    for name, split in few_shot_splits(base, (3, None), range(2)).items():
        assert Split.load(whole / name / "checkpoint/split.json") == split
        assert not split.draw or Split.load(whole / "splits" / f"{name}.json") == split
        size = len(split.train) + len(split.validation)
        rows = table.frame.filter(
            pl.col("train_individuals") == size, pl.col("draw").eq_missing(pl.lit(split.draw))
        )
        assert rows.height == len(GENES) * (size + 3)
        alone = run_training(tmp_path / name, split=split, **QUICK)
        own = tabulate.predictions_of(
            alone.checkpoint,
            FakeCohort(),
            individuals=(*split.train, *split.validation, *split.test),
            device="cpu",
        ).frame
        assert rows["predicted"].to_list() == own["predicted"].to_list()
        assert rows["individual_split"].to_list() == own["individual_split"].to_list()


def test_the_configuration_of_a_run_makes_the_same_run(whole: Path) -> None:
    for name in NAMES:
        config = (whole / name / "config.yml").read_text()
        assert f"out: {whole / name}\n" in config
        split = "split.json" if name == "few-shot-all" else str(whole / "splits" / f"{name}.json")
        assert f"split: {split}\n" in config


def test_each_finished_run_is_told(tmp_path: Path) -> None:
    told = []
    train_fakes(tmp_path / "c", tell=lambda one, of: told.append((one.name, of.facts()["done"])))
    assert told == [(name, True) for name in NAMES]


@pytest.mark.parametrize("stop", [1, 6, 9, 17])
def test_stopped_and_gone_on_with(whole: Path, tmp_path: Path, stop: int) -> None:
    out = tmp_path / "curve"
    with pytest.raises(StoppedError):
        train_fakes(out, progress=stop_after(stop))
    assert not (out / "predictions.parquet").exists()
    finished = {
        name: sha256(out / name / "run.json")
        for name in NAMES
        if (out / name / "run.json").exists() and RunFolder(out / name).facts()["done"]
    }
    assert len(finished) < len(NAMES)
    with pytest.raises(UsageError, match=r"holds (an interrupted|a finished) run"):
        train_fakes(out)
    made = train_fakes(out, resume=True)
    assert made.equals(read_predictions(whole / "predictions.parquet").frame)
    assert {name: sha256(out / name / "run.json") for name in finished} == finished


def test_a_finished_curve_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    out = tmp_path / "curve"
    first = train_fakes(out, (3,))
    with pytest.raises(UsageError, match="holds a finished run"):
        train_fakes(out, (3,))
    more = train_fakes(out, (3, None), resume=True)  # another number of people is only added
    assert more.filter(pl.col("train_individuals") == 3).equals(first)
    again = train_fakes(out, (3,), force=True, training__seed=4)
    assert again["predicted"].to_list() != first["predicted"].to_list()
    with pytest.raises(UsageError, match="give one of them"):
        train_fakes(out, (3,), force=True, resume=True)


def test_another_split_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "curve"
    train_fakes(out, (3,))
    with pytest.raises(DataError, match="were started with another split"):
        train_fakes(out, (3,), resume=True, base=make_split(seed=1))
    assert Split.load(out / "splits/few-shot-n3-draw0.json").family == make_split().digest


def test_the_folder_of_a_run_is_not_taken(tmp_path: Path) -> None:
    run_training(tmp_path / "run", **QUICK)
    with pytest.raises(UsageError, match="is itself a run"):
        train_fakes(tmp_path / "run", force=True)


def test_a_start_that_has_learnt_from_more_people_is_refused(tmp_path: Path) -> None:
    start = {"start_from": str(run_training(tmp_path / "start", **QUICK).checkpoint)}
    with pytest.raises(DataError, match="learnt from people whom a draw does not hold") as caught:
        train_fakes(tmp_path / "curve", (None, 3), **start)
    assert caught.value.got.startswith("few-shot-n3-draw0: 6 people more")
    assert not (tmp_path / "curve").exists()
    assert train_fakes(tmp_path / "all", (None,), **start).height


@pytest.mark.parametrize(
    "options",
    [
        {"training__batch_size": 64},
        {"training__sampler": "gene", "training__batch_size": None},
        {
            "training__sampler": "gene",
            "training__batch_size": None,
            "loss__kind": "mean-difference",
            "loss__pairwise": "none",
        },
        {"strategy": "reference"},
    ],
    ids=["large-batch", "gene", "mean-difference", "reference"],
)
def test_few_people_fill_no_batch_and_that_is_no_harm(tmp_path: Path, options: dict[str, Any]) -> None:
    base = make_split(validation=())
    made = train_fakes(tmp_path / "curve", (1, 2), base=base, **options)
    assert np.isfinite(made["predicted"].to_numpy()).all()
    assert sorted(made["train_individuals"].unique()) == [1, 2]
    state = (tmp_path / "curve/few-shot-n1-draw0/checkpoint/state.json").read_text()
    chosen = options.get("strategy") == "reference"  # whose epochs are chosen with genes
    assert ('"best": null' in state) is not chosen  # there is nobody to choose one with


def test_batches_of_too_few_haplotypes_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    options = {
        "head__name": "tower",
        "window": 146 * 256,
        "haplotypes": 1,
        "strategy": "personal",
        "training__sampler": "gene",
        "training__batch_size": None,
    }
    with pytest.raises(UsageError, match="a batch of too few haplotypes") as caught:
        train_fakes(tmp_path / "curve", (4, 1), base=make_split(validation=()), **options)
    assert caught.value.where == "few-shot-n1-draw0: training.batch_size"
    assert not (tmp_path / "curve").exists()


def test_a_target_that_a_draw_cannot_have_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(cohort: Any, split: Split, mode: str, kept: Any) -> Any:
        if len(split.train) < 4:
            raise UsageError("too many covariates")
        return make_values()

    monkeypatch.setattr(few_shot, "make_target", refused)
    with pytest.raises(UsageError, match="too many covariates") as caught:
        train_fakes(tmp_path / "curve", (6, 3))
    assert caught.value.where == "few-shot-n3-draw0"


def test_a_split_of_another_cohort_is_refused(tmp_path: Path) -> None:
    base = replace(make_split(), cohort_digest="d" * 64)
    with pytest.raises(DataError):
        train_fakes(tmp_path / "curve", base=base)
    assert PEOPLE[0] in base.train
