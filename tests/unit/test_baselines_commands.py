"""The commands of linear models: few people drawn, what they write beside predictions, and weights."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fit_command import baseline

from glm2x.baselines.summary import GENE_COLUMNS
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.few_shot import draw_people
from glm2x.cohort.split import Split
from glm2x.commands.weights import apply, export, show
from glm2x.errors import DataError, UsageError
from glm2x.predictions import read_predictions

MODELS = "training-mean,ridge,gblup"


@pytest.fixture(scope="module")
def sides(demo_split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of four genes, on file."""
    path = tmp_path_factory.mktemp("split") / "split.json"
    replace(demo_split, seen=demo_split.seen[:4]).save(path)
    return path


@pytest.fixture(scope="module")
def linear(demo_cohort: Cohort, sides: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what one run writes."""
    folder = tmp_path_factory.mktemp("linear")
    baseline(
        demo_cohort.folder,
        split=sides,
        out=folder / "p.parquet",
        models=MODELS,
        weights_out=folder / "w.parquet",
        genes_out=folder / "genes.parquet",
    )
    return folder


def test_few_people_are_drawn_and_everything_is_in_one_table(
    demo_cohort: Cohort, sides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, genes = tmp_path / "p.parquet", tmp_path / "g.parquet"
    baseline(
        demo_cohort.folder,
        split=sides,
        out=out,
        models="ridge",
        few_shot="20,10,all",
        draws=2,
        genes_out=genes,
    )
    base = Split.load(sides)
    table = read_predictions(out)
    assert (table.metadata.split_digest, table.metadata.family) == (None, base.digest)
    sizes = table.frame.group_by("train_individuals", "draw").agg(pl.col("gene").n_unique(), pl.len())
    assert sorted(sizes.iter_rows(), key=str) == sorted(
        [(n, draw, 4, 4 * (n + len(base.test))) for n in (10, 20) for draw in (0, 1)]
        + [(250, None, 4, 4 * (250 + len(base.test)))],
        key=str,
    )
    drawn = draw_people(base, 10, 1)
    rows = table.frame.filter(pl.col("train_individuals") == 10, pl.col("draw") == 1)
    trained = rows.filter(pl.col("individual_split").cast(pl.String) == "train")["individual"].cast(pl.String)
    assert set(trained) == set(drawn.train)
    assert pl.read_parquet(genes).height == 5 * 4
    assert "1 baselines of 4 genes, 5 fits each" in capsys.readouterr().err


def test_a_draw_is_what_its_own_split_gives(demo_cohort: Cohort, sides: Path, tmp_path: Path) -> None:
    drawn = draw_people(Split.load(sides), 20, 0)
    drawn.save(tmp_path / "drawn.json")
    options = {"models": "ridge", "target": "log"}
    baseline(demo_cohort.folder, split=tmp_path / "drawn.json", out=tmp_path / "one.parquet", **options)  # type: ignore[arg-type]
    baseline(  # type: ignore[call-overload]
        demo_cohort.folder, split=sides, out=tmp_path / "few.parquet", few_shot="20", draws=1, **options
    )
    one, few = (read_predictions(tmp_path / name).frame for name in ("one.parquet", "few.parquet"))
    columns = ["gene", "individual", "predicted"]
    assert one.select(columns).equals(few.select(columns))


def test_the_table_of_genes(linear: Path) -> None:
    table = pl.read_parquet(linear / "genes.parquet")
    assert dict(table.schema) == GENE_COLUMNS
    assert table["model"].unique(maintain_order=True).to_list() == MODELS.split(",")
    mean, ridge, gblup = table.partition_by("model", maintain_order=True)
    assert mean["variants_in_model"].to_list() == [0] * 4
    assert ridge["variants_in_model"].equals(ridge["variants"])
    assert ridge["h2"].null_count() == 4
    assert mean["cv_pearson"].null_count() == 4
    assert ridge["cv_pearson"].is_between(-1, 1).all()
    assert gblup["h2"].is_between(0, 1).all()
    assert (gblup["h2_low"] <= gblup["h2"]).all()
    assert (gblup["h2"] <= gblup["h2_high"]).all()
    # what differs from 0 at all has p below 1/2: half a chi-square
    assert ((gblup["h2_p"] < 0.5) == (gblup["h2"] > 0)).all()
    assert gblup["fitted_individuals"].to_list() == [250] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 2}, "--draws is a number of draws, 1 or more, and goes with --few-shot"),
        ({"draws": 0, "few_shot": "10"}, "--draws is a number of draws"),
        ({"few_shot": "10", "weights_out": Path("w.parquet")}, "--weights-out is of one fit"),
        ({"few_shot": "ten"}, "is no list of numbers of people"),
        ({"variant_scores": Path("s.tsv")}, "goes with the models informed-ridge and informed-gblup"),
        ({"prior_window": 401}, "a window is an even, positive number"),
        ({"weights_out": Path("w.csv")}, r"a file of weights is a \.parquet"),
        (
            {"models": "genotype-pcs", "weights_out": Path("w.parquet")},
            "none of the models has weights of variants",
        ),
        ({"jobs": 0}, "--jobs is a number of processes"),
        ({"permuted": 4}, "--permuted is a number of permutations"),
        ({"permuted": -1}, "--permuted is a number of permutations"),
        ({"permuted": 5, "few_shot": "10"}, "--permuted is of one fit"),
        ({"permuted": 5, "models": "training-mean,elastic-net"}, "none of the models is quick enough"),
        ({"permuted": 5, "out": Path("p.csv")}, r"only a \.parquet has any"),
        ({"target": "log", "covariates_keep": "PC1"}, "--covariates-keep goes with --target residual"),
        ({"target": "residual", "covariates_keep": ","}, "--covariates-keep names no covariate"),
    ],
)
def test_options_that_do_not_go_together(
    demo_cohort: Cohort, sides: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    options = {"models": "ridge", "out": tmp_path / "p.parquet"} | options
    with pytest.raises(UsageError, match=message):
        baseline(demo_cohort.folder, split=sides, **options)


def test_models_of_permuted_people_are_told_of_and_change_nothing_else(
    demo_cohort: Cohort, sides: Path, linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline(demo_cohort.folder, split=sides, out=tmp_path / "p.parquet", models=MODELS, permuted=5)
    made, plain = (read_predictions(folder / "p.parquet") for folder in (tmp_path, linear))
    assert made.frame.equals(plain.frame)
    assert plain.metadata.permuted is None
    means = dict(made.metadata.permuted or ())
    assert list(means) == ["ridge", "gblup"]  # the training mean has no r
    assert all(len(found) == 5 for found in means.values())
    assert len(set(means["ridge"])) == 5
    assert "fitted to 5 permutations of people: ridge " in capsys.readouterr().err


def test_permuted_people_need_somebody_to_test(demo_cohort: Cohort, sides: Path, tmp_path: Path) -> None:
    split = Split.load(sides)
    replace(split, test=split.test[:2]).save(tmp_path / "two.json")
    with pytest.raises(DataError, match="mean r of models of permuted people is not defined") as caught:
        baseline(
            demo_cohort.folder,
            split=tmp_path / "two.json",
            out=tmp_path / "p.parquet",
            models="ridge",
            permuted=5,
        )
    assert caught.value.got == "2 test people"


@pytest.mark.parametrize("target", ["z-score", "inverse-normal", "residual"])
def test_each_target_is_fitted_and_told(
    demo_cohort: Cohort, sides: Path, tmp_path: Path, target: Any
) -> None:
    out = tmp_path / "p.parquet"
    kept = "genotype_PC2,genotype_PC1" if target == "residual" else None
    baseline(demo_cohort.folder, split=sides, out=out, models="ridge", target=target, covariates_keep=kept)
    told = read_predictions(out).metadata
    assert told.target == target
    assert told.covariates == (("genotype_PC1", "genotype_PC2") if kept else None)


def test_few_people_of_a_split_that_is_a_draw_are_refused(
    demo_cohort: Cohort, sides: Path, tmp_path: Path
) -> None:
    draw_people(Split.load(sides), 20, 3).save(tmp_path / "drawn.json")
    with pytest.raises(UsageError, match="draws from a split that is no draw itself") as caught:
        baseline(demo_cohort.folder, split=tmp_path / "drawn.json", out=tmp_path / "p.parquet", few_shot="10")
    assert caught.value.got.startswith("draw 3 of the split")


def test_weights_are_shown(linear: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(linear / "w.parquet")
    printed = capsys.readouterr()
    lines = [line.split() for line in printed.out.splitlines()]
    assert lines[0] == ["model", "genes", "with", "weights", "weights"]
    assert lines[1] == ["training-mean", "4", "0", "0"]
    assert lines[2][:3] == ["ridge", "4", "4"]
    assert "target log, window 64,000 bp, expression scale rpkm, fitted on 250 people" in printed.err
    gene = pl.read_parquet(linear / "w.parquet")["gene"][0]
    show(linear / "w.parquet", model="training-mean", gene=gene)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("model\tgene\tcontig\tposition\tref\talt\tweight\tmean_dosage\tintercept")
    assert rows[1].startswith(f"training-mean\t{gene}\tNA\tNA\tNA\tNA\tNA\tNA\t")
    assert len(rows) == 2


def test_weights_are_applied(
    demo_cohort: Cohort, sides: Path, linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "who.txt").write_text("\n".join(demo_cohort.individuals[:3]) + "\n")
    apply(
        linear / "w.parquet",
        cohort=demo_cohort.folder,
        out=tmp_path / "p.parquet",
        models="ridge",
        individuals=tmp_path / "who.txt",
        split=sides,
    )
    made, fitted = (read_predictions(folder / "p.parquet") for folder in (tmp_path, linear))
    assert made.metadata == fitted.metadata
    assert made.frame.height == 3 * 4
    keys = ["model", "gene", "individual"]
    frames = [
        table.frame.with_columns(pl.col(key).cast(pl.String) for key in keys) for table in (made, fitted)
    ]
    both = frames[0].join(frames[1], on=keys)
    assert both["predicted"].to_numpy() == pytest.approx(both["predicted_right"].to_numpy())
    assert both["train_individuals"].to_list() == both["train_individuals_right"].to_list()
    said = capsys.readouterr().err
    assert "variants of the weights: " in said
    assert " as they stand" in said
    assert "predicted 4 genes in 3 people" in said


def test_weights_are_exported(linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(linear / "w.parquet", model="gblup", build="b37", out=tmp_path / "gblup.db")
    weights = pl.read_parquet(linear / "w.parquet").filter(
        pl.col("model") == "gblup", pl.col("weight").is_not_null()
    )
    with closing(sqlite3.connect(tmp_path / "gblup.db")) as database:
        assert database.execute("SELECT count(*) FROM weights").fetchone() == (weights.height,)
        assert database.execute("SELECT count(*) FROM extra").fetchone() == (weights["gene"].n_unique(),)
        names = [row[1] for row in database.execute("PRAGMA table_info(extra)")]
    assert names == [
        *("gene", "genename", "n.snps.in.model"),
        *("pred.perf.R2", "pred.perf.pval", "pred.perf.qval"),
    ]
    assert (
        f"gblup: {weights.height:,} weights of {weights['gene'].n_unique()} genes" in capsys.readouterr().err
    )
