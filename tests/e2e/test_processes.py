"""Training and prediction by two processes that torchrun starts, as a user types it, on the demo data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split


def torchrun(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command of glm2x in two processes."""
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*start, "-m", "glm2x", *(str(word) for word in words)],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


def ours(done: subprocess.CompletedProcess[str]) -> str:
    """Return what glm2x said, without torchrun's account of a failure."""
    lines = done.stderr.splitlines()
    end = next((n for n, line in enumerate(lines) if "torch/distributed/elastic" in line), len(lines))
    return "\n".join(lines[:end])


@pytest.fixture(scope="module")
def trained(
    demo_cohort: Cohort, demo_split: Split, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The folder of a run by two processes, and the words that made it."""
    folder = tmp_path_factory.mktemp("processes")
    demo_split.save(folder / "split.json")
    settings = {
        "cohort": demo_cohort.folder,
        "split": folder / "split.json",
        "out": folder / "run",
        "window": 4096,
        "strategy": "personal",
        "training.epochs": 2,
        "training.device": "cpu",
        "training.devices": 2,
    }
    words = ["train", "onehot-personal"]
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = torchrun(*words)
    assert done.returncode == 0, done.stderr
    said = ours(done)
    assert said.count("trained onehot (personal): ") == 1
    assert said.count("s on cpu in 2 processes") == 1
    assert len(re.findall(r"personal phase: .*\bdone in ", said)) == 1
    return folder, words


def test_two_processes_train_one_model(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    facts = json.loads((folder / "run/run.json").read_text())
    assert (facts["done"], facts["processes"], facts["device"]) == (True, 2, "cpu")
    epochs = [json.loads(line)["epoch"] for line in (folder / "run/history.jsonl").read_text().splitlines()]
    assert epochs == [1, 2]


def test_two_processes_predict_what_one_does(trained: tuple[Path, list[str]], demo_cohort: Cohort) -> None:
    folder, _ = trained
    words = ["predict", folder / "run/checkpoint", "--cohort", demo_cohort.folder, "--device", "cpu", "--out"]
    assert run([str(word) for word in (*words, folder / "one.parquet")]) == 0
    done = torchrun(*words, folder / "two.parquet")
    assert done.returncode == 0, done.stderr
    assert ours(done).count("predicted 26 genes in 358 people") == 1
    one, two = (pl.read_parquet(folder / f"{name}.parquet") for name in ("one", "two"))
    assert one.drop("predicted").equals(two.drop("predicted"))
    assert (one["predicted"] - two["predicted"]).abs().max() < 1e-5


def test_a_refusal_is_one_message(trained: tuple[Path, list[str]]) -> None:
    folder, words = trained
    before = (folder / "run/run.json").read_text()
    done = torchrun(*words)
    assert done.returncode != 0
    said = ours(done)
    assert said.count("glm2x: ") == said.count("the output folder holds a finished run") == 1
    assert "Traceback" not in said
    assert (folder / "run/run.json").read_text() == before
