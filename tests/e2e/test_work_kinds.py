"""Predictions and sweeps as work: what the plain commands write, by whatever processes."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.commands.recorded import of_checkpoint
from glm2x.provenance import artefact
from glm2x.seal import sealed
from glm2x.sidecar import history_of
from work_cases import alive, completed, end_started, glm2x, start, wait_until, workers

SETTINGS = ("window=4096", "training.epochs=6", "training.device=cpu", "head.name=attention-pool")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of a few people and genes, and a run on it by one thread."""
    folder = tmp_path_factory.mktemp("kinds")
    small = replace(
        demo_split,
        train=demo_split.train[:12],
        validation=demo_split.validation[:4],
        test=demo_split.test[:6],
        seen=demo_split.seen[:3],
        unseen=(),
        reference_validation=demo_split.reference_validation and demo_split.seen[:1],
        reference_excluded=(),
        excluded_genes={},
    )
    small.save(folder / "split.json")
    assert (
        glm2x("train", "onehot-personal", *words(demo_cohort, folder), "--set", f"out={folder / 'run'}") == 0
    )
    return folder


def words(cohort: Cohort, folder: Path) -> list[str]:
    values = (*SETTINGS, f"cohort={cohort.folder}", f"split={folder / 'split.json'}")
    return [word for value in values for word in ("--set", value)]


def test_predictions_are_the_plain_command_s_bytes(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "genes").write_text("\n".join(demo_cohort.gene_ids[5:0:-1]))  # in an order of their own
    asked = (folder / "run/checkpoint", "--cohort", demo_cohort.folder, "--genes", tmp_path / "genes")
    plain, work = tmp_path / "plain.parquet", tmp_path / "work"
    assert glm2x("predict", *asked, "--device", "cpu", "--out", plain) == 0
    threads = ("--threads", int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    planned = ("--device", "cpu", "--genes-per-shard", 2, *threads, "--out", work)
    assert glm2x("work", "plan", "predict", *asked, *planned) == 0
    assert glm2x("work", "run", work, "--workers", 2) == 0
    assert glm2x("work", "finish", work) == 0
    assert (work / "predictions.parquet").read_bytes() == plain.read_bytes()
    assert len(completed(work)) == 3
    told = history_of([artefact("predictions", work / "predictions.parquet")]).made
    assert [made.words[0] for made in told] == ["train", "work", "work", "work"]
    planned, finished = told[1], told[-1]
    assert [one.role for one in finished.inputs] == ["cohort", "checkpoint"]
    assert [one.role for one in planned.inputs] == ["cohort", "checkpoint", "genes"]
    assert planned.inputs[1].digest == of_checkpoint(folder / "run/checkpoint")[0].digest


def test_another_checkpoint_or_cohort_than_the_planned_one_is_refused(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    asked = (folder / "run/checkpoint", "--cohort", demo_cohort.folder, "--device", "cpu")
    assert glm2x("work", "plan", "predict", *asked, "--threads", 1, "--out", work) == 0
    plan = json.loads((work / "plan.json").read_text())
    plan["inputs"]["checkpoint"]["digest"] = "0" * 64
    (work / "plan.json").write_text(json.dumps(sealed(plan)))
    assert glm2x("work", "run", work, "--shard", 0) == 1
    assert "the checkpoint is another than the one that was planned with" in capsys.readouterr().err


def test_a_sweep_that_was_killed_goes_on_and_ends_in_the_same_models(
    folder: Path, demo_cohort: Cohort, tmp_path: Path
) -> None:
    planned = ("onehot-personal", *words(demo_cohort, folder), "--set", "out=unused", "--seeds", "0-1")
    for name in ("whole", "killed"):
        assert glm2x("work", "plan", "sweep", *planned, "--threads", 1, "--out", tmp_path / name) == 0
    assert glm2x("work", "run", tmp_path / "whole", "--workers", 1) == 0
    work = tmp_path / "killed"
    process = start("work", "run", work, "--workers", 2)
    wait_until(lambda: list((work / "runs").glob("*/phases/personal/last")))
    process.kill()
    process.communicate()
    wait_until(lambda: not alive(workers(work)))
    assert glm2x("work", "finish", work) == 1
    assert glm2x("work", "run", work, "--workers", 2) == 0
    for folder_ in (tmp_path / "whole", work):
        assert glm2x("work", "finish", folder_) == 0
    models = [
        {p.parent.parent.name: p.read_bytes() for p in (tmp_path / name).glob("runs/*/checkpoint/model.*")}
        for name in ("whole", "killed")
    ]
    assert models[0] == models[1]
    assert sorted(models[0]) == ["onehot-personal-seed0", "onehot-personal-seed1"]
    lines = list(csv.DictReader((work / "runs.csv").read_text().splitlines()))
    assert [(line["run"], line["seed"], line["epochs"]) for line in lines] == [
        ("onehot-personal-seed0", "0", "6"),
        ("onehot-personal-seed1", "1", "6"),
    ]
    assert all((work / line["checkpoint"]).is_dir() for line in lines)
    model = history_of(of_checkpoint(work / lines[1]["checkpoint"]))
    assert [made.words[:2] for made in model.made] == [("work", "plan"), ("work", "run"), ("work", "finish")]
    assert {one.role for one in model.made[-1].inputs} == {"cohort", "split"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--seeds", "0,0"), "two runs of the sweep would have the same name"),
        (("--seeds", "a"), "--seeds is a list of seeds"),
        (("--threads", 0), "--threads is 1 or more"),
    ],
)
def test_sweeps_that_cannot_be(
    more: tuple[object, ...],
    said: str,
    folder: Path,
    demo_cohort: Cohort,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ("onehot-personal", *words(demo_cohort, folder), "--set", "out=unused")
    assert glm2x("work", "plan", "sweep", *given, *more, "--out", tmp_path / "work") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
