"""Enformer through the command line: each strategy trained on the demo cohort, predicted with, evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from s2f_checkpoints import write_enformer

STRATEGIES = ("reference", "personal", "reference-then-personal")
PEOPLE = ("HG00096", "HG00097", "HG00099", "HG00100", "HG00101", "HG00102", "HG00103", "HG00104")
# as shipped, but for what a small machine needs
SMALL = (
    "window=2048",
    "training.epochs=1",
    "training.batch_size=4",
    "training.device=cpu",
)


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, a split of eight people and four genes, and the lists it was made of."""
    folder = tmp_path_factory.mktemp("enformer")
    write_enformer(folder / "weights")
    people = [p for p in PEOPLE if p in set(demo_cohort.individuals)]
    assert len(people) >= 6
    lists = {"train": people[:4], "test": people[4:], "genes": demo_cohort.gene_ids[:4]}
    for name, lines in lists.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    assert _run("split", demo_cohort.folder, *_lists(folder), "--out", folder / "split.json") == 0
    return folder


def _lists(folder: Path) -> tuple[object, ...]:
    return ("--train", folder / "train", "--test", folder / "test")


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def _train(folder: Path, cohort: Cohort, strategy: str, *more: str) -> int:
    values = (
        f"cohort={cohort.folder}",
        f"split={folder / 'split.json'}",
        f"out={folder / strategy}",
        f"backbone.weights={folder / 'weights'}",
        f"genes.reference={folder / 'genes'}",
        f"genes.personal={folder / 'genes'}",
    )
    settings = [word for value in (*SMALL, *values, *more) for word in ("--set", value)]
    return _run("train", f"enformer-{strategy}", *settings)


def test_each_strategy_from_training_to_the_evaluation(folder: Path, demo_cohort: Cohort) -> None:
    for strategy in STRATEGIES:
        assert _train(folder, demo_cohort, strategy) == 0
    (folder / "weights").rename(folder / "weights gone")  # a checkpoint has its own
    tables = []
    for strategy in STRATEGIES:
        tables.append(folder / f"{strategy}.parquet")
        chosen = ("--individuals", folder / "test", "--genes", folder / "genes")
        words = ("--cohort", demo_cohort.folder, *chosen, "--out", tables[-1])
        assert _run("predict", folder / strategy / "checkpoint", *words) == 0
        phases = [line["phase"] for line in _history(folder / strategy)]
        assert phases == [phase for phase in ("reference", "personal") if phase in strategy]
        resolved = yaml.safe_load((folder / strategy / "config.yml").read_text())
        assert (resolved["training"]["learning_rate"], resolved["head"]["name"]) == (1e-6, "attention-pool")
        predicted = pl.read_parquet(tables[-1])
        assert sorted(set(predicted["individual"])) == sorted((folder / "test").read_text().split())
        assert predicted["predicted"].is_finite().all()
        assert predicted["predicted"].n_unique() > predicted["gene"].n_unique() == 4
    sides = ("--cohort", demo_cohort.folder, "--split", folder / "split.json")
    assert _run("evaluate", *tables, *sides, "--out", folder / "evaluation") == 0
    cells = json.loads((folder / "evaluation/metrics.json").read_text())["cells"]
    models = {f"enformer {strategy}" for strategy in STRATEGIES}
    assert models <= set(cells["seen_gene/new_individual"])


def _history(run_folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run_folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("backbone.weights=nowhere", 1, "hf download EleutherAI/enformer-official-rough"),
        ("window=1024", 2, "10 bins of 128 bp"),
        ("backbone.revision=v1", 2, "has no revisions"),
    ],
)
def test_what_does_not_go_is_said(
    setting: str,
    code: int,
    said: str,
    folder: Path,
    demo_cohort: Cohort,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert _train(folder, demo_cohort, "reference", f"out={tmp_path / 'run'}", setting) == code
    message = capfd.readouterr().err
    assert said in message
    assert "Traceback" not in message
    assert not (tmp_path / "run/checkpoint").exists()
