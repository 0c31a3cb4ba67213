"""The shipped experiments of both on the demo data, by the commands that a user types, with small weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from alphagenome_checkpoints import write_alphagenome
from borzoi_checkpoints import write_borzoi
from glm2x.cli import run
from glm2x.cohort.cohort import Cohort

STRATEGIES = ("reference", "personal", "reference-then-personal")
PEOPLE, GENES = 4, 4


@dataclass(frozen=True)
class Model:
    name: str
    write: Callable[[Path], object]
    window: int
    refused: int
    instead: str
    unused: tuple[str, ...]  # parts of the weights that are left out
    watched: tuple[str, str]  # a weight and a running statistic


BORZOI = Model(
    *("borzoi", write_borzoi, 512, 500, "window: 384 or 512", ("human_head.", "mouse_head.")),
    ("conv_dna.conv_layer.weight", "res_tower.0.norm.running_mean"),
)
ALPHAGENOME = Model(
    *("alphagenome", write_alphagenome, 2048, 2500, "window: 2048 or 4096"),
    ("sequence_decoder.", "output_x.", "output_pair.", "_heads."),
    ("org_embedder.weight", "output_t.norm.var_EMA"),
)
needs_alphagenome = pytest.mark.skipif(
    importlib.util.find_spec("alphagenome_pt") is None, reason="needs the extra alphagenome"
)


@dataclass(frozen=True)
class Runs:
    model: Model
    cohort: Cohort
    folder: Path

    def settings(self, **more: object) -> list[str]:
        """Return the words of `train` that change a shipped experiment in nothing but its size."""
        values = {
            "cohort": self.cohort.folder,
            "split": self.folder / "split.json",
            "backbone.weights": next(self.folder.glob("weights*")),
            "backbone.revision": "null",
            "window": self.model.window,
            "training.epochs": 1,
            "training.learning_rate": 1e-4,
            "training.device": "cpu",
        }
        return [word for key, value in (values | more).items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(
    scope="module",
    params=[BORZOI, pytest.param(ALPHAGENOME, marks=needs_alphagenome)],
    ids=lambda model: model.name,
)
def runs(
    request: pytest.FixtureRequest, demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Runs:
    """Weights, a split of few people and genes, and a run of each strategy."""
    runs = Runs(request.param, demo_cohort, tmp_path_factory.mktemp(request.param.name))
    runs.model.write(runs.folder / "weights")
    people = demo_cohort.individuals
    lists = {
        "train": people[:PEOPLE],
        "test": people[PEOPLE : 2 * PEOPLE],
        "genes": demo_cohort.gene_ids[:GENES],
    }
    words: list[object] = ["--window", runs.model.window, "--reference-validation-share", 0.25]
    for name, members in lists.items():
        (runs.folder / f"{name}.txt").write_text("\n".join(members))
        words += [f"--{name}", runs.folder / f"{name}.txt"]
    assert _run("split", demo_cohort.folder, *words, "--out", runs.folder / "split.json") == 0
    for strategy in STRATEGIES:
        more: dict[str, object] = {"out": runs.folder / strategy}
        if strategy == "personal":
            more |= {"training.batch": "haplotypes", "training.activation_checkpointing": "true"}
        assert _run("train", f"{runs.model.name}-{strategy}", *runs.settings(**more)) == 0
    return runs


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def test_training_moves_the_trunk_and_the_running_statistics(runs: Runs) -> None:
    start = load_file(next(runs.folder.glob("weights*")) / "model.safetensors")
    for strategy in STRATEGIES:
        state = load_file(runs.folder / strategy / "checkpoint/model.safetensors")
        names = {name.removeprefix("backbone.model."): name for name in state if name.startswith("backbone.")}
        assert set(names) == {name for name in start if not name.startswith(runs.model.unused)}
        for name in runs.model.watched:
            assert not torch.equal(state[names[name]], start[name])


def test_people_who_were_not_trained_on_are_predicted_and_evaluated(runs: Runs) -> None:
    folder = runs.folder
    (folder / "weights").rename(folder / "weights elsewhere")  # a checkpoint predicts without them
    lists = ("--individuals", folder / "test.txt", "--genes", folder / "genes.txt")
    files = [folder / f"{strategy}.parquet" for strategy in STRATEGIES]
    for strategy, out in zip(STRATEGIES, files, strict=True):
        words = ("--cohort", runs.cohort.folder, *lists, "--device", "cpu", "--out", out)
        assert _run("predict", folder / strategy / "checkpoint", *words) == 0
    predicted = []
    for strategy, file in zip(STRATEGIES, files, strict=True):
        table = pl.read_parquet(file)
        assert len(table) == PEOPLE * GENES
        assert table["strategy"].unique().to_list() == [strategy]
        assert table["individual_split"].unique().to_list() == ["test"]
        assert table["predicted"].is_finite().all()
        assert table.group_by("gene").agg(pl.col("predicted").std())["predicted"].max() > 0
        predicted.append(tuple(table.sort("gene", "individual")["predicted"]))
    assert len(set(predicted)) == len(STRATEGIES)
    sides = ("--cohort", runs.cohort.folder, "--split", folder / "split.json")
    assert _run("evaluate", *files, *sides, "--out", folder / "evaluation") == 0
    metrics = json.loads((folder / "evaluation/metrics.json").read_text())
    cell = metrics["cells"]["seen_gene/new_individual"]
    assert set(cell) == {f"{runs.model.name} {strategy}" for strategy in STRATEGIES}
    assert {values["individuals"] for values in cell.values()} == {PEOPLE}
    assert not any(check["status"] == "fail" for check in metrics["checks"])


def test_a_window_that_the_model_does_not_take_is_refused(
    runs: Runs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = runs.settings(window=runs.model.refused, out=tmp_path / "run")
    assert _run("train", f"{runs.model.name}-personal", *settings) == 2
    assert runs.model.instead in capfd.readouterr().err
    assert not (tmp_path / "run/checkpoint").exists()
