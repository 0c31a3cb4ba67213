"""The ridge regression on pooled embeddings, from the store to the evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import RidgeCV

from glm2x.backbones.kmer import kmer_vectors
from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target

WINDOW = 2_048
GENES = 2


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two genes, a split of people and these genes."""
    folder = tmp_path_factory.mktemp("ridge")
    (folder / "genes").write_text("\n".join(demo_cohort.gene_ids[:GENES]) + "\n")
    words = ("split", demo_cohort.folder, "--preset", "s250", "--out", folder / "split.json")
    assert _run(*words, "--genes", folder / "genes") == 0
    plan = (
        "--backbone",
        "kmer",
        "--cohort",
        demo_cohort.folder,
        "--window",
        WINDOW,
        "--out",
        folder / "store",
    )
    assert _run("embed", "plan", *plan, "--split", folder / "split.json", "--device", "cpu") == 0
    assert _run("embed", "run", folder / "store") == 0
    return folder


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def test_it_is_fitted_to_what_the_haplotypes_hold(folder: Path, demo_cohort: Cohort) -> None:
    split = folder / "split.json"
    out = ("--out", folder / "predictions.parquet", "--embeddings", folder / "store")
    assert _run("baseline", demo_cohort.folder, "--split", split, "--models", "training-mean", *out) == 0
    table = pl.read_parquet(folder / "predictions.parquet").filter(pl.col("model") == "ridge-kmer")
    assert table["gene"].n_unique() == GENES
    gene = demo_cohort.gene_ids[1]
    predicted = dict(table.filter(pl.col("gene") == gene).select("individual", "predicted").iter_rows())

    # by hand: counts of 6-mers times their vectors, over the window and both haplotypes
    sides = Split.load(split)
    fit = np.sort(demo_cohort.individual_index((*sides.train, *sides.validation)))
    test = demo_cohort.individual_index(sides.test)
    found = HaplotypeDictionary(demo_cohort, WINDOW).gene(gene)
    vectors = kmer_vectors()
    padded = np.pad(found.codes(), ((0, 0), (0, -WINDOW % 6)), constant_values=4).reshape(
        found.n_unique, -1, 6
    )
    pooled = vectors[(padded * 5 ** np.arange(5, -1, -1)).sum(axis=2)].mean(axis=1)[found.index].mean(axis=1)
    spread = pooled[fit].std(axis=0)
    kept = spread > 1e-6
    standard = ((pooled - pooled[fit].mean(axis=0)) / np.where(kept, spread, 1))[:, kept].astype(np.float64)
    target = make_target(demo_cohort, sides, "log").values[1]
    # the grid of `ridge`: leave-one-out errors are flat, and another grid finds another least
    penalties = kept.sum() * np.geomspace(1e-2, 1e2, 41)
    model = RidgeCV(alphas=penalties).fit(standard[fit], target[fit])
    expected = model.predict(standard[test])
    ours = np.array([predicted[person] for person in sides.test])
    assert np.abs(ours - expected).max() < 1e-3 * expected.std()


def test_it_is_evaluated_beside_the_others(folder: Path, demo_cohort: Cohort) -> None:
    table = folder / "few.parquet"
    words = ("--split", folder / "split.json", "--models", "ridge", "--embeddings", folder / "store")
    assert _run("baseline", demo_cohort.folder, *words, "--out", table) == 0
    sides = ("--cohort", demo_cohort.folder, "--split", folder / "split.json")
    assert _run("evaluate", table, *sides, "--out", folder / "evaluation") == 0
    cells = json.loads((folder / "evaluation/metrics.json").read_text())["cells"]
    assert {"ridge", "ridge-kmer"} <= cells["seen_gene/new_individual"].keys()


def test_what_the_store_lacks_is_said(
    folder: Path, demo_cohort: Cohort, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("split", demo_cohort.folder, "--preset", "s250", "--out", tmp_path / "all.json")
    assert _run(*words) == 0
    words = ("--split", tmp_path / "all.json", "--models", "ridge", "--embeddings", folder / "store")
    assert _run("baseline", demo_cohort.folder, *words, "--out", tmp_path / "table.parquet") == 1
    told = capsys.readouterr().err
    assert "the embedding store lacks" in told
    assert demo_cohort.gene_ids[GENES] in told
    words = ("--split", folder / "split.json", "--models", "ridge-evo2", "--out", tmp_path / "table.parquet")
    assert _run("baseline", demo_cohort.folder, *words) == 2
    assert not (tmp_path / "table.parquet").exists()
