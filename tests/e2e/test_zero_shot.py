"""`glm2x zero-shot` on the demo data: small random weights with heads, the table, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import zero_shot_checkpoints as checkpoints
from glm2x.cli import run
from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.sources import CohortSources
from glm2x.cohort.split import Split


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return checkpoints.save(checkpoints.enformer(), checkpoints.ENFORMER, folder / "enformer")


@pytest.fixture(scope="module")
def split(demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("split") / "split.json"
    demo_split.save(path)
    return path


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def test_predicted_and_evaluated(
    demo_cohort: Cohort, split: Path, weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "genes").write_text("\n".join(demo_cohort.gene_ids[:3]))
    words = ("--cohort", demo_cohort.folder, "--split", split, "--window", 2048, "--batch-size", 32)
    words = (*words, "--weights", weights, "--genes", tmp_path / "genes", "--device", "cpu")
    for name, tracks in (("first", "4"), ("second", "4,7")):
        out = ("--out", tmp_path / f"{name}.parquet")
        assert _run("zero-shot", "enformer", *words, "--tracks", tracks, "--label", name, *out) == 0
    said = capfd.readouterr().err
    assert "tracks: 4, 7" in said
    assert "shorter than the 196608 bp" in said
    assert "predicted 3 genes in 358 people" in said
    table = pl.read_parquet(tmp_path / "first.parquet")
    assert table["strategy"].unique().to_list() == ["zero-shot"]
    assert (table.group_by("gene").agg(pl.col("predicted").std())["predicted"] > 0).all()
    tables = (tmp_path / "first.parquet", tmp_path / "second.parquet")
    sides = ("--cohort", demo_cohort.folder, "--split", split)
    assert _run("evaluate", *tables, *sides, "--out", tmp_path / "evaluation") == 0
    metrics = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    cell = metrics["cells"]["seen_gene/new_individual"]
    assert set(cell) == {"first", "second"}
    assert cell["first"]["individuals"] == 108
    assert not any(check["status"] == "fail" for check in metrics["checks"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--tracks", "5110;4"], 2, "numbers by commas"),
        (["--tracks", "12"], 2, "no track 12"),
        (["--window", "2000"], 2, "no window of this length"),
        (["--batch-size", "0"], 2, "1 or more"),
        (["--target", "residual"], 2, "give --split"),
        (["--covariates-keep", "PC1"], 2, "goes with --target residual"),
        (["--split", "none.json"], 1, "none.json"),
        (["--weights", "nowhere"], 1, "hf download EleutherAI/enformer-official-rough"),
        (["--revision", "v1"], 2, "no revisions"),
    ],
)
def test_what_is_wrong_is_one_message(
    demo_cohort: Cohort,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = {"--tracks": "4", "--window": "2048", "--weights": str(weights), "--device": "cpu"}
    usual |= dict(zip(words[::2], words[1::2], strict=True))
    options = [word for pair in usual.items() for word in pair]
    assert _run("zero-shot", "enformer", "--cohort", demo_cohort.folder, "--out", "z.csv", *options) == code
    assert said in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_official_weights_offline_are_asked_for_by_name(
    demo_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    words = ("--cohort", demo_cohort.folder, "--out", tmp_path / "z.csv")
    assert _run("zero-shot", "borzoi", *words) == 1
    assert "hf download johahi/borzoi-replicate-0" in capfd.readouterr().err


def test_a_cohort_without_a_reference_says_so(
    demo_sources: CohortSources, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = CohortSources(variants=demo_sources.variants, expression=demo_sources.expression)
    build_cohort(bare, tmp_path / "cohort")
    words = ("--cohort", tmp_path / "cohort", "--out", tmp_path / "z.csv")
    assert _run("zero-shot", "enformer", *words) == 2
    assert "without a reference" in capfd.readouterr().err


def test_under_torchrun_it_is_refused(
    demo_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each process would do all the work."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (
        _run("zero-shot", "enformer", "--cohort", demo_cohort.folder, "--out", tmp_path / "out.parquet") == 2
    )
    assert "torchrun has started several" in capfd.readouterr().err
