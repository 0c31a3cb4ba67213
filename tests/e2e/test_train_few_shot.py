"""`glm2x train --few-shot` on the demo data: killed, gone on with, and evaluated into a curve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.few_shot import draw_people
from glm2x.cohort.split import Split

NAMES = ("few-shot-n10-draw0", "few-shot-n10-draw1", "few-shot-n20-draw0", "few-shot-n20-draw1")


@pytest.fixture(scope="module")
def sides(demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of three genes, one of them unseen."""
    path = tmp_path_factory.mktemp("split") / "split.json"
    split = replace(
        demo_split,
        seen=demo_split.seen[:2],
        unseen=demo_split.seen[-1:],
        reference_validation=(),
        reference_excluded=(),
    )
    split.save(path)
    return path


def words(cohort: Cohort, sides: Path, out: Path, *more: str) -> list[str]:
    settings = {
        "cohort": cohort.folder,
        "split": sides,
        "out": out,
        "window": 1024,
        "training.epochs": 2,
        "training.device": "cpu",
    }
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    few = ["--few-shot", "10,20", "--draws", "2"]
    return ["train", "onehot-personal", *options, *few, *more]


def test_killed_gone_on_with_and_evaluated(
    demo_cohort: Cohort, sides: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "curve"
    process = subprocess.Popen(
        [sys.executable, "-m", "glm2x", *words(demo_cohort, sides, out)], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if (out / NAMES[1] / "run.json").is_file():
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    before = (out / NAMES[0] / "run.json").read_bytes()
    assert run(words(demo_cohort, sides, out)) == 2  # neither --resume nor --force
    assert "run" in capfd.readouterr().err
    assert run(words(demo_cohort, sides, out, "--resume")) == 0
    said = capfd.readouterr().err
    last = draw_people(Split.load(sides), 20, 1)
    learnt = f"{len(last.train)} people to train on, {len(last.validation)} to choose epochs with"
    assert f"trained few-shot-n20-draw1 ({learnt})" in said
    assert "4 runs; predictions of all in" in said
    assert (out / NAMES[0] / "run.json").read_bytes() == before
    evaluate = ["evaluate", out / "predictions.parquet", "--cohort", demo_cohort.folder, "--split", sides]
    assert run([str(word) for word in (*evaluate, "--out", tmp_path / "evaluation")]) == 0
    curve = pl.read_parquet(tmp_path / "evaluation/few_shot.parquet").filter(
        pl.col("cell") == "seen_gene/new_individual"
    )
    assert curve["train_individuals"].to_list() == [10, 20]
    assert curve["draws"].to_list() == [2, 2]
    assert curve["strategy"].unique().to_list() == ["personal"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--few-shot", "ten"], "is no list of numbers of people"),
        (["--draws", "2"], "goes with --few-shot"),
        (["--few-shot", "9999"], "these people cannot be drawn"),
    ],
)
def test_what_cannot_be_drawn(
    demo_cohort: Cohort,
    sides: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    command = words(demo_cohort, sides, tmp_path / "curve")[:-4]
    assert run([*command, *more]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "curve").exists()
