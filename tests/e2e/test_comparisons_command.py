"""`glm2x report RUN...` on the demo data: runs, evaluations and tables in one evaluation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort

MAIN = "seen_gene/new_individual"
QUICK = ("window=2048", "training.epochs=1", "training.batch_size=64")
RUNS = {"seed0": (), "seed1": ("training.seed=1",), "fast": ("training.learning_rate=0.01",)}


def _run(*words: object) -> int:
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def made(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of six genes, baselines, an evaluation of them, and three runs: two seeds, and another rate."""
    folder = tmp_path_factory.mktemp("runs")
    split = folder / "split.json"
    (folder / "genes").write_text("\n".join(demo_cohort.gene_ids[:6]) + "\n")
    words = ("--preset", "s250", "--genes", folder / "genes", "--out", split)
    assert _run("split", demo_cohort.folder, *words) == 0
    linear = folder / "linear.parquet"
    words = ("--split", split, "--window", 2048, "--models", "training-mean,ridge", "--out", linear)
    assert _run("baseline", demo_cohort.folder, *words) == 0
    assert _run("evaluate", linear, "--split", split, "--out", folder / "evaluation") == 0
    for name, changes in RUNS.items():
        paths = (f"cohort={demo_cohort.folder}", f"split={split}", f"out={folder / name}")
        settings = [word for setting in (*QUICK, *changes, *paths) for word in ("--set", setting)]
        assert _run("train", "onehot-personal", *settings) == 0
    return folder


def _metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def _without_predictions(run_folder: Path, folder: Path, cohort: str = "") -> Path:
    """A copy of a run that has predicted nothing; with `cohort` as where its cohort lay."""
    copy = Path(shutil.copytree(run_folder, folder / run_folder.name))
    (copy / "predictions.parquet").unlink(missing_ok=True)
    if cohort:
        config = (copy / "config.yml").read_text().splitlines()
        config = [f"cohort: {cohort}" if line.startswith("cohort:") else line for line in config]
        (copy / "config.yml").write_text("\n".join(config) + "\n")
        facts = json.loads((copy / "run.json").read_text())
        facts = {key: value for key, value in facts.items() if key not in ("checksum", "config_sha256")}
        (copy / "run.json").write_text(json.dumps(facts))
    return copy


def test_runs_are_compared_and_predict_once(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [made / name for name in (*RUNS, "linear.parquet", "evaluation")]
    assert _run("report", *arguments, "--out", tmp_path / "both") == 0
    said = capfd.readouterr().err
    assert all(f"{name}: predicting with its checkpoint" in said for name in RUNS)
    assert "the same predictions stand in linear.parquet, evaluation and are taken once" in said
    cell = _metrics(tmp_path / "both")["cells"][MAIN]
    assert set(cell) == {"training-mean", "ridge", "onehot (seed0)", "onehot (fast)"}
    assert cell["onehot (seed0)"]["seeds"]["n"] == 2
    assert set(cell["onehot (seed0)"]["seeds"]["mean_pearson_by_seed"]) == {"0", "1"}
    pairs = {(c["a"], c["b"]) for c in _metrics(tmp_path / "both")["comparisons"] if c["cell"] == MAIN}
    assert ("onehot (fast)", "onehot (seed0)") in pairs
    page = (tmp_path / "both/report.html").read_text()
    assert "comparison of 5 results" in page
    assert "mean of 2 runs" in page
    assert "learning rate" in page
    assert page.count("personal phase</p>") == 3

    # how it was made is on record, and its numbers lie beside the page
    found = json.loads((tmp_path / "both/made.json").read_text())["made"]
    assert found[-1]["words"] == ["report", *map(str, arguments), "--out", str(tmp_path / "both")]
    assert [one["words"][0] for one in found].count("train") == len(RUNS)
    runs = pl.read_parquet(tmp_path / "both/report-data/runs.parquet")
    assert sorted(runs["run"]) == sorted(RUNS)
    means = cell["onehot (seed0)"]["seeds"]["mean_pearson_by_seed"]
    assert runs.filter(pl.col("run") == "seed1")["mean_pearson"].item() == pytest.approx(means["1"])
    cost = pl.read_parquet(tmp_path / "both/report-data/cost.parquet")
    assert cost["command"].str.starts_with("train ").sum() == len(RUNS)

    table = pl.read_parquet(made / "seed0/predictions.parquet")
    assert (table["gene"].n_unique(), table["individual"].n_unique()) == (6, 358)
    assert _run("report", made / "seed0", made / "seed1", "--out", tmp_path / "again") == 0
    assert "predicting" not in capfd.readouterr().err
    assert list(_metrics(tmp_path / "again")["cells"][MAIN]) == ["onehot"]


def test_predictions_of_another_checkpoint_are_made_again(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    one = _without_predictions(made / "seed0", tmp_path)
    assert _run("report", one, "--out", tmp_path / "first") == 0
    table = one / "predictions.parquet"
    fresh, said = pl.read_parquet(table), pl.read_parquet_metadata(table)
    sealed = "glm2x.content"
    stale = {key: value for key, value in said.items() if key.startswith("glm2x.") and key != sealed}
    fresh.with_columns(predicted=0.5).write_parquet(
        table, metadata=stale | {"glm2x.checkpoint_digest": "0" * 64}
    )
    capfd.readouterr()
    assert _run("report", one, "--out", tmp_path / "second") == 0
    assert "predicting with its checkpoint" in capfd.readouterr().err
    assert pl.read_parquet(table).equals(fresh)
    fresh.write_parquet(table)  # it does not say who made it
    assert _run("report", one, "--out", tmp_path / "third") == 2
    assert "do not say which checkpoint made them" in capfd.readouterr().err
    assert _run("report", one, "--out", tmp_path / "third", "--force") == 0
    assert pl.read_parquet_metadata(table)["glm2x.checkpoint_digest"] == stale["glm2x.checkpoint_digest"]


def test_a_cohort_that_moved_is_named(
    made: Path, tmp_path: Path, demo_cohort: Cohort, capfd: pytest.CaptureFixture[str]
) -> None:
    one = _without_predictions(made / "seed0", tmp_path, cohort="/nowhere/cohort")
    assert _run("report", one, "--out", tmp_path / "out") == 1
    said = capfd.readouterr().err
    assert "the cohort is not where it was when the run was trained" in said
    assert "/nowhere/cohort" in said
    assert "--cohort" in said
    assert not (tmp_path / "out").exists()
    assert _run("report", one, "--out", tmp_path / "out", "--cohort", demo_cohort.folder) == 0
    assert _run("report", one, "--out", tmp_path / "more") == 0  # predicted already; no cohort is needed
    assert "evaluated without the cohort, which is not at /nowhere/cohort" in capfd.readouterr().err


def test_runs_that_are_not_to_predict_show_their_training(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = [_without_predictions(made / name, tmp_path) for name in ("seed0", "fast")]
    assert _run("report", *runs, "--no-predict", "--out", tmp_path / "none") == 1
    assert "nothing can be compared" in capfd.readouterr().err
    words = (made / "linear.parquet", "--no-predict", "--out", tmp_path / "out")
    assert _run("report", *runs, *words) == 0
    assert not (runs[0] / "predictions.parquet").exists()
    page = (tmp_path / "out/report.html").read_text()
    assert "seed0 is not among the predictions: its checkpoint has predicted nothing yet" in page
    assert page.count("personal phase</p>") == 2


def test_one_evaluation_is_drawn_as_it_is(made: Path, tmp_path: Path) -> None:
    before = (made / "evaluation/metrics.json").read_bytes()
    page = tmp_path / "page.html"
    assert _run("report", made / "evaluation", made / "fast", "--run", made / "seed1", "--out", page) == 0
    assert (made / "evaluation/metrics.json").read_bytes() == before
    assert page.read_text().count("personal phase</p>") == 2
    assert "comparison of" not in page.read_text()
    assert _run("report", made / "evaluation", "--no-predict") == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "nothing to report on was given"),
        (["MADE"], 1, "this is nothing that a report is drawn of"),
        (["MADE/nothing.parquet"], 1, "nothing at that path"),
        (["MADE/fast", "MADE/fast", "--out", "MADE/evaluation"], 2, "is there already"),
    ],
)
def test_what_cannot_be_reported_on(
    made: Path, capfd: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert _run("report", *(word.replace("MADE", str(made)) for word in words)) == code
    assert said in capfd.readouterr().err


def test_json_is_all_that_stands_on_standard_output(
    made: Path, tmp_path: Path, demo_cohort: Cohort, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run("evaluate", made / "linear.parquet", "--json", "--out", tmp_path / "e") == 0
    assert json.loads(capfd.readouterr().out) == _metrics(tmp_path / "e")
    assert _run("cohort", "check", demo_cohort.folder, "--json") == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["digest"], told["files"]) == (demo_cohort.digest, 8)
    assert (told["counts"]["genes"], told["counts"]["kinds"]["snp"]) == (26, 1_864)
    assert _run("config", "show") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "epochs", "window"]
    assert ["onehot-personal", "30", "64,000"] in [line.split() for line in lines]
